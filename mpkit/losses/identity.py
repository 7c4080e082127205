"""The identity loss (Eq. 4, in VGGFace's place): L1 between features that the identity network has of prediction and
target. And the loss that trains the identity network (ours)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.losses.perceptual import relative_l1
from mpkit.networks.identity import IdentityNetwork

TEMPERATURE = 0.1  # of the softmax over people


class IdentityLoss(nn.Module):
    """prediction, target (B, 3, S, S) -> scalar. The gradient reaches the prediction only."""

    def __init__(self, network: IdentityNetwork):
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network.features(target)
        return relative_l1(self.network.features(prediction), wanted)


def contrast(known: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss that trains the identity network: cross entropy over people. The vectors `seen` (P * n, features), n
    frames of each person in a row, must be nearest to their own person's among `known` (P, features). And a measure:
    `accuracy`, the share of frames for which they are; 1 / P by chance."""
    scores = seen @ known.T / TEMPERATURE
    own = torch.arange(len(known), device=scores.device).repeat_interleave(len(seen) // len(known))
    return F.cross_entropy(scores, own), {"accuracy": (scores.argmax(1) == own).float().mean()}
