"""The limits of a clip's options. They import no library, so that the command line can check them at once."""

import math
from fractions import Fraction

from mpkit.errors import MediaError

MIN_RATE, MAX_RATE = Fraction(1, 1000), Fraction(240)  # frames a second
MAX_DENOMINATOR = 10_000  # of a rate; 1001 is the largest in use
SECOND = 1_000_000  # FFmpeg's time unit where no stream is given: microseconds
MAX_PIXELS = 64_000_000  # of a clip's frame; 8K has 33 million
MAX_HOLD = 600  # seconds for which one frame of a clip is shown; a longer one has a broken time stamp


def check_rate(rate: Fraction | float, name: str) -> None:
    """Raises MediaError, with the parameter's name, if a frame rate is out of range."""
    if not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(f"{name} must be from {float(MIN_RATE)} to {MAX_RATE} frames a second, got {float(rate):g}")


def check_range(start: float = 0, max_frames: int | None = None, fps: float | None = None) -> None:
    """Raises MediaError unless the options of `VideoReader` are in range: start >= 0, max_frames >= 1, fps a rate."""
    if not 0 <= start < math.inf:
        raise MediaError(f"--start must be 0 or more seconds, got {start:g}")
    if max_frames is not None and max_frames < 1:
        raise MediaError(f"--max-frames must be 1 or more, got {max_frames}")
    if fps is not None:
        check_rate(fps, "--fps")
