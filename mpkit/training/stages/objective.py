"""What a stage of training is: an `Objective`, and the weight of each of its terms."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mpkit.batch import Frames
from mpkit.config import preset
from mpkit.networks.base import BaseModel


@dataclass(frozen=True)
class BaseWeights:
    """Weight of each term; 0 leaves the term out."""

    reconstruction: float = 1.0  # multi-scale L1 of the result
    warped: float = 0.5  # the same on the warped source alone, so that the flow learns before the mask
    perceptual: float = 0.5
    perceptual_backbone: str = "efficientnet-lite0"
    warp: float = 3.0  # both warps, supervised
    surface: float = 3.0  # both, point by point, with the fine offsets of the face
    flow: float = 3.0  # the detail path's flow, supervised
    depth: float = 0.3  # the depth softmax, supervised
    mask: float = 0.1  # painting what the source hides, and nothing else
    smoothness: float = 1.0  # second differences of both offset fields
    pose: float = 0.3  # E_mtn's R, t, s
    latent: float = 0.1  # E_mtn's z
    actions: float = 0.03  # the 52 coefficients read from z
    adversarial: float = 0.0  # the discriminator's score of the result (paper: 1)
    matching: float = 0.0  # its features of the result and of the driver (paper: 40)
    cycle: float = 0.0  # L_cos, Eq. 6-7 (paper: 2)
    gaze: float = 0.0  # the gaze network's features around the eyes (paper: 5)
    identity: float = 0.0  # the identity network's features (paper: 4, VGGFace)


def target_of(prediction: Tensor, frames: Frames) -> Tensor:
    """What a prediction (B, C, S, S) shall be: the frames' pictures, and itself where they only guess."""
    return torch.where(frames.believed, frames.picture[:, : prediction.shape[1]], prediction.detach())


class Objective(nn.Module):
    """What a stage of training lowers: called with (network, pairs), it gives the loss, its terms unweighted and, where
    pictures were made, the driven batch. `build` makes the network; `critic` is a discriminator or None."""

    build = staticmethod(lambda preset_name: BaseModel(preset(preset_name)))

    def __init__(self, weights: BaseWeights, preset_name: str = "tiny"):
        super().__init__()
        self.weights = weights
        self.critic: nn.Module | None = None


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Gradients pass through the network, to what it is shown, but not into its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def neighbours(count: int) -> list[int]:
    """Another person for each of a batch: two by two they change places; the last of an odd number takes the first."""
    return [index ^ 1 if index ^ 1 < count else 0 for index in range(count)]
