"""Cycle consistency of motion, L_cos (Eq. 6-7): the z that E_mtn reads in a prediction must be the driver's, for any
source. It stops appearance from leaking through z."""

import torch
import torch.nn.functional as F
from torch import Tensor

SCALE, MARGIN = 5.0, 0.2  # s and m of Eq. 6


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b) = s (<a, b> - m) with the cosine of latents (B, n): (B,). Eq. 6."""
    return SCALE * (F.cosine_similarity(a, b, dim=1) - MARGIN)


def cycle_loss(own: Tensor, other: Tensor, driver: Tensor, other_driver: Tensor) -> Tensor:
    """Eq. 7 for latents (B, n) read by E_mtn in four pictures; the starred pair is of another person.

    own           z_{s->d}   of the prediction with the driver's own source
    other         z_{s*->d}  of the prediction with the other source, the same driver
    driver        z_d        of the driver
    other_driver  z_{d*}     of the other driver
    The loss is small when both predictions have a z like z_d and unlike z_{d*}. Returns a scalar.
    """
    positives = [similarity(own, driver), similarity(other, driver)]
    negatives = torch.stack([similarity(own, other_driver), similarity(other, other_driver)]).logsumexp(0)
    return sum((torch.logaddexp(positive, negatives) - positive).mean() for positive in positives)
