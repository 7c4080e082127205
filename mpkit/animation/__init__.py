"""Animation: a source picture becomes a portrait once; motion frames then drive it, one by one, as a stream."""
