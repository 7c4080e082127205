"""The networks. Each file names its network by the paper's symbol in the first line of its docstring; a file of
something that the paper does not have says "ours" there."""

from mpkit.networks.action_encoder import ActionEncoder
from mpkit.networks.appearance import AppearanceEncoder
from mpkit.networks.base import Avatar, BaseModel, Driven, repeat_each
from mpkit.networks.detail import Detail, DetailRenderer, Rendering, Trace, render_at
from mpkit.networks.discriminator import Discriminator, Judgement
from mpkit.networks.enhancer import Enhancer
from mpkit.networks.motion import HeadMotion, MotionEncoder
from mpkit.networks.render import Renderer
from mpkit.networks.student import Student
from mpkit.networks.volume import VolumeRefiner
from mpkit.networks.warp import Warp, WarpGenerator, warp_from_source, warp_to_driver

__all__ = [
    "ActionEncoder", "AppearanceEncoder", "Avatar", "BaseModel", "Detail", "DetailRenderer", "Discriminator", "Driven",
    "Enhancer", "HeadMotion", "Judgement", "MotionEncoder", "Renderer", "Rendering", "Student", "Trace",
    "VolumeRefiner", "Warp", "WarpGenerator", "render_at", "repeat_each", "warp_from_source", "warp_to_driver",
]  # fmt: skip
