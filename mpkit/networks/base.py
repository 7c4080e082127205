"""G_base, the base model: one pass of Eq. 1-3, split into what runs once per source and what runs per driven frame."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.faces.features import to_average
from mpkit.geometry import sample
from mpkit.networks.appearance import AppearanceEncoder
from mpkit.networks.blocks import to_channels_last
from mpkit.networks.motion import ACTIONS_AND_GAZE, ActionEncoder, HeadMotion, MotionEncoder
from mpkit.networks.render import Renderer, Rendering
from mpkit.networks.volume import VolumeRefiner
from mpkit.networks.warp import (
    FaceField,
    MouthField,
    Offsets,
    WarpGenerator,
    uncovered,
    warp_from_source,
    warp_to_driver,
)


class Avatar(NamedTuple):
    """Everything a source gives, computed once (batch B of sources)."""

    picture: Tensor  # (B, 4, S, S) premultiplied RGBA; the detail path samples it
    appearance: Tensor  # v_s (B, C, D, H, W), in the source's view
    vector: Tensor  # e_s (B, latent)
    align: Tensor | None  # (B, 2, 3): from this face to the average one
    motion: HeadMotion  # R_s, t_s, s_s and z_s
    offsets: Offsets  # delta_s
    warp: Tensor  # w_s-> (B, D, H, W, 3)
    canonical: Tensor  # G_3D(w_s-> o v_s), (B, C, D, H, W): pose and expression taken out


class Driven(NamedTuple):
    """One driven frame of each avatar."""

    rendering: Rendering
    offsets: Offsets  # delta_d
    warp: Tensor  # w_->d (B, D, H, W, 3)
    volume: Tensor  # w_->d o canonical, (B, C, D, H, W)


class BaseModel(nn.Module):
    """G_base. `source` once per picture, `drive` once per frame; `forward` is the paper's single pass.

    z comes from pixels (`self.motion`, E_mtn) or from the tracker's numbers (`self.actions`); both speak the same z.
    `self.read_actions` is a linear head that predicts the numbers from z, so that z stays readable.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.appearance = AppearanceEncoder(config)
        self.motion = MotionEncoder(config)
        self.actions = ActionEncoder(config)
        self.read_actions = nn.Linear(config.latent_size, ACTIONS_AND_GAZE)
        self.warp_source = WarpGenerator(config)
        self.warp_driver = WarpGenerator(config)
        self.face_source = FaceField(config) if config.face_size else None
        self.face_driver = FaceField(config) if config.face_size else None
        self.mouth = MouthField(config) if config.face_size else None
        self.refine = VolumeRefiner(config)
        self.render = Renderer(config)
        to_channels_last(self)

    def source(self, picture: Tensor, motion: HeadMotion, features: Tensor | None = None) -> Avatar:
        """picture (B, 4, S, S): premultiplied RGBA, foreground on black, in [0, 1]. `features` (B, 3, 3): where the
        neutral face has eyes and lips, canonical (`faces.features`); without, where the average face has them."""
        appearance, vector = self.appearance(picture[:, :3])
        align = None if features is None else to_average(features)
        offsets = self.source_offsets(vector, motion, align)
        warp = warp_from_source(offsets.volume, motion.pose)
        canonical = self.refine(sample(appearance, warp))
        return Avatar(picture, appearance, vector, align, motion, offsets, warp, canonical)

    def at_rest(self, picture: Tensor, motion: HeadMotion, features: Tensor) -> Tensor:
        """The features (B, 3, 3) of a face in motion with its expression taken out, as w_->d takes it out of points:
        that of the lips. The corners of eyes stay, but what lies between them moves with every look."""
        vector = self.appearance.global_vector(picture[:, :3])
        eyes, lips = features.split([2, 1], dim=1)
        offsets = self.driver_offsets(vector, motion, to_average(features))
        return torch.cat([eyes, offsets.displace(lips[:, None])[:, 0]], dim=1)

    def drive(self, avatar: Avatar, motion: HeadMotion) -> Driven:
        """The avatars in the motion of their drivers. e is the SOURCE's: the driver gives motion alone."""
        offsets = self.driver_offsets(avatar.vector, motion, avatar.align)
        warp = warp_to_driver(offsets.volume, motion.pose)
        volume = sample(avatar.canonical, warp)
        if not self.config.detail:
            return Driven(self.render(volume), offsets, warp, volume)

        def trace(seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            """Points of the driven view (B, h, w, 3) -> where the source shows them, by both warps in turn, and where
            their mirror images on the head; and what a mouth uncovers there (B, 9, h, w), see `Renderer`."""
            own = avatar.motion.pose
            unposed = motion.pose.unapply(seen)
            canonical = offsets.displace(unposed)
            sides = canonical, canonical * canonical.new_tensor([-1, 1, 1])
            shown, mirrored = (avatar.offsets.displace(side) for side in sides)
            inside = uncovered(offsets, avatar.offsets, unposed, shown, (motion.pose.rotation, own.rotation))
            inside = torch.cat([inside, offsets.across(unposed, motion.pose.rotation)], dim=1)
            return own.apply(shown), own.apply(mirrored), inside

        rendering = self.render(volume, trace, avatar.picture, motion.expression + avatar.vector)
        return Driven(rendering, offsets, warp, volume)

    def source_offsets(self, vector: Tensor, motion: HeadMotion, align: Tensor | None = None) -> Offsets:
        """delta_s, which takes the source's expression out."""
        return self._offsets(self.warp_source, self.face_source, vector, motion, align)

    def driver_offsets(self, vector: Tensor, motion: HeadMotion, align: Tensor | None = None) -> Offsets:
        """delta_d, which puts the driver's expression in."""
        return self._offsets(self.warp_driver, self.face_driver, vector, motion, align)

    def _offsets(self, generator, face, vector, motion, align) -> Offsets:
        condition = motion.expression + vector
        volume = generator(motion.expression, vector, motion.pose)
        if face is None:
            return Offsets(volume)
        return Offsets(
            volume, face(condition), self.config.face_window, self.mouth(condition), self.config.mouth_window, align
        )

    def forward(self, source: Tensor, driver: Tensor) -> Driven:
        """Pictures (B, 4, S, S) and (B, 3 or 4, S, S): the paper's pass, all motion read from pixels by E_mtn."""
        return self.drive(self.source(source, self.motion(source[:, :3])), self.motion(driver[:, :3]))


def repeat_each(avatar: Avatar | Offsets, count: int) -> Avatar | Offsets:
    """Each avatar of the batch, or its offsets, `count` times in a row, to be driven by `count` frames at once."""
    return _each_tensor(avatar, lambda tensor: tensor.repeat_interleave(count, dim=0))


def select_avatar(avatar: Avatar, index: list[int]) -> Avatar:
    """The avatars at `index` of the batch."""
    return _each_tensor(avatar, lambda tensor: tensor[index])


def _each_tensor(value, change: Callable[[Tensor], Tensor]):
    """Nested named tuples with every tensor in them changed."""
    if isinstance(value, Tensor):
        return change(value)
    return type(value)(*(_each_tensor(part, change) for part in value)) if hasattr(value, "_fields") else value
