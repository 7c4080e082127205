"""Face tracking: pictures in, faces out. A `Face` has landmarks, the 52 facial actions, gaze and the head's pose.

Pixels are measured from the picture's outer edge: (0, 0) is its upper left corner, (0.5, 0.5) the first pixel's centre.
"""

import itertools
import math
import threading

import cv2
import numpy as np

from mpkit.actions import ACTIONS
from mpkit.faces.canonical import LANDMARKER_FILE, fit_pose
from mpkit.faces.face import Face, distance, nearest, select_face
from mpkit.faces.tasks import create_task, media_image

DETECTION_SIDE = 1280  # larger pictures are shrunk to this for detection; landmarks lose nothing: the net sees 256 px
SEARCH_EVERY = 10  # frames of a clip without a face: every so many of them, look for small faces too
SMALL_SIDE = 320  # a picture below this is enlarged to it
CLOSE_SIDE = 256  # pixels of a closer look
MOST_FACES = 8  # that are found in one picture
FRAMED = 0.6  # share of a view that a head fills where it need not be looked at closer

# Landmarks (outer corner, inner corner, iris) of the eye on the picture's left, then of the other.
EYES = ((33, 133, 468), (263, 362, 473))
GAZE_GAIN = (2.5, 4.0)  # iris offset from the middle of the corners, in half eye widths, times this is about [-1, 1]
GAZE_REST_Y = -0.14  # that offset of a straight look: the iris sits a little above the line of the corners
















def gaze_from_landmarks(landmarks: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Where both irises (478 landmarks, pixels) stand between the corners of their eyes, in the head's frame; (2,)."""
    offsets = []
    for outer, inner, iris in EYES:
        corners = (landmarks[[outer, inner]] @ rotation)[:, :2]  # p @ R is R^T p: the head turned back to frontal
        half_width = np.linalg.norm(corners[0] - corners[1]) / 2
        offsets.append(((landmarks[iris] @ rotation)[:2] - corners.mean(0)) / max(half_width, 1e-6))
    gaze = (np.mean(offsets, 0) - (0, GAZE_REST_Y)) * GAZE_GAIN
    return gaze.clip(-1.5, 1.5).astype(np.float32)


class MediaPipeTracker:
    """MediaPipe's FaceLandmarker on the CPU: 478 landmarks and 52 actions; finds faces in paintings too.

    A face is found in the picture and then read in its head crop: what the landmarker reads in a whole picture depends
    on how large the face is in it, and may be far off (docs/training-log.md, 9.). A picture without a face is looked at
    again, padded and in parts. `video`: the face nearest to the last one is followed from head crop to head crop.
    """

    def __init__(self, video: bool = False):
        self.video = video
        self._last: Face | None = None  # of a clip: the face that is followed
        self._misses = 0  # of a clip: frames without a face since
        self._lock = threading.Lock()  # the landmarker takes one picture at a time
        self._landmarker = create_task(
            self, "FaceLandmarker", LANDMARKER_FILE, num_faces=MOST_FACES, output_face_blendshapes=True
        )

    def close(self) -> None:
        self._landmarker.close()

    def __enter__(self) -> "MediaPipeTracker":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Tracker.detect`. Of a clip, while its face is seen, that one alone."""
        face = self._closer(image, self._last) if self.video and self._last else None
        faces = [face] if face else self._search(image)
        if self.video:
            self._misses = 0 if faces else self._misses + 1
            if faces:
                self._last = nearest(faces, self._last) if self._last else select_face(faces)
        return sorted(faces, key=lambda face: -face.area)

    def _search(self, image: np.ndarray) -> list[Face]:
        """All faces of a picture, each read where it was found, closer."""
        height, width = image.shape[:2]
        whole = 0, 0, width, height
        views = itertools.chain([whole], _other_views(width, height) if self._misses % SEARCH_EVERY == 0 else [])
        for view in views:
            faces = self._detect_in(image, view)
            if faces:
                large = FRAMED * max(view[2] - view[0], view[3] - view[1])
                return [face if 2 * face.radius > large else self._closer(image, face) or face for face in faces]
        return []

    def _closer(self, image: np.ndarray, face: Face) -> Face | None:
        """A face as its head crop shows it; None where it is not there."""
        middle = face.centre.clip(0, np.float32(image.shape[1::-1]))
        x0, y0 = (round(float(at - face.radius)) for at in middle)
        side = max(2, round(2 * face.radius))
        seen = self._detect_in(image, (x0, y0, x0 + side, y0 + side), CLOSE_SIDE)
        closest = min(seen, key=lambda other: distance(other, face), default=None)
        return closest if closest and distance(closest, face) < face.radius else None

    def _detect_in(self, image: np.ndarray, region: tuple[int, int, int, int], side: int | None = None) -> list[Face]:
        """The faces in a region (x0, y0, x1, y1) of the picture, which may reach beyond its border; seen at `side`
        pixels, or at about its own size."""
        view, scale = _cut_region(image, region, side)
        with self._lock:
            result = self._landmarker.detect(media_image(view))
        height, width = view.shape[:2]
        faces = []
        for points, shapes in zip(result.face_landmarks, result.face_blendshapes, strict=True):
            landmarks = np.array([(p.x * width, p.y * height, p.z * width) for p in points], np.float32) / scale
            landmarks += np.float32((region[0], region[1], 0))
            scores = {shape.category_name: shape.score for shape in shapes}
            faces.append(make_face(landmarks, np.float32([scores.get(name, 0.0) for name in ACTIONS])))
        return faces


def make_face(landmarks: np.ndarray, actions: np.ndarray) -> Face:
    """A Face from MediaPipe's 478 landmarks in pixels and the 52 actions."""
    rotation, centre, radius = fit_pose(landmarks)
    box = (*landmarks[:, :2].min(0).tolist(), *landmarks[:, :2].max(0).tolist())
    gaze = gaze_from_landmarks(landmarks, rotation)
    return Face(landmarks, box, actions.clip(0, 1), gaze, rotation, centre[:2], radius)


def _other_views(width: int, height: int):
    """Regions where a face may be found that the whole picture did not show: padded (the face fills the picture), then
    ever smaller squares (the face is small), the middle first."""
    pad = max(width, height) // 2
    yield -pad, -pad, width + pad, height + pad
    for share in (0.65, 0.35):
        side = int(min(width, height) * share)
        if side < 64 or max(width, height) > 20 * side:  # too small to hold a face, or a ribbon
            return
        columns, rows = (np.linspace(0, size - side, 1 + -(-2 * (size - side) // side)) for size in (width, height))
        corners = [(int(x), int(y)) for x in columns for y in rows]
        middle = (width - side) / 2, (height - side) / 2
        for x, y in sorted(corners, key=lambda corner: math.dist(corner, middle)):
            yield x, y, x + side, y + side


def _cut_region(image: np.ndarray, region: tuple[int, int, int, int], wanted: int | None) -> tuple[np.ndarray, float]:
    """The region, grey beyond the picture, its longer side `wanted` pixels, or what the landmarker likes. Returns it
    and its pixels per pixel of the picture."""
    x0, y0, x1, y1 = region
    height, width = image.shape[:2]
    view = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    side = max(x1 - x0, y1 - y0)
    scale = (wanted or min(max(side, SMALL_SIDE), DETECTION_SIDE)) / side
    border = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(border):
        view = cv2.copyMakeBorder(view, *border, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    if scale != 1.0:
        size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        view = cv2.resize(view, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.ascontiguousarray(view), scale
