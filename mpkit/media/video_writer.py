"""Videos out, one frame at a time: MP4, WebM, GIF or a folder of PNG frames, whole or not at all."""

import contextlib
import math
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.images import check_output, frame_name, temporary_folder
from mpkit.media.sound import Sound, pull
from mpkit.media.video_reader import MAX_DENOMINATOR, MAX_RATE, MIN_RATE, SECOND, reason

# crf: constant quality, lower is better. These look like the frames that went in.
_VIDEO_CODECS = {
    ".mp4": ("libx264", {"crf": "17", "preset": "veryfast"}),
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}),
}
_BT709 = 1  # FFmpeg's number for it, in all three of matrix, primaries and transfer
_GIF_MAX_RATE = 50  # frames a second; players slow down anything faster


class VideoWriter:
    """Writes frames (height, width, 3) uint8 at the exact `rate`. By the name of `path`:

    .mp4      H.264 and AAC, plays in browsers
    .webm     VP9 and Opus
    .gif      one palette of 256 colours for the whole clip; times are rounded to 1/100 s; at most 50 frames a second
    a folder  no suffix, or a folder that exists: 000000.png, 000001.png, ...

    In .mp4 and .webm odd sizes are padded to even ones by repeating the last column or row. `audio_from` is a file
    whose sound goes along, from `audio_start` seconds (on the clock of `VideoReader`) to the end of the video: copied
    where the format allows it, else encoded anew. A file without sound gives none, and .gif and folders have none.
    `metadata` is written into .mp4 and .webm, e.g. {"comment": "..."}.

    Use it as a context manager. The output appears when the block ends well; after an exception nothing is left.
    Raises MediaError where the output cannot be written, and where no frame was.
    """

    def __init__(
        self,
        path: str | Path,
        rate: Fraction | float,
        size: tuple[int, int],
        audio_from: str | Path | None = None,
        audio_start: float = 0,
        metadata: dict[str, str] | None = None,
    ):
        if not MIN_RATE <= rate <= MAX_RATE:
            raise MediaError(f"the frame rate must be from {float(MIN_RATE)} to {MAX_RATE}, got {rate}")
        self.path = check_output(path)
        self.rate = Fraction(rate).limit_denominator(MAX_DENOMINATOR)
        self.size = size
        self.count = 0
        self._audio = None
        if audio_from is not None:
            self._audio = Path(audio_from), Fraction(audio_start).limit_denominator(SECOND)
        self._metadata = metadata or {}
        self._folder = self._sink = None

    def __enter__(self) -> "VideoWriter":
        suffix = "" if self.path.is_dir() else self.path.suffix.lower()
        self._folder = temporary_folder(self.path.parent)
        self._made = Path(self._folder.name, "frames" + suffix)
        try:
            with self._plain_errors():
                if suffix == "":
                    self._sink = _PngFrames(self._made)
                elif suffix == ".gif":
                    self._sink = _Gif(self._made, self.rate, self.size)
                else:
                    self._sink = _Movie(self._made, self.rate, self.size, self._audio, self._metadata)
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame (height, width, 3), uint8."""
        width, height = self.size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"a frame must be ({height}, {width}, 3) uint8, got {frame.shape} {frame.dtype}")
        with self._plain_errors():
            self._sink.write(np.ascontiguousarray(frame), self.count)
        self.count += 1

    def __exit__(self, kind, *exception) -> None:
        try:
            if kind is None:
                if self.count == 0:
                    raise MediaError(f"{self.path} was not written: there is not a single frame")
                with self._plain_errors():
                    self._sink.finish()
                    self._move_in_place()
        finally:
            self._sink.close()
            self._folder.cleanup()

    @contextlib.contextmanager
    def _plain_errors(self):
        """Says in one line what FFmpeg or the system, e.g. a full disk, has to complain of."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self.path} cannot be written ({reason(error)})") from None

    def _move_in_place(self) -> None:
        check_output(self.path)  # again: other files may have come into the folder meanwhile
        if not self.path.is_dir():
            os.replace(self._made, self.path)
            return
        old = Path(self._folder.name, "old")
        os.replace(self.path, old)
        try:
            os.replace(self._made, self.path)
        except OSError:
            os.replace(old, self.path)
            raise


