"""Properties of the face tracker, the head crop and the matte."""

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mpkit.actions import ACTIONS
from mpkit.assets import EXAMPLES
from mpkit.errors import MpkitError, NoFaceError
from mpkit.faces import Crop, Face, cut, make_tracker, paste, pose_in, select_face
from mpkit.faces.canonical import CANONICAL_FACE, FACE_TRIANGLES, STABLE_WEIGHTS, fit_pose
from mpkit.faces.face import central_face
from mpkit.faces.matte import Matte, fill_background, guided_filter
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
from mpkit.geometry import rotation_from_angles
from mpkit.media.video_reader import VideoReader

SHARED = Path(__file__).parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs the shared pictures")


def rotation(yaw=0.0, pitch=0.0, roll=0.0) -> np.ndarray:
    return rotation_from_angles(*(torch.tensor([float(angle)]) for angle in (yaw, pitch, roll)))[0].numpy()


def make_face(x=100.0, y=80.0, radius=60.0, angles=(0, 0, 0)) -> Face:
    turned = rotation(*angles)
    landmarks = radius * CANONICAL_FACE @ turned.T + np.float32((x, y, 0))
    landmarks = np.concatenate([landmarks, landmarks[[468 - 10 + i for i in range(10)]]])
    box = (*landmarks[:, :2].min(0).tolist(), *landmarks[:, :2].max(0).tolist())
    return Face(landmarks, box, np.zeros(52, np.float32), np.zeros(2, np.float32), turned, np.float32((x, y)), radius)


def smooth_picture(height=240, width=320, seed=0) -> np.ndarray:
    coarse = np.random.default_rng(seed).uniform(0, 255, (6, 8, 3)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def psnr(a, b) -> float:
    return -10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2) / 255**2 + 1e-12)


# The canonical face


def test_canonical_face_looks_at_the_camera_inside_the_crop():
    assert CANONICAL_FACE.shape == (468, 3) and FACE_TRIANGLES.shape == (898, 3) and STABLE_WEIGHTS.shape == (468,)
    forehead, chin, nose, left, right = CANONICAL_FACE[[10, 152, 4, 234, 454]]
    assert forehead[1] < nose[1] < chin[1] and left[0] < nose[0] < right[0]
    assert nose[2] == pytest.approx(-0.62, abs=0.03) and nose[2] < min(left[2], right[2])
    assert 0.96 < chin[1] - forehead[1] < 1.04  # half the side of the crop
    assert np.abs(CANONICAL_FACE[:, :2]).max() < 0.6


def test_canonical_triangles_face_the_camera():
    a, b, c = (CANONICAL_FACE[FACE_TRIANGLES[:, i]] for i in range(3))
    normals = np.cross(b - a, c - a)
    assert (np.sign(normals[:, 2]) == np.sign(np.median(normals[:, 2]))).mean() > 0.9


@pytest.mark.parametrize("angles", [(0, 0, 0), (35, 0, 0), (0, -25, 0), (0, 0, 40), (-50, 20, -15)])
def test_fit_pose_recovers_a_known_pose(angles):
    landmarks = 70 * CANONICAL_FACE @ rotation(*angles).T + np.float32((210, 90, 12))
    fitted, centre, radius = fit_pose(landmarks)
    np.testing.assert_allclose(fitted, rotation(*angles), atol=1e-4)
    np.testing.assert_allclose(centre, (210, 90, 12), atol=1e-2)
    assert radius == pytest.approx(70, rel=1e-4)


def test_fit_pose_ignores_jaw_and_lips():
    landmarks = 70 * CANONICAL_FACE @ rotation(20, 5, 0).T
    landmarks[CANONICAL_FACE[:, 1] > 0.25] += (0, 15, 4)  # the jaw drops
    np.testing.assert_allclose(fit_pose(landmarks)[0], rotation(20, 5, 0), atol=1e-4)


def test_angles_signs():
    face = make_face(angles=(30, 10, -20))
    assert face.angles == pytest.approx((30, 10, -20), abs=1e-3)
    assert make_face(angles=(30, 0, 0)).landmarks[4, 0] > 100  # yaw > 0: the nose moves to the picture's right


# The crop


