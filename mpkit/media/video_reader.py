"""Videos and animations, read one frame at a time: memory does not grow with the length of a clip.

A frame is an upright RGB array (H, W, 3) uint8. Times are exact fractions of seconds; time 0 of a clip is where its
first frame starts.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from mpkit.errors import MediaError
from mpkit.media.images import is_still
from mpkit.media.limits import MAX_DENOMINATOR, SECOND, check_range

MAX_SAMPLED_FRAMES = 500  # a clip of so many frames is decoded within seconds


class VideoReader:
    """Iterates over `(time, frame)` of a clip at a constant rate: a Fraction in seconds and (H, W, 3) uint8.

    `start`       seconds of the clip that are skipped; times still count from the clip's beginning
    `max_frames`  greatest number of frames
    `fps`         frames a second; by default the clip's own average rate. The frame of each time is the one on screen
                  then, so a clip of varying rate, or with another `fps`, stays in sync with its sound.

    Reads videos, and animated GIF, WebP, PNG and AVIF. Frames are turned upright by the clip's display matrix, flips
    included, and stretched to square pixels; high dynamic range is tone-mapped to sRGB. The clip can be iterated more
    than once. Raises MediaError if the file is no video or an option is out of range (`check_range`). A stream that
    breaks off ends there, with a warning.

    Attributes: `rate` (Fraction), `width`, `height` (pixels, upright), `duration` (Fraction, seconds of the whole
    clip), `frame_count_estimate` (number of frames that the iteration will give), `has_audio`.
    """

    def __init__(self, path: str | Path, start: float = 0, max_frames: int | None = None, fps: float | None = None):
        from mpkit.media.animations import Animation, is_animation  # here, because training without clips needs no av
        from mpkit.media.clip_file import ClipFile

        self.path = Path(path)
        check_range(start, max_frames, fps)
        if is_still(self.path):
            raise MediaError(f"{path} is a still picture; give a video")
        self._clip = Animation(self.path) if is_animation(self.path) else ClipFile(self.path)
        self.width, self.height, self.has_audio = self._clip.width, self._clip.height, self._clip.has_audio
        self.duration = self._clip.duration
        self.rate = self._clip.rate if fps is None else Fraction(fps).limit_denominator(MAX_DENOMINATOR)
        # for time stamps that are rounded, e.g. to 1/1000 s
        self._tolerance = 1 / (2 * max(self.rate, self._clip.rate))
        self.start = Fraction(start).limit_denominator(SECOND)
        if self.start >= self.duration:
            raise MediaError(f"{path} is {float(self.duration):.1f} s long; it cannot start at {float(start):g} s")
        self.frame_count_estimate = max(1, round((self.duration - self.start) * self.rate))
        if max_frames is not None:
            self.frame_count_estimate = min(max_frames, self.frame_count_estimate)
        self.max_frames = max_frames
        self._frames = None

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Ends the current iteration and closes the file."""
        if self._frames is not None:
            self._frames.close()

    def __iter__(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        self.close()
        self._frames = self._resampled()
        return self._frames

    def _resampled(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        """(time, frame) at the constant rate, from the clip's own frames."""
        due, count, end = self.start, 0, Fraction(0)
        for frame, end in self._clip.frames(self.start):
            while due + self._tolerance <= end:
                yield due, self._clip.picture(frame)
                count += 1
                due = self.start + count / self.rate
                if count == self.max_frames:
                    return
        if count == 0:
            raise MediaError(f"{self.path} is {float(end):.1f} s long; it cannot start at {float(self.start):g} s")

    def samples(self, count: int) -> Iterator[np.ndarray]:
        """At most `count` frames, spread evenly over the whole clip. Of a clip of more than MAX_SAMPLED_FRAMES frames
        those with which decoding can begin are taken, so that a long one takes no longer; where they are fewer than
        `count`, further ones are taken from its first MAX_SAMPLED_FRAMES frames."""
        length = self.duration * self._clip.rate
        found = 0
        if length > MAX_SAMPLED_FRAMES:
            last = None
            for time in self._spread(count, self.duration):
                frame, end = next(self._clip.frames(time), (None, last))
                if end != last:
                    last, found = end, found + 1
                    yield self._clip.picture(frame)
        if found < count:
            yield from self._passed(self._spread(count - found, min(length, MAX_SAMPLED_FRAMES) / self._clip.rate))

    @staticmethod
    def _spread(count: int, duration: Fraction) -> list[Fraction]:
        """The middles of `count` equal parts of a duration in seconds."""
        return [duration * Fraction(2 * index + 1, 2 * count) for index in range(count)]

    def _passed(self, times: list[Fraction]) -> Iterator[np.ndarray]:
        """The frames of one pass that are on screen at these ascending times; each frame once."""
        times = iter(times)
        due = next(times, None)
        for frame, end in self._clip.frames(Fraction(0)):
            if due is None:
                return
            if due < end:
                yield self._clip.picture(frame)
            while due is not None and due < end:
                due = next(times, None)
