"""Supervision of warps, depth and flow by exact labels (ours, beyond the paper: synthetic heads know every pixel).

Labels live on a pixel grid h x h of a frame: the point of the person's NEUTRAL head seen there (`canonical`), where it
is in the view (`view`), and whether there is one (`valid`, a mask or weights: eyes and mouth count more).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.batch import Labels
from mpkit.geometry import Pose, cell_centres, resize_flow, sample
from mpkit.networks.face_field import Offsets


def _masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """The mean over a batch (B, h, w) of each frame's own weighted mean; a frame without a label counts as 0."""
    return ((values * valid).sum((1, 2)) / valid.sum((1, 2)).clamp_min(1)).mean()


def warp_loss(grid: Tensor, at: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """L1 between a warp grid (B, D, H, W, 3) read at points `at` (B, h, h, 3) and the `wanted` points there."""
    read = sample(grid.movedim(-1, 1), at[:, None], padding="border")[:, :, 0].movedim(1, -1)
    return _masked_mean((read - wanted).abs().sum(-1), valid)


def driver_surface_loss(offsets: Offsets, pose: Pose, driver: Labels) -> Tensor:
    """The same for single points instead of cells, with the fine offsets of the face: what the detail path follows."""
    found = offsets.displace(pose.unapply(driver.view))
    return _masked_mean((found - driver.canonical).abs().sum(-1), driver.valid)


def source_surface_loss(offsets: Offsets, pose: Pose, source: Labels) -> Tensor:
    """The same for single points of the neutral head: where does the source show them?"""
    found = pose.apply(offsets.displace(source.canonical))
    return _masked_mean((found - source.view).abs().sum(-1), source.valid)


def driver_warp_loss(warp: Tensor, driver: Labels) -> Tensor:
    """w_->d at a visible surface point of the driver must give its point on the neutral head."""
    return warp_loss(warp, driver.view, driver.canonical, driver.valid)


def source_warp_loss(warp: Tensor, source: Labels) -> Tensor:
    """w_s-> at a point of the neutral head must give where the source shows it."""
    return warp_loss(warp, source.canonical, source.view, source.valid)


def depth_loss(depth_weights: Tensor, driver: Labels) -> Tensor:
    """The depth softmax (B, D, H, W) must have its mean at the visible depth."""
    z = cell_centres(depth_weights.shape[1], depth_weights.device)
    expected = torch.einsum("bdhw,d->bhw", depth_weights, z)[:, None]
    read = sample(expected, driver.view[..., :2], padding="border")[:, 0]
    return _masked_mean((read - driver.view[..., 2]).abs(), driver.valid)


def flow_loss(flow: Tensor, wanted: Tensor, valid: Tensor) -> Tensor:
    """L1 between a flow (B, 2, h', w') and the true source positions (B, h, h, 2) where both frames show the point."""
    if flow.shape[-1] != wanted.shape[1]:
        flow = resize_flow(flow, wanted.shape[1])
    return _masked_mean((flow.movedim(1, -1) - wanted).abs().sum(-1), valid)


def mask_loss(mask: Tensor, shown: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy of m (B, 1, S, S): 1 where the source shows the point that the driver shows, `shown` (B, h, h), and
    0 where it hides it: the inside of a mouth that opens is to be painted. Or of any other share and its marks.
    `weight` (B, h, h), 0 without a label."""
    mask = F.adaptive_avg_pool2d(mask.float(), shown.shape[-2:])[:, 0].clamp(1e-3, 1 - 1e-3)
    return _masked_mean(-torch.where(shown, mask, 1 - mask).log(), weight)


def colour_loss(colour: Tensor, picture: Tensor, weight: Tensor, quantile: float = 0.5) -> Tensor:
    """L1 between colours (B, 3, h, h) and a picture (B, 3, S, S), where `weight` (B, h, h) says; or, where pictures
    differ, what is least when colours are that `quantile` of theirs (0.5: the median)."""
    away = F.adaptive_avg_pool2d(picture, colour.shape[-2:]) - colour
    return _masked_mean(2 * torch.maximum(quantile * away, (quantile - 1) * away).sum(1), weight)


def smoothness_loss(delta: Tensor) -> Tensor:
    """Mean squared second difference of an offset field (B, 3, D, H, W): bends cost, stretches do not."""
    return sum(delta.diff(n=2, dim=axis).square().mean() for axis in (2, 3, 4))
