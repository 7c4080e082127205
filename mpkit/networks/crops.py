"""Crops of mouths and eyes, which a head's pose places. Losses see them enlarged (ours)."""

import torch
from torch import Tensor

from mpkit.geometry import Pose, constant, identity_flow, sample
from mpkit.networks.gaze import eye_crops
from mpkit.networks.mouth import LIPS_DEPTH

CROP_SIDE = 96  # pixels
MOUTH_CENTRE, MOUTH_RADIUS = (0.0, 0.27, LIPS_DEPTH), 0.26  # canonical units


def mouth_points(pose: Pose) -> Tensor:
    """The points of the view that a crop of a mouth shows, x and y, (B, P, P, 2). It does not turn with the head."""
    centre = pose.apply(constant(MOUTH_CENTRE, pose.scale).expand(len(pose.scale), 1, 3))[:, :, None, :2]
    axes = identity_flow(CROP_SIDE, CROP_SIDE, centre.device).movedim(1, -1)
    return centre + MOUTH_RADIUS * pose.scale.view(-1, 1, 1, 1) * axes


def eyes_and_mouths(pictures: Tensor, pose: Pose) -> Tensor:
    """Crops of both eyes and of the mouth of heads (B, 3, S, S), (3 B, 3, P, P): all left eyes, right eyes, mouths."""
    mouths = sample(pictures, mouth_points(pose), padding="border")
    return torch.cat([eye_crops(pictures, pose, CROP_SIDE), mouths])
