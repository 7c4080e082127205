"""How good and how fast a model is: `mpkit evaluate`, `bench`, `info`, `ablate`."""
