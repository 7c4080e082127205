"""Shoulders: how far a driver's are from where its head tells.

A head's pose does not tell where the shoulders are: one bows and they stay, one rocks and they come along. On average
they follow a head part of its way (`expected_shift`, fitted to real clips); that is what synthetic heads do and what W learns.
In a clip they can be SEEN: `Shoulders` registers what lies below the chin on the first frame (ECC, Evangelidis and
Psarakis 2008) and keeps what the head did not tell. `networks.render.move_shoulders` moves a portrait's by it.
"""

from dataclasses import replace

import cv2
import numpy as np

from mpkit.faces.canonical import CHIN
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face, distance

# Of a head's shift, and of where its turn takes the base of the neck, shoulders follow so much in x, y and z.
NECK_BASE = np.float32((0.0, 0.62, 0.25))
FOLLOW_SHIFT = np.float32((0.73, 0.27, 0.0))
FOLLOW_TURN = np.float32((0.52, 0.11, 0.0))

LEVEL = np.float32((0.0, 0.8, 0.0))  # of shoulders, canonical

SIDE = 96  # pixels of the view in which shoulders are watched
REACH = 1.2  # its half side, in head crops
WIDTH = 0.75  # what is watched: so far to either side of the head,
TOP = (0.05, 0.15)  # from so far below the chin; the more, the more of the person is in the picture,
HEIGHT = 0.4  # which is to leave so much of it
SURE = 0.9  # correlation with the frame it is compared with; below, shoulders are out of sight
SMALLEST = 3  # pixels of the view, in either direction
FARTHEST = 0.14  # from where the head tells, in x and in y, head crops; the necks of portraits stretch no further
STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-3)


def expected_shift(rotation: np.ndarray, shift: np.ndarray, scale: float) -> np.ndarray:
    """Where a head's pose takes the shoulders, (3,) in its coordinates: what moves them beside their scale."""
    return scale * FOLLOW_TURN * (rotation @ NECK_BASE - NECK_BASE) + FOLLOW_SHIFT * shift


class Shoulders:
    """Watches the shoulders of one person through the frames of a clip."""

    def __init__(self):
        self._face = None  # of the last frame
        self._crop = None  # of all frames
        self._anchor = None  # with what the next frame is compared: shoulders, where they are in the view, and `before`
        self._last = None  # the same of the last frame
        self._start = np.zeros(2)  # how far the last frame was from the anchor, pixels of the view
        self._first = self._rest = np.zeros(2)

    def __call__(self, picture: np.ndarray, face: Face) -> Face:
        """The face of a frame (H, W, 3) uint8 with its `shoulders`, the first frame's being where they are told. Where
        they cannot be seen the last answer holds; a face that is elsewhere all at once begins anew."""
        if self._face and distance(face, self._face) > self._face.radius:
            self.__init__()
        self._face, told = face, self._told(face)
        if self._crop is None:
            self._crop, self._first = Crop.of(face, REACH), told
        view = cv2.GaussianBlur(cv2.cvtColor(cut(picture, self._crop, SIDE), cv2.COLOR_RGB2GRAY), None, 1.0)
        seen = self._seen(view)
        if seen is None:  # much has changed since the anchor: less since the last frame
            self._anchor, self._start = self._last, np.zeros(2)
            seen = self._seen(view)
        told = told - self._first
        if seen is not None:
            farthest = FARTHEST * face.radius
            self._rest = (seen - told).clip(-farthest, farthest)
        self._last = self._shown(view, picture, face, told + self._rest)
        self._anchor = self._anchor or self._last
        return replace(face, shoulders=tuple(self._rest.tolist()))

    def _told(self, face: Face) -> np.ndarray:
        """Where the head tells the shoulders to be, pixels."""
        shift = np.float32((*face.centre, 0))
        return (expected_shift(face.rotation, shift, face.radius) + face.radius * LEVEL)[:2]

    def _shown(self, view: np.ndarray, picture: np.ndarray, face: Face, before: np.ndarray) -> tuple:
        """The part of a view that shows shoulders (below the chin, inside the picture), its corner (x, y) in the view,
        and how far these shoulders are from the first frame's, pixels of the picture."""
        height, width = picture.shape[:2]
        centres = (np.arange(SIDE) * 2 + 1) / SIDE - 1
        x, y = self._crop.to_picture(np.stack([centres, centres], -1)).T
        chin = face.centre[1] + face.radius * (face.rotation @ CHIN)[1]
        bottom = min(height, y[-1])
        top = np.clip(bottom - HEIGHT * face.radius, *(chin + face.radius * np.float32(TOP)))
        rows = np.flatnonzero((y > top) & (y < bottom))
        columns = np.flatnonzero((np.abs(x - face.centre[0]) < WIDTH * face.radius) & (x > 0) & (x < width))
        if min(len(rows), len(columns)) < SMALLEST:
            return np.zeros((0, 0), np.uint8), np.zeros(2), before
        part = view[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return np.ascontiguousarray(part), np.float32((columns[0], rows[0])), before

    def _seen(self, view: np.ndarray) -> np.ndarray | None:
        """How far the shoulders are from where the first frame has them, pixels of the picture; None: out of sight."""
        shoulders, corner, before = self._anchor or (np.zeros((0, 0)), None, None)
        if not shoulders.size:
            return None
        guess = np.float32(np.c_[np.eye(2), corner + self._start])
        try:
            sure, found = cv2.findTransformECC(shoulders, view, guess, cv2.MOTION_TRANSLATION, STEPS, None, 3)
        except cv2.error:  # it did not converge
            return None
        if not sure >= SURE:
            return None
        self._start = found[:, 2] - corner
        return before + self._start * (2 * self._crop.radius / SIDE)
