"""E_mtn, the motion encoder: a picture -> head pose (R, t, s) and a latent expression z. And the same z from numbers.

`ActionEncoder` is ours: it maps the tracker's 52 expression coefficients and gaze to z, so that a tracker, a motion
file or sliders can drive an avatar. `MotionEncoder` reads pose and z from pixels as the paper does.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.faces.tracker import ACTIONS, READING
from mpkit.geometry import Pose, window
from mpkit.networks.blocks import ResNet

ACTIONS_AND_GAZE = 52 + 2
MOST = 1.5  # times READING
SPREAD = 0.2  # about the standard deviation of a coefficient that moves: inputs of size 1 make a z that differs


class HeadMotion(NamedTuple):
    """Motion descriptors of a batch of heads: `pose`, and `expression` z (B, latent)."""

    pose: Pose
    expression: Tensor


class MotionEncoder(nn.Module):
    """x (B, 3, S, S) in [0, 1] -> HeadMotion. Two separate ResNets, one for the pose, one for z (paper, section 3.1).

    Both look at the face alone: a window of the head crop, `config.motion_window` = (x, y, half side).
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
        """The part of the head crop that E_mtn looks at, (B, 3, motion_size, motion_size)."""
        return window(image, self.config.motion_window, self.config.motion_size)

    def forward(self, image: Tensor) -> HeadMotion:
        face = self.face_window(image)
        return HeadMotion(pose_from_numbers(self.pose(face)), self.expression(face))


def pose_from_numbers(numbers: Tensor) -> Pose:
    """Nine numbers (B, 9) -> Pose: two columns of R made orthonormal (Zhou et al. 2019), t_x, t_y, log s."""
    eye = numbers.new_tensor([1, 0, 0, 0, 1, 0])
    first, second = (numbers[:, :6] + eye).split(3, dim=1)
    first = F.normalize(first, dim=1)
    second = F.normalize(second - (first * second).sum(1, keepdim=True) * first, dim=1)
    rotation = torch.stack([first, second, torch.linalg.cross(first, second)], dim=2)
    return Pose(rotation, F.pad(numbers[:, 6:8], (0, 1)), numbers[:, 8].clamp(-2, 2).exp())


class ActionEncoder(nn.Module):
    """52 expression coefficients in [0, 1] and gaze (x, y) in about [-1, 1], (B, 54) -> z (B, latent).

    A neutral face, all numbers 0, has z = 0: what is constant belongs to e. Where eyes look, the gaze alone says: the
    eight eyeLook coefficients say it less well, and follow the lids. Numbers end at MOST times the reading of a whole
    action: no face that training shows does more, and what lies beyond comes out torn.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = 2 * config.latent_size
        looks = [name.startswith("eyeLook") for name in (*ACTIONS, "gaze x", "gaze y")]
        self.register_buffer("counts", 1 - torch.tensor(looks).float(), persistent=False)
        self.register_buffer("most", MOST * torch.tensor(READING), persistent=False)
        self.layers = nn.Sequential(
            nn.Linear(ACTIONS_AND_GAZE, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, config.latent_size), nn.LayerNorm(config.latent_size, elementwise_affine=False),
        )  # fmt: skip

    def forward(self, actions_and_gaze: Tensor) -> Tensor:
        numbers = torch.clamp(actions_and_gaze, -self.most, self.most) * self.counts
        numbers = F.pad(numbers / SPREAD, (0, 0, 0, 1))  # the last row is the neutral face
        z = self.layers(numbers)
        return z[:-1] - z[-1:]
