"""The action encoder (ours, beyond the paper): the tracker's 52 facial actions and gaze -> z, the latent expression
that E_mtn reads from pixels. With it a tracker, a motion file or sliders can drive an avatar."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.actions import ACTIONS, NUMBERS
from mpkit.config import ModelConfig

ACTION_LIMIT = 1.5  # of actions and gaze; training shows at most 1
ACTION_SPREAD = 0.2  # approximate standard deviation of an action that moves


class ActionEncoder(nn.Module):
    """52 actions in [0, 1] and gaze (x, y) in about [-1, 1], (B, 54) -> z (B, latent).

    A neutral face, all numbers 0, has z = 0: what never changes belongs to e. Where the eyes look is read from the gaze
    alone: the eight eyeLook actions are less exact and follow the lids. Numbers beyond ACTION_LIMIT are clamped,
    because the warps tear there.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        width = 2 * config.latent_size
        ignored = [name.startswith("eyeLook") for name in (*ACTIONS, "gaze x", "gaze y")]
        self.register_buffer("used", 1 - torch.tensor(ignored).float(), persistent=False)  # (54,) 0 or 1
        self.layers = nn.Sequential(
            nn.Linear(NUMBERS, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, config.latent_size), nn.LayerNorm(config.latent_size, elementwise_affine=False),
        )  # fmt: skip

    def forward(self, numbers: Tensor) -> Tensor:
        numbers = numbers.clamp(-ACTION_LIMIT, ACTION_LIMIT) * self.used
        numbers = F.pad(numbers / ACTION_SPREAD, (0, 0, 0, 1))  # the last row is the neutral face
        z = self.layers(numbers)  # (B + 1, latent)
        return z[:-1] - z[-1:]
