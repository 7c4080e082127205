"""Videos and GIFs that FFmpeg decodes, frame by frame."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.colour import coded_space, to_srgb
from mpkit.media.completeness import breaks_off
from mpkit.media.container import open_media, picture_stream, reason, sound_stream
from mpkit.media.images import check_size, over_white
from mpkit.media.limits import MAX_DENOMINATOR, MAX_HOLD, MAX_PIXELS, MAX_RATE, MIN_RATE, SECOND
from mpkit.media.orientation import Orientation

DEFAULT_RATE = Fraction(25)  # frames a second of a clip of one frame without a rate
_ANIMATED_PICTURES = ("gif", "apng")  # formats of FFmpeg
MISSING_TIME = Fraction(1, 2)  # seconds; a clip that ends earlier than its header says by more than this is incomplete


class ClipFile:
    """A clip as `VideoReader` needs it.

    Attributes: `width`, `height` (pixels, upright), `duration` (Fraction, seconds of all), `rate` (Fraction, average
    frames a second), `has_audio`. Raises MediaError."""

    def __init__(self, path: Path):
        self.path = path
        with open_media(path) as container:
            self._probe_picture(container)
            self._probe_time(container)

    def _probe_picture(self, container: av.container.InputContainer) -> None:
        """Reads size, orientation, colours and time stamp of the first frame, from the header and that frame."""
        stream = picture_stream(container)
        self.has_audio = sound_stream(container) is not None
        if stream is None:
            found = "sound only" if self.has_audio else "no picture, or is cut off"
            raise MediaError(f"{self.path} has {found}; give a video")
        if not stream.width or not stream.height:  # FFmpeg refused what its header says
            raise MediaError(f"{self.path} is damaged, or has more than {MAX_PIXELS / 1e6:g} megapixels a frame")
        check_size(self.path, stream.width, stream.height, MAX_PIXELS)
        try:
            first = next(container.decode(stream), None)
        except av.FFmpegError as error:
            raise MediaError(f"{self.path} cannot be decoded ({reason(error)})") from None
        if first is None:
            raise MediaError(f"{self.path} is a video without a single frame")
        self._first_pts = first.pts or 0
        matrix = first.side_data.get("DISPLAYMATRIX")
        self._orientation = Orientation.of(None if matrix is None else bytes(matrix))
        self._space = coded_space(first.color_primaries, first.color_trc)
        self._stored_size = round(first.width * (stream.sample_aspect_ratio or 1)), first.height
        self.width, self.height = self._orientation.size(*self._stored_size)
        check_size(self.path, self.width, self.height, MAX_PIXELS)

    def _probe_time(self, container: av.container.InputContainer) -> None:
        """Reads the average rate and the duration, from the header or, where it lacks them, from the packets."""
        stream = picture_stream(container)
        own_duration = max(stream.duration or 0, 0) * stream.time_base
        rate, duration = stream.average_rate, own_duration or Fraction(max(container.duration or 0, 0), SECOND)
        delay = max(0, self._first_pts * stream.time_base)  # the duration of some formats includes it
        if "matroska" in container.format.name and not own_duration and duration > delay:
            duration, delay = duration - delay, 0
        # Clips recorded by a browser have neither; the rate of a GIF or PNG is estimated from its first frames alone.
        if not rate or rate > MAX_RATE or not duration or container.format.name in _ANIMATED_PICTURES:
            count, length = _scan(self.path)
            length = own_duration or length
            rate = (count / length).limit_denominator(MAX_DENOMINATOR) if length else DEFAULT_RATE
            duration = duration or count / rate
        self.duration = duration
        self.rate = min(max(rate, MIN_RATE), MAX_RATE)
        self._min_end: Fraction | None = None  # a clip that ends before this is incomplete; None: not known
        if own_duration or not self.has_audio:
            self._min_end = duration - delay - MISSING_TIME

    def frames(self, start: Fraction) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """The clip's own frames from at latest `start` on, each with the time at which it ends. Warns if the clip
        breaks off."""
        return self._decoded(start, seek=start > 1)

    def _decoded(self, start: Fraction, seek: bool) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """See `frames`. seek: from shortly before `start` on, else from the beginning."""
        with open_media(self.path) as container:
            stream = picture_stream(container)
            stream.thread_type = "AUTO"
            shown, begin, count, failure = None, -1 / self.rate, 0, ""
            try:
                if seek:
                    container.seek(self._first_pts + int(start / stream.time_base), stream=stream)
                for frame in container.decode(stream):
                    time = begin + 1 / self.rate
                    if frame.pts is not None:
                        time = (frame.pts - self._first_pts) * frame.time_base
                    if time <= begin:
                        continue
                    if shown is None and time > start:
                        break  # without an index it cannot seek, and went too far
                    if shown is not None:
                        if time > begin + MAX_HOLD:
                            failure = f"its next frame would be at {float(time):.0f} s"
                            break
                        yield shown, time
                    shown, begin, count = frame, time, count + 1
            except av.FFmpegError as error:
                failure = reason(error)
        if shown is None:
            if seek:
                yield from self._decoded(start, seek=False)
            return
        end = begin + min(max((shown.duration or 0) * shown.time_base, 1 / self.rate), MAX_HOLD)
        yield shown, min(end, max(self.duration, begin + 1 / self.rate))
        if not failure and self._min_end and end < self._min_end:
            failure = f"it should be {float(self.duration):.1f} s long"
        if not failure and breaks_off(self.path):
            failure = "its end is missing"
        if failure:
            line = f"{self.path} breaks off at {float(end):.2f} s, after {count} frames ({failure})"
            warnings.warn(line, stacklevel=3)

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """The frame as an sRGB array (H, W, 3) uint8, turned upright; transparency is laid over white."""
        width, height = self._stored_size
        if any(part.is_alpha for part in frame.format.components):
            array = np.array(over_white(Image.fromarray(frame.to_ndarray(format="rgba", width=width, height=height))))
        elif self._space:
            array = to_srgb(frame.to_ndarray(format="rgb48", width=width, height=height), self._space)
        else:
            array = frame.to_ndarray(format="rgb24", width=width, height=height)
        return self._orientation.apply(array)


def _scan(path: Path) -> tuple[int, Fraction]:
    """The number of frames and the seconds of all, from their packets, which are not decoded."""
    packets = []
    with open_media(path) as container:
        stream = picture_stream(container)
        try:
            for packet in container.demux(stream):
                if packet.pts is not None:
                    packets.append((packet.pts, packet.duration or 0))
        except av.FFmpegError:
            pass  # the clip breaks off there
        if not packets:
            return 0, Fraction(0)
        begin, (last, duration) = min(packets)[0], max(packets)
        if container.format.name not in _ANIMATED_PICTURES:  # the last duration is often wrong or missing
            duration = Fraction(last - begin, max(len(packets) - 1, 1))
        return len(packets), (last + duration - begin) * stream.time_base
