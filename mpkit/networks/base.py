"""G_base, the base model: one pass of Eq. 1-3, split into what runs once per source and what runs per driven frame.

    v_s, e_s  = E_app(x_s)                      R,t,z = E_mtn(x) or the action encoder
    canonical = G_3D(w_s-> o v_s)               once per source: `source`
    x^        = G_2D(P(w_->d o canonical))      every frame: `drive`

About half of the code is not in the paper. Ours are: the action encoder; the fine fields of the face, with `anchors`
and `align`, which place them on a face (`config.face_size`); the detail path, with `trace` (`config.detail`); and with
both the mouth layer. The paper's W is `self.warp_source` and `self.warp_driver`, called in `_offsets`.
"""

from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mpkit.actions import NUMBERS
from mpkit.batch import map_tensors
from mpkit.config import ModelConfig
from mpkit.geometry import Pose, sample
from mpkit.networks.action_encoder import ActionEncoder
from mpkit.networks.appearance import AppearanceEncoder
from mpkit.networks.blocks import to_channels_last
from mpkit.networks.detail import DetailRenderer, Rendering, Trace, trace_points
from mpkit.networks.face_field import FaceField, Offsets, align_to_average
from mpkit.networks.motion import HeadMotion, MotionEncoder
from mpkit.networks.mouth import MouthField, MouthLayer, SourceMouth, mouth_placement
from mpkit.networks.render import Renderer
from mpkit.networks.volume import VolumeRefiner
from mpkit.networks.warp import Warp, WarpGenerator, warp_from_source, warp_to_driver
from mpkit.weights import load_network


class Numbered(Protocol):
    """What has `numbers` (frames, 54), such as a `MotionTrack`."""

    numbers: np.ndarray


class Avatar(NamedTuple):
    """Everything a source gives, computed once (batch B of sources)."""

    picture: Tensor  # (B, 4, S, S) premultiplied RGBA; the detail path samples it
    appearance: Tensor  # v_s (B, C, D, H, W), in the source's view
    vector: Tensor  # e_s (B, latent)
    align: Tensor | None  # (B, 2, 3) from this face to the average one, see `networks.face_field`
    motion: HeadMotion  # R_s, t_s, s_s and z_s
    offsets: Offsets  # delta_s and the fine fields
    warp: Warp  # w_s->
    canonical: Tensor  # G_3D(w_s-> o v_s), (B, C, D, H, W): pose and expression taken out
    mouth: SourceMouth | None = None  # where the config has the mouth field


class Driven(NamedTuple):
    """One driven frame of each avatar."""

    rendering: Rendering
    offsets: Offsets  # delta_d and the fine fields
    warp: Warp  # w_->d
    volume: Tensor  # w_->d o canonical, (B, C, D, H, W)


