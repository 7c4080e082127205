"""The options of an animation and its progress, shared by the command line, the demo page and `Animator.animate`.

They have a module of their own, so that `mpkit animate --help` need not import torch.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, get_args, get_origin

from mpkit.errors import MediaError
from mpkit.media.limits import check_range

MIN_SIDE, MAX_SIDE = 64, 2048  # of the animated crop, pixels
MIN_LARGEST_SIDE, MAX_LARGEST_SIDE = 64, 8192  # of the frames of a whole picture, pixels
MAX_STRENGTH = 1.5  # of a driver's motion; more leaves the range of motions that the networks were trained on
RANGES = {  # of options that are numbers
    "pose_strength": (0, MAX_STRENGTH), "expression_strength": (0, MAX_STRENGTH), "smoothing": (0, 1),
    "view_scale": (1, 3), "view_x": (-1, 1), "view_y": (-1, 1),
}  # fmt: skip
FACE_PARTS = ("eyes", "mouth", "brows")  # the parts that facial actions and gaze move

Part = Literal["head", "eyes", "mouth", "brows"]  # see `Controls.parts`

Progress = Callable[[int, int | None], None]  # gets the number of frames done and about how many there are, or None


def silent(done: int, total: int | None) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True)
class Controls:
    """How far, and with which parts, a portrait follows its driver. `Options` has the same fields with more help."""

    pose_strength: float = 1.0  # 0: the portrait's own pose, 1: the transferred one
    expression_strength: float = 1.0  # the same for actions, gaze and latent
    # head: pose and shoulders; eyes: eyeBlink, eyeLook, eyeSquint, eyeWide, gaze; brows: brow; mouth: all other actions
    parts: tuple[Part, ...] = get_args(Part)
    smoothing: float = 0.0  # the share of the motion before a frame that the frame keeps


@dataclass(frozen=True)
class Options:
    """How a driver animates a picture. The comment beside each field is its help on the command line.

    Raises MediaError, with the name of the option on the command line, for a value that is out of range."""

    # relative: the portrait's own pose and face, plus the driver's change since its rest; absolute: the driver's head
    # pose and face as they are
    motion: Literal["relative", "absolute"] = "relative"
    # of relative motion. clip: the driver's rest is its frame that is nearest to a neutral, frontal face; neutral: a
    # face without expression, so that the portrait takes on a smile that the driver never drops
    rest: Literal["clip", "neutral"] = "clip"
    # what reads the driver's motion. tracker: facial actions, gaze and head pose of a face tracker; pixels: the motion
    # encoder E_mtn, as in the paper. A motion file has no pixels
    motion_from: Literal["tracker", "pixels"] = "tracker"
    scale_translation: Literal["driver", "source"] = "driver"  # source: the head keeps its size and place
    paste_back: bool = True  # into the whole picture, at its own resolution; else only the square head crop is written
    side_by_side: bool = False  # show source and driver beside the result; a motion file as a plain face
    size: int | Literal["native"] = "native"  # side of the animated crop, 64 to 2048 pixels; native: the picture's own
    # width and height of the written frames are at most so many pixels, 64 to 8192; a larger picture is scaled down
    # before it is animated. By default a frame has at most as many pixels as 3840 x 2160
    largest_side: int | None = None
    start: float = 0.0  # seconds of the driver to skip
    max_frames: int | None = None  # stop after so many frames
    fps: float | None = None  # frames a second of the result; by default exactly the driver's
    audio: bool = True  # keep the driver's sound (.mp4 and .webm)
    face: int | Literal["largest"] = "largest"  # which face of the picture to animate, counted from the left from 1
    # how far the head follows the driver, 0 to 1.5. It multiplies the change of rotation, place and size: from the
    # driver's reference frame (relative), or from the portrait's own rotation to the driver's (absolute)
    pose_strength: float = 1.0
    # how far the face follows the driver, 0 to 1.5. It multiplies the change of the 52 facial actions and the gaze, or
    # with --motion-from pixels of the latent z: from the driver's reference frame (relative), or from the portrait's
    # own expression to the driver's (absolute)
    expression_strength: float = 1.0
    # what follows the driver; the rest stays as in the picture. head: pose and shoulders; eyes: lids and gaze; brows;
    # mouth: lips, jaw, cheeks, nose and tongue. With --motion-from pixels, eyes, mouth and brows follow together or not
    parts: tuple[Part, ...] = get_args(Part)
    # how much of the motion before each frame is kept, 0 to 1: an exponential mean, which calms a trembling driver and
    # follows a fast one late. 0: off
    smoothing: float = 0.0
    # with --no-paste-back, what the square shows: its side in head crops (1 to 3), and how far its centre lies to the
    # right of the head and below it (-1 to 1, in half sides of the head crop)
    view_scale: float = 1.0
    view_x: float = 0.0
    view_y: float = 0.0
    # corner of each frame where the word "synthetic" is drawn
    mark: Literal["none", "bottom-right", "bottom-left", "top-right", "top-left"] = "none"

    def __post_init__(self):
        for field in fields(self):
            value, choices = getattr(self, field.name), get_args(field.type)
            if get_origin(field.type) is Literal and value not in choices:
                raise MediaError(f"--{field.name.replace('_', '-')} is {' or '.join(choices)}, not {value}")
        check_range(self.start, self.max_frames, self.fps)
        check_side(self.size)
        if self.largest_side is not None and not MIN_LARGEST_SIDE <= self.largest_side <= MAX_LARGEST_SIDE:
            side = f"a number of pixels from {MIN_LARGEST_SIDE} to {MAX_LARGEST_SIDE}"
            raise MediaError(f"--largest-side is {side}, not {self.largest_side}")
        if self.face != "largest" and not (str(self.face).isdecimal() and int(self.face) >= 1):
            raise MediaError(f"--face is largest or a number, counted from 1 from left to right, not {self.face}")
        for name, (least, largest) in RANGES.items():
            if not least <= getattr(self, name) <= largest:
                flag = name.replace("_", "-")
                raise MediaError(f"--{flag} must be from {least} to {largest}, got {getattr(self, name):g}")
        self._check_parts()

    def _check_parts(self) -> None:
        if not self.parts or not set(self.parts) <= set(get_args(Part)):
            named = " ".join(map(str, self.parts)) or "nothing"
            raise MediaError(f"--parts is one or more of {', '.join(get_args(Part))}, not {named}")
        face_parts = set(FACE_PARTS) & set(self.parts)
        if self.motion_from == "pixels" and 0 < len(face_parts) < len(FACE_PARTS):
            raise MediaError(
                "--motion-from pixels reads the whole face as one: --parts names all of eyes, mouth and brows or none"
            )

    @property
    def controls(self) -> Controls:
        """The options that `Transfer` takes as one."""
        return Controls(**{field.name: getattr(self, field.name) for field in fields(Controls)})


def check_side(size: int | str) -> None:
    """Raises MediaError for a side of the animated crop that is out of range."""
    if size != "native" and not (str(size).isdecimal() and MIN_SIDE <= int(size) <= MAX_SIDE):
        raise MediaError(f"--size is native or a number of pixels from {MIN_SIDE} to {MAX_SIDE}, not {size}")
