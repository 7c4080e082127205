"""Closed-form matting (Levin et al. 2008): the alpha of the pixels that a coarse matte leaves open.

In every window of 3 x 3 pixels alpha is taken for an affine function of the colour. How much it deviates from that is a
quadratic form, the matting Laplacian; its least value is found by conjugate gradients.
"""

import numpy as np

WINDOW = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]  # offsets of the pixels of a window from its centre
REACH = 5  # pixels along a side of the square whose pixels share a window with the one in its centre
CENTRE = REACH * REACH // 2  # index of that one
TOLERANCE = 1e-3  # of the target's norm: a residual that is small enough


def closed_form_alpha(
    image: np.ndarray, alpha: np.ndarray, unknown: np.ndarray, trust: np.ndarray, epsilon: float, steps: int
) -> np.ndarray:
    """`alpha` (H, W) with its `unknown` pixels (H, W) bool replaced by what the colours of `image` (H, W, 3) say. Image
    and alphas are float32 in [0, 1].

    trust (H, W): how firmly an unknown pixel holds on to its alpha, from 0 on; all its neighbours together weigh 5
    where colours vary, 8 where they do not. epsilon: variance of colours below which a window shows no edge. The
    solver takes at most so many `steps`; where it has come by then counts. Pixels at the border of the picture stay as
    they are."""
    unknown = unknown.copy()
    unknown[[0, -1]], unknown[:, [0, -1]] = False, False
    rows = np.flatnonzero(unknown)
    if not len(rows):
        return alpha
    couplings = _laplacian_rows(image, unknown, rows, epsilon)
    neighbours = (rows[:, None] + _offsets(alpha.shape[1])).clip(0, alpha.size - 1)  # beyond, nothing is coupled
    known = np.where(unknown, 0, alpha).ravel()[neighbours]
    start, held = alpha.ravel()[rows], trust.ravel()[rows]
    target = held * start - np.einsum("ij,ij->i", couplings, known)
    couplings[:, CENTRE] += held
    places = np.full(alpha.size, len(rows))  # a known pixel counts as one more unknown, which is 0
    places[rows] = np.arange(len(rows))
    result = alpha.copy()
    result[unknown] = _conjugate_gradients(couplings, places[neighbours], target, start, steps).clip(0, 1)
    return result


def _offsets(width: int) -> np.ndarray:
    """(REACH ** 2,) from a pixel of a flat picture to those that share a window with it, in the order of their rows."""
    steps = np.arange(REACH) - REACH // 2
    return (steps[:, None] * width + steps).ravel()


def _laplacian_rows(image: np.ndarray, unknown: np.ndarray, rows: np.ndarray, epsilon: float) -> np.ndarray:
    """Rows (len(rows), REACH ** 2) float32 of the matting Laplacian of an image (H, W, 3); its columns are the pixels
    at `_offsets`. rows: the flat indices of the pixels that are `unknown` (H, W)."""
    height, width = unknown.shape
    inner = np.zeros_like(unknown)
    for y, x in WINDOW:
        inner[1:-1, 1:-1] |= unknown[1 + y : height - 1 + y, 1 + x : width - 1 + x]
    centres = np.flatnonzero(inner)
    members = np.array([centres + y * width + x for y, x in WINDOW])  # (9, windows)
    colours = np.moveaxis(image.reshape(-1, 3)[members], 2, 1)  # (9, 3, windows)
    colours = np.ascontiguousarray(colours - colours.mean(0), np.float32)
    covariance = np.einsum("icw,idw->wcd", colours, colours, dtype=np.float64)
    inverse = np.linalg.inv(covariance / len(WINDOW) + epsilon * np.eye(3))
    decorrelated = np.einsum("wcd,icw->idw", inverse, colours, dtype=np.float32, casting="same_kind")
    places = np.full(unknown.size, len(rows))  # known pixels have one row in common, which is dropped
    places[rows] = np.arange(len(rows))
    places = places[members]
    couplings = np.zeros((REACH * REACH, len(rows) + 1), np.float32)
    for i, (y, x) in enumerate(WINDOW):
        for j, (other_y, other_x) in enumerate(WINDOW):
            column = (other_y - y + REACH // 2) * REACH + other_x - x + REACH // 2
            share = float(i == j) - (1 + (colours[i] * decorrelated[j]).sum(0)) / len(WINDOW)
            couplings[column, places[i]] += share  # no two windows have the same pixel as their i-th
    return np.ascontiguousarray(couplings[:, :-1].T)


def _conjugate_gradients(
    couplings: np.ndarray, places: np.ndarray, target: np.ndarray, start: np.ndarray, steps: int
) -> np.ndarray:
    """x (N,) with A x = `target`, from `start` on, by conjugate gradients that the diagonal of A scales; float32.

    A: `couplings` (N, 25) with the unknowns at `places` (N, 25), where N stands for a 0. It ends after `steps` or where
    the residual is small enough."""

    def applied(x):
        return np.einsum("ij,ij->i", couplings, np.append(x, np.float32(0))[places])

    scale = 1 / np.maximum(couplings[:, CENTRE], 1e-6)
    x, residual = start, target - applied(start)
    direction = scaled = scale * residual
    size, small_enough = _dot(residual, scaled), TOLERANCE**2 * _dot(target, scale * target)
    for _ in range(steps):
        change = applied(direction)
        curvature = _dot(direction, change)
        if size <= small_enough or curvature <= 0:
            break
        step = size / curvature
        x, residual = x + step * direction, residual - step * change
        scaled = scale * residual
        last, size = size, _dot(residual, scaled)
        direction = scaled + size / last * direction
    return x


def _dot(a: np.ndarray, b: np.ndarray) -> np.float32:
    """The scalar product of two vectors, the same on any number of cores."""
    return np.einsum("i,i", a, b)
