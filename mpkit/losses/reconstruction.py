"""Pixel losses between a prediction and its target (ours), on the foreground alone: both are premultiplied by a
matte."""

import torch.nn.functional as F
from torch import Tensor


def multiscale_l1(prediction: Tensor, target: Tensor, attention: Tensor | None = None, scales: int = 3) -> Tensor:
    """L1 on the values and on their horizontal and vertical differences, at `scales` resolutions. Scalar.

    prediction, target (B, C, S, S). `attention` (B, 1, S, S) >= 0 weighs pixels, so that eyes and mouth count more than
    the few pixels that they cover; it is divided by its mean, so that the total weight stays the same.
    """
    if attention is not None:
        attention = attention / attention.mean((2, 3), keepdim=True).clamp_min(1e-6)
    total = prediction.new_zeros(())
    difference = prediction - target
    for _ in range(scales):
        weight = 1 if attention is None else attention
        total = total + (difference.abs() * weight).mean()
        for axis in (2, 3):
            step = difference.diff(dim=axis).abs()
            total = total + (step * (1 if attention is None else attention.narrow(axis, 1, step.shape[axis]))).mean()
        difference = F.avg_pool2d(difference, 2)
        attention = None if attention is None else F.avg_pool2d(attention, 2)
    return total
