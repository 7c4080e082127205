"""A face in a picture, what every tracker offers, and how one of several faces is chosen.

Pixels are measured from the picture's outer edge: (0, 0) is its upper left corner, (0.5, 0.5) the first pixel's centre.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from mpkit.errors import NoFaceError
from mpkit.geometry import angles_from_rotation


@dataclass(frozen=True)
class Face:
    """One face in one picture. Lengths are pixels of that picture, z away from the camera."""

    landmarks: np.ndarray  # (478, 3) float32, MediaPipe's topology; the last ten are the irises
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 around the landmarks
    actions: np.ndarray  # (52,) float32 in [0, 1], in the order of ACTIONS
    gaze: np.ndarray  # (2,) float32, about [-1, 1]: x to the picture's right, y down, relative to the head
    rotation: np.ndarray  # (3, 3) float32, see mpkit.geometry
    centre: np.ndarray  # (2,) float32, where the canonical origin (the head's centre) lies
    radius: float  # pixels per canonical unit: the half side of the head crop
    # In clips, pixels x, y: how far the shoulders are from where the head's pose tells (faces/shoulders.py)
    shoulders: tuple[float, float] = (0.0, 0.0)

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch, roll in degrees."""
        return tuple(angle.item() for angle in angles_from_rotation(torch.from_numpy(self.rotation)))

    @property
    def area(self) -> float:
        """Of the box, in square pixels."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


class Tracker(Protocol):
    """What every backend offers. Close it, or use it as a context manager."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """The faces of an RGB picture (H, W, 3) uint8, largest first; an empty list if there are none."""

    def close(self) -> None: ...

    def __enter__(self) -> "Tracker": ...

    def __exit__(self, *error) -> None: ...


def select_face(faces: list[Face], which: str | int = "largest") -> Face:
    """The face asked for: "largest", or a number that counts the faces from 1, from left to right in the picture."""
    if not faces:
        raise NoFaceError("no face found; use a picture where a face looks roughly towards the viewer")
    if which == "largest":
        return max(faces, key=lambda face: face.area)
    if isinstance(which, str) and not which.isdecimal():
        raise NoFaceError(f"--face takes 'largest' or a number, not '{which}'")
    if not 1 <= int(which) <= len(faces):
        raise NoFaceError(f"--face {which} of {len(faces)}: faces are counted from 1, from left to right")
    return sorted(faces, key=lambda face: float(face.centre[0]))[int(which) - 1]


def central_face(tracker: Tracker, picture: np.ndarray) -> Face | None:
    """The face nearest to the middle of a crop, where the head belongs."""
    faces = tracker.detect(picture)
    middle = np.float32(picture.shape[1::-1]) / 2
    return min(faces, key=lambda face: float(np.linalg.norm(face.centre - middle)), default=None)


def nearest(faces: list[Face], last: Face) -> Face:
    """The face where the last one was; the largest one where none is near."""
    face = min(faces, key=lambda face: distance(face, last))
    return face if distance(face, last) < last.radius else select_face(faces)


def distance(face: Face, other: Face) -> float:
    """Between the heads' centres, pixels."""
    return float(np.linalg.norm(face.centre - other.centre))
