"""What each stage of training lowers. `BaseObjective` is the paper's (Eq. 4-8), plus what only exact labels allow.

z is teacher-forced: it comes from the numbers (`model.actions`), which say exactly what the face does, while W and G_2D
learn to show it; E_mtn learns beside them to read the same z, and the pose, from pixels.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.assets import GAZE_WEIGHTS, IDENTITY_WEIGHTS
from mpkit.config import DISCRIMINATORS, GAZE, IDENTITY, preset
from mpkit.data.pairs import Frames, Labels, Pairs, attention_map
from mpkit.errors import MpkitError
from mpkit.faces.features import to_average
from mpkit.geometry import Pose
from mpkit.losses.adversarial import discriminator_loss, generator_loss, matching_loss
from mpkit.losses.cycle import cycle_loss
from mpkit.losses.expression import actions_loss, latent_loss, pose_loss
from mpkit.losses.gaze import GazeLoss, gaze_terms
from mpkit.losses.geometric import (
    colour_loss,
    depth_loss,
    driver_surface_loss,
    driver_warp_loss,
    flow_loss,
    mask_loss,
    smoothness_loss,
    source_surface_loss,
    source_warp_loss,
)
from mpkit.losses.identity import IdentityLoss, contrast
from mpkit.losses.perceptual import PerceptualLoss
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.networks.base import Avatar, BaseModel, Driven, repeat_each, select_avatar
from mpkit.networks.discriminator import Discriminator
from mpkit.networks.gaze import GazeNetwork
from mpkit.networks.identity import IdentityNetwork
from mpkit.networks.motion import HeadMotion
from mpkit.networks.render import MASK_AT_REST, inside_colours
from mpkit.networks.warp import uncovered, warp_from_source, warp_to_driver
from mpkit.training.checkpoint import load_network

ACTION_SPREAD = 0.15  # about the standard deviation of a coefficient
WARP_ATTENTION = 40.0  # on eyes and mouth: they are 3 % of a head's pixels, shoulders 20 %
MOVING_ATTENTION = 5.0  # times that where the expression moves a point by FAR canonical units or more
FAR = 0.02
NEAR = 4.0  # of `Pairs.attention`: so much it is within the eyes and an open mouth
HOLE = 4.0  # how much more what is hidden there counts than what is shown
TOOTH = 2.0  # and a tooth, in the inside of a mouth, than what is none
# Quantiles of the colours that a mouth's inside has in different people: teeth that catch the light, and the dark
# around tongues, which lie now here, now there. Medians of both would look alike.
TEETH_QUANTILE, DARK_QUANTILE = 0.7, 0.2


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


def attentive(frames: Frames) -> Labels:
    """The labels of frames, those on eyes and mouth weighing more, and most where an expression moves them: an L1 loss
    goes for the median, and the median point of an eye does not move."""
    labels = frames.labels
    extra = attention_map(frames.pose, labels.valid.shape[-1], WARP_ATTENTION)[:, 0] - 1
    moved = (frames.pose.unapply(labels.view) - labels.canonical).norm(dim=-1)
    moving = 1 + (MOVING_ATTENTION - 1) * (moved / FAR).clamp(max=1)
    return labels._replace(valid=labels.valid * (1 + extra * moving))


def mask_weight(pairs: Pairs) -> Tensor:
    """How much the mask's label counts, (B * n, h, h). What is hidden is to be painted near eyes and mouth, where it
    counts HOLE times: lips that part by two pixels show few. Elsewhere more skin lies before it, or hair, and whether
    that serves as well the result alone says."""
    attention = F.adaptive_avg_pool2d(pairs.attention, pairs.flow_valid.shape[-1])[:, 0]
    return pairs.driver.labels.valid * attention * torch.where(pairs.flow_valid, 1, HOLE * (attention > NEAR))


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


class WarpObjective(Objective):
    """Both warp generators and the fine offsets alone, from exact labels: no volume, no rendering, four times as many
    samples a second.

    A run starts here: W learns what each coefficient does to a head before G_2D learns to show it.
    """

    def forward(self, model: BaseModel, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        vector = model.appearance.global_vector(source.picture[:, :3])
        align = to_average(source.features)
        of_source = model.source_offsets(vector, HeadMotion(source.pose, model.actions(source.numbers)), align)
        motion = HeadMotion(driver.pose, model.actions(driver.numbers))
        vector, align = (value.repeat_interleave(count, 0) for value in (vector, align))
        of_driver = model.driver_offsets(vector, motion, align)
        warps = warp_to_driver(of_driver.volume, driver.pose), warp_from_source(of_source.volume, source.pose)
        source_labels, driver_labels = attentive(source), attentive(driver)
        terms = {
            "driver_warp": driver_warp_loss(warps[0], driver_labels),
            "source_warp": source_warp_loss(warps[1], source_labels),
            "driver_surface": driver_surface_loss(of_driver, driver.pose, driver_labels),
            "source_surface": source_surface_loss(of_source, source.pose, source_labels),
        }
        smoothness = smoothness_loss(of_driver.volume) + smoothness_loss(of_source.volume)
        weights = self.weights
        total = weights.warp * (terms["driver_warp"] + terms["source_warp"]) + weights.smoothness * smoothness
        total = total + weights.surface * (terms["driver_surface"] + terms["source_surface"])
        return total, terms | {"smoothness": smoothness}, None


class MouthObjective(Objective):
    """What lips that part show, from exact labels: `MouthField` alone, on offsets that are learned already; all
    terms count alike. `base` then leaves it as it is (`--freeze mouth`). MpkitError where the preset has none."""

    def forward(self, model: BaseModel, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        if model.mouth is None:
            raise MpkitError(
                f"the preset {model.config.preset} has no mouth field: its G_2D paints mouths in stage base"
            )
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        with torch.no_grad():
            vector = model.appearance.global_vector(source.picture[:, :3])
            motions = [HeadMotion(frames.pose, model.actions(frames.numbers)) for frames in (source, driver)]
            align = to_average(source.features)
            of_source = repeat_each(model.source_offsets(vector, motions[0], align), count)
            seen, shown = driver.pose.unapply(driver.labels.view), of_source.displace(driver.labels.canonical)
            vector, align = (value.repeat_interleave(count, 0) for value in (vector, align))
            of_driver = model.driver_offsets(vector, motions[1], align)
        source_z = motions[0].expression.repeat_interleave(count, 0)
        of_source = of_source._replace(mouth=model.mouth(source_z + vector))
        of_driver = of_driver._replace(mouth=model.mouth(motions[1].expression + vector))
        turns = driver.pose.rotation, source.pose.rotation.repeat_interleave(count, 0)
        hidden, tooth, colours = uncovered(of_driver, of_source, seen, shown, turns).split([1, 1, 6], dim=1)
        teeth, dark = inside_colours(colours, source.picture.repeat_interleave(count, 0))
        weight = mask_weight(pairs)
        labels = driver.labels
        inside = weight * (labels.mouth & ~pairs.flow_valid)
        picture = driver.picture[:, :3]
        terms = {
            "mask": mask_loss(torch.sigmoid(MASK_AT_REST - hidden), pairs.flow_valid, weight),
            "teeth": mask_loss(torch.sigmoid(tooth), labels.teeth, inside * torch.where(labels.teeth, TOOTH, 1)),
            "teeth_colour": colour_loss(teeth, picture, inside * labels.teeth, TEETH_QUANTILE),
            "dark_colour": colour_loss(dark, picture, inside * ~labels.teeth, DARK_QUANTILE),
        }
        return sum(terms.values()), terms, None


class MotionObjective(Objective):
    """E_mtn alone: reads pose and z from pixels as the tracker's numbers say them. It shares no gradient with the rest,
    so it has a stage of its own, many times quicker than `base`."""

    def forward(self, model: BaseModel, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        with torch.no_grad():
            z = model.actions(torch.cat([pairs.source.numbers, pairs.driver.numbers]))
        terms = motion_terms(model, pairs, z)
        return sum(getattr(self.weights, name) * term for name, term in terms.items()), terms, None


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
        avatar = model.source(source.picture, HeadMotion(source.pose, z_source), source.features)
        driven = model.drive(repeat_each(avatar, count), HeadMotion(driver.pose, z_driver))
        image, alpha, detail = driven.rendering
        prediction = image if alpha is None else torch.cat([image, alpha], dim=1)

        terms = {"reconstruction": multiscale_l1(prediction, target_of(prediction, driver), pairs.attention)}
        if self.perceptual:
            terms["perceptual"] = self._perceptual(image, target_of(image, driver))
        if self.gaze:
            terms["gaze"] = self.gaze(image, driver.picture[:, :3], driver.pose)
        if self.identity:
            terms["identity"] = self.identity(image, driver.picture[:, :3])
        driver_labels, source_labels = attentive(driver), attentive(source)
        terms["warp"] = driver_warp_loss(driven.warp, driver_labels) + source_warp_loss(avatar.warp, source_labels)
        terms["surface"] = driver_surface_loss(driven.offsets, driver.pose, driver_labels)
        terms["surface"] = terms["surface"] + source_surface_loss(avatar.offsets, source.pose, source_labels)
        if detail is not None:
            terms["warped"] = multiscale_l1(detail.warped, target_of(detail.warped, driver), pairs.attention)
            terms["depth"] = depth_loss(detail.depth_weights, driver.labels)
            shown = pairs.flow_valid * driver_labels.valid
            terms["flow"] = sum(flow_loss(flow, pairs.flow, shown) for flow in (detail.coarse_flow, detail.flow))
            terms["mask"] = mask_loss(detail.mask, pairs.flow_valid, mask_weight(pairs))
        terms["smoothness"] = smoothness_loss(avatar.warp.movedim(-1, 1)) + smoothness_loss(driven.warp.movedim(-1, 1))
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


def motion_terms(model: BaseModel, pairs: Pairs, z: Tensor) -> dict[str, Tensor]:
    """What E_mtn reads in all pictures of the batch, source first, against the labels and their z (B, latent)."""
    read = model.motion(pairs.motion_input)
    numbers = torch.cat([pairs.source.numbers, pairs.driver.numbers])
    pose = Pose(*(torch.cat(part) for part in zip(pairs.source.pose, pairs.driver.pose)))
    readable = actions_loss(model.read_actions(z), numbers, ACTION_SPREAD)
    return {
        "pose": pose_loss(read.pose, pose),
        "latent": latent_loss(read.expression, z),
        "actions": readable + actions_loss(model.read_actions(read.expression), numbers, ACTION_SPREAD),
    }


class GazeObjective(Objective):
    """Trains the gaze network on all frames of a batch. `degrees` is its mean angular error where eyes are open."""

    build = staticmethod(lambda preset_name: GazeNetwork(preset(preset_name, GAZE)))

    def forward(self, model: GazeNetwork, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        pose = Pose(*(torch.cat(part) for part in zip(pairs.source.pose, pairs.driver.pose)))
        read = model(torch.cat([pairs.source.picture, pairs.driver.picture])[:, :3], pose)
        return gaze_terms(read, torch.cat([pairs.source.numbers, pairs.driver.numbers]))


class IdentityObjective(Objective):
    """Trains the identity network: each driver frame must find its own person's source among all of the batch."""

    build = staticmethod(lambda preset_name: IdentityNetwork(preset(preset_name, IDENTITY)))

    def forward(self, model: IdentityNetwork, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        return contrast(model(pairs.source.picture[:, :3]), model(pairs.driver.picture[:, :3]))


STAGES: dict[str, type[Objective]] = {
    "warps": WarpObjective,
    "mouth": MouthObjective,
    "motion": MotionObjective,
    "gaze": GazeObjective,
    "identity": IdentityObjective,
    "base": BaseObjective,
}
