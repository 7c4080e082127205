"""Supervision of E_mtn: pose and expression read from pixels must agree with the labels (ours, beyond the paper)."""

import torch.nn.functional as F
from torch import Tensor

from mpkit.geometry import Pose

Z_VARIANCE = 0.01  # measured in the bundled weights


def pose_loss(predicted: Pose, wanted: Pose) -> Tensor:
    """L1 on R, t_x, t_y and s."""
    return sum((a - b).abs().mean() for a, b in zip(predicted, wanted))


def latent_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Distils the z of the action encoder into E_mtn's, (B, latent) each: squared error over about the
    variance of z. The gradient reaches `predicted` only."""
    return F.mse_loss(predicted, wanted.detach()) / Z_VARIANCE


def actions_loss(predicted: Tensor, wanted: Tensor, spread: float) -> Tensor:
    """Squared error of the 52 coefficients and the gaze (B, 54), each in units of `spread`."""
    return ((predicted - wanted) / spread).square().mean()
