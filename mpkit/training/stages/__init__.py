"""The stages of training, one a file: what each network learns from, and what it lowers."""
