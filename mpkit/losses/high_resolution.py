"""The loss of the high-resolution stage that needs no target (Eq. 10)."""

import torch.nn.functional as F
from torch import Tensor


def low_resolution_cycle_loss(image: Tensor, enhanced: Tensor) -> Tensor:
    """L1 between a picture x^_c (B, 3, S, S), averaged over 4 x 4 pixels, and G_enh(x^_c) (B, 3, 2S, 2S), averaged over
    8 x 8: G_enh may add detail, but no other colour or shape. Scalar."""
    return F.l1_loss(F.avg_pool2d(enhanced, 8), F.avg_pool2d(image, 4))