def test_own_pose_is_centred_in_its_crop():
    face = make_face(angles=(25, -5, 10))
    pose = pose_in(face, Crop.of(face, margin=1.25))
    np.testing.assert_allclose(pose.translation, torch.zeros(1, 3), atol=1e-6)
    assert pose.scale.item() == pytest.approx(0.8) and pose.rotation.shape == (1, 3, 3)
    posed = pose.apply(torch.from_numpy(CANONICAL_FACE)[None])[0, :, :2].numpy()
    np.testing.assert_allclose(posed, Crop.of(face, 1.25).to_crop(face.landmarks[:468, :2]), atol=1e-4)


@pytest.mark.parametrize("size", [64, 128, 300])
def test_cut_puts_a_point_where_the_coordinates_say(size):
    picture = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(picture, (230, 150), 6, (255, 255, 255), -1)  # its centre lies at the pixel's centre
    crop = Crop(203.3, 171.7, 90.4)
    spot = cut(picture, crop, size)[..., 0].astype(np.float64)
    rows, columns = np.mgrid[:size, :size]
    measured = [(2 * ((grid * spot).sum() / spot.sum()) + 1) / size - 1 for grid in (columns, rows)]
    np.testing.assert_allclose(measured, crop.to_crop((230.5, 150.5)), atol=0.1 * 2 / size)


def test_cut_of_the_whole_picture_is_the_picture():
    picture = smooth_picture(200, 200)
    np.testing.assert_array_equal(cut(picture, Crop(100, 100, 100), 200), picture)


@pytest.mark.parametrize("size, radius", [(256, 71.3), (160, 71.3), (96, 100.2)])
def test_cut_then_paste_returns_the_picture(size, radius):
    picture = smooth_picture()
    crop = Crop(151.27, 118.61, radius)
    back = paste(picture, cut(picture, crop, size), crop)
    assert back.shape == picture.shape and back.dtype == np.uint8
    assert psnr(back, picture) > 40


def test_a_snapped_crop_has_the_pictures_own_pixels():
    image = np.random.default_rng(0).integers(0, 255, (90, 80, 3), dtype=np.uint8)
    crop = Crop(40.3, 45.8, 20.2).snapped(40)
    assert crop == Crop(40, 46, 20)
    assert np.array_equal(cut(image, crop, 40), image[26:66, 20:60])
    assert np.array_equal(paste(image, cut(image, crop, 40), crop), image)
    odd = Crop(40.3, 45.8, 20.4).snapped(41)
    assert np.array_equal(cut(image, odd, 41), image[25:66, 20:61])


