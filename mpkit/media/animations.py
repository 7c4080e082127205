"""Animated pictures that Pillow decodes and FFmpeg does not: WebP, AVIF with its transparency, GIF without times."""

import contextlib
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.completeness import breaks_off
from mpkit.media.container import open_media, picture_stream
from mpkit.media.images import check_size, picture_and_alpha
from mpkit.media.limits import MAX_DENOMINATOR, MAX_HOLD, MAX_PIXELS, MAX_RATE, MIN_RATE
from mpkit.media.paths import check_file, one_line
from mpkit.media.picture_file import is_animated, open_picture

_MIN_DURATION = 11  # milliseconds; browsers show shorter frames for _USUAL_DURATION
_USUAL_DURATION = 100


def is_animation(path: Path) -> bool:
    """Whether a file is an animated WebP or AVIF, or a GIF without the times of its frames."""
    check_file(path)
    try:
        with open_picture(path) as image:
            without_times = image.format == "GIF" and "duration" not in image.info  # FFmpeg reads one frame of such
            return (image.format in ("AVIF", "WEBP") or without_times) and is_animated(image)
    except Exception:  # damaged, or no picture
        return False


class Animation:
    """An animated picture, decoded one frame at a time; a clip as `VideoReader` needs it.

    Attributes: `width`, `height` (pixels, upright), `duration` (Fraction, seconds of all), `rate` (Fraction, average
    frames a second), `has_audio`. Raises MediaError."""

    has_audio = False

    def __init__(self, path: Path):
        self.path = path
        with open_picture(path) as image:
            check_size(path, *image.size, MAX_PIXELS)
            self._count = _frame_count(image)
            durations = _webp_durations(path) if image.format == "WEBP" else None
            try:
                self.height, self.width = picture_and_alpha(image)[0].shape[:2]
            except Exception as error:  # a damaged file makes Pillow raise nearly anything
                raise MediaError(f"{path} is damaged or cut off and cannot be read ({one_line(error)})") from None
            first = _seconds(image.info.get("duration"))
        if durations:
            self.duration = sum(map(_seconds, durations))
        else:
            self.duration = (image.format != "GIF" and _track_duration(path)) or first * self._count
        rate = (self._count / self.duration).limit_denominator(MAX_DENOMINATOR)
        self.rate = min(max(rate, MIN_RATE), MAX_RATE)

    def frames(self, start: Fraction) -> Iterator[tuple[np.ndarray, Fraction]]:
        """The frames from `start` on, each (H, W, 3) uint8 with the time at which it ends. Those before are decoded
        too. Warns if the file breaks off."""
        end, count, failure = Fraction(0), 0, ""
        with open_picture(self.path) as image:
            for index in range(self._count):
                try:
                    image.seek(index)
                    picture = picture_and_alpha(image)[0]
                except Exception as error:  # a damaged file makes Pillow raise nearly anything
                    failure = one_line(error)
                    break
                count += 1
                end += _seconds(image.info.get("duration"))
                if end > start:
                    yield picture, end
        if not failure and breaks_off(self.path):
            failure = "its end is missing"
        if failure:
            line = f"{self.path} breaks off at {float(end):.2f} s, after {count} frames ({failure})"
            warnings.warn(line, stacklevel=3)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """The frame as an RGB array (H, W, 3) uint8."""
        return frame


def _frame_count(image: Image.Image) -> int:
    """The number of frames, of a damaged file up to the first that cannot be found."""
    try:
        return image.n_frames
    except Exception:  # a damaged file makes Pillow raise nearly anything
        count = 0
        with contextlib.suppress(Exception):
            while True:
                image.seek(count)
                count += 1
        return max(count, 1)


def _seconds(milliseconds: int | None) -> Fraction:
    """How long a frame is shown."""
    if milliseconds is None or milliseconds < _MIN_DURATION:
        milliseconds = _USUAL_DURATION
    return min(Fraction(milliseconds, 1000), Fraction(MAX_HOLD))


def _webp_durations(path: Path) -> list[int]:
    """Milliseconds of each frame, from the headers of the file's chunks."""
    durations = []
    with path.open("rb") as file:
        file.seek(12)
        while len(header := file.read(8)) == 8:
            length = int.from_bytes(header[4:], "little")
            begin = file.tell()
            if header[:4] == b"ANMF":
                durations.append(int.from_bytes(file.read(15)[12:], "little"))
            file.seek(begin + length + length % 2)
    return durations


def _track_duration(path: Path) -> Fraction | None:
    """Seconds of an AVIF's sequence as its header gives them."""
    try:
        with open_media(path) as container:
            stream = picture_stream(container)
            return max(stream.duration or 0, 0) * stream.time_base if stream else None
    except MediaError:
        return None
