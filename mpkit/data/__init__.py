"""Training data on disk: shards of synthetic people, lifted stills and clips, and batches of pairs from them."""
