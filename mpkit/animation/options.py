"""How a clip is made: the options that the command line, the demo and `Animator.animate` share.

Kept apart from `mpkit.animate`, so that `mpkit animate --help` need not import torch.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """How a clip is made; the command line's options by the same names."""

    # relative: the portrait's own pose and face plus the driver's change since its calmest early frame; absolute: the
    # driver's head pose and face as they are
    motion: Literal["relative", "absolute"] = "relative"
    scale_translation: Literal["driver", "source"] = "driver"  # whose size and place of the head: driver moves it too
    paste_back: bool = True  # into the whole picture, at its own resolution; else the square crop alone is written
    side_by_side: bool = False  # source and driver beside the result
    size: int | Literal["native"] = "native"  # side of the animated crop, 64 to 2048 pixels; native: the picture's own
    start: float = 0.0  # seconds of the driver to skip
    max_frames: int | None = None  # stop after so many frames
    fps: float | None = None  # frames a second of the result; by default exactly the driver's
    audio: bool = True  # keep the driver's sound (.mp4 and .webm)
    face: int | Literal["largest"] = "largest"  # of several in the picture: the n-th from the left, or the largest
