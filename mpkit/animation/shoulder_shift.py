"""Moves a portrait's shoulders by what the head's pose does not tell: see `faces/shoulders.py`, which reads it."""

import torch
from torch import Tensor

from mpkit.faces.canonical import CHIN
from mpkit.geometry import Pose, identity_flow, resize_flow, sample
from mpkit.networks.detail import (
    Detail,
)

NECK = (-0.03, 0.19)  # below the chin, canonical: where what moves with the head ends, and where the shoulders begin


FADE = 0.3  # within so far of the crop's border shoulders move less and less: there the rest of the picture begins


def move_shoulders(detail: Detail, pose: Pose, shift: Tensor) -> Detail:
    """What `render_at` shows, its shoulders moved by `shift` (B, 2). The head, in `pose`, stays; the neck stretches,
    and so does the strip along the crop's border."""
    size = detail.mask.shape[-1]
    here = identity_flow(size, size, shift.device)
    chin = pose.apply(torch.from_numpy(CHIN).to(shift).expand(len(shift), 1, 3))[:, 0, 1]
    below = (here[:, 1:] - chin.view(-1, 1, 1, 1)) / pose.scale.view(-1, 1, 1, 1)
    share = ((below - NECK[0]) / (NECK[1] - NECK[0])).clamp(0, 1)
    share = share * share * (3 - 2 * share) * ((1 - here.abs()).amin(1, keepdim=True) / FADE).clamp_max(1)
    origin = here - share * shift.view(-1, 2, 1, 1)
    offset = resize_flow(detail.flow, size) - here
    layers = sample(torch.cat([detail.colour, detail.mask, offset], dim=1), origin.movedim(1, -1), padding="border")
    colour, mask, offset = layers.split([4, 1, 2], dim=1)
    return detail._replace(colour=colour, mask=mask, flow=origin + offset)
