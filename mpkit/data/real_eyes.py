"""What the tracker sees of the eyes of real people: how far irises move as the gaze turns, and lids in a blink.

Renders cannot tell it: in them the tracker moves irises less than in videos, up and down half as far. In clips in which
somebody looks at the camera all the time, the truth is known without labels: as the head turns, the eyes turn back by
the same angle.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mpkit.faces.face import Face
from mpkit.faces.face_model import fitted_points, lid_gaps, without_pose
from mpkit.faces.follow import sampled_faces
from mpkit.faces.trackers import make_tracker
from mpkit.media.video_reader import VideoReader
from mpkit.synthetic.anatomy import MAX_EYE_TURN

MAX_FRAMES = 600  # of a clip
OPEN, CLOSED = 0.6, 0.3  # shares of the usual gap of the lids above which eyes are open, below which they are closed
MAX_BLINK = 12  # frames; lids that stay closed longer do not blink
NEIGHBOURS = 15  # frames before and after a blink among which those with open eyes are looked for
MIN_NEIGHBOURS = 4
MAX_TURN = 4.0  # degrees between a blink and its neighbours


class EyeClip:
    """K faces of one person who looks at the camera, frame by frame, P points of `FaceModel` each."""

    def __init__(self, faces: list[Face]):
        self.faces = faces
        self.points = np.stack([fitted_points(face) for face in faces])  # (K, P, 3)
        self.angles = np.float32([face.angles for face in faces])  # (K, 3)
        self.views = np.stack([face.rotation[2] for face in faces])  # (K, 3)
        self.gaps = lid_gaps(self.points).mean(1)  # (K,)
        self.usual_gap = np.quantile(self.gaps, 0.8)

    @staticmethod
    def read(path: Path) -> "EyeClip":
        """The clip of a file, every frame read by itself."""
        with VideoReader(path, max_frames=MAX_FRAMES) as reader, make_tracker(video=True) as tracker:
            return EyeClip([face for _, face in sampled_faces((picture for _, picture in reader), tracker)])

    def expected_gaze(self) -> np.ndarray:
        """The gaze (K, 2) that looks at the camera: the head's yaw and pitch, turned back."""
        return -np.sin(np.radians(self.angles[:, :2])) / np.sin(np.radians(MAX_EYE_TURN))

    def open_eyes(self) -> np.ndarray:
        """Which frames show open eyes, (K,) bool."""
        return self.gaps > OPEN * self.usual_gap

    def blinks(self) -> Iterator[tuple[int, np.ndarray]]:
        """For each blink the frame in which the lids are nearest, and the frames with open eyes around it."""
        closed = np.flatnonzero(self.gaps < CLOSED * self.usual_gap)
        for group in np.split(closed, np.flatnonzero(np.diff(closed) > 3) + 1):
            if not 0 < len(group) <= MAX_BLINK:
                continue
            frame = group[self.gaps[group].argmin()]
            around = np.arange(max(frame - NEIGHBOURS, 0), min(frame + NEIGHBOURS + 1, len(self.gaps)))
            turned = np.abs(self.angles[around] - self.angles[frame]).max(1)
            around = around[self.open_eyes()[around] & (turned < MAX_TURN)]
            if len(around) >= MIN_NEIGHBOURS:
                yield frame, around


def iris_slopes(clips: list[EyeClip]) -> np.ndarray:
    """How far the tracker moves irises for a whole gaze to the side, and up or down, (2,) canonical units: regressions
    on the expected gaze, clips weighted by how far the gaze moves in them."""
    squares, products = np.zeros((2, 2)), np.zeros((2, 2))
    for clip in clips:
        shown = clip.open_eyes()
        gaze, irises = clip.expected_gaze()[shown], clip.points[shown, -2:, :2].mean(1)
        gaze = gaze - gaze.mean(0)
        squares += gaze.T @ gaze
        products += gaze.T @ irises
    return np.diag(np.linalg.solve(squares, products))


def whole_blink(clips: list[EyeClip], mean: np.ndarray) -> tuple[np.ndarray, float]:
    """What a blink of both eyes moves, (P, 3), scaled to a change of the lids' gap by 1, and the gap of closed lids:
    means over the clips that show blinks. mean: points (P, 3) of a face. ValueError if no clip shows any."""
    offsets, gaps = [], []
    for clip in clips:
        blinks = list(clip.blinks())
        if not blinks:
            continue
        moved = [
            without_pose(clip.points[frame] - clip.points[around].mean(0), mean, clip.views[frame])
            for frame, around in blinks
        ]
        usual = np.mean(moved, 0)
        offsets.append(usual / -lid_gaps(usual).mean())
        gaps.append(np.mean([clip.gaps[frame] for frame, _ in blinks]))
    if not offsets:
        raise ValueError("no clip shows a blink")
    return np.mean(offsets, 0), float(np.mean(gaps))
