"""Properties of the matte and of the filled background."""

import cv2
import numpy as np
import pytest
from face_pictures import needs_shared, paintings, read_picture

from mpkit.faces import Crop, cut, select_face
from mpkit.faces.matte import Matte, fill_background, guided_filter
from mpkit.faces.mediapipe_tracker import MediaPipeTracker


@pytest.fixture(scope="module")
def tracker():
    with MediaPipeTracker() as tracker:
        yield tracker


@pytest.fixture(scope="module")
def matte():
    with Matte() as matte:
        yield matte


@needs_shared
def test_matte_covers_the_face_but_not_the_corners_of_the_crop(tracker, matte):
    for path in paintings()[:4]:
        picture = read_picture(path)
        face = select_face(tracker.detect(picture))
        crop = Crop.of(face)
        alpha = matte.in_crop(picture, crop, 192)
        assert alpha.shape == (192, 192) and alpha.dtype == np.float32 and 0 <= alpha.min() and alpha.max() <= 1
        x, y = ((crop.to_crop(face.landmarks[:, :2]) * 0.9 + 1) * 96).astype(int).T
        assert alpha[y, x].mean() > 0.95
        assert alpha[:16, :16].mean() < 0.1 and alpha[:16, -16:].mean() < 0.1


@needs_shared
def test_matte_leaves_out_other_people(tracker, matte):
    picture = read_picture(paintings()[0])
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
    everything = fill_background(painted, np.ones((200, 160), np.float32))  # no background is known
    assert everything.shape == painted.shape
