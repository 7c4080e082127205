"""Videos in, one frame at a time: memory does not grow with the length of a clip. Videos out: `mpkit.video_writer`.

A frame is an upright RGB array (H, W, 3), uint8. A clip's time 0 is where its first frame starts; times and rates are
exact fractions of seconds, so that nothing drifts against the sound.
"""

import math
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.images import check_file, check_size, is_still, one_line

MIN_RATE, MAX_RATE = Fraction(1, 1000), Fraction(240)  # frames a second
MAX_DENOMINATOR = 10_000  # of a rate; 1001 is the largest in use
MAX_PIXELS = 64_000_000  # of a frame; 8K is 33 million
SECOND = 1_000_000  # av's own unit of time, where no stream is named

# Without this list FFmpeg would also play text, playlists and files that point at other files.
_CONTAINERS = "mov,matroska,avi,gif,apng,mpegts,mpeg,flv,asf,ogg,mp3,wav,flac,aac"


def open_media(path: Path) -> av.container.InputContainer:
    """Opens a video or sound file by its content. Raises MediaError."""
    check_file(path)
    try:
        return av.open(str(path.resolve()), options={"format_whitelist": _CONTAINERS})
    except (av.FFmpegError, OSError) as error:
        kinds = "MP4, MOV, WebM or GIF video"
        raise MediaError(f"{path} is no {kinds}, or it is damaged or cut off ({reason(error)})") from None


def reason(error: Exception) -> str:
    """What FFmpeg or the system said, as one line."""
    return one_line(getattr(error, "strerror", None) or error)


class VideoReader:
    """Iterates over `(time, frame)` of a clip at a constant rate: a Fraction in seconds and (H, W, 3) uint8.

    `start`       seconds; the first time that is given out
    `max_frames`  stop after so many frames
    `fps`         frames a second; by default the clip's own average rate. At each time the frame on screen is given
                  out, so that a clip of varying rate or another `fps` keep step with the sound.

    The rotation that phones write beside the picture, and pixels that are not square, are applied. It can be iterated
    more than once. Raises MediaError for what is no video; a stream that breaks off later ends there with a warning.

    Attributes: `rate` (Fraction), `width`, `height` (pixels, upright), `duration` (seconds of the whole clip),
    `frame_count_estimate` (of frames to come, honours the options), `has_audio`.
    """

    def __init__(self, path: str | Path, start: float = 0, max_frames: int | None = None, fps: float | None = None):
        self.path = Path(path)
        if not 0 <= start < math.inf:
            raise MediaError(f"start must be a number of seconds and not negative, got {start}")
        if max_frames is not None and max_frames < 1:
            raise MediaError(f"max_frames must be 1 or more, got {max_frames}")
        if fps is not None and not MIN_RATE <= fps <= MAX_RATE:
            raise MediaError(f"fps must be from {float(MIN_RATE)} to {MAX_RATE}, got {fps}")
        if is_still(self.path):
            raise MediaError(f"{path} is a still picture; give a video")
        with open_media(self.path) as container:
            self._probe_picture(container)
            self._probe_time(container)
        self.rate = self._own_rate if fps is None else Fraction(fps).limit_denominator(MAX_DENOMINATOR)
        self._tolerance = 1 / (2 * max(self.rate, self._own_rate))  # time stamps may be rounded, e.g. to 1/1000 s
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
        """Ends the iteration and closes the file."""
        if self._frames is not None:
            self._frames.close()

    def __iter__(self) -> Iterator[tuple[Fraction, np.ndarray]]:
        self.close()
        self._frames = self._resampled()
        return self._frames

    def _probe_picture(self, container: av.container.InputContainer) -> None:
        """Reads size, rotation and the time of the first frame, from the header and that frame."""
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
        """Reads the rate and the duration."""
        stream = picture_stream(container)
        own_duration = (stream.duration or 0) * stream.time_base
        rate, duration = stream.average_rate, own_duration or Fraction(container.duration or 0, SECOND)
        # Browsers record clips without either; a GIF's rate is a guess from its first frames.
        if not rate or rate > MAX_RATE or not duration or container.format.name == "gif":
            count, span = _scan(self.path)
            length = own_duration or span * count / max(count - 1, 1)
            rate = (count / length).limit_denominator(MAX_DENOMINATOR) if length else Fraction(25)  # of one frame: any
            duration = duration or count / rate
        self.duration = duration
        self._own_rate = min(max(rate, MIN_RATE), MAX_RATE)
        self._least_end = None  # of the last frame; if it ends earlier, something is missing
        if own_duration or not self.has_audio:
            delay = max(0, self._first_pts * stream.time_base)  # some formats count it in
            self._least_end = duration - delay - Fraction(1, 2)

    def _resampled(self) -> Iterator[tuple[Fraction, np.ndarray]]:
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
        """The clip's own frames, each with the time at which it leaves the screen. With `seek`, from shortly before
        `self.start`."""
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
                        break  # there is no index to seek by
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
        if not failure and self._least_end and end < self._least_end:
            failure = f"it should be {float(self.duration):.1f} s long"
        if failure:
            line = f"{self.path} breaks off at {float(end):.2f} s, after {count} frames ({failure})"
            warnings.warn(line, stacklevel=3)

    def _upright(self, frame: av.VideoFrame) -> np.ndarray:
        width, height = self._unturned_size
        if any(part.is_alpha for part in frame.format.components):  # over white, as in `read_image`
            image = Image.fromarray(frame.to_ndarray(format="rgba", width=width, height=height))
            white = Image.new("RGBA", image.size, "white")
            array = np.array(Image.alpha_composite(white, image).convert("RGB"))
        else:
            array = frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(np.rot90(array, self._quarter_turns))


def picture_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first stream of pictures that can be decoded and move: the cover of a song does not."""
    covers = av.stream.Disposition.attached_pic
    usable = (stream for stream in container.streams.video if stream.codec_context and not stream.disposition & covers)
    return next(usable, None)


def sound_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The first stream of sound that can be decoded."""
    return next((stream for stream in container.streams.audio if stream.codec_context), None)


def _scan(path: Path) -> tuple[int, Fraction]:
    """The number of frames and the seconds from the first to the last, by their packets; nothing is decoded."""
    stamps = []
    with open_media(path) as container:
        stream = picture_stream(container)
        try:
            stamps.extend(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        except av.FFmpegError:
            pass  # it breaks off there
        return len(stamps), (max(stamps) - min(stamps)) * stream.time_base
