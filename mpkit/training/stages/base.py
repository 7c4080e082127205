"""Stage `base`: the base model with the losses of the paper (Eq. 4-8), and those that only exact labels allow (ours).

z is teacher-forced: it comes from the frame's numbers by the action encoder, which say exactly what the face does,
while W and G_2D learn to show it. E_mtn learns in the same step to read that z, and the pose, from pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.batch import Pairs
from mpkit.losses.attention import attention_map, attentive, mask_weight
from mpkit.losses.cycle import cycle_loss
from mpkit.losses.geometric import (
    depth_loss,
    driver_surface_loss,
    driver_warp_loss,
    flow_loss,
    mask_loss,
    smoothness_loss,
    source_surface_loss,
    source_warp_loss,
)
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.networks.base import Avatar, BaseModel, Driven, repeat_each, select_avatar
from mpkit.networks.crops import eyes_and_mouths
from mpkit.networks.detail import expected_depth
from mpkit.networks.motion import HeadMotion
from mpkit.training.stages.motion import MotionWeights, motion_terms
from mpkit.training.stages.objective import Losses, other_person, target_of
from mpkit.training.stages.picture_objective import PictureObjective, marked_or_all
from mpkit.training.stages.warps import WarpWeights


@dataclass(frozen=True)
class BaseWeights(WarpWeights, MotionWeights):
    """Weight of each term; 0 leaves the term out."""

    reconstruction: float = 1.0  # multi-scale L1 of the result
    warped: float = 0.5  # the same on the warped source alone, so that the flow learns before the mask
    painted: float = 0.2  # the same on what G_2D paints, also where the mask shows the source: else it can be anything
    perceptual: float = 0.5  # Eq. 4 (paper: 20, VGG19)
    crops: float = 0.0  # the same on crops of eyes and mouth, enlarged (ours)
    perceptual_backbone: str = "efficientnet-lite0"
    flow: float = 3.0  # the detail path's flow, from labels
    depth: float = 0.3  # the depth softmax, from labels
    mask: float = 0.1  # where to paint: what the source hides and the mouth interior, and nothing else
    adversarial: float = 0.0  # Eq. 5: the discriminator's score of the result (paper: 1)
    matching: float = 0.0  # Eq. 5: its features of the result and of the driver (paper: 40)
    cycle: float = 0.0  # L_cos, Eq. 6-7 (paper: 2)
    gaze: float = 0.0  # Eq. 4: the gaze network's features around the eyes (paper: 5)
    identity: float = 0.0  # Eq. 4: the identity network's features (paper: 4, VGGFace)


class BaseObjective(PictureObjective):
    """All networks of the base model at once."""

    Weights = BaseWeights
    open_mouths = 0.5
    equations = {
        "perceptual": "Eq. 4", "gaze": "Eq. 4", "identity": "Eq. 4", "adversarial": "Eq. 5", "matching": "Eq. 5",
        "cycle": "Eq. 6-7", "loss": "Eq. 8",
    }  # fmt: skip

    def forward(self, model: BaseModel, pairs: Pairs) -> Losses:
        source, driver = pairs.source, pairs.driver
        judged = marked_or_all(driver.real)  # real pictures; here, because it waits for a GPU
        count = len(driver.picture) // len(source.picture)
        z_source, z_driver = model.actions(source.numbers), model.actions(driver.numbers)
        avatar = model.source(source.picture, HeadMotion(source.pose, z_source), source.anchors)
        driven = model.drive(repeat_each(avatar, count), HeadMotion(driver.pose, z_driver))
        image, alpha, detail = driven.rendering
        prediction = image if alpha is None else torch.cat([image, alpha], dim=1)

        attention = attention_map(driver.pose, image.shape[-1])
        terms = {"reconstruction": multiscale_l1(prediction, target_of(prediction, driver), attention)}
        if self.perceptual:
            target = target_of(image, driver)
            terms["perceptual"] = self.perceptual_of_face(image, target)
            if self.weights.crops:
                terms["crops"] = self.perceptual(*(eyes_and_mouths(part, driver.pose) for part in (image, target)))
        if self.gaze:
            terms["gaze"] = self.gaze(image, driver.picture[:, :3], driver.pose)
        if self.identity:
            terms["identity"] = self.identity(image, driver.picture[:, :3])
        driver_labels, source_labels = attentive(driver), attentive(source)
        grids = driven.warp.grid, avatar.warp.grid
        terms["warp"] = driver_warp_loss(grids[0], driver_labels) + source_warp_loss(grids[1], source_labels)
        terms["surface"] = driver_surface_loss(driven.offsets, driver.pose, driver_labels)
        terms["surface"] = terms["surface"] + source_surface_loss(avatar.offsets, source.pose, source_labels)
        if detail is not None:
            terms["warped"] = multiscale_l1(detail.warped, target_of(detail.warped, driver), attention)
            terms["painted"] = multiscale_l1(detail.colour, target_of(detail.colour, driver), attention)
            depths = expected_depth(detail.depth_weights), detail.depth
            terms["depth"] = sum(depth_loss(depth, driver.labels) for depth in depths) / 2
            shown = pairs.flow_valid * driver_labels.valid
            terms["flow"] = sum(flow_loss(flow, pairs.flow, shown) for flow in (detail.coarse_flow, detail.flow))
            terms["mask"] = mask_loss(detail.shown, pairs.kept, mask_weight(pairs, attention))
        terms["smoothness"] = sum(smoothness_loss(grid.movedim(-1, 1)) for grid in reversed(grids))
        if self.weights.pose or self.weights.latent or self.weights.actions:
            terms |= motion_terms(model, pairs, torch.cat([z_source, z_driver]))
        terms |= self.gan_terms(driver.picture[judged, :3], image[judged], driver.pose.select(judged))
        if self.weights.cycle:
            terms["cycle"] = self._cycle(model, avatar, image[::count], pairs, z_driver[::count])
        return Losses(self.weighted(terms), terms, driven)

    def discriminator_loss(self, pairs: Pairs, driven: Driven) -> Tensor:
        driver, judged = pairs.driver, marked_or_all(pairs.driver.real)
        return self.hinge_loss(driver.picture[judged, :3], driven.rendering.image[judged], driver.pose.select(judged))

    def pictures(self, pairs: Pairs, driven: Driven) -> list[Tensor]:
        """Rows: source, driver, prediction, warped source, mask, alpha, flow (x red, y green)."""
        count = len(pairs.driver.picture) // len(pairs.source.picture)
        sources = pairs.source.picture.repeat_interleave(count, 0)[:, :3]
        rows = [sources, pairs.driver.picture[:, :3], driven.rendering.image]
        if (detail := driven.rendering.detail) is not None:
            flow = F.pad(detail.flow / 2 + 0.5, (0, 0, 0, 0, 0, 1), value=0.5)
            rows += [detail.warped[:, :3], detail.mask, driven.rendering.alpha, flow]
        return rows

    def _cycle(self, model: BaseModel, avatar: Avatar, image: Tensor, pairs: Pairs, z: Tensor) -> Tensor:
        """L_cos on one driver of each person, with its z and its prediction; the starred pair is another person's."""
        count = len(pairs.driver.picture) // len(image)
        pictures = pairs.driver.picture[::count, :3]
        other = other_person(len(image))
        motion = HeadMotion(pairs.driver.pose.select(slice(None, None, count)), z)
        starred = model.drive(select_avatar(avatar, other), motion).rendering.image
        own, crossed, driver = model.motion(torch.cat([image, starred, pictures])).expression.chunk(3)
        return cycle_loss(own, crossed, driver, driver[other])
