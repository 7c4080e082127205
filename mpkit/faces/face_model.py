"""A linear face model at the tracker's landmarks, to which faces/action_fit.py fits facial actions and gaze (ours).

A landmark is mean + shape @ shapes + actions @ offsets + error @ errors, moved by a small correction of the tracked
pose. `offsets` are what the tracker sees of whole actions of the synthetic heads (`synthetic.anatomy`), so an action of
0.5 means half of the same known offset in a driver, a lifted still and a render. `data.find_face_model` makes it.
"""

import functools
from typing import NamedTuple

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.assets import ASSETS
from mpkit.faces.canonical import EYE_LANDMARKS
from mpkit.faces.face import Face

MODEL_FILE = ASSETS / "face_model.npz"
IRISES = (slice(468, 473), slice(473, 478))  # landmarks of the iris on the picture's left, then of the other one
# The unknown actions: all but the eyeLook ones, then the four directions of the gaze, which both eyes share.
FITTED_ACTIONS = tuple(name for name in ACTIONS if not name.startswith("eyeLook"))
FITTED = (*FITTED_ACTIONS, "right", "left", "down", "up")
BLINKS = [FITTED.index("eyeBlinkRight"), FITTED.index("eyeBlinkLeft")]  # of the eye on the picture's left, the other
# Landmarks of the upper lid and those opposite of the lower lid: of the eye on the picture's left, of the other one
LIDS = (((160, 159, 158), (144, 145, 153)), ((385, 386, 387), (380, 374, 373)))

LANDMARK_ERROR = 0.006  # canonical units: standard deviation of a landmark in x and y beyond the model's `errors`
DEPTH_WEIGHT = 0.05  # of an error along the view axis, in which the tracker is poor


class FaceModel(NamedTuple):
    """P points: the 468 landmarks, then both irises as offsets from the middle of the corners of their eyes. A actions
    of FITTED, K components of shape, E of error. Canonical units."""

    mean: np.ndarray  # (P, 3) neutral face
    normals: np.ndarray  # (P, 3) outward unit normals of it
    weights: np.ndarray  # (P,) relative weight of each landmark
    offsets: np.ndarray  # (A, P, 3) what a whole action moves
    shapes: np.ndarray  # (K, P, 3) one standard deviation of each component of a person's shape
    errors: np.ndarray  # (E, P, 3) one standard deviation of each component of the tracker's error in one frame
    spread: np.ndarray  # (A,) standard deviation of each action's prior
    hint: np.ndarray  # (A,) the mean of the prior, as a factor of the tracker's own coefficient
    response: np.ndarray  # (A,) what a fitted gaze is of the true one, on average; 1 for actions


@functools.lru_cache(maxsize=1)
def load_face_model() -> FaceModel:
    """The bundled model."""
    with np.load(MODEL_FILE, allow_pickle=False) as file:
        return FaceModel(*(file[name].astype(np.float32) for name in FaceModel._fields))


def fitted_points(face: Face) -> np.ndarray:
    """The points (P, 3) float32 of a face in its tracked pose's canonical frame, see `FaceModel`."""
    points = np.concatenate([face.landmarks[:468], *(face.landmarks[iris].mean(0)[None] for iris in IRISES)])
    points = (points - np.append(face.centre, points[:468, 2].mean())) / max(face.radius, 1e-6)
    return irises_in_eyes((points @ face.rotation).astype(np.float32))


def irises_in_eyes(points: np.ndarray) -> np.ndarray:
    """Points (..., P, 3) whose last two, the irises, become offsets from the middle of the corners of their eyes."""
    middles = np.stack([points[..., list(corners[:2]), :].mean(-2) for corners in EYE_LANDMARKS], -2)
    return np.concatenate([points[..., :-2, :], points[..., -2:, :] - middles], -2)


def lid_gaps(points: np.ndarray) -> np.ndarray:
    """How far the lids of points (..., P, 3) are apart, (..., 2): of the eye on the picture's left, the other one."""
    return np.stack([(points[..., lower, 1] - points[..., upper, 1]).mean(-1) for upper, lower in LIDS], -1)


def pose_columns(points: np.ndarray) -> np.ndarray:
    """What small rotations about x, y and z, shifts along them and scaling move: (7, P, 3)."""
    axes = np.eye(3, dtype=np.float32)
    on_face = np.arange(len(points))[:, None] < len(points) - 2  # a shift leaves the irises where they are in the eyes
    return np.stack([*(np.cross(axis, points) for axis in axes), *(axis * on_face for axis in axes), points])


def without_pose(rest: np.ndarray, mean: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Offsets (P, 3) without what a small change of the pose explains. Errors along the view axis (3,) count less;
    if it is 0, all count alike."""
    columns = pose_columns(mean)

    def weighted(points):
        along = (points @ view)[..., None] * view
        return (points - (1 - np.sqrt(DEPTH_WEIGHT)) * along).reshape(*points.shape[:-2], -1)

    change, *_ = np.linalg.lstsq(weighted(columns).T, weighted(rest), rcond=None)
    return rest - np.tensordot(change, columns, 1)


class Equations:
    """The normal equations of one set of unknowns, N columns (N, P, 3), for any view axis n.

    A landmark's weight is linear in n: it grows as its normal turns to the camera. Its error along n counts less, which
    is quadratic in n. So the matrix is a sum of fixed matrices, each times a product of elements of n."""

    def __init__(self, model: FaceModel, columns: np.ndarray):
        self.model, self.columns = model, np.ascontiguousarray(columns, np.float32)
        self.flat = self.columns.reshape(len(columns), -1)
        face = self.columns[:, :-2]
        weights = [model.weights[:-2], *(model.weights[:-2] * model.normals[:-2].T)]
        terms = []
        for weight in weights:
            product = np.einsum("npi,p,mpj->ijnm", face, weight, face, optimize=True)
            terms += [product[0, 0] + product[1, 1] + product[2, 2], *product.reshape(9, *product.shape[2:])]
        self.terms = np.stack(terms).reshape(len(terms), -1)

    def of(self, rest: np.ndarray, view: np.ndarray, open_irises: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (N, N) and vector (N,) for points less the mean (P, 3), the view axis (3,), and the weights (2,) of
        the irises."""
        less = 1 - DEPTH_WEIGHT
        sides = np.array([0.5, *(-0.5 * view)])
        depths = np.append(1, -less * np.outer(view, view))
        factors = np.outer(sides, depths).ravel().astype(np.float32)
        matrix = (factors @ self.terms).reshape(len(self.columns), -1)
        irises = self.columns[:, -2:] * np.sqrt(open_irises)[:, None]
        flat = irises.reshape(len(irises), -1)
        along = irises @ view
        matrix = matrix + flat @ flat.T - less * along @ along.T
        weights = self.model.weights * (0.5 - 0.5 * self.model.normals @ view)
        weights[-2:] = open_irises
        weighted = weights[:, None] * (rest - less * np.outer(rest @ view, view))
        precision = 1 / LANDMARK_ERROR**2
        return matrix * precision, self.flat @ weighted.ravel() * precision
