"""Stage `mouth` (ours): the inside of the mouth, end to end on crops of mouths.

Only the mouth layer is drawn, over the source picture as the true flow takes it there, without warps and G_2D: many
times as many mouths in the same time.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.batch import Pairs
from mpkit.config import DISCRIMINATORS, preset
from mpkit.errors import MpkitError
from mpkit.geometry import sample
from mpkit.losses.attention import DISOCCLUDED
from mpkit.losses.geometric import mask_loss
from mpkit.losses.perceptual import PerceptualLoss
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.networks.base import BaseModel, repeat_each
from mpkit.networks.crops import CROP_SIDE, mouth_points
from mpkit.networks.discriminator import Discriminator
from mpkit.networks.face_field import align_to_average
from mpkit.networks.motion import HeadMotion
from mpkit.training.stages.objective import Losses
from mpkit.training.stages.picture_objective import GanObjective, marked_or_all

MIN_INTERIOR_SHARE = 0.005  # of a crop: with less mouth interior, the discriminator has nothing to judge
ATTENTION = 9.0  # weight of pixels that show the mouth interior, over that of others


@dataclass(frozen=True)
class MouthWeights:
    """Weight of each term; 0 leaves the term out."""

    reconstruction: float = 1.0  # multi-scale L1
    perceptual: float = 2.0
    perceptual_backbone: str = "efficientnet-lite0"
    alpha: float = 0.3  # alpha of the layer, from labels: the mouth interior, and nothing else
    adversarial: float = 0.0  # Eq. 5, on mouths that show their inside
    matching: float = 0.0


class MouthCrops(NamedTuple):
    """Crops of mouths, (B, ..., P, P)."""

    warped: Tensor  # (B, 3, P, P) the source picture
    result: Tensor  # (B, 3, P, P) with the mouth layer over it
    target: Tensor  # (B, 3, P, P) the driver's picture; the result where its colours are invented, so no loss counts
    alpha: Tensor  # (B, 1, P, P) of the layer
    # (M,) numbers of those that the discriminator sees: they show the mouth interior, in reliable colours. Renders are
    # among them, because photographs show few mouths that are wide open.
    judged: Tensor


class MouthObjective(GanObjective):
    """`MouthField` alone; z and e are as they are. Raises MpkitError where the preset has no mouth field."""

    Weights = MouthWeights
    open_mouths = 0.5
    equations = {"perceptual": "Eq. 4", "adversarial": "Eq. 5", "matching": "Eq. 5"}

    def __init__(self, config):
        super().__init__(config)
        self.perceptual = PerceptualLoss(self.weights.perceptual_backbone) if self.weights.perceptual else None
        gan = self.weights.adversarial or self.weights.matching
        self.discriminator = Discriminator(preset("mouths", DISCRIMINATORS)) if gan else None

    def forward(self, model: BaseModel, pairs: Pairs) -> Losses:
        if model.mouth is None:
            raise MpkitError(
                f"the preset {model.config.preset} has no mouth field: its G_2D paints mouths in stage base"
            )
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        points = mouth_points(driver.pose)  # (B * n, P, P, 2)
        with torch.no_grad():
            vector, align = model.appearance.global_vector(source.picture[:, :3]), align_to_average(source.anchors)
            of_source, of_driver = (HeadMotion(part.pose, model.actions(part.numbers)) for part in (source, driver))
        mouth = repeat_each(model.source_mouth(source.picture, source.pose, align), count)
        of_source, pictures = repeat_each(of_source, count), source.picture.repeat_interleave(count, 0)
        vector, align = (value.repeat_interleave(count, 0) for value in (vector, align))
        warped, labelled = warp_by_labels(pictures[:, :3], pairs, points)
        layer = model.mouth_layer(mouth, (of_source, of_driver), vector, align).at(points)
        alpha = layer[:, 3:]
        result = warped * (1 - alpha) + layer[:, :3]
        inside, certain = mouth_interior(pairs, points)
        known = labelled & (sample(driver.reliable.float(), points) > 0.99)
        target = torch.where(known, sample(driver.picture[:, :3], points, padding="border"), result.detach())
        judged = marked_or_all((inside & known[:, 0]).float().mean((1, 2)) > MIN_INTERIOR_SHARE)
        attention = 1 + ATTENTION * F.avg_pool2d(inside[:, None].float(), 5, stride=1, padding=2)
        weight = certain * torch.where(inside, DISOCCLUDED, 1.0)
        terms = {
            "reconstruction": multiscale_l1(result, target, attention),
            "alpha": mask_loss(1 - alpha, ~inside, weight),
        }
        if self.perceptual:
            terms["perceptual"] = self.perceptual(result, target)
        terms |= self.gan_terms(*(discriminator_input(picture, warped, judged) for picture in (target, result)))
        return Losses(self.weighted(terms), terms, MouthCrops(warped, result, target, alpha, judged))

    def discriminator_loss(self, pairs: Pairs, crops: MouthCrops) -> Tensor:
        return self.hinge_loss(
            *(discriminator_input(picture, crops.warped, crops.judged) for picture in (crops.target, crops.result))
        )

    def pictures(self, pairs: Pairs, crops: MouthCrops) -> list[Tensor]:
        """Rows: warped source, target, result, alpha."""
        return [crops.warped, crops.target, crops.result, crops.alpha]


def warp_by_labels(pictures: Tensor, pairs: Pairs, points: Tensor) -> tuple[Tensor, Tensor]:
    """Each driver's source picture (B * n, 3, S, S) as the true flow takes it to points of the driver's view, (B * n,
    3, h, w), and where there are labels, (B * n, 1, h, w) bool."""
    valid = pairs.driver.labels.valid[:, None].float()
    values = sample(torch.cat([pairs.flow.movedim(-1, 1) * valid, valid], dim=1), points)
    share = values[:, 2:]
    flow = values[:, :2] / share.clamp_min(1e-3)
    return sample(pictures, flow.movedim(1, -1), padding="border"), share > 0.5


def mouth_interior(pairs: Pairs, points: Tensor) -> tuple[Tensor, Tensor]:
    """At points (B * n, h, w, 2) of the drivers' views, from labels: where the mouth interior is seen, and where labels
    are certain, which they are not on skin that the source hides. Both (B * n, h, w) bool."""
    labels = pairs.driver.labels
    marks = labels.mouth, labels.valid & (labels.mouth | pairs.flow_valid)
    inside, certain = (sample(part[:, None].float(), points)[:, 0] > 0.5 for part in marks)
    return inside, certain


def discriminator_input(crops: Tensor, warped: Tensor, judged: Tensor) -> Tensor:
    """What the discriminator sees, (M, 6, p, p): of the crops of mouths (B, 3, P, P) with the numbers `judged` (M,) the
    middle, because cheeks hardly change, and as three more channels that of the warped source, (B, 3, P, P)."""
    edge = CROP_SIDE // 6
    return torch.cat([crops[judged], warped[judged]], dim=1)[..., edge:-edge, edge:-edge]
