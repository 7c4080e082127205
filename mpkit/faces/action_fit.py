"""Facial actions and gaze by the fit of the linear face model to the landmarks of tracked faces (ours).

The fit is the most probable one under Gaussian errors and priors, with actions >= 0: one linear system a face, its
bounds by an active set. In the prior, both sides of an action are nearly equal: few expressions are lopsided, while
errors of landmarks are. Faces of one person share their shape, which is fitted to several of them. With a known shape
the gaze is divided by its mean response to the true one. Actions are not: several of them move the same lips, and each,
divided, would move them too far together.

A whole blink closes the person's own lids, whether they are wide or narrow: its offsets are scaled by the gap of the
shape's lids. Closed eyes do not show where they look: sideways their gaze is that of the frame before, and not up or
down, because closing lids look like those of eyes that turn down.
"""

import functools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mpkit.actions import ACTIONS, with_gaze
from mpkit.faces.face import Face, same_shot
from mpkit.faces.face_model import (
    BLINKS,
    FITTED,
    FITTED_ACTIONS,
    Equations,
    FaceModel,
    fitted_points,
    lid_gaps,
    load_face_model,
    pose_columns,
)

SIDES = [  # an action of the left side of the face, the same of the right side; mouthLeft is a direction
    (FITTED.index(name), FITTED.index(name.replace("Left", "Right")))
    for name in FITTED
    if name.endswith("Left") and name not in ("jawLeft", "mouthLeft")
]
SIDES_ALIKE = 0.9  # correlation of both sides of an action; median of the tracker's coefficients in 11 clips: 0.92
GAZE = np.s_[len(FITTED_ACTIONS) :]
SIDEWAYS = [FITTED.index("right"), FITTED.index("left")]
HIDDEN_IRIS = 0.6  # eyeBlink from which an iris is not seen; what the tracker says of it then is a guess
MIN_SEEN = 0.05  # share of the prior's standard deviation that a gaze keeps when no iris is seen
CLOSING_RANGE = 0.5, 2.0  # of how far lids move to close, as a ratio to those of the mean face
LASSO = 1.0  # slope of an action's prior at 0, per whole action of both sides: it makes small ones 0
STEP_SPREAD = 0.25  # standard deviation of an action's change from frame to frame
MAX_SHAPE_WEIGHT = 6.0  # faces that any number of a person's faces count as for their shape: their errors are alike
SHAPE_FACES = 16  # of a clip or a stream, to which the shape of its person is fitted
MAX_COORDINATE = 3.0  # canonical units; landmarks farther from the head's centre are no face, and have no actions
MIN_PRECISION = 1e-3  # of the correction of the pose


def equations_of(model: FaceModel, own_shape: bool) -> Equations:
    """The equations of a fit: actions, shape where `own_shape`, errors, pose."""
    shapes = model.shapes if own_shape else model.shapes[:0]
    return Equations(model, np.concatenate([model.offsets, shapes, model.errors, pose_columns(model.mean)]))


