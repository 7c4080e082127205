"""Shoulders (ours): where a head pose predicts them, and their offset from there in a clip.

A head pose does not determine where the shoulders are: a bow leaves them in place, a sway of the body moves them along.
On average they move by a fixed share of the head's motion (`expected_shift`, fitted to real clips). Synthetic heads
move that way, so W learns it. In a clip the shoulders are visible: `ShoulderTracker` registers the strip below the chin
to the first frame (ECC, Evangelidis and Psarakis 2008) and keeps the difference to the prediction, which
`animation/shoulder_shift.py` then applies to the portrait.
"""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from mpkit.faces.canonical import CHIN
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face, same_shot

NECK_BASE = np.float32((0.0, 0.62, 0.25))  # canonical point; a head that turns moves it
FOLLOW_SHIFT = np.float32((0.73, 0.27, 0.0))  # share in x, y, z of the head's shift by which shoulders move
FOLLOW_TURN = np.float32((0.52, 0.11, 0.0))  # share of the shift of NECK_BASE, where the head turns
SHOULDER_CENTRE = np.float32((0.0, 0.8, 0.0))  # canonical point between the shoulders

VIEW_SIDE = 96  # pixels of the view in which shoulders are registered
VIEW_MARGIN = 1.2  # its side in sides of the first frame's head crop
# The strip of the view that counts as shoulders, in canonical units. It reaches down to the border of picture or view.
STRIP_HALF_WIDTH = 0.75  # to the left and right of the head's centre
STRIP_HEIGHT = 0.4  # its top is chosen for this height,
STRIP_TOP_RANGE = (0.05, 0.15)  # but within this range below the chin
MIN_STRIP_SIDE = 3  # pixels of the view; a smaller strip is not registered
MIN_CORRELATION = 0.9  # of a strip with the view at the place that is found
MAX_SHOULDER_OFFSET = 0.14  # in x and in y, canonical units; a portrait's neck can be stretched by that much
ECC_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-3)  # iterations, gain in correlation
ECC_BLUR = 3  # pixels, side of the Gaussian kernel


def expected_shift(rotation: np.ndarray, shift: np.ndarray, scale: float) -> np.ndarray:
    """By how much a head pose moves the shoulders, (3,): R (3, 3), t (3,) and s of the pose, in any coordinates.

    The scaling of the shoulders about the origin comes on top of it."""
    return scale * FOLLOW_TURN * (rotation @ NECK_BASE - NECK_BASE) + FOLLOW_SHIFT * shift


class _Strip(NamedTuple):
    """The shoulders in the view of one frame."""

    pixels: np.ndarray  # (h, w) uint8; (0, 0) where the picture does not show them
    corner: np.ndarray  # (2,) x, y of its upper left pixel in the view
    shift: np.ndarray  # (2,) x, y from the shoulders of the first frame to these, pixels of the picture


class ShoulderTracker:
    """Measures the offset of the shoulders from their prediction. Call it for every frame of a clip, in order."""

    def __init__(self):
        self._last_face: Face | None = None

    def __call__(self, picture: np.ndarray, face: Face) -> Face:
        """The face of a frame (H, W, 3) uint8, with `shoulders` relative to those of the first frame, which are (0, 0).

        Where shoulders cannot be registered, the offset of the last frame is kept. A face that is elsewhere, or
        of another size, than in the last frame is of another shot: its frame is a first frame again."""
        predicted = self._predicted(face)
        if self._last_face is None or not same_shot(face, self._last_face):
            self._start(face, predicted)
        self._last_face = face
        predicted = predicted - self._first_predicted
        view = cv2.GaussianBlur(cv2.cvtColor(cut(picture, self._crop, VIEW_SIDE), cv2.COLOR_RGB2GRAY), None, 1.0)
        shift = self._register(view)
        if shift is None:  # the shoulders differ too much from the reference; less so from the last frame's
            self._reference, self._moved = self._last_strip, np.zeros(2)
            shift = self._register(view)
        if shift is not None:
            limit = MAX_SHOULDER_OFFSET * face.radius
            self._offset = (shift - predicted).clip(-limit, limit)
        self._last_strip = self._cut_strip(view, picture, face, predicted + self._offset)
        self._reference = self._reference or self._last_strip
        return replace(face, shoulders=tuple(self._offset.tolist()))

    def _start(self, face: Face, predicted: np.ndarray) -> None:
        self._crop = Crop.of(face, VIEW_MARGIN)  # the view, the same in all frames
        self._first_predicted = predicted
        self._offset = np.zeros(2)
        self._reference: _Strip | None = None  # the strip with which the next view is compared
        self._last_strip: _Strip | None = None
        self._moved = np.zeros(2)  # from the reference to the last frame, pixels of the view: where the search begins

    def _predicted(self, face: Face) -> np.ndarray:
        """x, y of the shoulders as the head pose predicts them, pixels of the picture."""
        shift = np.float32((*face.centre, 0))
        return (expected_shift(face.rotation, shift, face.radius) + face.radius * SHOULDER_CENTRE)[:2]

    def _cut_strip(self, view: np.ndarray, picture: np.ndarray, face: Face, shift: np.ndarray) -> _Strip:
        """The strip of a view below the chin and inside the picture, with the shift of its shoulders."""
        height, width = picture.shape[:2]
        centres = (np.arange(VIEW_SIDE) * 2 + 1) / VIEW_SIDE - 1
        x, y = self._crop.to_picture(np.stack([centres, centres], -1)).T
        chin = face.centre[1] + face.radius * (face.rotation @ CHIN)[1]
        bottom = min(height, y[-1])
        top = np.clip(bottom - STRIP_HEIGHT * face.radius, *(chin + face.radius * np.float32(STRIP_TOP_RANGE)))
        rows = np.flatnonzero((y > top) & (y < bottom))
        columns = np.flatnonzero((np.abs(x - face.centre[0]) < STRIP_HALF_WIDTH * face.radius) & (x > 0) & (x < width))
        if min(len(rows), len(columns)) < MIN_STRIP_SIDE:
            return _Strip(np.zeros((0, 0), np.uint8), np.zeros(2), shift)
        pixels = view[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return _Strip(np.ascontiguousarray(pixels), np.float32((columns[0], rows[0])), shift)

    def _register(self, view: np.ndarray) -> np.ndarray | None:
        """x, y from the shoulders of the first frame to those in a view (VIEW_SIDE, VIEW_SIDE) uint8, in pixels of the
        picture; None if they are not found."""
        if self._reference is None or not self._reference.pixels.size:
            return None
        pixels, corner, shift = self._reference
        guess = np.float32(np.c_[np.eye(2), corner + self._moved])
        try:
            correlation, found = cv2.findTransformECC(
                pixels, view, guess, cv2.MOTION_TRANSLATION, ECC_CRITERIA, None, ECC_BLUR
            )
        except cv2.error:  # it did not converge
            return None
        if not correlation >= MIN_CORRELATION:  # also where it is NaN
            return None
        self._moved = found[:, 2] - corner
        return shift + self._moved * (2 * self._crop.radius / VIEW_SIDE)
