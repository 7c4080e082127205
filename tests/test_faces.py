"""Properties of the choice of a face and of the MediaPipe tracker."""

import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from face_pictures import SHARED, make_face, needs_shared, paintings, read_picture

from mpkit.actions import ACTIONS
from mpkit.assets import EXAMPLES
from mpkit.errors import MpkitError, NoFaceError
from mpkit.faces import Crop, cut, make_tracker, select_face
from mpkit.faces.face import central_face, find_face
from mpkit.faces.face_search import MAX_TILES, tiles
from mpkit.faces.follow import follow
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
from mpkit.media.video_reader import VideoReader

# Choosing a face


def test_faces_are_counted_from_left_to_right():
    faces = [make_face(x=300, radius=80), make_face(x=50), make_face(x=180)]
    assert select_face(faces) is faces[0] and select_face(faces, "largest") is faces[0]
    assert select_face(faces, 1) is faces[1] and select_face(faces, "3") is faces[0]


@pytest.mark.parametrize("faces, which", [([], "largest"), (2, 3), (2, 0), (2, -1), (2, "left"), (2, "²")])
def test_face_that_does_not_exist_gives_one_clear_line(faces, which):
    with pytest.raises(NoFaceError) as error:
        select_face(faces if isinstance(faces, list) else [make_face()] * faces, which)
    assert "\n" not in str(error.value)


def test_number_that_is_too_high_tells_where_the_faces_are():
    with pytest.raises(NoFaceError, match="--face 3 of 2; .*: 1 at 50,80; 2 at 300,90$"):
        select_face([make_face(x=300, y=90), make_face(x=50)], 3)


def test_unknown_tracker_is_an_error_that_names_the_trackers():
    with pytest.raises(MpkitError, match="mediapipe, face-alignment"):
        make_tracker("dlib")


# MediaPipe


@pytest.fixture(scope="module")
def tracker():
    with MediaPipeTracker() as tracker:
        yield tracker


def test_no_face_in_noise(tracker):
    assert tracker.detect(np.random.default_rng(0).integers(0, 255, (200, 150, 3), dtype=np.uint8)) == []


@pytest.mark.parametrize("height, width", [(1, 1), (1, 500), (3000, 20)])
def test_odd_sizes_are_no_error(tracker, height, width):
    assert tracker.detect(np.zeros((height, width, 3), np.uint8)) == []