class BaseModel(nn.Module):
    """G_base. `source` once per picture, `drive` once per frame; `forward` is the paper's single pass.

    z comes from pixels (`self.motion`, E_mtn) or from the tracker's numbers (`self.actions`, ours); both give the same
    z. `self.read_actions` is a linear head that predicts the numbers from z.
    """

    Config = ModelConfig

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.appearance = AppearanceEncoder(config)  # E_app
        self.motion = MotionEncoder(config)  # E_mtn
        self.actions = ActionEncoder(config)  # ours: z of NUMBERS = 52 facial actions + 2 of the gaze
        self.read_actions = nn.Linear(config.latent_size, NUMBERS)  # ours: the same numbers of z
        self.warp_source = WarpGenerator(config)  # W_s->
        self.warp_driver = WarpGenerator(config)  # W_->d
        self.face_source = FaceField(config) if config.face_size else None  # ours, fine offsets beside W_s->
        self.face_driver = FaceField(config) if config.face_size else None  # ours, beside W_->d
        self.mouth = MouthField(config) if config.face_size and config.detail else None  # ours
        self.refine = VolumeRefiner(config)  # G_3D
        self.render = DetailRenderer(config) if config.detail else Renderer(config)  # P and G_2D
        to_channels_last(self)

    def source(self, picture: Tensor, motion: HeadMotion, anchors: Tensor | None = None) -> Avatar:
        """picture (B, 4, S, S): premultiplied RGBA, foreground on black, in [0, 1].

        anchors (B, 3, 3): eye and lip centres of the neutral face, canonical (`faces.anchors`); without them, those of
        the average face."""
        appearance, vector = self.appearance(picture[:, :3])
        align = None if anchors is None else align_to_average(anchors)
        offsets = self.source_offsets(vector, motion, align)
        warp = warp_from_source(offsets.volume, motion.pose)
        canonical = self.refine(sample(appearance, warp.grid))
        avatar = Avatar(picture, appearance, vector, align, motion, offsets, warp, canonical)
        return avatar if self.mouth is None else avatar._replace(mouth=self.source_mouth(picture, motion.pose, align))

    def drive(self, avatar: Avatar, motion: HeadMotion) -> Driven:
        """The avatars in the motion of their drivers. e is the SOURCE's: the driver gives motion alone."""
        offsets = self.driver_offsets(avatar.vector, motion, avatar.align)
        warp = warp_to_driver(offsets.volume, motion.pose)
        volume = sample(avatar.canonical, warp.grid)
        if not self.config.detail:
            return Driven(Rendering(self.render(volume), None, None), offsets, warp, volume)

        def trace(points: Tensor) -> Trace:
            return trace_points(avatar.offsets, avatar.motion.pose, offsets, motion.pose, points)

        condition = motion.expression + avatar.vector  # z_d + e_s
        rendering = self.render(volume, trace, avatar.picture, condition)
        if self.mouth is not None:
            layer = self.mouth_layer(avatar.mouth, (avatar.motion, motion), avatar.vector, avatar.align)
            rendering = rendering.under(layer)
        return Driven(rendering, offsets, warp, volume)

    def source_mouth(self, picture: Tensor, pose: Pose, align: Tensor | None) -> SourceMouth:
        """What a source picture (B, 4, S, S) in its pose shows of its mouth."""
        return self.mouth.encode(picture, mouth_placement(pose, align, self.config.mouth_window))

    def mouth_layer(
        self, mouth: SourceMouth, motions: tuple[HeadMotion, HeadMotion], vector: Tensor, align: Tensor | None
    ) -> MouthLayer:
        """The inside of the mouth for the motions of source and driver."""
        source, driver = motions
        texture = self.mouth(mouth, driver.expression, source.expression, vector, driver.pose)
        return MouthLayer(texture, mouth_placement(driver.pose, align, self.config.mouth_window))

    def forward(self, source: Tensor, driver: Tensor) -> Driven:
        """Pictures (B, 4, S, S) and (B, 3 or 4, S, S): the paper's pass, all motion read from pixels by E_mtn."""
        return self.drive(self.source(source, self.motion(source[:, :3])), self.motion(driver[:, :3]))

    def trace(self, avatar: Avatar, motion: HeadMotion, points: Tensor) -> Trace:
        """Where both warps take points (B, h, w, 3) of the driven view; `drive` does the same for the visible
        points."""
        offsets = self.driver_offsets(avatar.vector, motion, avatar.align)
        return trace_points(avatar.offsets, avatar.motion.pose, offsets, motion.pose, points)

    @torch.no_grad()
    def latents(self, motion: Numbered | Tensor | np.ndarray) -> Tensor:
        """z (frames, latent) of a motion, as the action encoder gives it: a `MotionTrack`, or its numbers (frames, 54),
        52 actions and 2 of the gaze."""
        numbers = torch.as_tensor(getattr(motion, "numbers", motion), dtype=torch.float32)
        return self.actions(numbers.to(self.read_actions.weight.device))

    def neutral_anchors(self, picture: Tensor, motion: HeadMotion, anchors: Tensor) -> Tensor:
        """Anchor points (B, 3, 3) of a face in motion -> those of the same face at rest: w_->d takes the expression out
        of the lip centre. The eye centres stay: they depend on eye corners, which no expression moves."""
        vector = self.appearance.global_vector(picture[:, :3])
        eyes, lips = anchors.split([2, 1], dim=1)
        offsets = self.driver_offsets(vector, motion, align_to_average(anchors))
        return torch.cat([eyes, offsets.displace(lips[:, None])[:, 0]], dim=1)

    def source_offsets(self, vector: Tensor, motion: HeadMotion, align: Tensor | None = None) -> Offsets:
        """delta_s, which takes the source's expression out."""
        return self._offsets(self.warp_source, self.face_source, vector, motion, align)

    def driver_offsets(self, vector: Tensor, motion: HeadMotion, align: Tensor | None = None) -> Offsets:
        """delta_d, which puts the driver's expression in."""
        return self._offsets(self.warp_driver, self.face_driver, vector, motion, align)

    def _offsets(self, generator: WarpGenerator, face: FaceField | None, vector, motion, align) -> Offsets:
        volume = generator(motion.expression, vector, motion.pose)  # delta
        condition = motion.expression + vector  # z + e
        if face is None:
            return Offsets(volume)
        return Offsets(volume, face(condition), self.config.face_window, align)


def load_model(path: str | Path, preset: str | None = None) -> BaseModel:
    """The base model of a weights file, on the CPU in fp32, in eval mode. Raises WeightsError, see `load_network`."""
    return load_network(path, BaseModel, preset)


def repeat_each(avatar: Avatar | Offsets, count: int) -> Avatar | Offsets:
    """Each avatar of the batch, or its offsets, `count` times in a row, to be driven by `count` frames at once."""
    return map_tensors(lambda tensor: tensor.repeat_interleave(count, dim=0), avatar)


def select_avatar(avatar: Avatar, index: list[int]) -> Avatar:
    """The avatars at `index` of the batch."""
    return map_tensors(lambda tensor: tensor[index], avatar)
