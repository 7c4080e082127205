"""Supervision of E_mtn (ours): the pose and expression that it reads from pixels must agree with the labels."""

import torch.nn.functional as F
from torch import Tensor

from mpkit.geometry import Pose

Z_VARIANCE = 0.01  # of z in the bundled weights, measured


def pose_loss(predicted: Pose, wanted: Pose) -> Tensor:
    """Mean L1 of R, t and s, added up. Scalar."""
    return sum((a - b).abs().mean() for a, b in zip(predicted, wanted))


def latent_loss(predicted: Tensor, wanted: Tensor) -> Tensor:
    """Squared error between E_mtn's z and the action encoder's, (B, latent) each, in units of Z_VARIANCE. The gradient
    reaches `predicted` only."""
    return F.mse_loss(predicted, wanted.detach()) / Z_VARIANCE


def actions_loss(predicted: Tensor, wanted: Tensor, spread: float) -> Tensor:
    """Mean squared error of 52 actions and gaze (B, 54), in units of `spread`, their standard deviation."""
    return ((predicted - wanted) / spread).square().mean()
