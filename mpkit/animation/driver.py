"""Drivers: clips, stills and motion files, all read as one stream of motion frames."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from mpkit.animation.motion_file import MotionTrack, is_motion_file
from mpkit.animation.transfer import FrameMotion
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.crop import Crop
from mpkit.faces.face import select_face
from mpkit.faces.follow import follow
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still, read_image
from mpkit.media.video_reader import MAX_RATE, MIN_RATE, VideoReader

STILL_RATE = Fraction(25)
STILL_FRAMES = 25  # a still drives one second


class Driver:
    """Iterates over (picture or None, FrameMotion or None). Attributes: `rate`, `frame_count` (or None), `has_audio`.

    The crop of a clip is that of its first face, so that it never jitters.
    """

    rate: Fraction
    frame_count: int | None
    has_audio = False
    moves = True  # a still does not: it can only be copied, not followed

    def __iter__(self) -> Iterator[tuple[np.ndarray | None, FrameMotion | None]]:
        raise TypeError("open a driver with open_driver")

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *error) -> None:
        pass


class ClipDriver(Driver):
    """A video or animated GIF, decoded and tracked as it streams. The face that is largest at first counts."""

    def __init__(self, path, tracker, start, max_frames, fps):
        self.reader = VideoReader(path, start=start, max_frames=max_frames, fps=fps)
        self.rate, self.frame_count, self.has_audio = (
            self.reader.rate,
            self.reader.frame_count_estimate,
            self.reader.has_audio,
        )
        self.tracker = tracker

    def __iter__(self):
        crop = None
        with make_tracker(self.tracker, video=True) as tracker, self.reader as reader:
            for _, picture, face in follow(reader, tracker):
                if face is not None:
                    crop = crop or Crop.of(face)
                yield picture, face and FrameMotion.of(face, crop)


class StillDriver(Driver):
    """One picture, held for a second."""

    moves = False

    def __init__(self, path, tracker, max_frames):
        self.picture = read_image(path)
        with make_tracker(tracker) as still_tracker:
            faces = still_tracker.detect(self.picture)
        if not faces:
            raise NoFaceError(f"no face found in {path}; use a picture where a face looks roughly towards the viewer")
        face = select_face(faces)
        self.motion = FrameMotion.of(face, Crop.of(face))
        self.rate, self.frame_count = STILL_RATE, min(STILL_FRAMES, max_frames or STILL_FRAMES)

    def __iter__(self):
        for _ in range(self.frame_count):
            yield self.picture, self.motion


class FileDriver(Driver):
    """A motion file: numbers without pictures."""

    def __init__(self, path, start, max_frames, fps):
        self.motion = MotionTrack.load(path)
        own = Fraction(self.motion.rate)
        self.rate = Fraction(fps).limit_denominator(1001) if fps else own
        first = Fraction(start).limit_denominator(1_000_000)
        count = int((len(self.motion) / own - first) * self.rate)
        if count < 1:
            raise MediaError(
                f"{path} lasts {float(len(self.motion) / own):.2f} s: nothing is left after --start {start:g}"
            )
        self.frame_count = min(count, max_frames or count)
        self.indices = [int((first + index / self.rate) * own) for index in range(self.frame_count)]

    def __iter__(self):
        numbers = np.concatenate([self.motion.actions, self.motion.gaze], axis=1).astype(np.float32)
        shoulders = self.motion.shoulders
        for index in self.indices:
            if self.motion.found[index]:
                now = slice(index, index + 1)
                yield None, FrameMotion(self.motion.pose(now), *map(torch.from_numpy, (numbers[now], shoulders[now])))
            else:
                yield None, None


def open_driver(
    path: str | Path,
    tracker: str = "mediapipe",
    start: float = 0.0,
    max_frames: int | None = None,
    fps: float | None = None,
) -> Driver:
    """A driver by its content. `start` in seconds, `fps` a new rate. Raises MediaError, and NoFaceError for a still."""
    if not 0 <= start < math.inf:
        raise MediaError(f"start must be 0 or more seconds, got {start:g}")
    if max_frames is not None and max_frames < 1:
        raise MediaError(f"max_frames must be 1 or more, got {max_frames}")
    if fps is not None and not MIN_RATE <= fps <= MAX_RATE:
        raise MediaError(f"fps must be from {float(MIN_RATE)} to {MAX_RATE}, got {fps:g}")
    if is_motion_file(path):
        return FileDriver(path, start, max_frames, fps)
    if is_still(path):
        return StillDriver(path, tracker, max_frames)
    return ClipDriver(path, tracker, start, max_frames, fps)
