"""The default face tracker: MediaPipe's FaceLandmarker on the CPU."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.faces.action_fit import ActionFitter
from mpkit.faces.canonical import LANDMARKER_FILE, fit_pose
from mpkit.faces.face import Face, bounding_box, followed_face, is_near, nearest_face, same_shot
from mpkit.faces.face_search import MIN_HEAD_SCORE, Candidate, face_detector
from mpkit.faces.region import Region, View, square_view, upright_view
from mpkit.faces.tasks import MediaPipeTask

MAX_REGION_FACES = 8  # that the landmarker reads in one region
MAX_FACES = 100  # that `detect_all` reads in one picture
HEAD_CROP_SIDE = 256  # pixels of a head crop in which a face is read
LARGE_HEAD_SHARE = 0.6  # share of a region's longer side from which on a head crop is not read again: it is as large
SEARCH_REGION_SHARES = (0.65, 0.35)  # of the picture's shorter side: the squares in which small faces are searched
MIN_SEARCH_SIDE = 64  # pixels of such a square
MAX_SEARCH_RATIO = 20  # of the picture's longer side to it; very long pictures would need too many
MAX_ROLL = 25.0  # degrees; a face that leans farther is read in a head crop that is turned with it
MIN_DISTANCE = 0.5  # of the centres of two faces, in radii of the larger one; nearer ones are one face
TURNED_SEARCH_SHARE = 0.3  # of the picture's shorter side: the smallest tiles in which `detect` searches turned faces
SEARCH_STEP = 10  # frames: in a clip without a face, small faces are searched in every 10th frame


class MediaPipeTracker(MediaPipeTask):
    """Finds 478 landmarks of each face, also in paintings, and fits its actions. See `Tracker` for the interface.

    A face is found in the picture and then read in its head crop: what the landmarker reads in a whole picture depends
    on how large the face is in it, and can be far off (docs/training-log.md, 9.). A head that leans is read in a crop
    that is turned with it. A picture without a face is searched again, padded, in parts, and turned.
    `video`: the frames of one clip, in order. One face is followed from head crop to head crop; only frames without it
    are searched, and there only faces of which the face detector is sure count: else a hand, a pattern or the rest of a
    head at the picture's edge would take the place of a head that has left. Raises MpkitError if MediaPipe cannot be
    imported.
    """

    def __init__(self, video: bool = False):
        super().__init__("FaceLandmarker", LANDMARKER_FILE, num_faces=MAX_REGION_FACES, output_face_blendshapes=True)
        self.video = video
        self._last: Face | None = None  # of a clip: the followed face in the last frame that shows it
        self._misses = 0  # of a clip: number of frames without a face since then

    def detect(self, image: np.ndarray) -> list[Face]:
        """See `Tracker.detect`. In a clip: the followed face alone, as long as it is found."""
        faces = self._follow(image, self._last) if self._last else self._search(image)
        if self.video:
            self._misses = 0 if faces else self._misses + 1
            if faces:
                self._last = followed_face(faces, self._last)
        return sorted(faces, key=lambda face: -face.area)

    def detect_all(self, image: np.ndarray) -> list[Face]:
        """See `Tracker.detect_all`."""
        faces = self._search(image)
        for candidate in face_detector().candidates(image):
            if len(faces) == MAX_FACES:
                break
            if not any(_is_same(candidate, face) for face in faces):
                face = self._read_candidate(image, candidate)
                faces = _distinct([*faces, face] if face else faces)
        return sorted(faces, key=lambda face: -face.area)

    def _follow(self, image: np.ndarray, last: Face) -> list[Face]:
        """The face of a clip that was `last` seen as that, alone; else the faces of which the detector is sure."""
        face = self._read_head_crop(image, last)
        if face and (same_shot(face, last) or face_detector().upright(image, face)[1] > MIN_HEAD_SCORE):
            return [face]
        return self._search(image, MIN_HEAD_SCORE)

    def _search(self, image: np.ndarray, min_score: float = 0.0) -> list[Face]:
        """All faces of the first region that shows any: the whole picture, then those of `_search_regions`; else the
        first that the face detector finds, which also finds turned ones. min_score: the detector's, of each face."""
        height, width = image.shape[:2]
        thorough = self._misses % SEARCH_STEP == 0
        further = _search_regions(width, height) if thorough else []
        for region in itertools.chain([(0, 0, width, height)], further):
            faces = self._read(upright_view(image, region))
            if faces:
                large = LARGE_HEAD_SHARE * max(region[2] - region[0], region[3] - region[1])
                faces = [
                    face if 2 * face.radius > large else self._read_head_crop(image, face) or face for face in faces
                ]
                righted = (self._righted(image, face) for face in faces)
                if faces := _distinct([face for face, score in righted if score >= min_score]):
                    return faces
        candidates = face_detector().candidates(image, TURNED_SEARCH_SHARE) if thorough else []
        found = (self._read_candidate(image, candidate) for candidate in candidates)
        return list(itertools.islice((face for face in found if face), 1))

    def _read_candidate(self, image: np.ndarray, candidate: Candidate) -> Face | None:
        """The face that the detector sees, read in its head crop; None if the landmarker sees none there."""
        face = self._read_near(image, candidate, candidate.angle)
        face = face and self._read_head_crop(image, face)
        if face is None:
            return None
        face, score = self._righted(image, face)
        return face if score > MIN_HEAD_SCORE else None

    def _righted(self, image: np.ndarray, face: Face) -> tuple[Face, float]:
        """The face and the detector's score for it; if its head leans or is upside down, it is read again in a crop in
        which it is upright."""
        angle, score = face_detector().upright(image, face)
        if max(abs(angle), abs(face.angles[2])) > MAX_ROLL:
            turned = self._read_near(image, face, angle)
            face = turned and self._read_head_crop(image, turned) or face
        return face, score

    def _read_head_crop(self, image: np.ndarray, face: Face) -> Face | None:
        """The face at the place of `face`, read in the head crop of `face`, which is turned if the head leans; None if
        there is none."""
        roll = face.angles[2]
        return self._read_near(image, face, roll if abs(roll) > MAX_ROLL else 0.0)

    def _read_near(self, image: np.ndarray, face: Face | Candidate, angle: float) -> Face | None:
        """The face at the place of `face`, read in a head crop that is turned by `angle` degrees; None if none is
        there."""
        faces = self._read(square_view(image, face.centre, face.radius, HEAD_CROP_SIDE, angle))
        nearest = nearest_face(faces, face.centre)
        return nearest if nearest and is_near(nearest, face) else None

    def _read(self, view: View) -> list[Face]:
        """The faces in a view of the picture."""
        result = self._run(view.pixels)
        height, width = view.pixels.shape[:2]
        faces = []
        for points, shapes in zip(result.face_landmarks, result.face_blendshapes, strict=True):
            landmarks = view.points_in_picture(np.array([(p.x * width, p.y * height, p.z * width) for p in points]))
            scores = {shape.category_name: shape.score for shape in shapes}
            if np.isfinite(landmarks).all():
                faces.append(face_from_landmarks(landmarks, np.float32([scores.get(name, 0.0) for name in ACTIONS])))
        return faces


def face_from_landmarks(landmarks: np.ndarray, coefficients: np.ndarray) -> Face:
    """A Face from MediaPipe's landmarks (478, 3) in pixels. Its actions and gaze are fitted to them, with a shape of
    its own; MediaPipe's coefficients (52,) are a hint."""
    rotation, centre, radius = fit_pose(landmarks)
    unfitted = np.zeros(len(ACTIONS), np.float32), np.zeros(2, np.float32), rotation, centre[:2], radius
    face = Face(landmarks, bounding_box(landmarks), *unfitted, coefficients=coefficients.clip(0, 1))
    return ActionFitter()(face)


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


def _is_same(face: Face | Candidate, other: Face) -> bool:
    """Whether two faces are one that was found twice."""
    return float(np.linalg.norm(face.centre - other.centre)) < MIN_DISTANCE * max(face.radius, other.radius)


def _distinct(faces: list[Face]) -> list[Face]:
    """The faces without those that repeat an earlier one."""
    return [face for index, face in enumerate(faces) if not any(_is_same(face, other) for other in faces[:index])]
