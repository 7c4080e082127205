"""The losses, as functions of tensors. Each says which equation of the paper it is, or that it is ours."""
