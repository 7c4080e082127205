"""What stages share that compare pictures with the paper's losses of Eq. 4-5."""

import torch
from torch import Tensor

from mpkit.assets import GAZE_WEIGHTS, IDENTITY_WEIGHTS
from mpkit.config import DISCRIMINATORS, preset
from mpkit.geometry import Pose
from mpkit.losses.adversarial import discriminator_loss, generator_loss, matching_loss
from mpkit.losses.gaze import GazeLoss
from mpkit.losses.identity import IdentityLoss
from mpkit.losses.perceptual import PerceptualLoss
from mpkit.networks.discriminator import HeadDiscriminator
from mpkit.networks.gaze import GazeNetwork
from mpkit.networks.identity import IdentityNetwork
from mpkit.training.config import TrainConfig
from mpkit.training.stages.objective import Objective, frozen
from mpkit.weights import load_network


def marked_or_all(marks: Tensor) -> Tensor:
    """The numbers (M,) of the frames with a mark, of marks (B,) bool, which a discriminator judges; of all frames where
    none is marked, as in a batch of synthetic people alone."""
    numbers = marks.nonzero()[:, 0]
    return numbers if len(numbers) else torch.arange(len(marks), device=marks.device)


class GanObjective(Objective):
    """An objective with the losses of Eq. 5, where it has a `discriminator`."""

    def gan_terms(self, real: Tensor, fake: Tensor, *pose: Pose) -> dict[str, Tensor]:
        """Eq. 5 for the network that made `fake`, of pictures (B, 3, S, S); empty without a discriminator. pose: of the
        heads, if the discriminator wants it."""
        if not self.discriminator:
            return {}
        with frozen(self.discriminator):
            judged = self.discriminator(real, *pose), self.discriminator(fake, *pose)
        return {"adversarial": generator_loss(judged[1]), "matching": matching_loss(*judged)}

    def hinge_loss(self, real: Tensor, fake: Tensor, *pose: Pose) -> Tensor:
        """Eq. 5 for the discriminator, of pictures (B, 3, S, S). No gradient reaches the network that made `fake`."""
        return discriminator_loss(self.discriminator(real, *pose), self.discriminator(fake.detach(), *pose))


class PictureObjective(GanObjective):
    """An objective with `perceptual`, `gaze` and `identity` losses (Eq. 4) and a discriminator (Eq. 5). Each is None
    where its weight is 0. Raises WeightsError where the networks of a loss are missing."""

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        weights = self.weights
        self.perceptual = PerceptualLoss(weights.perceptual_backbone) if weights.perceptual else None
        self.gaze = GazeLoss(load_network(GAZE_WEIGHTS, GazeNetwork)) if weights.gaze else None
        self.identity = IdentityLoss(load_network(IDENTITY_WEIGHTS, IdentityNetwork)) if weights.identity else None
        gan = weights.adversarial or weights.matching
        presets = preset(config.preset, DISCRIMINATORS), preset("crops", DISCRIMINATORS)
        self.discriminator = HeadDiscriminator(*presets) if gan else None

    def perceptual_of_face(self, image: Tensor, target: Tensor) -> Tensor:
        """The perceptual loss on the middle of head crops (B, 3, S, S), where the face is, at full resolution."""
        size = image.shape[-1]
        middle = slice(size // 4, size - size // 4)
        return self.perceptual(image[..., middle, middle], target[..., middle, middle])
