"""Synthetic people: rendered heads that do not exist, with exact labels. `mpkit heads`."""