@functools.lru_cache(maxsize=2)
def _bundled_equations(own_shape: bool) -> Equations:
    """Those of the bundled model."""
    return equations_of(load_face_model(), own_shape)


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
    about it. It is not late: what landmarks show counts at once.
    equations: with a shape if `shape` is None, else without; those of the bundled model if None."""

    def __init__(self, shape: np.ndarray | None = None, smooth: bool = False, equations: Equations | None = None):
        self.equations = equations or _bundled_equations(shape is None)
        self.model, self.shape, self.smooth = self.equations.model, shape, smooth
        self.last: tuple[Face, np.ndarray] | None = None  # the last plausible face, and its most probable actions (A,)
        self.response = np.ones(len(FITTED)) if shape is None else self.model.response
        self.closing = np.ones(2) if shape is None else closing_of(self.model, shape)
        self.precision = np.eye(len(self.equations.columns))
        self.precision[: len(FITTED), : len(FITTED)] = prior_precision(self.model.spread)
        self.precision[-7:] *= MIN_PRECISION

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
        matrix, vector = self.system(face, points, np.zeros(2), self.closing)
        actions = _most_probable(matrix, vector)
        closed = actions[BLINKS]
        if closed.max() > 0.1:
            closing = self.closing if self.shape is not None else self._own_closing(matrix, vector, actions)
            actions = _most_probable(*self.system(face, points, closed, closing))
        self.last = face, actions
        return actions / self.response

    def _own_closing(self, matrix: np.ndarray, vector: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """`closing_of` the shape that is the most probable one with these actions."""
        count = len(FITTED)
        others = np.linalg.solve(matrix[count:, count:], vector[count:] - matrix[count:, :count] @ actions)
        return closing_of(self.model, others[: len(self.model.shapes)])

    def system(
        self, face: Face, points: np.ndarray, closed: np.ndarray, closing: np.ndarray = np.ones(2)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (N, N) and vector (N,) of the posterior. points: see `fitted_points`; closed: eyeBlink (2,); closing:
        see `closing_of`."""
        centre, count = self.model.mean, len(FITTED)
        if self.shape is not None:
            centre = centre + np.tensordot(self.shape, self.model.shapes, 1)
        seen = (1 - closed / HIDDEN_IRIS).clip(0, 1)
        matrix, vector = self.equations.of(points - centre, face.rotation[2], self.model.weights[-2:] * seen)
        for blink, ratio in zip(BLINKS, closing):
            matrix[blink] *= ratio
            matrix[:, blink] *= ratio
            vector[blink] *= ratio
        hints = np.zeros(count)
        hints[: len(FITTED_ACTIONS)] = face.coefficients[_FITTED_INDICES]
        matrix = matrix + self.precision
        vector[:count] += self.precision[:count, :count] @ (self.model.hint * hints) - _LASSOS
        pull = np.zeros(count)  # precision: of a hidden gaze, and of the frame before
        pull[GAZE] = (1 / max(seen.mean(), MIN_SEEN) ** 2 - 1) / self.model.spread[GAZE] ** 2
        if self.smooth and self.last and same_shot(face, self.last[0]):
            vector[SIDEWAYS] += pull[SIDEWAYS] * self.last[1][SIDEWAYS]
            vector[:count] += self.last[1] / STEP_SPREAD**2
            pull += 1 / STEP_SPREAD**2
        matrix[range(count), range(count)] += pull
        return matrix, vector


def closing_of(model: FaceModel, shape: np.ndarray) -> np.ndarray:
    """How far the lids of a person of that shape (K,) move to close, as a ratio to those of the mean face, (2,)."""
    gap, closed = lid_gaps(model.mean), lid_gaps(model.mean + model.offsets[BLINKS].sum(0))
    own = gap + shape @ lid_gaps(model.shapes)
    return ((own - closed) / (gap - closed)).clip(*CLOSING_RANGE)


def _most_probable(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """The actions (A,) of the system of all unknowns."""
    return nonnegative_minimum(*without(matrix, vector, np.arange(len(FITTED), len(vector))))


def prior_precision(spread: np.ndarray) -> np.ndarray:
    """The precision (A, A) of the prior of actions with standard deviations (A,); both sides of one are alike."""
    covariance = np.diag(spread**2)
    for left, right in SIDES:
        covariance[left, right] = covariance[right, left] = SIDES_ALIKE * spread[left] * spread[right]
    return np.linalg.inv(covariance)


def is_plausible(points: np.ndarray) -> bool:
    """Whether points (P, 3) can be those of a face; they are not if any is NaN."""
    return bool((np.abs(points) < MAX_COORDINATE).all())


def without(matrix: np.ndarray, vector: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The system of all unknowns but `others`, which take their best values."""
    kept = np.setdiff1d(np.arange(len(vector)), others)
    cross = matrix[np.ix_(others, kept)]
    solved = np.linalg.solve(matrix[np.ix_(others, others)], np.column_stack([cross, vector[others]]))
    return matrix[np.ix_(kept, kept)] - cross.T @ solved[:, :-1], vector[kept] - cross.T @ solved[:, -1]


def shape_of(faces: Iterable[Face], equations: Equations | None = None) -> np.ndarray | None:
    """The shape (K,) that faces of one person share. Their actions must have been fitted; each with a shape of its own
    is enough. None where there is no face to fit it to, or where a tracker gives no coefficients. equations: with a
    shape; those of the bundled model if None."""
    fitter, systems = ActionFitter(equations=equations), []
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


_LASSOS = np.full(len(FITTED), LASSO)
_LASSOS[np.ravel(SIDES)] /= 2
_FITTED_INDICES = np.array([ACTIONS.index(name) for name in FITTED_ACTIONS])
_BLINK_INDICES = [ACTIONS.index(FITTED[index]) for index in BLINKS]


def _numbers(actions: np.ndarray) -> np.ndarray:
    """The 54 numbers of fitted actions (A,)."""
    full = np.zeros(len(ACTIONS), np.float32)
    full[_FITTED_INDICES] = actions[: len(FITTED_ACTIONS)].clip(0, 1)
    right, left, down, up = actions[GAZE]
    gaze = np.float32([right - left, down - up]).clip(-1, 1)
    return np.concatenate([with_gaze(full, gaze), gaze])
