"""The sound of a clip, copied or encoded anew into a video that is written."""

import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from mpkit.media.container import open_media, picture_stream, reason, sound_stream
from mpkit.media.limits import SECOND

_CODECS = {".mp4": ("aac",), ".webm": ("opus", "vorbis")}  # copied without encoding; others are encoded as the first
_ENCODERS = {"aac": ("aac", 160_000), "opus": ("libopus", 128_000)}  # FFmpeg's encoder, bits a second
_SAMPLE_RATE = 48_000  # samples a second of sound that is encoded
_PREROLL = 1  # seconds before the start at which decoding begins


class Sound:
    """The sound of the file `source`, from `start` seconds of its video on, as a stream of `container`.

    It is copied without encoding if a file with `suffix` may hold its codec and nothing is cut off its beginning (a
    codec needs the packets before to decode one), else encoded anew. Its end is right to within a packet, about 20 ms.
    A file without sound adds no stream. Raises MediaError if the file cannot be opened; sound that breaks off ends
    there, with a warning.
    """

    def __init__(self, source: Path, start: Fraction, container: av.container.OutputContainer, suffix: str):
        self._source, self._container = open_media(source), container
        self._input = sound_stream(self._source)
        self._packets, self._next = iter(()), None  # packets to write, and the first of them if it was read too early
        if self._input is None:
            return
        picture = picture_stream(self._source)
        origin = Fraction(0) if picture is None else (picture.start_time or 0) * picture.time_base
        self._begin = origin + start  # seconds of the file's own time stamps
        first = (self._input.start_time or 0) * self._input.time_base
        if self._input.codec_context.codec.canonical_name in _CODECS[suffix] and self._begin <= first:
            self._output = container.add_stream_from_template(self._input)
            self._packets = self._copied()
        else:
            name, bit_rate = _ENCODERS[_CODECS[suffix][0]]
            self._layout = "mono" if self._input.codec_context.channels == 1 else "stereo"
            self._output = container.add_stream(name, rate=_SAMPLE_RATE, layout=self._layout)
            self._output.bit_rate = bit_rate
            if self._begin > _PREROLL:
                self._source.seek(int((self._begin - _PREROLL) * SECOND))
            self._packets = self._encoded()

    def write_until(self, end: Fraction) -> None:
        """Writes the packets whose middle is before `end`, in seconds of the written video."""
        while True:
            packet = self._next or next(self._packets, None)
            if packet is None or (packet.pts + Fraction(packet.duration or 0, 2)) * packet.time_base >= end:
                self._next = packet
                return
            self._next = None
            self._container.mux(packet)

    def close(self) -> None:
        """Closes the source file."""
        self._source.close()

    def _copied(self) -> Iterator[av.Packet]:
        """The source's packets, their time stamps counted from the start."""
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
        """Packets of the source's sound, decoded and encoded anew."""
        graph = None
        try:
            for frame in self._source.decode(self._input):
                graph = graph or self._graph(frame)
                yield from self._encode(graph, frame)
        except av.FFmpegError as error:
            self._warn(error)
        if graph is not None:
            yield from self._encode(graph, None)
            yield from self._output.encode(None)

    def _encode(self, graph: av.filter.Graph, frame: av.AudioFrame | None) -> Iterator[av.Packet]:
        """Packets of what the filter gives for a frame; for None, the end of the sound, what it still holds."""
        graph.push(frame)
        for filtered in pull(graph):
            yield from self._output.encode(filtered)

    def _graph(self, first: av.AudioFrame) -> av.filter.Graph:
        """A filter for frames like `first`: cuts off what is before the start, fills gaps with silence, resamples."""
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
    """The frames that a filter graph can give before it needs more input."""
    while True:
        try:
            yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
