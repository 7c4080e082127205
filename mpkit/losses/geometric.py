"""Supervision of warps, depth, flow and mask by labels (ours): a synthetic head knows its surface point at every pixel.

`Labels` lie on an h x h grid over a frame. Their `valid` may be a mask or weights, see `losses.attention.attentive`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.batch import Labels
from mpkit.geometry import Pose, resize_flow, sample
from mpkit.networks.face_field import Offsets


def _masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """The weighted mean of each frame of a batch (B, h, w), averaged over frames; a frame without labels counts as
    0."""
    return ((values * valid).sum((1, 2)) / valid.sum((1, 2)).clamp_min(1)).mean()


def warp_loss(grid: Tensor, at: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """L1 between a warp grid (B, D, H, W, 3) read at points `at` (B, h, h, 3) and the `wanted` points there."""
    read = sample(grid.movedim(-1, 1), at[:, None], padding="border")[:, :, 0].movedim(1, -1)
    return _masked_mean((read - wanted).abs().sum(-1), valid)


def driver_surface_loss(offsets: Offsets, pose: Pose, driver: Labels) -> Tensor:
    """`driver_warp_loss` at single points instead of cells, with the fine offsets of the face: what the detail path
    uses."""
    found = offsets.displace(pose.unapply(driver.view))
    return _masked_mean((found - driver.canonical).abs().sum(-1), driver.valid)


def source_surface_loss(offsets: Offsets, pose: Pose, source: Labels) -> Tensor:
    """`source_warp_loss` at single points of the neutral head, with the fine offsets of the face."""
    found = pose.apply(offsets.displace(source.canonical))
    return _masked_mean((found - source.view).abs().sum(-1), source.valid)


def driver_warp_loss(warp: Tensor, driver: Labels) -> Tensor:
    """w_->d at a visible surface point of the driver must give its point on the neutral head."""
    return warp_loss(warp, driver.view, driver.canonical, driver.valid)


def source_warp_loss(warp: Tensor, source: Labels) -> Tensor:
    """w_s-> at a point of the neutral head must give where the source shows it."""
    return warp_loss(warp, source.canonical, source.view, source.valid)


def depth_loss(depth: Tensor, driver: Labels) -> Tensor:
    """L1 between a depth map (B, 1, h, w) and the depth of the visible point."""
    read = sample(depth, driver.view[..., :2], padding="border")[:, 0]
    return _masked_mean((read - driver.view[..., 2]).abs(), driver.valid)


def flow_loss(flow: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """L1 between a flow (B, 2, h', w') and the true source positions (B, h, h, 2), where `valid`: both frames show the
    point."""
    if flow.shape[-1] != wanted.shape[1]:
        flow = resize_flow(flow, wanted.shape[1])
    return _masked_mean((flow.movedim(1, -1) - wanted).abs().sum(-1), valid)


def mask_loss(mask: Tensor, shown: Tensor, weight: Tensor) -> Tensor:
    """Binary cross entropy of a mask (B, 1, S, S) against marks `shown` (B, h, h) bool, weighted by `weight` (B, h, h).

    For the share of the source in the result: 1 where the source shows the driver's point, 0 where it hides it."""
    mask = F.adaptive_avg_pool2d(mask.float(), shown.shape[-2:])[:, 0].clamp(1e-3, 1 - 1e-3)
    return _masked_mean(-torch.where(shown, mask, 1 - mask).log(), weight)


def smoothness_loss(delta: Tensor) -> Tensor:
    """Mean squared second difference of an offset field or grid (B, 3, D, H, W): 0 for an affine field."""
    return sum(delta.diff(n=2, dim=axis).square().mean() for axis in (2, 3, 4))