class _PngFrames:
    def __init__(self, folder: Path):
        folder.mkdir()
        self._folder = folder

    def write(self, frame: np.ndarray, index: int) -> None:
        Image.fromarray(frame).save(self._folder / frame_name(index))

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class _Movie:
    def __init__(self, path: Path, rate: Fraction, size: tuple[int, int], audio, metadata: dict[str, str]):
        codec, options = _VIDEO_CODECS[path.suffix]
        self._rate = rate
        self._padding = [(0, size[1] % 2), (0, size[0] % 2), (0, 0)]
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix == ".mp4" else {})
        self._container.metadata.update(metadata)
        even = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._stream = _add_stream(self._container, codec, "yuv420p", rate, even, options)
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        self._sound = None if audio is None else Sound(*audio, self._container, path.suffix)

    def write(self, frame: np.ndarray, index: int) -> None:
        rgb = _timed(np.pad(frame, self._padding, mode="edge"), index, self._rate)
        yuv = rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        self._container.mux(self._stream.encode(yuv))
        if self._sound is not None:
            self._sound.write_until((index + 1) / self._rate)

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def close(self) -> None:
        if self._sound is not None:
            self._sound.close()
        _close_quietly(self._container)


class _Gif:
    """Two passes, for one palette made from all frames; meanwhile they wait in a lossless file, not in memory."""

    def __init__(self, path: Path, rate: Fraction, size: tuple[int, int]):
        self._path, self._rate, self._size = path, rate, size
        self._step = math.ceil(rate / _GIF_MAX_RATE)
        self._waiting = path.with_suffix(".mkv")
        self._container = av.open(str(self._waiting), "w")
        lossless = {"qp": "0", "preset": "ultrafast"}
        self._stream = _add_stream(self._container, "libx264rgb", "rgb24", rate, size, lossless)
        self._palette_graph = av.filter.Graph()
        self._palette_input = self._input(self._palette_graph, "rgb24", size)
        chain = self._palette_input, self._palette_graph.add("palettegen"), self._palette_graph.add("buffersink")
        self._palette_graph.link_nodes(*chain).configure()

    def write(self, frame: np.ndarray, index: int) -> None:
        if index % self._step:
            return
        self._container.mux(self._stream.encode(_timed(frame, index, self._rate)))
        # Six bits a colour are enough to choose a palette, and bound the table of colours that the filter keeps.
        self._palette_input.push(_timed(frame & 0xFC | 2, index, self._rate))
        for _ in pull(self._palette_graph):
            pass  # nothing comes out before the end, but asking makes the filter work off its input

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._palette_input.push(None)
        palette = self._palette_graph.pull()

        graph = av.filter.Graph()
        frames, palettes = self._input(graph, "rgb24", self._size), self._input(graph, "bgra", (16, 16))
        paletteuse, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=4"), graph.add("buffersink")
        frames.link_to(paletteuse, 0, 0)
        palettes.link_to(paletteuse, 0, 1)
        paletteuse.link_to(sink)
        graph.configure()
        palettes.push(palette)
        palettes.push(None)
        with av.open(str(self._waiting)) as waiting, av.open(str(self._path), "w") as gif:
            stream = _add_stream(gif, "gif", "pal8", self._rate, self._size, {})
            for index, frame in enumerate(waiting.decode(video=0)):
                frames.push(_timed(frame.to_ndarray(format="rgb24"), index * self._step, self._rate))
                gif.mux([packet for output in pull(graph) for packet in stream.encode(output)])
            gif.mux(stream.encode(None))

    def close(self) -> None:
        _close_quietly(self._container)

    def _input(self, graph: av.filter.Graph, pixels: str, size: tuple[int, int]) -> av.filter.context.FilterContext:
        return graph.add_buffer(width=size[0], height=size[1], format=av.VideoFormat(pixels), time_base=1 / self._rate)


def _add_stream(container, codec: str, pixels: str, rate: Fraction, size: tuple[int, int], options: dict[str, str]):
    stream = container.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = pixels
    stream.codec_context.time_base = 1 / rate
    return stream


def _timed(frame: np.ndarray, index: int, rate: Fraction) -> av.VideoFrame:
    """The array (H, W, 3) as FFmpeg's frame number `index`."""
    timed = av.VideoFrame.from_ndarray(frame, format="rgb24")
    timed.pts, timed.time_base = index, 1 / rate
    return timed


def _close_quietly(container: av.container.OutputContainer) -> None:
    """For an output that is thrown away, or whole and closed already: what FFmpeg says of it does not matter."""
    try:
        container.close()
    except (av.FFmpegError, OSError):
        pass
