"""The encoders of `VideoWriter`, one for each kind of output: a folder of PNG files, MP4 and WebM, GIF.

Each has `write(frame, index)`, called with frames (H, W, 3) uint8 in order from 0 on, a folder of PNG files and WebM
also with straight RGBA (H, W, 4) uint8; `finish()`, which completes the output; and `close()`, which frees everything
whether or not the output is complete.
"""

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from mpkit.media.paths import frame_name
from mpkit.media.sound import Sound, pull

# crf: constant quality, lower is better. With these the output looks like its input.
_VIDEO_CODECS = {
    ".mp4": ("libx264", {"crf": "17", "preset": "veryfast"}),
    ".webm": ("libvpx-vp9", {"crf": "24", "b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}),
}
_BT709 = 1  # FFmpeg's number of this standard for colour matrix, primaries and transfer function alike
_GIF_MAX_RATE = 50  # frames a second; players slow down anything faster


class PngEncoder:
    """A folder of numbered PNG files."""

    def __init__(self, folder: Path):
        folder.mkdir()
        self._folder = folder

    def write(self, frame: np.ndarray, index: int) -> None:
        Image.fromarray(frame).save(self._folder / frame_name(index), compress_level=1)

    def finish(self) -> None:
        pass

    def close(self) -> None:
        pass


class MovieEncoder:
    """An .mp4 or .webm file; `audio` is (source file, start in seconds) of its sound, or None. `pixels` is the pixel
    format: yuv420p, or yuva420p for frames with transparency, in .webm."""

    def __init__(self, path: Path, rate: Fraction, size: tuple[int, int], audio, metadata: dict[str, str], pixels: str):
        codec, options = _VIDEO_CODECS[path.suffix]
        self._rate, self._pixels = rate, pixels
        self._padding = [(0, size[1] % 2), (0, size[0] % 2), (0, 0)]
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix == ".mp4" else {})
        self._container.metadata.update(metadata)
        even = size[0] + size[0] % 2, size[1] + size[1] % 2
        self._stream = _add_stream(self._container, codec, pixels, rate, even, options)
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        self._sound = None if audio is None else Sound(*audio, self._container, path.suffix)

    def write(self, frame: np.ndarray, index: int) -> None:
        rgb = _timed(np.pad(frame, self._padding, mode="edge"), index, self._rate)
        yuv = rgb.reformat(format=self._pixels, dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
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


class GifEncoder:
    """An animated GIF with one palette of all its frames. That takes two passes; between them the frames are in a
    lossless video file, not in memory."""

    def __init__(self, path: Path, rate: Fraction, size: tuple[int, int]):
        self._path, self._rate, self._size = path, rate, size
        self._step = math.ceil(rate / _GIF_MAX_RATE)
        self._lossless = path.with_suffix(".mkv")
        self._container = av.open(str(self._lossless), "w")
        options = {"qp": "0", "preset": "ultrafast"}
        self._stream = _add_stream(self._container, "libx264rgb", "rgb24", rate, size, options)
        self._palette_graph = av.filter.Graph()
        self._palette_input = self._input(self._palette_graph, "rgb24", size)
        chain = self._palette_input, self._palette_graph.add("palettegen"), self._palette_graph.add("buffersink")
        self._palette_graph.link_nodes(*chain).configure()

    def write(self, frame: np.ndarray, index: int) -> None:
        if index % self._step:
            return
        self._container.mux(self._stream.encode(_timed(frame, index, self._rate)))
        # Six bits per channel are enough to choose a palette, and limit the filter's table of colours in memory.
        self._palette_input.push(_timed(frame & 0xFC | 2, index, self._rate))
        for _ in pull(self._palette_graph):
            pass  # it gives no frame before the end, but it processes its input only when asked for one

    def finish(self) -> None:
        """The second pass."""
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
        with av.open(str(self._lossless)) as lossless, av.open(str(self._path), "w") as gif:
            stream = _add_stream(gif, "gif", "pal8", self._rate, self._size, {})
            for index, frame in enumerate(lossless.decode(video=0)):
                frames.push(_timed(frame.to_ndarray(format="rgb24"), index * self._step, self._rate))
                gif.mux([packet for output in pull(graph) for packet in stream.encode(output)])
            gif.mux(stream.encode(None))

    def close(self) -> None:
        _close_quietly(self._container)

    def _input(self, graph: av.filter.Graph, pixels: str, size: tuple[int, int]) -> av.filter.context.FilterContext:
        """The input of a filter graph, for frames of that size and pixel format."""
        return graph.add_buffer(width=size[0], height=size[1], format=av.VideoFormat(pixels), time_base=1 / self._rate)


def _add_stream(container, codec: str, pixels: str, rate: Fraction, size: tuple[int, int], options: dict[str, str]):
    stream = container.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = pixels
    stream.codec_context.time_base = 1 / rate
    return stream


def _timed(frame: np.ndarray, index: int, rate: Fraction) -> av.VideoFrame:
    """The frame (H, W, 3 or 4) uint8 as FFmpeg's frame number `index`."""
    timed = av.VideoFrame.from_ndarray(frame, format="rgba" if frame.shape[2] == 4 else "rgb24")
    timed.pts, timed.time_base = index, 1 / rate
    return timed


def _close_quietly(container: av.container.OutputContainer) -> None:
    """Closes an output that is complete and closed already, or that is discarded: errors do not matter."""
    try:
        container.close()
    except (av.FFmpegError, OSError):
        pass
