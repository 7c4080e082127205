"""The options of an animation and its progress, shared by the command line, the demo page and `Animator.animate`.

They have a module of their own, so that `mpkit animate --help` need not import torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Progress = Callable[[int, int | None], None]  # gets the number of frames done and about how many there are, or None


def silent(done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True)
class Options:
    """How a driver animates a picture. The comment beside each field is its help on the command line."""

    # relative: the portrait's own pose and face, plus the driver's change since the frame of its first second that is
    # nearest to neutral; absolute: the driver's head pose and face as they are
    motion: Literal["relative", "absolute"] = "relative"
    # what reads the driver's motion. tracker: facial actions, gaze and head pose of a face tracker; pixels: the motion
    # encoder E_mtn, as in the paper. A motion file has no pixels
    motion_from: Literal["tracker", "pixels"] = "tracker"
    scale_translation: Literal["driver", "source"] = "driver"  # source: the head keeps its size and place
    paste_back: bool = True  # into the whole picture, at its own resolution; else only the square head crop is written
    side_by_side: bool = False  # show source and driver beside the result
    size: int | Literal["native"] = "native"  # side of the animated crop, 64 to 2048 pixels; native: the picture's own
    start: float = 0.0  # seconds of the driver to skip
    max_frames: int | None = None  # stop after so many frames
    fps: float | None = None  # frames a second of the result; by default exactly the driver's
    audio: bool = True  # keep the driver's sound (.mp4 and .webm)
    face: int | Literal["largest"] = "largest"  # of several in the picture: the n-th from the left, or the largest
