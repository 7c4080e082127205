"""The default face tracker: MediaPipe's FaceLandmarker on the CPU."""

import itertools
import math
from collections.abc import Iterator

import cv2
import numpy as np

from mpkit.actions import ACTIONS
from mpkit.faces.canonical import EYE_LANDMARKS, LANDMARKER_FILE, fit_pose
from mpkit.faces.face import Face, bounding_box, followed_face, is_near, nearest_face
from mpkit.faces.tasks import MediaPipeTask

MAX_FACES = 8  # in one picture
# The longer side of what the landmarker gets, in pixels. Shrinking costs no precision: its network sees 256 pixels.
MIN_DETECTION_SIDE, MAX_DETECTION_SIDE = 320, 1280
HEAD_CROP_SIDE = 256  # pixels of a head crop in which a face is read
LARGE_HEAD_SHARE = 0.6  # share of a region's longer side from which on a head crop is not read again: it is as large
SEARCH_REGION_SHARES = (0.65, 0.35)  # of the picture's shorter side: the squares in which small faces are searched
MIN_SEARCH_SIDE = 64  # pixels of such a square
MAX_SEARCH_RATIO = 20  # of the picture's longer side to it; very long pictures would need too many
SEARCH_STEP = 10  # frames: in a clip without a face, small faces are searched in every 10th frame

GAZE_GAIN = (2.5, 4.0)  # x, y: from half widths of the eye to a gaze of about [-1, 1]
GAZE_REST_Y = -0.14  # y of a straight gaze, half widths of the eye: the iris is a little above the line of the corners

Region = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of a picture; it may reach beyond it


