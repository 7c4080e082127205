"""A finished video as a GIF."""

from pathlib import Path

from mpkit.media.video_reader import VideoReader
from mpkit.media.video_writer import VideoWriter


def to_gif(video: Path, output: Path) -> None:
    """Writes the frames of a video as a GIF. Raises MediaError."""
    with VideoReader(video) as reader:
        frames = (picture for _, picture in reader)
        first = next(frames)
        with VideoWriter(output, reader.rate, (first.shape[1], first.shape[0])) as writer:
            writer.write(first)
            for picture in frames:
                writer.write(picture)
