"""Training data: people on disk, in memory and in the package (synthetic heads, lifted stills, clips), and batches of
training pairs from them."""
