"""The networks of the paper. Each file names its network by the paper's symbol in the first line of its docstring."""

from mpkit.networks.appearance import AppearanceEncoder
from mpkit.networks.base import Avatar, BaseModel, Driven, repeat_each
from mpkit.networks.discriminator import Discriminator, Judgement
from mpkit.networks.enhancer import Enhancer
from mpkit.networks.motion import ActionEncoder, HeadMotion, MotionEncoder
from mpkit.networks.render import Detail, Renderer, Rendering, render_at
from mpkit.networks.student import Student
from mpkit.networks.volume import VolumeRefiner
from mpkit.networks.warp import WarpGenerator, warp_from_source, warp_to_driver

__all__ = [
    "ActionEncoder",
    "AppearanceEncoder",
    "Avatar",
    "BaseModel",
    "Detail",
    "Discriminator",
    "Driven",
    "Enhancer",
    "HeadMotion",
    "Judgement",
    "MotionEncoder",
    "Renderer",
    "Rendering",
    "Student",
    "VolumeRefiner",
    "WarpGenerator",
    "render_at",
    "repeat_each",
    "warp_from_source",
    "warp_to_driver",
]
