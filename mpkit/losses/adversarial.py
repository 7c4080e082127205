"""The GAN losses: hinge on every patch of every scale, and feature matching (Eq. 5; pix2pixHD, Wang et al. 2018)."""

import torch.nn.functional as F
from torch import Tensor

from mpkit.networks.discriminator import Judgement


def discriminator_loss(real: list[Judgement], fake: list[Judgement]) -> Tensor:
    """Hinge loss: scores of real patches should exceed 1, of predictions fall below -1. `fake` must come from detached
    predictions."""
    scales = zip(real, fake, strict=True)
    return sum(F.relu(1 - r.score).mean() + F.relu(1 + f.score).mean() for r, f in scales) / len(real)


def generator_loss(fake: list[Judgement]) -> Tensor:
    """Minus the discriminator's mean score of predictions. The gradient must reach the generator: never detach them."""
    return -sum(judgement.score.mean() for judgement in fake) / len(fake)


def matching_loss(real: list[Judgement], fake: list[Judgement]) -> Tensor:
    """Feature matching: mean L1 between the discriminator's activations on both. The gradient reaches `fake` only."""
    layers = [(r.detach(), f) for a, b in zip(real, fake, strict=True) for r, f in zip(a.features, b.features)]
    return sum(F.l1_loss(f, r) for r, f in layers) / len(layers)
