"""E_mtn, the motion encoder: a picture -> head pose (R, t, s) and a latent expression z (section 3.1)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import Pose, constant, window
from mpkit.networks.blocks import ResNet


class HeadMotion(NamedTuple):
    """Motion descriptors of a batch of heads: `pose`, and `expression` z (B, latent)."""

    pose: Pose
    expression: Tensor


class MotionEncoder(nn.Module):
    """x (B, 3, S, S) in [0, 1] -> HeadMotion. Two separate ResNets, one for the pose, one for z (section 3.1).

    Both see the face alone: a window of the head crop, `config.motion_window` = (x, y, half side).
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        pool = config.motion_pool
        self.pose = ResNet(3, config.motion_widths, config.motion_blocks, 6 + 2 + 1, config, pool=pool)
        self.expression = ResNet(3, config.motion_widths, config.motion_blocks, config.latent_size, config, pool=pool)
        for head in (self.pose.head, self.expression.head):
            nn.init.zeros_(head.weight)

    def face_window(self, image: Tensor) -> Tensor:
        """The part of the head crop that E_mtn sees, (B, 3, motion_size, motion_size)."""
        return window(image, self.config.motion_window, self.config.motion_size)

    def forward(self, image: Tensor) -> HeadMotion:
        face = self.face_window(image)
        return HeadMotion(pose_from_numbers(self.pose(face)), self.expression(face))


def pose_from_numbers(numbers: Tensor) -> Pose:
    """Nine numbers (B, 9) -> Pose: two columns of R made orthonormal (Zhou et al. 2019), t_x, t_y, log s."""
    eye = constant((1, 0, 0, 0, 1, 0), numbers)
    first, second = (numbers[:, :6] + eye).split(3, dim=1)
    first = F.normalize(first, dim=1)
    second = F.normalize(second - (first * second).sum(1, keepdim=True) * first, dim=1)
    rotation = torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)
    return Pose(rotation, F.pad(numbers[:, 6:8], (0, 1)), numbers[:, 8].clamp(-2, 2).exp())
