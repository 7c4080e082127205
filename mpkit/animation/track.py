"""Tracking a whole clip: the motion of one face in it, as a `MotionTrack` that can drive any portrait."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mpkit.animation.driver import STILL_RATE, read_still
from mpkit.animation.motion_file import MotionTrack, rate_text
from mpkit.animation.options import Progress, silent
from mpkit.faces.follow import follow_clip
from mpkit.media.images import is_still
from mpkit.media.video_reader import VideoReader

_NO_LANDMARKS = np.zeros((0, 3), np.float32)


def track(
    path: str | Path,
    tracker: str = "mediapipe",
    start: float = 0.0,
    max_frames: int | None = None,
    fps: float | None = None,
    progress: Progress = silent,
) -> MotionTrack:
    """The motion of the face in a video, an animation or a still; of several faces, that which is largest at first.

    Memory holds one picture at a time, and the numbers of each frame. `start` in seconds, from which times count; `fps`
    a new rate; `progress` is called with the number of frames done and an estimate of all, or None. Raises MediaError,
    and NoFaceError where no frame has a face.
    """
    path = Path(path)
    if is_still(path):
        picture, face = read_still(path, tracker)
        height, width = picture.shape[:2]
        return MotionTrack.from_faces([face], [0.0], rate_text(STILL_RATE), (width, height), path.name)
    faces, times = [], []
    with VideoReader(path, start, max_frames, fps) as reader:
        for time, _, face in follow_clip(reader, tracker):
            faces.append(face and replace(face, landmarks=_NO_LANDMARKS))
            times.append(float(time - reader.start))
            progress(len(times), reader.frame_count_estimate)
        return MotionTrack.from_faces(faces, times, rate_text(reader.rate), (reader.width, reader.height), path.name)
