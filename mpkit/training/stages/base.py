"""Stage `base`: the base model with the losses of the paper (Eq. 4-8), and those that only exact labels allow (ours).

z is teacher-forced: it comes from the frame's numbers by the action encoder, which say exactly what the face does, while
W and G_2D learn to show it. E_mtn learns in the same step to read that z, and the pose, from pixels.
"""


import torch
from torch import Tensor

from mpkit.assets import GAZE_WEIGHTS, IDENTITY_WEIGHTS
from mpkit.batch import Pairs
from mpkit.config import DISCRIMINATORS, preset
from mpkit.losses.adversarial import discriminator_loss, generator_loss, matching_loss
from mpkit.losses.attention import attention_map, attentive, mask_weight
from mpkit.losses.cycle import cycle_loss
from mpkit.losses.gaze import GazeLoss
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
from mpkit.losses.identity import IdentityLoss
from mpkit.losses.perceptual import PerceptualLoss
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.networks.base import Avatar, BaseModel, Driven, repeat_each, select_avatar
from mpkit.networks.discriminator import Discriminator
from mpkit.networks.gaze import GazeNetwork
from mpkit.networks.identity import IdentityNetwork
from mpkit.networks.motion import HeadMotion
from mpkit.training.stages.motion import motion_terms
from mpkit.training.stages.objective import BaseWeights, Objective, frozen, neighbours, target_of
from mpkit.weights import load_network


class BaseObjective(Objective):
    """Everything at once. Where the GAN losses have weight, the loop trains `critic` by `judge`."""

    def __init__(self, weights: BaseWeights, preset_name: str = "tiny"):
        super().__init__(weights, preset_name)
        self.perceptual = PerceptualLoss(weights.perceptual_backbone) if weights.perceptual else None
        self.gaze = GazeLoss(load_network(GAZE_WEIGHTS, GazeNetwork)) if weights.gaze else None
        self.identity = IdentityLoss(load_network(IDENTITY_WEIGHTS, IdentityNetwork)) if weights.identity else None
        gan = weights.adversarial or weights.matching
        self.critic = Discriminator(preset(preset_name, DISCRIMINATORS)) if gan else None

    def forward(self, model: BaseModel, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], Driven]:
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        z_source, z_driver = model.actions(source.numbers), model.actions(driver.numbers)
        avatar = model.source(source.picture, HeadMotion(source.pose, z_source), source.anchors)
        driven = model.drive(repeat_each(avatar, count), HeadMotion(driver.pose, z_driver))
        image, alpha, detail = driven.rendering
        prediction = image if alpha is None else torch.cat([image, alpha], dim=1)

        attention = attention_map(driver.pose, image.shape[-1])
        terms = {"reconstruction": multiscale_l1(prediction, target_of(prediction, driver), attention)}
        if self.perceptual:
            terms["perceptual"] = self._perceptual(image, target_of(image, driver))
        if self.gaze:
            terms["gaze"] = self.gaze(image, driver.picture[:, :3], driver.pose)
        if self.identity:
            terms["identity"] = self.identity(image, driver.picture[:, :3])
        driver_labels, source_labels = attentive(driver), attentive(source)
        terms["warp"] = driver_warp_loss(driven.warp.grid, driver_labels) + source_warp_loss(avatar.warp.grid, source_labels)
        terms["surface"] = driver_surface_loss(driven.offsets, driver.pose, driver_labels)
        terms["surface"] = terms["surface"] + source_surface_loss(avatar.offsets, source.pose, source_labels)
        if detail is not None:
            terms["warped"] = multiscale_l1(detail.warped, target_of(detail.warped, driver), attention)
            terms["depth"] = depth_loss(detail.depth_weights, driver.labels)
            shown = pairs.flow_valid * driver_labels.valid
            terms["flow"] = sum(flow_loss(flow, pairs.flow, shown) for flow in (detail.coarse_flow, detail.flow))
            terms["mask"] = mask_loss(detail.mask, pairs.flow_valid, mask_weight(pairs, attention))
        terms["smoothness"] = smoothness_loss(avatar.warp.grid.movedim(-1, 1)) + smoothness_loss(driven.warp.grid.movedim(-1, 1))
        if self.weights.pose or self.weights.latent or self.weights.actions:
            terms |= motion_terms(model, pairs, torch.cat([z_source, z_driver]))
        if self.critic:
            with frozen(self.critic):
                real, fake = self.critic(driver.picture[:, :3]), self.critic(image)
            terms |= {"adversarial": generator_loss(fake), "matching": matching_loss(real, fake)}
        if self.weights.cycle:
            terms["cycle"] = self._cycle(model, avatar, image[::count], pairs, z_driver[::count])
        total = sum(getattr(self.weights, name) * term for name, term in terms.items())
        return total, terms, driven

    def judge(self, pairs: Pairs, driven: Driven) -> Tensor:
        """The critic's own loss. No gradient reaches the generator."""
        real, fake = pairs.driver.picture[:, :3], driven.rendering.image.detach()
        return discriminator_loss(self.critic(real), self.critic(fake))

    def _cycle(self, model: BaseModel, avatar: Avatar, image: Tensor, pairs: Pairs, z: Tensor) -> Tensor:
        """L_cos with one driver of each person (its z and the prediction of it); the other person is the next one."""
        count = len(pairs.driver.picture) // len(image)
        pictures = pairs.driver.picture[::count, :3]
        other = neighbours(len(image))
        motion = HeadMotion(pairs.driver.pose.select(slice(None, None, count)), z)
        starred = model.drive(select_avatar(avatar, other), motion).rendering.image
        own, crossed, driver = model.motion(torch.cat([image, starred, pictures])).expression.chunk(3)
        return cycle_loss(own, crossed, driver, driver[other])

    def _perceptual(self, image: Tensor, target: Tensor) -> Tensor:
        """On the face at full resolution: the middle of the crop, where the eye looks."""
        size = image.shape[-1]
        window = slice(size // 4, size - size // 4)
        return self.perceptual(image[..., window, window], target[..., window, window])
