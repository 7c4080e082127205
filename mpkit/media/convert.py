"""A finished video in other forms: a GIF, or its frames as PNG files in a ZIP file."""

import tempfile
import zipfile
from pathlib import Path

from mpkit.media.video_reader import VideoReader
from mpkit.media.video_writer import VideoWriter


def to_gif(video: Path, output: Path) -> None:
    """Writes the frames of a video as a GIF. Raises MediaError."""
    _copy(video, output)


def to_frames(video: Path, output: Path) -> None:
    """Writes the frames of a video as numbered PNG files in a ZIP file. Raises MediaError."""
    with tempfile.TemporaryDirectory() as folder:
        _copy(video, Path(folder, "frames"))
        with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
            for frame in sorted(Path(folder, "frames").iterdir()):
                archive.write(frame, frame.name)


def _copy(video: Path, output: Path) -> None:
    with VideoReader(video) as reader:
        frames = (picture for _, picture in reader)
        first = next(frames)
        with VideoWriter(output, reader.rate, (first.shape[1], first.shape[0])) as writer:
            writer.write(first)
            for picture in frames:
                writer.write(picture)
