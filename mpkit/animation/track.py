"""Tracking a whole clip: what a face does in it, as a `MotionTrack` that can drive any portrait."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from mpkit.animation.driver import STILL_RATE
from mpkit.animation.motion_file import MotionTrack
from mpkit.errors import NoFaceError
from mpkit.faces.face import select_face
from mpkit.faces.follow import follow
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still, read_image
from mpkit.media.video_reader import VideoReader

_NO_LANDMARKS = np.zeros((0, 3), np.float32)


def track(
    path: str | Path,
    tracker: str = "mediapipe",
    start: float = 0.0,
    max_frames: int | None = None,
    fps: float | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> MotionTrack:
    """The motion of the face in a video, an animated GIF or a still; of several faces, the one that is largest first.

    Pictures stream through; only the numbers of a frame are kept. Times count from `start`. `progress` is told how many
    frames are done and about how many there are. Raises MediaError, and NoFaceError where no frame has a face.
    """
    path = Path(path)
    if is_still(path):
        return _track_still(path, tracker)
    faces, times = [], []
    with make_tracker(tracker, video=True) as face_tracker, VideoReader(path, start, max_frames, fps) as reader:
        for time, _, face in follow(reader, face_tracker):
            faces.append(face and replace(face, landmarks=_NO_LANDMARKS))
            times.append(float(time - reader.start))
            progress(len(times), reader.frame_count_estimate)
        return MotionTrack.from_faces(faces, times, _fraction(reader.rate), (reader.width, reader.height), path.name)


def _track_still(path: Path, tracker: str) -> MotionTrack:
    picture = read_image(path)
    with make_tracker(tracker) as face_tracker:
        faces = face_tracker.detect(picture)
    if not faces:
        raise NoFaceError(f"no face found in {path}; use a picture where a face looks roughly towards the viewer")
    height, width = picture.shape[:2]
    return MotionTrack.from_faces([select_face(faces)], [0.0], _fraction(STILL_RATE), (width, height), path.name)


def _fraction(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"
