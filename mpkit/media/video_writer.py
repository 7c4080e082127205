"""Videos, written one frame at a time. The output appears complete or not at all."""

import contextlib
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from mpkit.errors import MediaError
from mpkit.media.container import reason
from mpkit.media.limits import MAX_DENOMINATOR, SECOND, check_rate
from mpkit.media.paths import (
    check_output,
    keeps_transparency,
    output_format,
    replace_frames,
    temporary_folder,
    working_folder,
)
from mpkit.media.video_encoders import GifEncoder, MovieEncoder, PngEncoder


class VideoWriter:
    """Writes frames (height, width, 3) uint8, or with `transparent` (height, width, 4), straight RGBA, at exactly
    `rate` frames a second. `size` is (width, height).

    The name of `path` selects the format:
    .mp4      H.264 and AAC, plays in browsers
    .webm     VP9 and Opus
    .gif      one palette of 256 colours for the whole clip; times are rounded to 1/100 s; at most 50 frames a second
    a folder  a name without suffix, or a folder that exists: 000000.png, 000001.png, ... A folder that exists stays the
              same one; its old frames are replaced when the new ones are complete

    In .mp4 and .webm an odd width or height is made even by repeating the last column or row. `audio_from` is a file
    whose sound is added, from `audio_start` seconds (in the times of `VideoReader`) to the end of the video: copied if
    the format allows it, else encoded anew. .gif and folders have no sound. `metadata` is written into .mp4 and .webm,
    e.g. {"comment": "..."}. `transparent` is for outputs that keep transparency, see `keeps_transparency`.

    Use it as a context manager. The output appears when the block ends without an exception; else nothing is left.
    Raises MediaError if the output cannot be written, the rate is out of range, or no frame was written; ValueError for
    `transparent` where the output cannot keep it.
    """

    def __init__(
        self,
        path: str | Path,
        rate: Fraction | float,
        size: tuple[int, int],
        audio_from: str | Path | None = None,
        audio_start: float = 0,
        metadata: dict[str, str] | None = None,
        transparent: bool = False,
    ):
        check_rate(rate, "the frame rate")
        self.path = check_output(path)
        if transparent and not keeps_transparency(self.path):
            raise ValueError(f"{self.path} cannot keep transparency; lay the frames over white")
        self._channels = 4 if transparent else 3
        self.rate = Fraction(rate).limit_denominator(MAX_DENOMINATOR)
        self.size = size
        self.count = 0
        self._audio = None
        if audio_from is not None:
            self._audio = Path(audio_from), Fraction(audio_start).limit_denominator(SECOND)
        self._metadata = metadata or {}
        self._folder = self._encoder = None

    def __enter__(self) -> "VideoWriter":
        suffix = output_format(self.path)
        self._folder = temporary_folder(working_folder(self.path))
        self._made = Path(self._folder.name, "frames" + suffix)
        try:
            with self._errors_as_media_error():
                if suffix == "":
                    self._encoder = PngEncoder(self._made)
                elif suffix == ".gif":
                    self._encoder = GifEncoder(self._made, self.rate, self.size)
                else:
                    pixels = "yuva420p" if self._channels == 4 else "yuv420p"
                    self._encoder = MovieEncoder(self._made, self.rate, self.size, self._audio, self._metadata, pixels)
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame (height, width, 3 or 4) uint8. Raises ValueError for another shape or type."""
        shape = self.size[1], self.size[0], self._channels
        if frame.shape != shape or frame.dtype != np.uint8:
            raise ValueError(f"a frame must be {shape} uint8, got {frame.shape} {frame.dtype}")
        with self._errors_as_media_error():
            self._encoder.write(np.ascontiguousarray(frame), self.count)
        self.count += 1

    def __exit__(self, kind, *exception) -> None:
        try:
            if kind is None:
                if self.count == 0:
                    raise MediaError(f"{self.path} was not written: there is not a single frame")
                with self._errors_as_media_error():
                    self._encoder.finish()
                    self._move_in_place()
        finally:
            self._encoder.close()
            self._folder.cleanup()

    @contextlib.contextmanager
    def _errors_as_media_error(self):
        """Turns errors of FFmpeg and the operating system, e.g. a full disk, into a MediaError of one line."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self.path} cannot be written ({reason(error)})") from None

    def _move_in_place(self) -> None:
        check_output(self.path)  # again: the folder may hold other files by now
        if self._made.is_dir() and self.path.is_dir():
            replace_frames(self._made, self.path)
            return
        try:
            os.replace(self._made, self.path)
        except OSError:
            if not self.path.is_file():
                raise
            shutil.copyfile(self._made, self.path)  # the file itself is a mount point
