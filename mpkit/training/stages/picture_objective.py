"""What stages share that compare pictures with the paper's losses of Eq. 4-5."""

from torch import Tensor

from mpkit.assets import GAZE_WEIGHTS, IDENTITY_WEIGHTS
from mpkit.config import DISCRIMINATORS, preset
from mpkit.losses.adversarial import discriminator_loss, generator_loss, matching_loss
from mpkit.losses.gaze import GazeLoss
from mpkit.losses.identity import IdentityLoss
from mpkit.losses.perceptual import PerceptualLoss
from mpkit.networks.discriminator import Discriminator
from mpkit.networks.gaze import GazeNetwork
from mpkit.networks.identity import IdentityNetwork
from mpkit.training.config import TrainConfig
from mpkit.training.stages.objective import Objective, frozen
from mpkit.weights import load_network


class PictureObjective(Objective):
    """An objective with `perceptual`, `gaze` and `identity` losses (Eq. 4) and a discriminator (Eq. 5). Each is None
    where its weight is 0. Raises WeightsError where the networks of a loss are missing."""

    def __init__(self, config: TrainConfig):
        super().__init__(config)
        weights = self.weights
        self.perceptual = PerceptualLoss(weights.perceptual_backbone) if weights.perceptual else None
        self.gaze = GazeLoss(load_network(GAZE_WEIGHTS, GazeNetwork)) if weights.gaze else None
        self.identity = IdentityLoss(load_network(IDENTITY_WEIGHTS, IdentityNetwork)) if weights.identity else None
        gan = weights.adversarial or weights.matching
        self.discriminator = Discriminator(preset(config.preset, DISCRIMINATORS)) if gan else None

    def perceptual_of_face(self, image: Tensor, target: Tensor) -> Tensor:
        """The perceptual loss on the middle of head crops (B, 3, S, S), where the face is, at full resolution."""
        size = image.shape[-1]
        middle = slice(size // 4, size - size // 4)
        return self.perceptual(image[..., middle, middle], target[..., middle, middle])

    def gan_terms(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Eq. 5 for the network that made `fake`, of pictures (B, 3, S, S); empty without a discriminator."""
        if not self.discriminator:
            return {}
        with frozen(self.discriminator):
            judged = self.discriminator(real), self.discriminator(fake)
        return {"adversarial": generator_loss(judged[1]), "matching": matching_loss(*judged)}

    def hinge_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Eq. 5 for the discriminator, of pictures (B, 3, S, S). No gradient reaches the network that made `fake`."""
        return discriminator_loss(self.discriminator(real), self.discriminator(fake.detach()))
