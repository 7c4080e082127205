"""The gaze loss (Eq. 4): L1 between features that the gaze network has of the eyes in prediction and target. And the
loss that trains the gaze network (App. B.5)."""

import math

import torch
from torch import Tensor, nn

from mpkit.actions import ACTIONS
from mpkit.geometry import Pose
from mpkit.losses.perceptual import relative_l1
from mpkit.networks.gaze import Gaze, GazeNetwork

BLINKS = [ACTIONS.index("eyeBlinkRight"), ACTIONS.index("eyeBlinkLeft")]  # the subject's right is the picture's left
EYE_TURN = 30.0  # degrees that an eye turns at a gaze of 1
ABSOLUTE, SQUARED = 15.0, 10.0  # the paper's weights of the two errors


class GazeLoss(nn.Module):
    """prediction, target (B, 3, S, S) with the same head pose, which places the eyes -> scalar. The gradient reaches
    the prediction only."""

    def __init__(self, network: GazeNetwork):
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, prediction: Tensor, target: Tensor, pose: Pose) -> Tensor:
        with torch.no_grad():
            wanted = self.network.features(target, pose)
        return relative_l1(self.network.features(prediction, pose), wanted)


def gaze_terms(read: Gaze, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss that trains the gaze network, of its reading against the numbers (B, 54) of each frame; and two
    measures: `degrees`, the mean angular error where eyes are open, and `blink_error`."""
    wanted = numbers[:, 52:], numbers[:, BLINKS]
    is_open = 1 - wanted[1].mean(1, keepdim=True)  # a closed eye has no gaze
    errors = (read.direction - wanted[0]) * is_open, read.blink - wanted[1]
    loss = sum(ABSOLUTE * error.abs().mean() + SQUARED * error.square().mean() for error in errors)
    weight = (is_open[:, 0] > 0.5).float()
    degrees = (angle_between(read.direction.detach(), wanted[0]) * weight).sum() / weight.sum().clamp_min(1)
    return loss, {"degrees": degrees, "blink_error": errors[1].detach().abs().mean()}


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Angle in degrees (B,) between two gazes (B, 2) in about [-1, 1]."""

    def direction(gaze: Tensor) -> Tensor:
        x, y = (gaze * (EYE_TURN * math.pi / 180)).unbind(1)
        return torch.stack([x.sin() * y.cos(), y.sin(), x.cos() * y.cos()], dim=1)

    cosine = (direction(a) * direction(b)).sum(1)
    return cosine.clamp(-1, 1).acos() * (180 / math.pi)
