"""The identity network (ours): a face -> an identity vector. It takes VGGFace's place, whose weights cannot be bundled.

`mpkit train identity` trains it on synthetic people and real stills: vectors of one person's frames shall be nearer to
each other than to other people's, whatever their pose, expression, light or paint.
"""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from mpkit.config import IdentityConfig
from mpkit.geometry import window
from mpkit.networks.blocks import group_norm


class IdentityNetwork(nn.Module):
    """image (B, 3, S, S) in [0, 1], a head crop -> vector of length 1, (B, features)."""

    Config = IdentityConfig

    def __init__(self, config: IdentityConfig):
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(i, o, 3, stride=2, padding=1), group_norm(o, config.normalization_groups), nn.ReLU(),
                nn.Conv2d(o, o, 3, padding=1), group_norm(o, config.normalization_groups), nn.ReLU(),
            )
            for i, o in zip((3, *config.widths), config.widths)
        )  # fmt: skip
        side = config.face_size // 2 ** len(config.widths)
        self.head = nn.Linear(config.widths[-1] * side**2, config.features)

    def features(self, image: Tensor) -> list[Tensor]:
        """Feature maps (B, C, h, w), from fine to coarse: what the identity loss compares."""
        h, maps = window(image, self.config.face_window, self.config.face_size) - 0.5, []
        for stage in self.stages:
            h = stage(h)
            maps.append(h)
        return maps

    def forward(self, image: Tensor) -> Tensor:
        return F.normalize(self.head(rearrange(self.features(image)[-1], "b c h w -> b (c h w)")), dim=1)
