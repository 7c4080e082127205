"""The sound of a driver clip, carried over into the video that is written."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from mpkit.media.video_reader import SECOND, open_media, picture_stream, reason, sound_stream

_CODECS = {".mp4": ("aac",), ".webm": ("opus", "vorbis")}  # copied as they are; all others become the first
_ENCODERS = {"aac": ("aac", 160_000), "opus": ("libopus", 128_000)}  # name and bits a second
_SAMPLE_RATE = 48_000  # where sound is encoded anew


class Sound:
    """The sound of the file `source`, from `start` seconds of its video on, as a stream of `container`.

    Copied as it is where a file with `suffix` may hold its codec and nothing is cut off its beginning (codecs need
    what came before to start cleanly), else encoded anew. It ends within a packet, about 20 ms, of where it should.
    A file without sound gives nothing. Raises MediaError where the file cannot be opened.
    """

    def __init__(self, source: Path, start: Fraction, container: av.container.OutputContainer, suffix: str):
        self._source, self._container = open_media(source), container
        self._input = sound_stream(self._source)
        self._packets, self._next = iter(()), None
        if self._input is None:
            return
        picture = picture_stream(self._source)
        origin = Fraction(0) if picture is None else (picture.start_time or 0) * picture.time_base
        self._begin = origin + start  # on the clock of the file
        first = (self._input.start_time or 0) * self._input.time_base
        if self._input.codec_context.codec.canonical_name in _CODECS[suffix] and self._begin <= first:
            self._output = container.add_stream_from_template(self._input)
            self._packets = self._copied()
        else:
            name, bit_rate = _ENCODERS[_CODECS[suffix][0]]
            self._layout = "mono" if self._input.codec_context.channels == 1 else "stereo"
            self._output = container.add_stream(name, rate=_SAMPLE_RATE, layout=self._layout)
            self._output.bit_rate = bit_rate
            if self._begin > 1:
                self._source.seek(int((self._begin - 1) * SECOND))
            self._packets = self._encoded()

    def write_until(self, end: Fraction) -> None:
        """Writes the packets of which at least one half sounds before `end`, in seconds of the video written."""
        while True:
            packet = self._next or next(self._packets, None)
            if packet is None or (packet.pts + Fraction(packet.duration or 0, 2)) * packet.time_base >= end:
                self._next = packet
                return
            self._next = None
            self._container.mux(packet)

    def close(self) -> None:
        """Closes the file the sound comes from."""
        self._source.close()

    def _copied(self) -> Iterator[av.Packet]:
        begin = round(self._begin / self._input.time_base)
        try:
            for packet in self._source.demux(self._input):
                if packet.pts is not None:
                    packet.pts -= begin
                    packet.dts = packet.pts
                    packet.stream = self._output
                    yield packet
        except av.FFmpegError as error:
            self._warn(error)

    def _encoded(self) -> Iterator[av.Packet]:
        graph = None
        try:
            for frame in self._source.decode(self._input):
                graph = graph or self._graph(frame)
                graph.push(frame)
                for piece in pull(graph):
                    yield from self._output.encode(piece)
        except av.FFmpegError as error:
            self._warn(error)
        if graph is not None:
            graph.push(None)
            for piece in pull(graph):
                yield from self._output.encode(piece)
            yield from self._output.encode(None)

    def _graph(self, first: av.AudioFrame) -> av.filter.Graph:
        """Cuts off what is before the start, fills what is missing with silence, and resamples."""
        graph = av.filter.Graph()
        begin = float(self._begin)
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=first.sample_rate, format=first.format, layout=first.layout, time_base=first.time_base
            ),
            graph.add("atrim", f"start={begin:.6f}"),
            graph.add("asetpts", f"PTS-({begin:.6f})/TB"),
            graph.add("aresample", f"{_SAMPLE_RATE}:async=1:first_pts=0"),
            graph.add("aformat", f"channel_layouts={self._layout}"),
            graph.add("abuffersink"),
        ).configure()
        return graph

    def _warn(self, error: av.FFmpegError) -> None:
        warnings.warn(f"the sound of {self._source.name} breaks off ({reason(error)})", stacklevel=2)


def pull(graph: av.filter.Graph) -> Iterator[av.frame.Frame]:
    """All frames that come out of a filter graph for now."""
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