@pytest.mark.parametrize("crop", [Crop(40, 46, 20), Crop(40.3, 45.8, 20.2), Crop(10, 80, 20), Crop(40, 45, 60)])
def test_paste_blends_by_the_feathered_weight(crop):
    """Quick where the crop covers all; the same as one blend of everything."""
    black, white = np.zeros((90, 80, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    pasted = paste(black, white, crop).astype(int)
    y, x = np.mgrid[:90, :80] + 0.5
    edge = np.maximum(np.abs(x - crop.x), np.abs(y - crop.y)) / crop.radius
    assert (pasted[edge < 0.9] == 255).all() and (pasted[edge > 1.02] == 0).all()
    assert (np.abs(np.diff(pasted, axis=1)) < 200).all()


def test_paste_changes_nothing_outside_the_crop():
    picture, crop = smooth_picture(), Crop(160, 120, 50)
    other = np.zeros((64, 64, 3), np.uint8)
    pasted = paste(picture, other, crop)
    outside = np.ones(picture.shape[:2], bool)
    outside[70:170, 110:210] = False
    np.testing.assert_array_equal(pasted[outside], picture[outside])
    assert pasted[120, 160].max() == 0


def test_paste_has_no_seam_at_the_border():
    grey = np.full((200, 200, 3), 128, np.uint8)
    pasted = paste(grey, np.full((100, 100, 3), 228, np.uint8), Crop(100, 100, 70))
    assert np.abs(np.diff(pasted[100, :, 0].astype(int))).max() < 45  # 100 levels, spread over the feather
    np.testing.assert_array_equal(pasted[:, 100], pasted[100, :])


def test_crops_that_reach_beyond_the_picture():
    picture = smooth_picture(100, 100)
    crop = Crop(5, 95, 60)
    piece = cut(picture, crop, 80)
    assert np.isfinite(piece).all() and psnr(paste(picture, piece, crop), picture) > 38
    np.testing.assert_array_equal(paste(picture, piece, Crop(500, 500, 60)), picture)


# Choosing a face


def test_select_face_counts_from_the_left():
    faces = [make_face(x=300, radius=80), make_face(x=50), make_face(x=180)]
    assert select_face(faces) is faces[0] and select_face(faces, "largest") is faces[0]
    assert select_face(faces, 1) is faces[1] and select_face(faces, "3") is faces[0]


@pytest.mark.parametrize("faces, which", [([], "largest"), (2, 3), (2, 0), (2, -1), (2, "left"), (2, "²")])
def test_select_face_says_what_is_wrong(faces, which):
    with pytest.raises(NoFaceError) as error:
        select_face(faces if isinstance(faces, list) else [make_face()] * faces, which)
    assert "\n" not in str(error.value)


def test_make_tracker_names_the_choices():
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


def test_nothing_is_written_to_stderr_and_import_is_late():
    code = (
        "import sys, numpy as np, mpkit.faces; assert 'mediapipe' not in sys.modules;"
        "from mpkit.faces.matte import Matte; tracker, matte = mpkit.faces.make_tracker(), Matte();"
        "tracker.detect(np.zeros((99, 99, 3), np.uint8)); matte(np.zeros((99, 99, 3), np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0 and done.stderr == ""


def read(path) -> np.ndarray:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def paintings() -> list[Path]:
    with open(SHARED / "data" / "manifest.tsv") as file:
        rows = [row["path"] for row in csv.DictReader(file, delimiter="\t") if row["use"] == "evaluate"]
    return [SHARED / "data" / path for path in rows if path.startswith("paintings")]


@needs_shared
def test_a_face_in_every_painting(tracker):
    for path in paintings():
        face = select_face(tracker.detect(read(path)))
        assert face.landmarks.shape == (478, 3) and face.actions.shape == (len(ACTIONS),) == (52,)
        assert 0 <= face.actions.min() and face.actions.max() <= 1 and np.abs(face.gaze).max() <= 1.5
        up, down = Crop.of(face).to_crop(face.landmarks[[10, 152], :2])[:, 1]
        assert -0.55 < up < -0.3 and 0.4 < down < 0.65


@needs_shared
def test_mirrored_picture_gives_the_mirrored_face(tracker):
    picture = read(paintings()[5])
    face, mirrored = (select_face(tracker.detect(view)) for view in (picture, np.ascontiguousarray(picture[:, ::-1])))
    assert face.angles[0] > 10
    assert mirrored.angles == pytest.approx((-face.angles[0], face.angles[1], -face.angles[2]), abs=4)
    assert mirrored.centre[0] == pytest.approx(picture.shape[1] - face.centre[0], abs=0.06 * face.radius)
    assert mirrored.gaze == pytest.approx((-face.gaze[0], face.gaze[1]), abs=0.25)


@needs_shared
def test_faces_that_fill_the_picture_and_small_ones(tracker):
    picture = read(paintings()[0])
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
def test_a_clip_of_a_phone_is_read_as_in_head_crops(tracker, video):
    """Read in the whole tall picture, as MediaPipe would, open eyes of this clip seem closed and turned up."""
    path = next((SHARED / "data").rglob("*demo1_video.mp4"))
    with VideoReader(path, max_frames=40) as reader:
        frames = [frame for _, frame in reader][::4]
    blink = [ACTIONS.index("eyeBlinkLeft"), ACTIONS.index("eyeBlinkRight")]
    with MediaPipeTracker(video) as reading:
        faces = [select_face(reading.detect(frame)) for frame in frames]
    closer = [central_face(tracker, cut(frame, Crop.of(faces[0]), 256)) for frame in frames]
    away = [abs(face.actions[blink].mean() - other.actions[blink].mean()) for face, other in zip(faces, closer)]
    assert np.mean(away) < 0.06  # 0.4 in the whole picture
    assert np.mean([np.abs(face.gaze - other.gaze) for face, other in zip(faces, closer)]) < 0.1  # 1.0


def test_a_clip_follows_its_face_from_head_crop_to_head_crop():
    """A larger face that comes in changes nothing; when the first one has gone it is the other's turn."""
    person, guest = (read(EXAMPLES / f"{name}.jpg") for name in ("mona_lisa", "eileen_collins"))
    person, guest = cv2.resize(person, (300, 300 * len(person) // person.shape[1])), cv2.resize(guest, (600, 600))
    alone = np.full((640, 1200, 3), 90, np.uint8)
    both, gone = alone.copy(), alone.copy()
    alone[100 : 100 + len(person), 100:400] = both[100 : 100 + len(person), 100:400] = person
    both[:600, 560:1160] = gone[:600, 560:1160] = guest
    with MediaPipeTracker(video=True) as clip:
        seen = [clip.detect(frame) for frame in (alone, both, both, gone, gone)]
    assert [len(faces) for faces in seen] == [1] * 5
    assert [faces[0].centre[0] < 450 for faces in seen] == [True, True, True, False, False]


@needs_shared
def test_video_follows_a_still_picture():
    picture = read(paintings()[0])
    with MediaPipeTracker() as stills, MediaPipeTracker(video=True) as clip:
        still = select_face(stills.detect(picture))
        frames = [select_face(clip.detect(picture)) for _ in range(4)]
    for face in frames:
        assert face.angles == pytest.approx(still.angles, abs=3)
    assert np.abs(frames[-1].landmarks - frames[-2].landmarks).max() < 0.02 * still.radius


# The matte


@pytest.fixture(scope="module")
def matte():
    with Matte() as matte:
        yield matte


@needs_shared
def test_matte_covers_the_face_and_not_the_corners(tracker, matte):
    for path in paintings()[:4]:
        picture = read(path)
        face = select_face(tracker.detect(picture))
        crop = Crop.of(face)
        alpha = matte.in_crop(picture, crop, 192)
        assert alpha.shape == (192, 192) and alpha.dtype == np.float32 and 0 <= alpha.min() and alpha.max() <= 1
        x, y = ((crop.to_crop(face.landmarks[:, :2]) * 0.9 + 1) * 96).astype(int).T
        assert alpha[y, x].mean() > 0.95
        assert alpha[:16, :16].mean() < 0.1 and alpha[:16, -16:].mean() < 0.1


@needs_shared
def test_matte_leaves_out_other_people(tracker, matte):
    picture = read(paintings()[0])
    person = cut(picture, Crop.of(select_face(tracker.detect(picture)), 1.4), 240)
    pair = np.concatenate([person, np.full((240, 60, 3), person[0, 0], np.uint8), person], 1)
    alpha = matte(pair, focus=(120, 120))
    assert alpha[:, :240].mean() > 0.3 and alpha[:, 300:].mean() < 0.05


def test_guided_filter_keeps_constants_and_follows_edges():
    picture = np.zeros((120, 160, 3), np.uint8)
    picture[:, 80:] = (200, 60, 30)
    np.testing.assert_allclose(guided_filter(picture, np.full((120, 160), 0.7, np.float32)), 0.7, atol=1e-3)
    blurred = cv2.GaussianBlur((picture[..., 0] > 0).astype(np.float32), None, 4)
    sharp = guided_filter(picture, blurred)
    assert np.abs(np.diff(sharp[60])).max() > 4 * np.abs(np.diff(blurred[60])).max()


def test_fill_background_keeps_the_background_and_removes_the_person():
    picture = np.full((200, 160, 3), (40, 90, 160), np.uint8)
    alpha = np.zeros((200, 160), np.float32)
    cv2.ellipse(alpha, (80, 120), (40, 70), 0, 0, 360, 1.0, -1)
    painted = picture.copy()
    painted[alpha > 0] = (220, 180, 150)
    filled = fill_background(painted, alpha)
    assert np.abs(filled.astype(int) - picture).max() <= 12
    np.testing.assert_array_equal(filled[:20], picture[:20])
    everything = fill_background(painted, np.ones((200, 160), np.float32))  # nothing is known: still a picture
    assert everything.shape == painted.shape
