"""Videos, read one frame at a time: memory does not grow with the length of a clip.

A frame is an upright RGB array (H, W, 3) uint8. Times are exact fractions of seconds; time 0 of a clip is where its
first frame starts.
"""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.container import MAX_DENOMINATOR, SECOND, open_media, picture_stream, reason, sound_stream
from mpkit.media.images import check_size, is_still, over_white
from mpkit.media.limits import MAX_RATE, MIN_RATE, check_range

MAX_PIXELS = 64_000_000  # of a frame; 8K has 33 million
DEFAULT_RATE = Fraction(25)  # frames a second of a clip of one frame without a rate
MISSING_TIME = Fraction(1, 2)  # seconds; a clip that ends earlier than its header says by more than this is incomplete


class VideoReader:
    """Iterates over `(time, frame)` of a clip at a constant rate: a Fraction in seconds and (H, W, 3) uint8.

    `start`       seconds of the clip that are skipped; times still count from the clip's beginning
    `max_frames`  greatest number of frames
    `fps`         frames a second; by default the clip's own average rate. The frame of each time is the one on screen
                  then, so a clip of varying rate, or with another `fps`, stays in sync with its sound.

    Frames are turned upright by the clip's rotation flag, and stretched to square pixels. The clip can be iterated more
    than once. Raises MediaError if the file is no video or an option is out of range (`check_range`). A stream that
    breaks off ends there, with a warning.

    Attributes: `rate` (Fraction), `width`, `height` (pixels, upright), `duration` (Fraction, seconds of the whole
    clip), `frame_count_estimate` (number of frames that the iteration will give), `has_audio`.
    """

    def __init__(self, path: str | Path, start: float = 0, max_frames: int | None = None, fps: float | None = None):
        self.path = Path(path)
        check_range(start, max_frames, fps)
        if is_still(self.path):
            raise MediaError(f"{path} is a still picture; give a video")
        with open_media(self.path) as container:
            self._probe_picture(container)
            self._probe_time(container)
        self.rate = self._own_rate if fps is None else Fraction(fps).limit_denominator(MAX_DENOMINATOR)
        self._tolerance = 1 / (2 * max(self.rate, self._own_rate))  # for time stamps that are rounded, e.g. to 1/1000 s
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

    def _probe_picture(self, container: av.container.InputContainer) -> None:
        """Reads size, rotation and the time stamp of the first frame, from the header and that frame."""
        stream = picture_stream(container)
        self.has_audio = sound_stream(container) is not None
        if stream is None:
            found = "sound only" if self.has_audio else "no picture, or is cut off"
            raise MediaError(f"{self.path} has {found}; give a video")
        check_size(self.path, stream.width, stream.height, MAX_PIXELS)
        try:
            first = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise MediaError(f"{self.path} cannot be decoded ({reason(error)})") from None
        if first is None:
            raise MediaError(f"{self.path} is a video without a single frame")
        self._first_pts = first.pts or 0
        self._quarter_turns = round(first.rotation / 90) % 4  # counterclockwise
        self._unturned_size = round(first.width * (stream.sample_aspect_ratio or 1)), first.height
        self.width, self.height = self._unturned_size[:: -1 if self._quarter_turns % 2 else 1]
        check_size(self.path, self.width, self.height, MAX_PIXELS)

    def _probe_time(self, container: av.container.InputContainer) -> None:
        """Reads the average rate and the duration, from the header or, where it lacks them, from the packets."""
        stream = picture_stream(container)
        own_duration = (stream.duration or 0) * stream.time_base
        rate, duration = stream.average_rate, own_duration or Fraction(container.duration or 0, SECOND)
        # Clips recorded by a browser have neither; the rate of a GIF is estimated from its first frames alone.
        if not rate or rate > MAX_RATE or not duration or container.format.name == "gif":
            count, span = _scan(self.path)
            length = own_duration or span * count / max(count - 1, 1)
            rate = (count / length).limit_denominator(MAX_DENOMINATOR) if length else DEFAULT_RATE
            duration = duration or count / rate
        self.duration = duration
        self._own_rate = min(max(rate, MIN_RATE), MAX_RATE)
        self._min_end: Fraction | None = None  # a clip that ends before this is incomplete; None: not known
        if own_duration or not self.has_audio:
            delay = max(0, self._first_pts * stream.time_base)  # the duration of some formats includes it
            self._min_end = duration - delay - MISSING_TIME

    def _resampled(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        """(time, frame) at the constant rate, from the clip's own frames."""
        due, count, end = self.start, 0, Fraction(0)
        for frame, end in self._decoded(seek=self.start > 1):
            while due + self._tolerance <= end:
                yield due, self._upright(frame)
                count += 1
                due = self.start + count / self.rate
                if count == self.max_frames:
                    return
        if count == 0:
            raise MediaError(f"{self.path} is {float(end):.1f} s long; it cannot start at {float(self.start):g} s")

    def _decoded(self, seek: bool) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """The clip's own frames, each with the time at which it ends. Warns if the clip breaks off.

        seek: from shortly before `self.start` on, else from the beginning."""
        with open_media(self.path) as container:
            stream = picture_stream(container)
            stream.thread_type = "AUTO"
            shown, begin, count, failure = None, -1 / self._own_rate, 0, ""
            try:
                if seek:
                    container.seek(self._first_pts + int(self.start / stream.time_base), stream=stream)
                for frame in container.decode(stream):
                    time = begin + 1 / self._own_rate
                    if frame.pts is not None:
                        time = (frame.pts - self._first_pts) * frame.time_base
                    if time <= begin:
                        continue
                    if shown is None and time > self.start:
                        break  # without an index it cannot seek, and went too far
                    if shown is not None:
                        yield shown, time
                    shown, begin, count = frame, time, count + 1
            except av.FFmpegError as error:
                failure = reason(error)
        if shown is None:
            if seek:
                yield from self._decoded(seek=False)
            return
        end = begin + max((shown.duration or 0) * shown.time_base, 1 / self._own_rate)
        yield shown, min(end, max(self.duration, begin + 1 / self._own_rate))
        if not failure and self._min_end and end < self._min_end:
            failure = f"it should be {float(self.duration):.1f} s long"
        if failure:
            line = f"{self.path} breaks off at {float(end):.2f} s, after {count} frames ({failure})"
            warnings.warn(line, stacklevel=3)

    def _upright(self, frame: av.VideoFrame) -> np.ndarray:
        """The frame as an RGB array (H, W, 3) uint8, turned upright; transparency is laid over white."""
        width, height = self._unturned_size
        if any(part.is_alpha for part in frame.format.components):
            array = np.array(over_white(Image.fromarray(frame.to_ndarray(format="rgba", width=width, height=height))))
        else:
            array = frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(np.rot90(array, self._quarter_turns))


def _scan(path: Path) -> tuple[int, Fraction]:
    """The number of frames and the seconds from the first to the last, from their packets, which are not decoded."""
    stamps = []
    with open_media(path) as container:
        stream = picture_stream(container)
        try:
            stamps.extend(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        except av.FFmpegError:
            pass  # the clip breaks off there
        return len(stamps), (max(stamps) - min(stamps)) * stream.time_base
