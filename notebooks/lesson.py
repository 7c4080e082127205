"""What every lesson needs: mpkit, the learner's photo, an animator, example motions, and checks of exercises."""

import functools
import importlib
import os
import sys
import warnings
from fractions import Fraction
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
if str(FOLDER.parent) not in sys.path:  # a clone in which nothing is installed, as on Colab
    sys.path.insert(0, str(FOLDER.parent))
try:
    import numpy as np
    import torch

    from mpkit import Animator, Motion
    from mpkit.animation.portrait import Portrait
    from mpkit.animation.transfer import FrameMotion, Transfer, transfer_frames
    from mpkit.assets import EXAMPLES
    from mpkit.geometry import rotation_from_angles
    from mpkit.media.images import read_image
except ModuleNotFoundError as error:
    raise SystemExit(f"{error}: start the lessons with `make lab`, or choose the kernel of mpkit's .venv") from None

SECONDS = float(os.environ.get("MPKIT_LESSON_SECONDS", 60))  # of each live training; the tests set it to a few
torch.manual_seed(0)
warnings.filterwarnings("ignore", message=".*(IProgress|feedback manager).*")


def read_photo(path: str = "", example: str = "mona_lisa") -> np.ndarray:
    """The learner's picture (H, W, 3) uint8, or without a path one of mpkit's examples. Raises MediaError."""
    return read_image(path or EXAMPLES / f"{example}.jpg")


@functools.lru_cache(maxsize=1)
def animator() -> Animator:
    """The bundled model on the CPU. It is loaded once for each notebook."""
    return Animator.load(device="cpu")


def example_motion(name: str = "talk") -> Motion:
    """One of mpkit's example motions: talk, turn or nod."""
    return Motion.load(EXAMPLES / f"{name}.json")


def frame_motions(track: Motion, portrait: Portrait, motion: str = "relative") -> list[FrameMotion]:
    """The motions of a portrait that a track drives, one for each frame, as `mpkit animate` computes them."""
    frames = [(None, track.motion(index)) for index in range(len(track))]
    transfer = Transfer(portrait.motion, motion)
    transfer.reference = track.rest()
    return [motion for _, motion, _ in transfer_frames(frames, transfer, float(Fraction(track.rate)))]


def turned(portrait: Portrait, yaw: float = 0, pitch: float = 0, roll: float = 0, numbers=None) -> FrameMotion:
    """The motion of a portrait whose head has these angles, in degrees: 0 is frontal. `numbers` (54,) is its expression
    (`mpkit.actions.vector`), by default the one that the picture shows."""
    own = portrait.motion
    rotation = rotation_from_angles(*(torch.tensor([float(angle)]) for angle in (yaw, pitch, roll)))
    numbers = own.numbers if numbers is None else torch.as_tensor(numbers, dtype=torch.float32)[None]
    return FrameMotion(own.pose._replace(rotation=rotation), numbers)


def check(lesson: str, exercise: int, answer) -> None:
    """Prints whether an answer to an exercise is right, and if not, what is wrong with it.

    The check is the function `check_1`, `check_2`, … of `exercises/<lesson>.py`. It raises AssertionError with a hint.
    """
    function = getattr(importlib.import_module(f"exercises.{lesson}"), f"check_{exercise}")
    try:
        if answer is None:
            raise AssertionError("there is no answer yet")
        function(answer)
    except Exception as error:
        hint = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        print(f"Exercise {exercise}: not yet. {hint or 'The result differs from what is asked for.'}")
    else:
        print(f"Exercise {exercise}: right.")
