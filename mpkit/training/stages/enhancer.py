"""Stage `enhancer`: G_enh learns to double the resolution of G_base's pictures, from stills alone (Eq. 9-10).

G_base is frozen. It drives each still twice: by its own motion, a self pair, whose target is the still itself (Eq. 9);
and by the motion of another still, a cross pair, which has no target (Eq. 10).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.assets import DEFAULT_WEIGHTS, EXAMPLES
from mpkit.config import DISCRIMINATORS, ENHANCERS, preset
from mpkit.data.stills import Stills, StillSet, read_stills
from mpkit.errors import WeightsError
from mpkit.losses.adversarial import discriminator_loss, generator_loss, matching_loss
from mpkit.losses.high_resolution import low_resolution_cycle_loss
from mpkit.networks.base import BaseModel, load_model
from mpkit.networks.discriminator import Discriminator
from mpkit.networks.enhancer import Enhancer, check_sizes
from mpkit.networks.motion import HeadMotion
from mpkit.training.config import TrainConfig
from mpkit.training.stages.objective import Losses, Objective, frozen, other_person


@dataclass(frozen=True)
class EnhancerWeights:
    """Weight of each term; the ratios are the paper's."""

    l1: float = 1.0  # Eq. 9: L1 of self pairs (paper: 100)
    adversarial: float = 0.01  # Eq. 9: the discriminator's score of self pairs (paper: 1)
    matching: float = 1.0  # Eq. 9: its features of self pairs and of the stills (paper: 100)
    cross_adversarial: float = 0.01  # Eq. 10: its score of cross pairs (paper: 1)
    cycle: float = 0.1  # Eq. 10: L1 of cross pairs at low resolution (paper: 10)


class Enhanced(NamedTuple):
    """What the networks made of B stills: the B self pairs, then the B cross pairs."""

    low: Tensor  # x^ (2B, 3, S, S) of G_base
    high: Tensor  # G_enh(x^) (2B, 3, 2S, 2S)


class EnhancerObjective(Objective):
    """`--data` are folders of plain pictures; without any, the example portraits that come with mpkit."""

    Weights = EnhancerWeights
    equations = {
        "l1": "Eq. 9", "adversarial": "Eq. 9", "matching": "Eq. 9", "cross_adversarial": "Eq. 10", "cycle": "Eq. 10",
        "discriminator": "Eq. 9-10",
    }  # fmt: skip

    def __init__(self, config: TrainConfig):
        """Raises WeightsError, see `load_base` and `check_sizes`."""
        super().__init__(config)
        self.base = load_base(config).requires_grad_(False)
        check_sizes(preset(config.preset, ENHANCERS), self.base.config)
        self.size = self.base.config.image_size
        self.discriminator = Discriminator(preset(config.preset, DISCRIMINATORS))

    def build(self) -> Enhancer:
        return Enhancer(preset(self.config.preset, ENHANCERS))

    def batches(self, part: int = 0, parts: int = 1) -> StillSet:
        stills = read_stills(self.config.data or (EXAMPLES,), 2 * self.size)
        return StillSet(stills, self.config.batch_size, self.config.seed, part=part, parts=parts)

    @property
    def samples(self) -> int:
        """How many stills a batch has, of all processes together."""
        return self.config.batch_size

    def validation(self) -> StillSet | None:
        folders = self.config.validation
        return StillSet(read_stills(folders, 2 * self.size), 4, augment=False) if folders else None

    def forward(self, enhancer: Enhancer, stills: Stills) -> Losses:
        low, target = self.drive(stills), stills.picture[:, :3]
        high = enhancer(low)
        own, crossed = high.chunk(2)
        with frozen(self.discriminator):
            real, fake, fake_crossed = (self.discriminator(picture) for picture in (target, own, crossed))
        terms = {
            "l1": F.l1_loss(own, target),
            "adversarial": generator_loss(fake),
            "matching": matching_loss(real, fake),
            "cross_adversarial": generator_loss(fake_crossed),
            "cycle": low_resolution_cycle_loss(low.chunk(2)[1], crossed),
        }
        return Losses(self.weighted(terms), terms, Enhanced(low, high))

    @torch.no_grad()
    def drive(self, stills: Stills) -> Tensor:
        """G_base's pictures x^ (2B, 3, S, S), foreground on black: each still in its own motion, then each in that of
        its neighbour. The source is the still at half its resolution."""
        source = F.avg_pool2d(stills.picture, 2)
        motion = HeadMotion(stills.pose, self.base.actions(stills.numbers))
        avatar = self.base.source(source, motion, self.base.neutral_anchors(source, motion, stills.anchors))
        other = other_person(len(source))
        others = HeadMotion(stills.pose.select(other), motion.expression[other])
        return torch.cat([self.base.drive(avatar, driver).rendering.image for driver in (motion, others)])

    def discriminator_loss(self, stills: Stills, made: Enhanced) -> Tensor:
        real, fake = stills.picture[:, :3], made.high.detach()
        return discriminator_loss(self.discriminator(real), self.discriminator(fake))

    def pictures(self, stills: Stills, made: Enhanced) -> list[Tensor]:
        """Rows: still; G_base's picture and G_enh's of the self pair, then of the cross pair."""
        pairs = zip(made.low.chunk(2), made.high.chunk(2))
        return [stills.picture[:, :3], *(row for pair in pairs for row in pair)]


def load_base(config: TrainConfig) -> BaseModel:
    """The base model of `config.base`; without it, the one that comes with mpkit. Raises WeightsError where that is of
    another preset than the config's."""
    if not config.base and config.preset != "tiny":
        raise WeightsError(
            f"no base model of preset {config.preset} comes with mpkit: give one with --base, such as the "
            f"weights.safetensors in the run of mpkit train base --preset {config.preset}"
        )
    return load_model(config.base or DEFAULT_WEIGHTS)
