"""Properties of the canonical face, the fit of the head pose, and the head crop."""

import cv2
import numpy as np
import pytest
import torch
from face_pictures import make_face, rotation

from mpkit.faces import Crop, cut, paste, pose_in
from mpkit.faces.canonical import CANONICAL_FACE, FACE_TRIANGLES, STABLE_WEIGHTS, fit_pose


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


def test_signs_of_the_angles():
    face = make_face(angles=(30, 10, -20))
    assert face.angles == pytest.approx((30, 10, -20), abs=1e-3)
    assert make_face(angles=(30, 0, 0)).landmarks[4, 0] > 100  # yaw > 0: the nose moves to the picture's right


# The crop


def test_pose_of_a_face_is_centred_in_its_own_crop():
    face = make_face(angles=(25, -5, 10))
    pose = pose_in(face, Crop.of(face, margin=1.25))
    np.testing.assert_allclose(pose.translation, torch.zeros(1, 3), atol=1e-6)
    assert pose.scale.item() == pytest.approx(0.8) and pose.rotation.shape == (1, 3, 3)
    posed = pose.apply(torch.from_numpy(CANONICAL_FACE)[None])[0, :, :2].numpy()
    np.testing.assert_allclose(posed, Crop.of(face, 1.25).to_crop(face.landmarks[:468, :2]), atol=1e-4)


@pytest.mark.parametrize("size", [64, 128, 300])
def test_cut_keeps_the_coordinates_of_a_point(size):
    picture = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(picture, (230, 150), 6, (255, 255, 255), -1)  # around the centre of that pixel
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


def test_snapped_crop_has_the_own_pixels_of_the_picture():
    image = np.random.default_rng(0).integers(0, 255, (90, 80, 3), dtype=np.uint8)
    crop = Crop(40.3, 45.8, 20.2).snapped(40)
    assert crop == Crop(40, 46, 20)
    assert np.array_equal(cut(image, crop, 40), image[26:66, 20:60])
    assert np.array_equal(paste(image, cut(image, crop, 40), crop), image)
    odd = Crop(40.3, 45.8, 20.4).snapped(41)
    assert np.array_equal(cut(image, odd, 41), image[25:66, 20:61])


@pytest.mark.parametrize("crop", [Crop(40, 46, 20), Crop(40.3, 45.8, 20.2), Crop(10, 80, 20), Crop(40, 45, 60)])
def test_paste_fades_from_the_crop_to_the_canvas(crop):
    """The crop alone shows inside, the canvas alone outside, and the transition between them is gradual."""
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
    assert np.abs(np.diff(pasted[100, :, 0].astype(int))).max() < 45  # of a step of 100, over the width of the feather
    np.testing.assert_array_equal(pasted[:, 100], pasted[100, :])


def test_what_lies_beyond_the_picture_has_no_stripes():
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    pixels = cut(noise, Crop(180, 100, 60), 120)
    assert np.array_equal(pixels[:, :80], noise[40:160, 120:200])
    assert np.abs(np.diff(pixels[:, 95:].astype(int), axis=0)).max() < 20 < np.abs(np.diff(noise.astype(int))).mean()


def test_crop_may_reach_beyond_the_picture():
    picture = smooth_picture(100, 100)
    crop = Crop(5, 95, 60)
    piece = cut(picture, crop, 80)
    assert np.isfinite(piece).all() and psnr(paste(picture, piece, crop), picture) > 38
    np.testing.assert_array_equal(paste(picture, piece, Crop(500, 500, 60)), picture)
