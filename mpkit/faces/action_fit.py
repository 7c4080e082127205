"""Facial actions and gaze by the fit of the linear face model to the landmarks of tracked faces (ours).

The fit is the most probable one under Gaussian errors and priors, with actions >= 0: one linear system a face, its
bounds by an active set. Faces of one person share their shape, which is fitted to several of them.
"""

import functools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mpkit.actions import ACTIONS, with_gaze
from mpkit.faces.face import Face, same_shot
from mpkit.faces.face_model import (
    FITTED,
    FITTED_ACTIONS,
    Equations,
    fitted_points,
    load_face_model,
    pose_columns,
)

BLINKS = [FITTED.index("eyeBlinkRight"), FITTED.index("eyeBlinkLeft")]  # of the eye on the picture's left, the other
IRIS_WEIGHT = 20.0  # of an iris, which is the mean of five landmarks
HIDDEN_IRIS = 0.6  # eyeBlink from which an iris is not seen; what the tracker says of it then is a guess
LASSO = 1.0  # slope of an action's prior at 0, per whole action: it makes small ones 0
STEP_SPREAD = 0.25  # standard deviation of an action's change from frame to frame
MAX_SHAPE_WEIGHT = 6.0  # faces that any number of a person's faces count as for their shape: their errors are alike
SHAPE_FACES = 16  # of a clip or a stream, to which the shape of its person is fitted
MAX_COORDINATE = 3.0  # canonical units; landmarks farther from the head's centre are no face, and have no actions
MIN_PRECISION = 1e-3  # of the correction of the pose


@functools.lru_cache(maxsize=2)
def _equations(own_shape: bool) -> Equations:
    """The equations of a fit: actions, shape where `own_shape`, errors, pose."""
    model = load_face_model()
    shapes = model.shapes if own_shape else model.shapes[:0]
    return Equations(model, np.concatenate([model.offsets, shapes, model.errors, pose_columns(model.mean)]))


