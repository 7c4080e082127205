"""Animation: a source picture is prepared once, as a portrait; each frame of a driver then gives it a motion."""
