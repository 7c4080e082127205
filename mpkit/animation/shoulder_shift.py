"""Moves a portrait's shoulders by the part of their motion that does not follow from the head pose. It is measured in
the driver's clip, see `faces/shoulders.py`."""

import torch
from torch import Tensor

from mpkit.faces.canonical import CHIN
from mpkit.geometry import Pose, identity_flow, resize_flow, sample
from mpkit.networks.detail import Detail

# Canonical y, measured from the chin: above the first all moves with the head, below the second all with the shoulders.
NECK = (-0.03, 0.19)
FADE = 0.3  # width of the strip along the crop's border, in half sides, over which the shift fades to 0: no seam shows


def move_shoulders(detail: Detail, pose: Pose, shift: Tensor) -> Detail:
    """The detail path's layers with the shoulders moved by `shift` (B, 2), order (x, y), crop coordinates.

    The head, in `pose`, stays. The neck stretches, and so does the strip along the crop's border."""
    size = detail.mask.shape[-1]
    identity = identity_flow(size, size, shift.device)  # (1, 2, S, S)
    chin_y = pose.apply(torch.from_numpy(CHIN).to(shift).expand(len(shift), 1, 3))[:, 0, 1]
    below_chin = (identity[:, 1:] - chin_y.view(-1, 1, 1, 1)) / pose.scale.view(-1, 1, 1, 1)
    share = ((below_chin - NECK[0]) / (NECK[1] - NECK[0])).clamp(0, 1)
    share = share * share * (3 - 2 * share) * ((1 - identity.abs()).amin(1, keepdim=True) / FADE).clamp_max(1)
    origin = identity - share * shift.view(-1, 2, 1, 1)  # where each output pixel is sampled from
    offset = resize_flow(detail.flow, size) - identity
    layers = sample(torch.cat([detail.colour, detail.mask, offset], dim=1), origin.movedim(1, -1), padding="border")
    colour, mask, offset = layers.split([4, 1, 2], dim=1)
    return detail._replace(colour=colour, mask=mask, flow=origin + offset)
