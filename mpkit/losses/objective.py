"""The base stage's objective: Eq. 4 as far as stage 1 uses it, plus the supervision that only synthetic data allow.

z is teacher-forced: it comes from the numbers (`model.actions`), which say exactly what the face does, while W and G_2D
learn to show it; E_mtn learns beside them to read the same z, and the pose, from pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mpkit.data.pairs import Frames, Labels, Pairs, attention_map
from mpkit.losses.expression import actions_loss, latent_loss, pose_loss
from mpkit.losses.geometric import depth_loss, driver_warp_loss, flow_loss, mask_loss, smoothness_loss, source_warp_loss
from mpkit.losses.perceptual import PerceptualLoss
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.networks.base import BaseModel, Driven, repeat_avatar
from mpkit.networks.motion import HeadMotion
from mpkit.networks.warp import warp_from_source, warp_to_driver

WARP_ATTENTION = 40.0  # on eyes and mouth: they are 3 % of a head's pixels, shoulders 20 %


@dataclass(frozen=True)
class BaseWeights:
    """Weight of each term; 0 leaves the term out."""

    reconstruction: float = 1.0  # multi-scale L1 of the result
    warped: float = 0.5  # the same on the warped source alone, so that the flow learns before the mask
    perceptual: float = 0.5
    perceptual_backbone: str = "efficientnet-lite0"
    warp: float = 3.0  # both warps, supervised
    flow: float = 3.0  # the detail path's flow, supervised
    depth: float = 0.3  # the depth softmax, supervised
    mask: float = 0.1  # painting over what the source shows
    smoothness: float = 1.0  # second differences of both offset fields
    pose: float = 0.3  # E_mtn's R, t, s
    latent: float = 0.1  # E_mtn's z
    actions: float = 0.03  # the 52 coefficients read from z


def attentive(frames: Frames) -> Labels:
    """The labels of frames, those on eyes and mouth weighing more."""
    labels = frames.labels
    return labels._replace(
        valid=labels.valid * attention_map(frames.pose, labels.valid.shape[-1], WARP_ATTENTION)[:, 0]
    )


class WarpObjective(nn.Module):
    """Both warp generators alone, from exact labels: no volume, no rendering, ten times as many samples a second.

    A run starts here (`--stage warps`): W learns what each coefficient does to a head before G_2D learns to show it.
    """

    def __init__(self, weights: BaseWeights):
        super().__init__()
        self.weights = weights

    def forward(self, model: BaseModel, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        vector = model.appearance.global_vector(source.picture[:, :3])
        delta_source = model.warp_source(model.actions(source.numbers), vector, source.pose)
        delta_driver = model.warp_driver(model.actions(driver.numbers), vector.repeat_interleave(count, 0), driver.pose)
        warps = warp_to_driver(delta_driver, driver.pose), warp_from_source(delta_source, source.pose)
        terms = {
            "driver_warp": driver_warp_loss(warps[0], attentive(driver)),
            "source_warp": source_warp_loss(warps[1], attentive(source)),
        }
        smoothness = smoothness_loss(delta_driver) + smoothness_loss(delta_source)
        total = self.weights.warp * sum(terms.values()) + self.weights.smoothness * smoothness
        return total, terms | {"smoothness": smoothness}, None


class BaseObjective(nn.Module):
    """Pairs -> (loss, the terms unweighted, the driven batch). Holds no trained parameter of its own."""

    def __init__(self, weights: BaseWeights):
        super().__init__()
        self.weights = weights
        self.perceptual = PerceptualLoss(weights.perceptual_backbone) if weights.perceptual else None
        self.register_buffer("spread", torch.full((54,), 0.15))  # of the coefficients, about their standard deviation

    def forward(self, model: BaseModel, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], Driven]:
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        z_source, z_driver = model.actions(source.numbers), model.actions(driver.numbers)
        avatar = model.source(source.picture, HeadMotion(source.pose, z_source))
        driven = model.drive(repeat_avatar(avatar, count), HeadMotion(driver.pose, z_driver))
        image, alpha, detail = driven.rendering
        prediction = image if alpha is None else torch.cat([image, alpha], dim=1)
        target = driver.picture[:, : prediction.shape[1]]

        terms = {"reconstruction": multiscale_l1(prediction, target, pairs.attention)}
        if self.perceptual:
            terms["perceptual"] = self._perceptual(image, driver.picture[:, :3])
        driver_labels = attentive(driver)
        terms["warp"] = driver_warp_loss(driven.warp, driver_labels) + source_warp_loss(avatar.warp, attentive(source))
        if detail is not None:
            terms["warped"] = multiscale_l1(detail.warped, target, pairs.attention)
            terms["depth"] = depth_loss(detail.depth_weights, driver.labels)
            shown = pairs.flow_valid * driver_labels.valid
            terms["flow"] = sum(flow_loss(flow, pairs.flow, shown) for flow in (detail.coarse_flow, detail.flow))
            terms["mask"] = mask_loss(detail.mask, pairs.flow_valid)
        terms["smoothness"] = smoothness_loss(avatar.warp.movedim(-1, 1)) + smoothness_loss(driven.warp.movedim(-1, 1))
        terms |= self._motion_terms(model, pairs, torch.cat([z_source, z_driver]))
        total = sum(getattr(self.weights, name) * term for name, term in terms.items())
        return total, terms, driven

    def _perceptual(self, image: Tensor, target: Tensor) -> Tensor:
        """On the face at full resolution: the middle of the crop, where the eye looks."""
        size = image.shape[-1]
        window = slice(size // 4, size - size // 4)
        return self.perceptual(image[..., window, window], target[..., window, window])

    def _motion_terms(self, model: BaseModel, pairs: Pairs, z: Tensor) -> dict[str, Tensor]:
        read = model.motion(pairs.motion_input)
        numbers = torch.cat([pairs.source.numbers, pairs.driver.numbers])
        pose = type(pairs.source.pose)(*(torch.cat(part) for part in zip(pairs.source.pose, pairs.driver.pose)))
        readable = actions_loss(model.read_actions(z), numbers, self.spread)
        return {
            "pose": pose_loss(read.pose, pose),
            "latent": latent_loss(read.expression, z),
            "actions": readable + actions_loss(model.read_actions(read.expression), numbers, self.spread),
        }


STAGES = {"warps": WarpObjective, "base": BaseObjective}