def test_mediapipe_is_imported_late_and_writes_nothing_to_stderr():
    code = (
        "import sys, numpy as np, mpkit.faces; assert 'mediapipe' not in sys.modules;"
        "from mpkit.faces.matte import Matte; tracker, matte = mpkit.faces.make_tracker(), Matte();"
        "tracker.detect(np.zeros((99, 99, 3), np.uint8)); matte(np.zeros((99, 99, 3), np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0 and done.stderr == ""


@needs_shared
def test_a_face_in_every_painting(tracker):
    for path in paintings():
        face = select_face(tracker.detect(read_picture(path)))
        assert face.landmarks.shape == (478, 3) and face.actions.shape == (len(ACTIONS),) == (52,)
        assert 0 <= face.actions.min() and face.actions.max() <= 1 and np.abs(face.gaze).max() <= 1.5
        up, down = Crop.of(face).to_crop(face.landmarks[[10, 152], :2])[:, 1]
        assert -0.55 < up < -0.3 and 0.4 < down < 0.65


@needs_shared
def test_mirrored_picture_gives_the_mirrored_face(tracker):
    picture = read_picture(paintings()[5])
    face, mirrored = (select_face(tracker.detect(view)) for view in (picture, np.ascontiguousarray(picture[:, ::-1])))
    assert face.angles[0] > 10
    assert mirrored.angles == pytest.approx((-face.angles[0], face.angles[1], -face.angles[2]), abs=4)
    assert mirrored.centre[0] == pytest.approx(picture.shape[1] - face.centre[0], abs=0.06 * face.radius)
    assert mirrored.gaze == pytest.approx((-face.gaze[0], face.gaze[1]), abs=0.25)


@needs_shared
def test_faces_that_fill_the_picture_and_small_faces_are_found(tracker):
    picture = read_picture(paintings()[0])
    face = select_face(tracker.detect(picture))
    tight = cut(picture, Crop(*face.landmarks[4, :2].tolist(), face.radius * 0.5), 300)
    assert len(tracker.detect(tight)) == 1
    wide = np.full((2000, 3000, 3), 90, np.uint8)
    wide[900:1300, 300:614] = cv2.resize(picture, (314, 400), interpolation=cv2.INTER_AREA)  # a face of 70 x 85 pixels
    found = select_face(tracker.detect(wide))
    expected = face.centre * (314 / picture.shape[1], 400 / picture.shape[0]) + (300, 900)
    np.testing.assert_allclose(found.centre, expected, atol=0.1 * found.radius)


@needs_shared
@pytest.mark.parametrize("video", [False, True])
def test_small_face_in_a_tall_clip_is_read_as_in_its_head_crop(tracker, video):
    """If the whole picture is read, the open eyes of this clip give a large blink and an upward gaze."""
    path = next((SHARED / "data").rglob("*demo1_video.mp4"))
    with VideoReader(path, max_frames=40) as reader:
        frames = [frame for _, frame in reader][::4]
    blink = [ACTIONS.index("eyeBlinkLeft"), ACTIONS.index("eyeBlinkRight")]
    with MediaPipeTracker(video) as clip_tracker:
        faces = [select_face(clip_tracker.detect(frame)) for frame in frames]
    in_crops = [central_face(tracker, cut(frame, Crop.of(faces[0]), 256)) for frame in frames]
    errors = [abs(face.actions[blink].mean() - other.actions[blink].mean()) for face, other in zip(faces, in_crops)]
    assert np.mean(errors) < 0.06  # it is 0.4 if the whole picture is read
    assert np.mean([np.abs(face.gaze - other.gaze) for face, other in zip(faces, in_crops)]) < 0.1  # likewise 1.0


def test_first_face_of_a_clip_is_followed_as_long_as_it_is_found():
    """A larger face that appears changes nothing; when the first face has disappeared, the other one is followed."""
    person, guest = (read_picture(EXAMPLES / f"{name}.jpg") for name in ("mona_lisa", "eileen_collins"))
    person, guest = cv2.resize(person, (300, 300 * len(person) // person.shape[1])), cv2.resize(guest, (600, 600))
    alone = np.full((640, 1200, 3), 90, np.uint8)
    both, gone = alone.copy(), alone.copy()
    alone[100 : 100 + len(person), 100:400] = both[100 : 100 + len(person), 100:400] = person
    both[:600, 560:1160] = gone[:600, 560:1160] = guest
    with MediaPipeTracker(video=True) as clip:
        seen = [clip.detect(frame) for frame in (alone, both, both, gone, gone)]
    assert [len(faces) for faces in seen] == [1] * 5
    assert [faces[0].centre[0] < 450 for faces in seen] == [True, True, True, False, False]


def test_nothing_takes_the_place_of_a_head_that_has_left():
    """A painting that turns and leaves the picture to the right, over noise. Hands, and the rest of the head at the
    edge, look like tilted faces."""
    painting = cv2.resize(read_picture(EXAMPLES / "mona_lisa.jpg"), (211, 320), interpolation=cv2.INTER_AREA)
    painting = np.dstack([painting, np.full(painting.shape[:2], 255, np.uint8)])
    noise = np.random.default_rng(4)

    def frames():
        for share in np.arange(0.2, 0.9, 0.025):
            place = cv2.getRotationMatrix2D((105.5, 160), -60 * share, 1) + np.float64([[0, 0, 74.5], [0, 0, 20]])
            place[0, 2] += 360 * share
            picture, alpha = np.split(cv2.warpAffine(painting, place, (360, 360)), [3], axis=2)
            yield share, np.where(alpha > 0, picture, noise.integers(0, 256, picture.shape).astype(np.uint8))

    with make_tracker(video=True) as tracker:
        series = [(share, face) for share, _, face in follow(frames(), tracker)]
    assert all(face for share, face in series if share < 0.4)
    for share, face in series:
        assert face is None or (share < 0.5 and abs(face.angles[2]) < 35), share


@needs_shared
def test_clip_of_one_picture_gives_the_face_of_the_still():
    picture = read_picture(paintings()[0])
    with MediaPipeTracker() as stills, MediaPipeTracker(video=True) as clip:
        still = select_face(stills.detect(picture))
        frames = [select_face(clip.detect(picture)) for _ in range(4)]
    for face in frames:
        assert face.angles == pytest.approx(still.angles, abs=3)
    assert np.abs(frames[-1].landmarks - frames[-2].landmarks).max() < 0.02 * still.radius


def turned_picture(picture: np.ndarray, degrees: float) -> np.ndarray:
    """The picture (H, W, 3) uint8 turned clockwise, on a grey square that holds all of it."""
    height, width = picture.shape[:2]
    side = math.ceil(math.hypot(height, width))
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), -degrees, 1)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(picture, matrix, (side, side), borderValue=(128, 128, 128))


@pytest.mark.parametrize("name", ["mona_lisa", "grace_hopper", "eileen_collins"])
def test_turned_head_is_read_as_the_upright_one(tracker, name):
    """Upside down too: the landmarker alone then takes the forehead for a chin."""
    picture = read_picture(EXAMPLES / f"{name}.jpg")
    upright = select_face(tracker.detect(picture))
    for degrees in range(0, 360, 30):
        (face,) = tracker.detect(turned_picture(picture, degrees))
        assert face.angles[:2] == pytest.approx(upright.angles[:2], abs=4), degrees
        assert abs((face.angles[2] - upright.angles[2] - degrees + 180) % 360 - 180) < 3, degrees
        assert np.abs(face.actions - upright.actions).mean() < 0.03, degrees
        assert np.abs(face.gaze - upright.gaze).max() < 0.25, degrees
        assert face.radius == pytest.approx(upright.radius, rel=0.03), degrees


def test_head_of_a_clip_may_turn_upside_down():
    picture = cv2.resize(read_picture(EXAMPLES / "grace_hopper.jpg"), (256, 300))
    with MediaPipeTracker(video=True) as clip:
        rolls = [select_face(clip.detect(turned_picture(picture, degrees))).angles[2] for degrees in range(0, 360, 20)]
    np.testing.assert_allclose(np.unwrap(rolls, period=360), np.arange(0, 360, 20), atol=6)


@pytest.fixture(scope="module")
def group() -> tuple[np.ndarray, np.ndarray]:
    """A picture of 15 faces, three of them turned, of which the landmarker alone sees 8 at most; their centres."""
    names = ("mona_lisa", "grace_hopper", "eileen_collins")
    with MediaPipeTracker() as tracker:
        pictures = [read_picture(EXAMPLES / f"{name}.jpg") for name in names]
        heads = [cut(picture, Crop.of(select_face(tracker.detect(picture))), 120) for picture in pictures]
    canvas, centres = np.full((600, 1000, 3), 60, np.uint8), []
    for index in range(15):
        x, y = 30 + 195 * (index % 5), 30 + 190 * (index // 5)
        canvas[y : y + 120, x : x + 120] = np.rot90(heads[index % 3], {4: 1, 8: 2, 12: 3}.get(index, 0))
        centres.append((x + 60, y + 60))
    return canvas, np.float32(centres)


def test_all_faces_of_a_group_are_found_once_when_one_is_chosen_by_number(tracker, group):
    picture, centres = group
    faces = tracker.detect_all(picture)
    distances = np.linalg.norm([centres - face.centre for face in faces], axis=-1)
    assert sorted(distances.argmin(1)) == list(range(15)) and distances.min(1).max() < 10
    with pytest.raises(NoFaceError, match="--face 16 of 15") as error:
        find_face(tracker, picture, 16)
    assert "\n" not in str(error.value) and str(error.value).count(" at ") == 15


def test_tiles_cover_the_picture_and_are_bounded():
    for width, height, share in ((4000, 3000, 0.1), (1300, 500, 0.35), (500, 700, 1.0), (20000, 300, 1.0)):
        covered = np.zeros((height, width), bool)
        found = tiles(width, height, share)
        for x0, y0, x1, y1 in found:
            covered[y0:y1, x0:x1] = True
        assert covered.all() and len(found) <= MAX_TILES
    assert tiles(20000, 1000, 0.1) == tiles(9, 9, 1.0) == []
