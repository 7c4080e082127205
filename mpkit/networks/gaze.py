"""The gaze network (App. B.5 of the supplement, at small scale): where the eyes look and how far the lids are closed.

Its features around the eyes are a loss of the base stage (Eq. 4). `mpkit train gaze` trains it, on the exact gaze of
synthetic people and on what the tracker fits to real frames.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import GazeConfig
from mpkit.geometry import Pose, cell_centres, constant, sample
from mpkit.networks.blocks import group_norm

EYE_CENTRES = ((-0.175, -0.14, -0.4), (0.175, -0.14, -0.4))  # canonical, the one on the picture's left first
EYE_RADIUS = 0.13  # half side of an eye crop, canonical units
KEYPOINTS = 59  # 2D keypoints of the face that the network takes (`faces.canonical.keypoints`)


class Gaze(NamedTuple):
    """What the network reads."""

    direction: Tensor  # (B, 2) in about [-1, 1], relative to the head: x to the picture's right, y down
    blink: Tensor  # (B, 2) how far each eye is closed, about [0, 1]; the eye on the picture's left first
    features: list[Tensor]  # maps of both eyes (2 B, C, h, w), from fine to coarse


def eye_crops(image: Tensor, pose: Pose, size: int) -> Tensor:
    """Crops of both eyes of heads (B, 3, S, S), turned back to frontal by the pose: (2 B, 3, size, size), the eyes on
    the picture's left first."""
    axis = cell_centres(size, image.device) * EYE_RADIUS
    plane = torch.stack([*torch.meshgrid(axis, axis, indexing="xy"), torch.zeros(size, size, device=image.device)], -1)
    grids = []
    for centre in EYE_CENTRES:
        points = pose.apply((plane + constant(centre, plane)).expand(len(image), -1, -1, -1))
        grids.append(points[..., :2])
    return sample(image.repeat(2, 1, 1, 1), torch.cat(grids), padding="border")


class GazeNetwork(nn.Module):
    """image (B, 3, S, S) in [0, 1], its head pose and keypoints -> Gaze."""

    Config = GazeConfig

    def __init__(self, config: GazeConfig):
        super().__init__()
        self.config = config
        widths, size = config.widths, config.features
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, o, 3, stride=2, padding=1), group_norm(o, config.normalization_groups), nn.ReLU(),
                nn.Conv2d(o, o, 3, padding=1), group_norm(o, config.normalization_groups), nn.ReLU(),
            )
            for i, o in zip((3, *widths), widths)
        )  # fmt: skip
        side = config.eye_size // 2 ** len(widths)
        self.eye = nn.Linear(widths[-1] * side**2, size)  # shared by both eyes
        points, inner = KEYPOINTS * 2, config.keypoint_features
        self.keypoints = nn.Sequential(
            nn.Linear(points, inner), nn.ReLU(), nn.Linear(inner, inner), nn.ReLU(), nn.Linear(inner, inner), nn.ReLU()
        )
        self.gaze = nn.Sequential(nn.Linear(size + inner, size), nn.ReLU(), nn.Linear(size, 2))
        self.blink = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, 1))  # takes one eye

    def features(self, image: Tensor, pose: Pose) -> list[Tensor]:
        """Feature maps of both eyes (2 B, C, h, w), from fine to coarse: what the gaze loss compares."""
        h, maps = eye_crops(image, pose, self.config.eye_size) - 0.5, []
        for stage in self.stages:
            h = stage(h)
            maps.append(h)
        return maps

    def forward(self, image: Tensor, pose: Pose, keypoints: Tensor) -> Gaze:
        """keypoints (B, 59, 2): where the head crop has them, [-1, 1]."""
        maps = self.features(image, pose)
        left, right = self.eye(maps[-1].flatten(1)).chunk(2)
        both = F.relu(left + right)
        keypoints = self.keypoints(keypoints.flatten(1))
        blink = torch.cat([self.blink(F.relu(eye)) for eye in (left, right)], dim=1)
        return Gaze(self.gaze(torch.cat([both, keypoints], dim=1)), blink, maps)
