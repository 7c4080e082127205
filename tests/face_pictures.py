"""What the tests of faces share: a synthetic face, and the paintings of the shared data."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mpkit.faces import Face
from mpkit.faces.canonical import CANONICAL_FACE
from mpkit.faces.face import bounding_box
from mpkit.geometry import rotation_from_angles

SHARED = Path(__file__).parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the shared pictures")


def rotation(yaw=0.0, pitch=0.0, roll=0.0) -> np.ndarray:
    """R (3, 3) float32 of angles in degrees."""
    return rotation_from_angles(*(torch.tensor([float(angle)]) for angle in (yaw, pitch, roll)))[0].numpy()


def make_face(x=100.0, y=80.0, radius=60.0, angles=(0, 0, 0)) -> Face:
    """The canonical face in a pose: centre and radius in pixels, yaw, pitch, roll in degrees."""
    turned = rotation(*angles)
    landmarks = radius * CANONICAL_FACE @ turned.T + np.float32((x, y, 0))
    landmarks = np.concatenate([landmarks, landmarks[-10:]])  # ten more for the irises
    actions, gaze = np.zeros(52, np.float32), np.zeros(2, np.float32)
    return Face(landmarks, bounding_box(landmarks), actions, gaze, turned, np.float32((x, y)), radius)


def read_picture(path) -> np.ndarray:
    """RGB (H, W, 3) uint8."""
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def paintings() -> list[Path]:
    """The shared paintings that are used to evaluate."""
    with open(SHARED / "data" / "manifest.tsv") as file:
        rows = [row["path"] for row in csv.DictReader(file, delimiter="\t") if row["use"] == "evaluate"]
    return [SHARED / "data" / path for path in rows if path.startswith("paintings")]
