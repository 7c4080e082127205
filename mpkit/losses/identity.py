"""The identity loss: L1 between what the identity network sees in prediction and driver, in VGGFace's place (Eq. 4).
And the loss that trains that network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.losses.perceptual import relative_l1
from mpkit.networks.identity import IdentityNetwork

TEMPERATURE = 0.1  # of the contrast between people


class IdentityLoss(nn.Module):
    """Gradient reaches the prediction only."""

    def __init__(self, network: IdentityNetwork):
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network.features(target)
        return relative_l1(self.network.features(prediction), wanted)


def contrast(known: Tensor, seen: Tensor) -> tuple[Tensor, dict[str, Tensor], None]:
    """What trains the identity network: the vectors `seen` (P * n, features), n frames of each person in a row, must be
    nearest to their own person's among `known` (P, features). `accuracy` is the share that is; by chance 1 / P."""
    scores = seen @ known.T / TEMPERATURE
    own = torch.arange(len(known), device=scores.device).repeat_interleave(len(seen) // len(known))
    return F.cross_entropy(scores, own), {"accuracy": (scores.argmax(1) == own).float().mean()}, None
