"""G_base, the base model: one pass of Eq. 1-3, split into what runs once per source and what runs per driven frame."""

from typing import NamedTuple

from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import Pose, sample, sample_grid
from mpkit.networks.appearance import AppearanceEncoder
from mpkit.networks.blocks import to_channels_last
from mpkit.networks.motion import ACTIONS_AND_GAZE, ActionEncoder, HeadMotion, MotionEncoder
from mpkit.networks.render import Renderer, Rendering
from mpkit.networks.volume import VolumeRefiner
from mpkit.networks.warp import WarpGenerator, warp_from_source, warp_to_driver


class Avatar(NamedTuple):
    """Everything a source gives, computed once (batch B of sources)."""

    picture: Tensor  # (B, 4, S, S) premultiplied RGBA; the detail path samples it
    appearance: Tensor  # v_s (B, C, D, H, W), in the source's view
    vector: Tensor  # e_s (B, latent)
    motion: HeadMotion  # R_s, t_s, s_s and z_s
    warp: Tensor  # w_s-> (B, D, H, W, 3)
    canonical: Tensor  # G_3D(w_s-> o v_s), (B, C, D, H, W): pose and expression taken out


class Driven(NamedTuple):
    """One driven frame of each avatar."""

    rendering: Rendering
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
        self.refine = VolumeRefiner(config)
        self.render = Renderer(config)
        to_channels_last(self)

    def source(self, picture: Tensor, motion: HeadMotion) -> Avatar:
        """picture (B, 4, S, S): premultiplied RGBA, foreground on black, in [0, 1]."""
        appearance, vector = self.appearance(picture[:, :3])
        delta = self.warp_source(motion.expression, vector, motion.pose)
        warp = warp_from_source(delta, motion.pose)
        canonical = self.refine(sample(appearance, warp))
        return Avatar(picture, appearance, vector, motion, warp, canonical)

    def drive(self, avatar: Avatar, motion: HeadMotion) -> Driven:
        """The avatars in the motion of their drivers. e is the SOURCE's: the driver gives motion alone."""
        delta = self.warp_driver(motion.expression, avatar.vector, motion.pose)
        warp = warp_to_driver(delta, motion.pose)
        volume = sample(avatar.canonical, warp)
        if not self.config.detail:
            return Driven(self.render(volume), warp, volume)
        source_positions = sample_grid(avatar.warp, at=warp)
        rendering = self.render(volume, source_positions, avatar.picture, motion.expression + avatar.vector)
        return Driven(rendering, warp, volume)

    def forward(self, source: Tensor, driver: Tensor) -> Driven:
        """Pictures (B, 4, S, S) and (B, 3 or 4, S, S): the paper's pass, all motion read from pixels by E_mtn."""
        return self.drive(self.source(source, self.motion(source[:, :3])), self.motion(driver[:, :3]))


def repeat_avatar(avatar: Avatar, count: int) -> Avatar:
    """Each avatar of the batch `count` times in a row, to be driven by `count` frames at once."""

    def repeat(value):
        return value.repeat_interleave(count, dim=0)

    pose = Pose(*(repeat(part) for part in avatar.motion.pose))
    fields = avatar._asdict() | {"motion": None}
    repeated = {name: repeat(value) for name, value in fields.items() if value is not None}
    return Avatar(motion=HeadMotion(pose, repeat(avatar.motion.expression)), **repeated)
