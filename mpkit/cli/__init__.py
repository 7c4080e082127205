"""The command line: `mpkit COMMAND ...`."""
