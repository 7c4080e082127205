"""One training loop for every stage; the stages are in `training/stages/`."""
