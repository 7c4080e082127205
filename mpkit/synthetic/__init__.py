"""Renders of synthetic people, with exact labels; none of them is a real person. `mpkit heads`."""
