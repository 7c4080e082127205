"""The paper's own face tracker as a second backend: the optional package `face-alignment` (Bulat, Tzimiropoulos 2017).

It finds 68 landmarks in 3D; its weights are downloaded at the first use. Less comes out of it than of MediaPipe: there
is a head pose, but gaze is always straight, the actions are estimated from distances between landmarks (jawOpen, both
blinks, both smiles; the other 47 stay 0), and the 478 landmarks are the average face bent to the 68.
"""

import warnings

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.errors import MpkitError
from mpkit.faces.canonical import CANONICAL_FACE, STABLE_WEIGHTS, fit_pose
from mpkit.faces.face import Face
from mpkit.faces.mediapipe_tracker import EYES

# The landmarks of MediaPipe's mesh that are nearest to the 68, in their order.
# fmt: off
FROM_68 = np.array((
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw line, from the left
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,  # brows, nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,  # lips, outer then inner
))
# fmt: on
BEND_WIDTH = 0.08  # canonical units: how far each of the 68 pulls its surroundings along
IRIS_RADIUS = 0.0325  # canonical units, 5.85 mm
# Distance ratios at which an action is 0 and 1, fitted to MediaPipe's actions on clips of talking people.
MOUTH_GAP, EYE_OPENING, MOUTH_WIDTH = (0.03, 0.45), (0.34, 0.05), (0.54, 0.80)


class FaceAlignmentTracker:
    """See the module docstring, and `Tracker` for the interface. Every frame is tracked on its own.

    Raises MpkitError when the package is not installed or its weights cannot be downloaded.
    """

    def __init__(self, device: str = "cpu"):
        try:
            import face_alignment
        except ImportError as error:
            raise MpkitError(
                f"the tracker 'face-alignment' cannot be imported ({error}); run: pip install face-alignment"
            ) from None
        try:
            self._network = face_alignment.FaceAlignment(face_alignment.LandmarksType.THREE_D, device=device)
        except Exception as error:  # whatever a closed network, a full disk or a damaged download raises
            raise MpkitError(
                f"the weights of 'face-alignment' could not be loaded ({_one_line(error)}); they are downloaded at its "
                "first use: check the network, run pip install --upgrade face-alignment, or use the tracker 'mediapipe'"
            ) from None

    def close(self) -> None:
        self._network = None

    def __enter__(self) -> "FaceAlignmentTracker":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Tracker.detect`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns when it finds no face
            found = self._network.get_landmarks_from_image(image)
        faces = [face_from_68(np.asarray(points, np.float32)) for points in found or []]
        return sorted(faces, key=lambda face: -face.area)


def face_from_68(points: np.ndarray) -> Face:
    """A Face from face-alignment's landmarks (68, 3): pixels, z TOWARDS the camera, integer at pixel centres."""
    points = points * np.float32((1, 1, -1)) + np.float32((0.5, 0.5, 0))
    model = CANONICAL_FACE[FROM_68]
    weights = STABLE_WEIGHTS[FROM_68] + np.float32(0.1)  # few of the 68 are stable: the others help a little
    rotation, centre, radius = fit_pose(points, weights, model)
    canonical = (points - centre) @ rotation / radius
    landmarks = radius * _bent(canonical) @ rotation.T + centre
    box = (*points[:, :2].min(0).tolist(), *points[:, :2].max(0).tolist())
    gaze = np.zeros(2, np.float32)
    return Face(landmarks.astype(np.float32), box, estimate_actions(canonical), gaze, rotation, centre[:2], radius)


def _bent(canonical: np.ndarray) -> np.ndarray:
    """The average face, irises added, bent so that it passes close to 68 points in the canonical frame; (478, 3)."""
    model = CANONICAL_FACE[FROM_68]
    squared = ((CANONICAL_FACE[:, None] - model[None]) ** 2).sum(-1)
    pull = np.exp(-squared / (2 * BEND_WIDTH**2)) + 1e-6
    face = CANONICAL_FACE + (pull / pull.sum(1, keepdims=True)) @ (canonical - model)
    ring = IRIS_RADIUS * np.float32([(0, 0, 0), (1, 0, 0), (0, -1, 0), (-1, 0, 0), (0, 1, 0)])
    irises = [face[[outer, inner]].mean(0) + ring for outer, inner, _ in EYES]
    return np.concatenate([face, *irises])


def estimate_actions(points: np.ndarray) -> np.ndarray:
    """The five actions that ratios of distances show, from 68 points in the head's frame (68, 3); (52,) float32."""

    def distance(*pairs):
        return float(np.mean([np.linalg.norm(points[a] - points[b]) for a, b in pairs]))

    def between(ratio, limits):
        return min(max((ratio - limits[0]) / (limits[1] - limits[0]), 0.0), 1.0)

    face = distance((36, 45))  # between the outer corners of the eyes
    smile = between(distance((48, 54)) / face, MOUTH_WIDTH)
    estimates = {
        "jawOpen": between(distance((61, 67), (62, 66), (63, 65)) / face, MOUTH_GAP),
        "eyeBlinkRight": between(distance((37, 41), (38, 40)) / distance((36, 39)), EYE_OPENING),
        "eyeBlinkLeft": between(distance((43, 47), (44, 46)) / distance((42, 45)), EYE_OPENING),
        "mouthSmileLeft": smile,
        "mouthSmileRight": smile,
    }
    return np.float32([estimates.get(name, 0.0) for name in ACTIONS])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