def nonnegative_minimum(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The x >= 0 with the least x @ matrix @ x / 2 - vector @ x, for a positive definite matrix (N, N)."""
    free = vector > 0
    for _ in range(3 * len(vector)):
        x = np.zeros_like(vector)
        x[free] = np.linalg.solve(matrix[np.ix_(free, free)], vector[free])
        if (x < 0).any():
            free &= x >= 0
            continue
        missing = np.where(free, 0, vector - matrix @ x)
        if missing.max() <= 1e-3:
            break
        free |= missing > max(1e-3, 0.3 * missing.max())
    return x.clip(0)


class ActionFitter:
    """Fits the actions of one person's faces; the frames of a clip in order.

    shape: the person's (K,), see `shape_of`; None: every face is fitted with a shape of its own.
    smooth: whether an action is drawn towards that of the frame before in the same shot, where its landmarks say little
    about it. It is not late: what landmarks show counts at once."""

    def __init__(self, shape: np.ndarray | None = None, smooth: bool = False):
        self.model, self.shape, self.smooth = load_face_model(), shape, smooth
        self.last: tuple[Face, np.ndarray] | None = None  # the last plausible face, and its actions (A,)
        self.equations = _equations(shape is None)
        self.precision = np.ones(len(self.equations.columns))
        self.precision[: len(FITTED)] = 1 / self.model.spread**2
        self.precision[-7:] = MIN_PRECISION

    def __call__(self, face: Face) -> Face:
        """The face with fitted actions and gaze; as it is, if its tracker gives no coefficients to fit with."""
        if face.coefficients is None:
            return face
        numbers = _numbers(self.fit(face))
        return replace(face, actions=numbers[: len(ACTIONS)], gaze=numbers[len(ACTIONS) :])

    def fit(self, face: Face) -> np.ndarray:
        """The actions (A,) of FITTED of a face. Where it closes an eye, the fit is repeated: its iris then weighs less,
        and nothing from HIDDEN_IRIS on. Landmarks that are no face have no action."""
        points = fitted_points(face)
        if not is_plausible(points):
            return np.zeros(len(FITTED))
        actions = self._actions(face, points, np.zeros(2))
        if actions[BLINKS].max() > 0.1:
            actions = self._actions(face, points, actions[BLINKS])
        self.last = face, actions
        return actions

    def _actions(self, face: Face, points: np.ndarray, closed: np.ndarray) -> np.ndarray:
        """The actions (A,) for eyes that are `closed` (2,)."""
        matrix, vector = self.system(face, points, closed)
        return nonnegative_minimum(*without(matrix, vector, np.arange(len(FITTED), len(vector))))

    def system(self, face: Face, points: np.ndarray, closed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (N, N) and vector (N,) of the posterior. points: see `fitted_points`; closed: eyeBlink (2,)."""
        centre, count = self.model.mean, len(FITTED)
        if self.shape is not None:
            centre = centre + np.tensordot(self.shape, self.model.shapes, 1)
        open_irises = IRIS_WEIGHT * (1 - closed / HIDDEN_IRIS).clip(0, 1)
        matrix, vector = self.equations.of(points - centre, face.rotation[2], open_irises)
        precision, hints = self.precision.copy(), np.zeros(count)
        hints[: len(FITTED_ACTIONS)] = face.coefficients[_FITTED_INDICES]
        vector[:count] += self.model.hint * hints / self.model.spread**2 - LASSO
        if self.smooth and self.last and same_shot(face, self.last[0]):
            vector[:count] += self.last[1] / STEP_SPREAD**2
            precision[:count] += 1 / STEP_SPREAD**2
        return matrix + np.diag(precision), vector


def is_plausible(points: np.ndarray) -> bool:
    """Whether points (P, 3) can be those of a face; they are not if any is NaN."""
    return bool((np.abs(points) < MAX_COORDINATE).all())


def without(matrix: np.ndarray, vector: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The system of all unknowns but `others`, which take their best values."""
    kept = np.setdiff1d(np.arange(len(vector)), others)
    cross = matrix[np.ix_(others, kept)]
    solved = np.linalg.solve(matrix[np.ix_(others, others)], np.column_stack([cross, vector[others]]))
    return matrix[np.ix_(kept, kept)] - cross.T @ solved[:, :-1], vector[kept] - cross.T @ solved[:, -1]


def shape_of(faces: Iterable[Face]) -> np.ndarray | None:
    """The shape (K,) that faces of one person share. Their actions must have been fitted; each with a shape of its own
    is enough. None where there is no face to fit it to, or where a tracker gives no coefficients."""
    fitter, systems = ActionFitter(), []
    size = len(fitter.model.shapes)
    for face in faces:
        if face.coefficients is None:
            return None
        if is_plausible(points := fitted_points(face)):
            matrix, vector = fitter.system(face, points, face.actions[_BLINK_INDICES])
            others = np.delete(np.arange(len(vector)), np.s_[len(FITTED) : len(FITTED) + size])
            systems.append(without(matrix, vector, others))
    if not systems:
        return None
    matrix, vector = (np.sum(part, 0) for part in zip(*systems))
    matrix -= len(systems) * np.eye(size)  # the prior, which counts once
    share = min(1.0, MAX_SHAPE_WEIGHT / len(systems))
    return np.linalg.solve(share * matrix + np.eye(size), share * vector)


_FITTED_INDICES = np.array([ACTIONS.index(name) for name in FITTED_ACTIONS])
_BLINK_INDICES = [ACTIONS.index(FITTED[index]) for index in BLINKS]


def _numbers(actions: np.ndarray) -> np.ndarray:
    """The 54 numbers of fitted actions (A,)."""
    full = np.zeros(len(ACTIONS), np.float32)
    full[_FITTED_INDICES] = actions[: len(FITTED_ACTIONS)].clip(0, 1)
    right, left, down, up = actions[len(FITTED_ACTIONS) :]
    gaze = np.float32([right - left, down - up]).clip(-1, 1)
    return np.concatenate([with_gaze(full, gaze), gaze])
