"""`Face`, one tracked face of a picture; `Tracker`, the interface of all face trackers; the choice among several faces.

Pixel coordinates start at the picture's outer edge: (0, 0) is its upper left corner, (0.5, 0.5) the centre of the first
pixel.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from mpkit.errors import NoFaceError
from mpkit.geometry import angles_from_rotation

# From one frame to the next; beyond them, it is another shot.
MAX_GROWTH = 1.35  # of a head
MIN_TURN_COSINE = 0.82  # of the angle by which it turns: 35 degrees


@dataclass(frozen=True)
class Face:
    """One face in one picture. Lengths are pixels of that picture, also along z, which points away from the camera."""

    landmarks: np.ndarray  # (478, 3) float32, x, y, z in MediaPipe's topology; the last ten are the irises
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 around the landmarks
    actions: np.ndarray  # (52,) float32 in [0, 1], fractions of a whole action, in the order of `actions.ACTIONS`
    gaze: np.ndarray  # (2,) float32 in [-1, 1]: x to the picture's right, y down, in the head's frame
    rotation: np.ndarray  # (3, 3) float32, R of the head pose, see `geometry`
    centre: np.ndarray  # (2,) float32, x, y of the canonical origin, the centre of the head
    radius: float  # pixels per canonical unit, which is the half side of the head crop
    # Offset x, y of the shoulders from where the head pose predicts them; measured in clips only (faces/shoulders.py)
    shoulders: tuple[float, float] = (0.0, 0.0)
    # (52,) the landmarker's own estimate of the actions, a hint for their fit (faces/action_fit.py); None: no fit
    coefficients: np.ndarray | None = None

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll in degrees."""
        return tuple(angle.item() for angle in angles_from_rotation(torch.from_numpy(self.rotation)))

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


class Tracker(Protocol):
    """The interface of every face tracker. Use it as a context manager, or close it after use."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """The faces of an RGB picture (H, W, 3) uint8, largest first; an empty list if there are none. Where there are
        several it may miss small ones."""

    def detect_all(self, image: np.ndarray) -> list[Face]:
        """The same for a still, but thorough, which takes seconds for a large one: with all small and turned faces."""
        return self.detect(image)

    def close(self) -> None:
        """Frees the tracker's network."""

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *error) -> None:
        self.close()


def select_face(faces: list[Face], which: str | int = "largest") -> Face:
    """The largest face, or face number `which`: from left to right in the picture, the leftmost is 1.

    Raises NoFaceError if there is no face, no face of that number, or `which` is neither "largest" nor a number.
    """
    if not faces:
        raise NoFaceError("no face found; use a picture where a face looks roughly towards the viewer")
    if which == "largest":
        return max(faces, key=lambda face: face.area)
    if isinstance(which, str) and not which.isdecimal():
        raise NoFaceError(f"--face takes 'largest' or a number, not '{which}'")
    if not 1 <= int(which) <= len(faces):
        raise NoFaceError(f"--face {which} of {len(faces)}; the faces and their x,y in pixels: {_places(faces)}")
    return from_left_to_right(faces)[int(which) - 1]


def find_face(tracker: Tracker, image: np.ndarray, which: str | int = "largest") -> Face:
    """The face of a still (H, W, 3) uint8 that `which` names, see `select_face`; for a number, among all its faces."""
    return select_face(tracker.detect(image) if which == "largest" else tracker.detect_all(image), which)


def from_left_to_right(faces: list[Face]) -> list[Face]:
    """The faces in the order in which `select_face` counts them."""
    return sorted(faces, key=lambda face: float(face.centre[0]))


def _places(faces: list[Face]) -> str:
    """The number and centre of each face, as select_face counts them."""
    places = (
        f"{number} at {face.centre[0]:.0f},{face.centre[1]:.0f}"
        for number, face in enumerate(from_left_to_right(faces), 1)
    )
    return "; ".join(places)


def central_face(tracker: Tracker, picture: np.ndarray) -> Face | None:
    """The face nearest to the middle of a head crop (H, W, 3) uint8; None if the tracker finds no face."""
    return nearest_face(tracker.detect(picture), np.float32(picture.shape[1::-1]) / 2)


def followed_face(faces: list[Face], last: Face | None) -> Face:
    """The face to follow from one frame of a clip to the next: the one where `last`, the face of an earlier frame, was;
    the largest one if none is near, or if there was none before. Raises NoFaceError if there is no face."""
    face = nearest_face(faces, last.centre) if last else None
    return face if face and is_near(face, last) else select_face(faces)


def nearest_face(faces: list[Face], point: np.ndarray) -> Face | None:
    """The face whose centre is nearest to a point (x, y) in pixels; None if there is no face."""
    return min(faces, key=lambda face: float(np.linalg.norm(face.centre - point)), default=None)


def is_near(face: Face, reference: Face) -> bool:
    """Whether a face counts as the same person as `reference`: their centres are less than its radius apart."""
    return float(np.linalg.norm(face.centre - reference.centre)) < reference.radius


def same_shot(face: Face, last: Face) -> bool:
    """Whether a face can be that of the next frame after `last`: it is about where it was, about as large, and turned
    about as far."""
    step = np.linalg.norm(face.centre - last.centre) / last.radius
    return continues(step, face.radius / last.radius, (face.rotation, last.rotation))


def continues(step, growth, rotations) -> bool:
    """Whether a head moves as within one shot from one frame to the next. step: in its radii; growth: ratio of its
    sizes; rotations: of both frames, arrays or tensors of the same shape, (3, 3) or (1, 3, 3)."""
    cosine = ((rotations[0] * rotations[1]).sum() - 1) / 2  # of the angle between them
    return bool(step < 1 and 1 / MAX_GROWTH < growth < MAX_GROWTH and cosine > MIN_TURN_COSINE)


def bounding_box(points: np.ndarray) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 around points (N, 2 or 3)."""
    return *points[:, :2].min(0).tolist(), *points[:, :2].max(0).tolist()
