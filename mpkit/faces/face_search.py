"""The search for all faces of a still: small ones, many, turned ones.

It uses the face detector that is part of MediaPipe's face landmarker. The landmarker runs it once per picture and
hides its scores; here it runs over tiles of several sizes, and its scores tell how a head is turned.
"""

import functools
import math
import os
import zipfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mpkit.faces.canonical import LANDMARKER_FILE
from mpkit.faces.face import Face
from mpkit.faces.region import Region, View, square_view, upright_view
from mpkit.faces.tasks import MediaPipeTask, silent_stderr

DETECTOR_SIDE = 128  # pixels of what the detector's network sees
DETECTOR_BOX = 0.9  # width of the detector's box of a frontal face, in radii of its head crop; mean of 60 paintings
MIN_SCORE = 0.5  # of what may be a face in a tile
MIN_HEAD_SCORE = 0.75  # of a face in its own head crop. In 75 pictures faces have 0.76 to 0.95, other things up to 0.72
FIRST_CALLS = 8  # one of them may write to stderr that its memory is not aligned; later ones do not
QUARTERS = (0, 90, 180, 270)  # degrees by which a picture is turned, clockwise

SEARCH_SHARES = (1.5, 1.0, 0.65, 0.35, 0.2, 0.1)  # sides of the tiles, in shares of the picture's shorter side
TURNED_SHARE = 0.3  # tiles with a smaller share are searched only for heads that lean less than about 60 degrees
MIN_TILE_SIDE = 128  # pixels; smaller ones would show faces of less than about 25 pixels
MAX_TILES = 1000  # of one size; a very long picture is not searched for the smaller faces that would need more


class Candidate(NamedTuple):
    """A face as the detector sees it: centre (2,) and radius of its head crop, and by what quarter it is turned."""

    centre: np.ndarray
    radius: float
    angle: float


class FaceDetector(MediaPipeTask):
    """MediaPipe's face detector. Get it from `face_detector`."""

    def __init__(self):
        with zipfile.ZipFile(LANDMARKER_FILE) as archive:
            model = archive.read("face_detector.tflite")
        super().__init__("FaceDetector", model, min_detection_confidence=MIN_SCORE)
        with silent_stderr():
            for _ in range(FIRST_CALLS):
                self._run(np.zeros((DETECTOR_SIDE, DETECTOR_SIDE, 3), np.uint8))

    def candidates(self, image: np.ndarray, smallest_share: float = 0.0) -> Iterator[Candidate]:
        """The faces in tiles of an RGB picture (H, W, 3) uint8, large ones first; one face may come several times.

        smallest_share: of the picture's shorter side, see SEARCH_SHARES; no tiles are smaller."""
        for share in SEARCH_SHARES:
            if share < smallest_share:
                return
            for tile in tiles(image.shape[1], image.shape[0], share):
                view = upright_view(image, tile, DETECTOR_SIDE)
                for angle in QUARTERS if share > TURNED_SHARE else QUARTERS[:1]:
                    yield from self._candidates_in(view, angle)
                    view = view.quarter_turned()

    def upright(self, image: np.ndarray, face: Face) -> tuple[float, float]:
        """By how many degrees the head of `face` is turned in the picture, and the detector's score for it.

        That is its roll, plus the quarter in which the detector is surest: the landmarker reads a head that is upside
        down as one that is upright, with chin and forehead exchanged."""
        angles = [face.angles[2] + quarter for quarter in QUARTERS]
        views = (square_view(image, face.centre, face.radius, DETECTOR_SIDE, angle) for angle in angles)
        scores = [self._score(view) for view in views]
        best = int(np.argmax(scores))
        return angles[best], scores[best]

    def _candidates_in(self, view: View, angle: float) -> Iterator[Candidate]:
        for found in self._run(view.pixels).detections:
            box = found.bounding_box
            middle = np.array([[box.origin_x + box.width / 2, box.origin_y + box.height / 2, 0]])
            yield Candidate(view.points_in_picture(middle)[0, :2], box.width * view.scale / DETECTOR_BOX, angle)

    def _score(self, view: View) -> float:
        return max((found.categories[0].score for found in self._run(view.pixels).detections), default=0.0)


def face_detector() -> FaceDetector:
    """The face detector of this process. It is never closed: where one was, MediaPipe writes to stderr at the end."""
    return _detector_of(os.getpid())


@functools.cache
def _detector_of(process: int) -> FaceDetector:
    """A process that was forked, as ZeroGPU does, cannot use the detector of its parent."""
    return FaceDetector()


def tiles(width: int, height: int, share: float) -> list[Region]:
    """Squares of `share` of the picture's shorter side, which cover it and overlap by half; the nearest to the middle
    first. None if they were too small, or too many."""
    side = int(min(width, height) * share)
    if side < MIN_TILE_SIDE:
        return []
    counts = [1 + max(0, math.ceil(2 * (size - side) / side)) for size in (width, height)]
    if math.prod(counts) > MAX_TILES:
        return []
    columns, rows = (
        np.linspace(0, size - side, count) if count > 1 else [(size - side) / 2]
        for size, count in zip((width, height), counts, strict=True)
    )
    corners = [(round(float(x)), round(float(y))) for x in columns for y in rows]
    middle = (width - side) / 2, (height - side) / 2
    return [(x, y, x + side, y + side) for x, y in sorted(corners, key=lambda corner: math.dist(corner, middle))]