class MediaPipeTracker(MediaPipeTask):
    """Finds 478 landmarks and 52 actions of each face, also in paintings. See `Tracker` for the interface.

    A face is found in the picture and then read in its head crop: what the landmarker reads in a whole picture depends
    on how large the face is in it, and can be far off (docs/training-log.md, 9.). A picture without a face is searched
    again, padded and in parts.
    `video`: the frames of one clip, in order. One face is followed from head crop to head crop; only frames without it
    are searched. Raises MpkitError if MediaPipe cannot be imported.
    """

    def __init__(self, video: bool = False):
        super().__init__("FaceLandmarker", LANDMARKER_FILE, num_faces=MAX_FACES, output_face_blendshapes=True)
        self.video = video
        self._last: Face | None = None  # of a clip: the followed face in the last frame that shows it
        self._misses = 0  # of a clip: number of frames without a face since then

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Tracker.detect`. In a clip: the followed face alone, as long as it is found."""
        face = self._read_head_crop(image, self._last) if self.video and self._last else None
        faces = [face] if face else self._search(image)
        if self.video:
            self._misses = 0 if faces else self._misses + 1
            if faces:
                self._last = followed_face(faces, self._last)
        return sorted(faces, key=lambda face: -face.area)

    def _search(self, image: np.ndarray) -> list[Face]:
        """All faces of the first region that shows any: the whole picture, then those of `_search_regions`."""
        height, width = image.shape[:2]
        further = _search_regions(width, height) if self._misses % SEARCH_STEP == 0 else []
        for region in itertools.chain([(0, 0, width, height)], further):
            faces = self._detect_in(image, region)
            if faces:
                large = LARGE_HEAD_SHARE * max(region[2] - region[0], region[3] - region[1])
                return [
                    face if 2 * face.radius > large else self._read_head_crop(image, face) or face for face in faces
                ]
        return []

    def _read_head_crop(self, image: np.ndarray, face: Face) -> Face | None:
        """The face at the place of `face`, read in the head crop of `face`; None if there is none."""
        centre = face.centre.clip(0, np.float32(image.shape[1::-1]))
        x0, y0 = (round(float(coordinate - face.radius)) for coordinate in centre)
        side = max(2, round(2 * face.radius))
        faces = self._detect_in(image, (x0, y0, x0 + side, y0 + side), HEAD_CROP_SIDE)
        nearest = nearest_face(faces, face.centre)
        return nearest if nearest and is_near(nearest, face) else None

    def _detect_in(self, image: np.ndarray, region: Region, side: int | None = None) -> list[Face]:
        """The faces in a region of the picture, its longer side resized to `side` pixels, see `_cut_region`."""
        view, scale = _cut_region(image, region, side)
        result = self._run(view)
        height, width = view.shape[:2]
        faces = []
        for points, shapes in zip(result.face_landmarks, result.face_blendshapes, strict=True):
            landmarks = np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32) / scale
            landmarks += np.float32((region[0], region[1], 0))
            scores = {shape.category_name: shape.score for shape in shapes}
            faces.append(face_from_landmarks(landmarks, np.float32([scores.get(name, 0.0) for name in ACTIONS])))
        return faces


def face_from_landmarks(landmarks: np.ndarray, actions: np.ndarray) -> Face:
    """A Face from MediaPipe's landmarks (478, 3) in pixels and its actions (52,), which are clipped to [0, 1]."""
    rotation, centre, radius = fit_pose(landmarks)
    gaze = gaze_from_landmarks(landmarks, rotation)
    return Face(landmarks, bounding_box(landmarks), actions.clip(0, 1), gaze, rotation, centre[:2], radius)


def gaze_from_landmarks(landmarks: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """`Face.gaze` (2,): the offset of the irises from the middle of the corners of the eyes, mean of both eyes.

    landmarks (478, 3) in pixels; rotation (3, 3) is the head's R, which is taken out of the offset."""
    offsets = []
    for outer, inner, iris in EYE_LANDMARKS:
        corners = (landmarks[[outer, inner]] @ rotation)[:, :2]  # p @ R is R^T p: the head turned back to frontal
        half_width = np.linalg.norm(corners[0] - corners[1]) / 2
        offsets.append(((landmarks[iris] @ rotation)[:2] - corners.mean(0)) / max(half_width, 1e-6))
    gaze = (np.mean(offsets, 0) - (0, GAZE_REST_Y)) * GAZE_GAIN
    return gaze.clip(-1.5, 1.5).astype(np.float32)


def _search_regions(width: int, height: int) -> Iterator[Region]:
    """Regions in which the landmarker may find a face that it misses in the whole picture.

    First the padded picture, for a face that fills the picture; then squares, for small faces: the larger ones first,
    and among those of one size the nearest to the middle first."""
    pad = max(width, height) // 2
    yield -pad, -pad, width + pad, height + pad
    for share in SEARCH_REGION_SHARES:
        side = int(min(width, height) * share)
        if side < MIN_SEARCH_SIDE or max(width, height) > MAX_SEARCH_RATIO * side:
            return
        columns, rows = (np.linspace(0, size - side, 1 + -(-2 * (size - side) // side)) for size in (width, height))
        corners = [(int(x), int(y)) for x in columns for y in rows]
        middle = (width - side) / 2, (height - side) / 2
        for x, y in sorted(corners, key=lambda corner: math.dist(corner, middle)):
            yield x, y, x + side, y + side


def _cut_region(image: np.ndarray, region: Region, side: int | None) -> tuple[np.ndarray, float]:
    """The region as a picture (h, w, 3) uint8, grey beyond the border of `image`, and its pixels per pixel of `image`.

    Its longer side has `side` pixels; by default its own, brought into MIN_DETECTION_SIDE to MAX_DETECTION_SIDE."""
    x0, y0, x1, y1 = region
    height, width = image.shape[:2]
    view = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    own_side = max(x1 - x0, y1 - y0)
    scale = (side or min(max(own_side, MIN_DETECTION_SIDE), MAX_DETECTION_SIDE)) / own_side
    border = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(border):
        view = cv2.copyMakeBorder(view, *border, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    if scale != 1.0:
        size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        view = cv2.resize(view, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.ascontiguousarray(view), scale
