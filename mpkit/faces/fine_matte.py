"""The fine matte of a still that is animated: single hairs, and the background as it shines through them.

The segmenter decides on 256 pixels, once for a whole picture. A still is prepared once, so that there is time to look
closer along the edge of its matte, by closed-form matting.
"""

import cv2
import numpy as np

from mpkit.faces.closed_form import closed_form_alpha
from mpkit.faces.matte import guided_filter, push_pull, reduced_size

WORKING_SIDE = 640  # pixels along a side of a segmented view, about 500 in its head crop, at which alpha is found
COARSE_SIDE = 400  # pixels; a larger picture is first solved at half its size
CERTAIN = 0.05  # a coarse alpha nearer to 0 or 1 than this is certain, unless an edge is near
OUTSIDE, INSIDE = 0.045, 0.025  # longer sides of the picture: how far beyond and within its edge a matte is uncertain
TRUST = 0.04  # in an uncertain alpha of 0 or 1, see `closed_form_alpha`; less in one between them
MATTING_EPSILON, GUIDE_EPSILON = 1e-5 / 9, 1e-5  # variance of colours below which a window shows no edge
STEPS = 200  # of the solver, at most
FOG = 0.04  # alpha up to this becomes 0, from 1 minus this on 1
SHARPNESS = 16  # exponent with which alpha weighs a pixel among a person's colours, and 1 - alpha among the others
TINTED = 0.006  # longer sides of the picture: width of the border where a person's edge was sharpened or smeared
FILL_BLUR = 0.01  # longer sides of the picture: standard deviation by which the filled background is smoothed


def refined(image: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """The matte (H, W) float32 in [0, 1] of an RGB picture (H, W, 3) uint8, looked for along the edge of a `coarse` one
    (H, W). Elsewhere, at the borders of the picture, and if the solver fails, it is the coarse one."""
    height, width = coarse.shape
    size = reduced_size(width, height, WORKING_SIDE)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    alpha = cv2.resize(coarse, size, interpolation=cv2.INTER_AREA).clip(0, 1)
    unknown = _uncertain(alpha)
    solved = _solved(small, alpha, unknown)
    if size != (width, height):
        solved = guided_filter(image, solved, max(size), 1, GUIDE_EPSILON)
    solved = ((solved - FOG) / (1 - 2 * FOG)).clip(0, 1)
    unknown[[0, -1]], unknown[:, [0, -1]] = False, False
    alpha = coarse + cv2.resize(unknown.astype(np.float32), (width, height)) * (solved - coarse)
    return alpha if np.isfinite(alpha).all() else coarse


def fill_behind(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) uint8 without the person of a fine matte (H, W) in [0, 1]; (H, W, 3) uint8.

    Behind what is opaque, the colours around are continued. Where background shines through, it is what is left of the
    picture without the person, whose colour is that of opaque pixels near by."""
    height, width = alpha.shape
    size = reduced_size(width, height, WORKING_SIDE)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    tinted = cv2.GaussianBlur(cv2.dilate(low, _disc(TINTED * max(size))), None, TINTED * max(size) / 2)
    front, back = push_pull(small, low**SHARPNESS), push_pull(small, (1 - tinted) ** SHARPNESS)
    back += tinted[..., None] * (cv2.GaussianBlur(back, None, FILL_BLUR * max(size)) - back)
    front, back, tinted = (cv2.resize(part, (width, height)) for part in (front, back, tinted))
    alpha, tinted = alpha[..., None], tinted[..., None].clip(0, 1)
    unexplained = image - alpha * front - (1 - alpha) * back
    # The part of it that the background explains if both layers change by as little as possible; less and less of that,
    # the less the background shows.
    back += (1 - alpha) * (1 - tinted) ** 2 / (alpha**2 + (1 - alpha) ** 2) * unexplained
    return back.round().clip(0, 255).astype(np.uint8)


def _uncertain(alpha: np.ndarray) -> np.ndarray:
    """(H, W) bool: the pixels of a coarse matte (H, W) that may be wrong, in its edge and near it."""
    person, near = ((alpha > limit).astype(np.uint8) for limit in (1 - CERTAIN, CERTAIN))
    inside = cv2.erode(person, _disc(INSIDE * max(alpha.shape)), borderType=cv2.BORDER_REPLICATE)
    return (inside == 0) & (cv2.dilate(near, _disc(OUTSIDE * max(alpha.shape))) > 0)


def _disc(radius: float) -> np.ndarray:
    """A disc of a radius in pixels, as a kernel of a dilation."""
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(1, round(radius)) + 1,) * 2)


def _solved(image: np.ndarray, alpha: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """`alpha` (H, W) solved at the `unknown` pixels (H, W) bool of an image (H, W, 3); image and alphas are float32 in
    [0, 1]. A large picture is first solved at half its size, and then only where that has decided nothing."""
    height, width = alpha.shape
    if max(height, width) > COARSE_SIDE and min(height, width) > 1:
        parts = image, alpha, unknown.astype(np.float32)
        parts = [cv2.resize(part, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for part in parts]
        found = cv2.resize(_solved(*parts[:2], parts[2] > 0), (width, height))
        alpha = np.where(unknown, found, alpha)
        undecided = (np.abs(found - 0.5) < 0.5 - FOG).astype(np.uint8)
        unknown = unknown & (cv2.dilate(undecided, _disc(1)) > 0)
    return closed_form_alpha(image, alpha, unknown, TRUST * np.abs(2 * alpha - 1), MATTING_EPSILON, STEPS)
