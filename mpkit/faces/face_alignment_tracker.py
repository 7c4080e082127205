"""The paper's own face tracker as a second choice: the optional package `face-alignment` (Bulat, Tzimiropoulos 2017).

It finds 68 landmarks in 3D; its weights are downloaded at the first use. It tells less than MediaPipe: there is a head
pose, but the gaze is always straight, the actions are estimated from distances between landmarks (jawOpen, both blinks,
both smiles; the other 47 are 0), and the 478 landmarks are those of the average face, deformed to fit the 68.
"""

import warnings

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.errors import MpkitError
from mpkit.faces.canonical import CANONICAL_FACE, EYE_LANDMARKS, STABLE_WEIGHTS, fit_pose
from mpkit.faces.face import Face, Tracker, bounding_box
from mpkit.media.paths import one_line

# For each of the 68 landmarks the nearest one of MediaPipe's mesh.
# fmt: off
MESH_LANDMARKS = np.array((
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw line, from the left
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305,  # brows, nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,  # lips, outer then inner
))
# fmt: on
MIN_FIT_WEIGHT = np.float32(0.1)  # added to STABLE_WEIGHTS: only few of the 68 landmarks are stable
DEFORMATION_WIDTH = 0.08  # standard deviation in canonical units: how far each of the 68 moves the mesh around it
IRIS_RADIUS = 0.0325  # canonical units, 5.85 mm
# Ratios of distances at which an action is 0 and whole, found on clips of talking people.
MOUTH_GAP_RANGE, EYE_OPENING_RANGE, MOUTH_WIDTH_RANGE = (0.03, 0.24), (0.34, 0.195), (0.54, 0.683)


class FaceAlignmentTracker(Tracker):
    """See the module docstring, and `Tracker` for the interface. Every frame is tracked on its own.

    Raises MpkitError if the package is not installed or its weights cannot be downloaded.
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
        except Exception as error:  # a missing connection, a full disk and a damaged download raise different errors
            raise MpkitError(
                f"the weights of 'face-alignment' could not be loaded ({one_line(error)[:200]}); they are downloaded "
                "at its first use: check the network, run pip install --upgrade face-alignment, or use the tracker "
                "'mediapipe'"
            ) from None

    def close(self) -> None:
        """See `Tracker.close`."""
        self._network = None

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Tracker.detect`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package warns when it finds no face
            found = self._network.get_landmarks_from_image(image)
        faces = [face_from_68(np.asarray(points, np.float32)) for points in found or []]
        return sorted(faces, key=lambda face: -face.area)


def face_from_68(points: np.ndarray) -> Face:
    """A Face from face-alignment's landmarks (68, 3): pixels, z TOWARDS the camera, integers at the pixels' centres."""
    points = points * np.float32((1, 1, -1)) + np.float32((0.5, 0.5, 0))
    weights = STABLE_WEIGHTS[MESH_LANDMARKS] + MIN_FIT_WEIGHT
    rotation, centre, radius = fit_pose(points, weights, CANONICAL_FACE[MESH_LANDMARKS])
    canonical = (points - centre) @ rotation / radius
    landmarks = radius * _deformed_face(canonical) @ rotation.T + centre
    return Face(
        landmarks.astype(np.float32), bounding_box(points), estimate_actions(canonical), np.zeros(2, np.float32),
        rotation, centre[:2], radius,
    )  # fmt: skip


def _deformed_face(canonical: np.ndarray) -> np.ndarray:
    """The average face with irises (478, 3), deformed to pass close to points (68, 3); all canonical."""
    model = CANONICAL_FACE[MESH_LANDMARKS]
    squared = ((CANONICAL_FACE[:, None] - model[None]) ** 2).sum(-1)
    weights = np.exp(-squared / (2 * DEFORMATION_WIDTH**2)) + 1e-6
    face = CANONICAL_FACE + (weights / weights.sum(1, keepdims=True)) @ (canonical - model)
    ring = IRIS_RADIUS * np.float32([(0, 0, 0), (1, 0, 0), (0, -1, 0), (-1, 0, 0), (0, 1, 0)])
    irises = [face[[outer, inner]].mean(0) + ring for outer, inner, _ in EYE_LANDMARKS]
    return np.concatenate([face, *irises])


def estimate_actions(points: np.ndarray) -> np.ndarray:
    """The actions (52,) float32 in [0, 1] of landmarks (68, 3) in the head's frame: five from ratios of distances, the
    others 0."""

    def distance(*pairs):
        """Mean distance of pairs of landmarks."""
        return float(np.mean([np.linalg.norm(points[a] - points[b]) for a, b in pairs]))

    def action(ratio, limits):
        return min(max((ratio - limits[0]) / (limits[1] - limits[0]), 0.0), 1.0)

    eye_corners = distance((36, 45))  # the outer ones: the size of the face
    smile = action(distance((48, 54)) / eye_corners, MOUTH_WIDTH_RANGE)
    estimates = {
        "jawOpen": action(distance((61, 67), (62, 66), (63, 65)) / eye_corners, MOUTH_GAP_RANGE),
        "eyeBlinkRight": action(distance((37, 41), (38, 40)) / distance((36, 39)), EYE_OPENING_RANGE),
        "eyeBlinkLeft": action(distance((43, 47), (44, 46)) / distance((42, 45)), EYE_OPENING_RANGE),
        "mouthSmileLeft": smile,
        "mouthSmileRight": smile,
    }
    return np.float32([estimates.get(name, 0.0) for name in ACTIONS])
