"""Measurements of a model: `mpkit evaluate` its quality, `bench` its speed, `info` its size, `ablate` each loss."""
