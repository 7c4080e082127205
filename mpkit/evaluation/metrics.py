"""The measures that `evaluate.py` applies to signals, pictures and faces."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mpkit.actions import ACTIONS
from mpkit.faces.face import Face
from mpkit.geometry import angles_from_rotation

SIGNALS = ("yaw", "pitch", "roll", "jawOpen", "blink", "smile", "gaze x", "gaze y")
ANGLES = 3  # the first so many signals are in degrees
# Landmarks by which dlib aligns a face: outer and inner corner of the picture's right eye, of the left eye; nose base
_EYE_AND_NOSE_POINTS = (263, 362, 33, 133, 2)


def signals(face: Face | None) -> np.ndarray:
    """What the tracker reads of a face, in the order of SIGNALS, (8,) float64; NaN if there is no face."""
    if face is None:
        return np.full(len(SIGNALS), np.nan)
    return signals_of(torch.from_numpy(face.rotation), face.actions, face.gaze)


def signals_of(rotation: Tensor, actions: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """SIGNALS of rotation (3, 3) or (1, 3, 3), actions (52,) and gaze (2,). Blink and smile are means of both sides."""

    def mean(*names):
        return float(np.mean([actions[ACTIONS.index(name)] for name in names]))

    angles = [angle.item() for angle in angles_from_rotation(rotation)]
    blink, smile = mean("eyeBlinkLeft", "eyeBlinkRight"), mean("mouthSmileLeft", "mouthSmileRight")
    return np.array([*angles, mean("jawOpen"), blink, smile, *gaze], np.float64)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two series (N,), pairs with a NaN left out; NaN if one of them is constant."""
    known = np.isfinite(a) & np.isfinite(b)
    a, b = a[known], b[known]
    if len(a) < 3 or min(a.std(), b.std()) < 1e-6:
        return float("nan")
    return float(((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std()))


def psnr(truth: np.ndarray, picture: np.ndarray, weight: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of a picture (H, W, 3) uint8; squared errors are weighted by `weight` (H, W)."""
    error = ((truth.astype(np.float64) - picture) ** 2).mean(-1)
    mean = (error * weight).sum() / max(weight.sum(), 1e-9)
    return float(10 * np.log10(255**2 / max(mean, 1e-9)))


def ssim(truth: np.ndarray, picture: np.ndarray, weight: np.ndarray) -> float:
    """Structural similarity of a picture (H, W, 3) uint8 (Wang et al. 2004), averaged by `weight` (H, W). The Gaussian
    has 1.5 pixels; similarities of the three colours are averaged."""

    def blur(values):
        return cv2.GaussianBlur(values, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)

    a, b = truth.astype(np.float64), picture.astype(np.float64)
    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    return float((similarity.mean(-1) * weight).sum() / max(weight.sum(), 1e-9))


def acceleration(before: Face | None, face: Face | None, after: Face | None) -> float:
    """Mean acceleration of the landmarks over three consecutive frames, in radii of the head per frame squared; NaN
    if a face is missing."""
    if before is None or face is None or after is None:
        return float("nan")
    points = [one.landmarks[:, :2] for one in (before, face, after)]
    return float(np.linalg.norm(points[0] - 2 * points[1] + points[2], axis=1).mean() / face.radius)


class FaceEmbedder:
    """dlib's face descriptor: 128 numbers; two pictures count as one person if their distance is below 0.6. No loss of
    mpkit uses it, so it is an independent measure. From the packages dlib-bin and face-recognition-models."""

    def __init__(self, network, dlib):
        self._network, self._dlib = network, dlib

    @staticmethod
    def load() -> "FaceEmbedder | None":
        """The embedder, or None if one of the two packages is not installed."""
        package = importlib.util.find_spec("face_recognition_models")
        if package is None or importlib.util.find_spec("dlib") is None:
            return None
        import dlib

        # importing face_recognition_models fails without an old setuptools, so only its file is used
        weights = Path(package.submodule_search_locations[0], "models", "dlib_face_recognition_resnet_model_v1.dat")
        return FaceEmbedder(dlib.face_recognition_model_v1(str(weights)), dlib)

    def __call__(self, picture: np.ndarray, face: Face) -> np.ndarray:
        """The descriptor of a face in its picture (H, W, 3) uint8; (128,) float64."""
        corners = [self._dlib.point(*map(round, face.landmarks[i, :2].tolist())) for i in _EYE_AND_NOSE_POINTS]
        shape = self._dlib.full_object_detection(self._dlib.rectangle(*map(round, face.box)), corners)
        return np.array(self._network.compute_face_descriptor(np.ascontiguousarray(picture), shape))


def distance_and_cosine(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Euclidean distance and cosine of two descriptors."""
    return float(np.linalg.norm(a - b)), float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
