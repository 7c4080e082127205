"""Tests of the head's own frame: how a pose is divided, and how a person is laid into the picture."""

import numpy as np
import pytest
import torch

from mpkit.animation.head_frame import (
    IDENTITY,
    MAX_ROLL,
    MAX_SCALE,
    MAX_SHIFT,
    MIN_SCALE,
    Similarity,
    divide,
    remaining_shoulder_shift,
)  # fmt: skip
from mpkit.animation.scene import Layers, moved_person, over
from mpkit.faces.crop import Crop, paste
from mpkit.geometry import Pose, angles_from_rotation, rotation_from_angles

CROP = Crop(100, 80, 40)
SMALL = (20.0, -10.0, 15.0), (0.05, -0.08), 1.05
LARGE = [
    ((20.0, -10.0, 15.0), (1.3, -0.4), 1.8),
    ((0.0, 0.0, 0.0), (-0.3, 0.0), 1.0),
    ((0.0, 0.0, 0.0), (0.0, 0.0), 0.4),
    ((-30.0, 20.0, 75.0), (0.0, 0.5), 1.0),
    ((5.0, 0.0, -170.0), (0.2, 0.2), 1.2),
]


def make_pose(angles, shift, scale) -> Pose:
    rotation = rotation_from_angles(*torch.tensor(angles, dtype=torch.float32)[:, None])
    return Pose(rotation, torch.tensor([[*shift, 0.0]]), torch.tensor([scale]))


def test_a_small_motion_is_rendered_whole():
    pose = make_pose(*SMALL)
    inner, similarity = divide(pose)
    assert inner is pose and similarity == IDENTITY


@pytest.mark.parametrize("motion", LARGE)
def test_both_parts_of_a_pose_make_the_pose(motion):
    pose = make_pose(*motion)
    inner, similarity = divide(pose)
    assert similarity != IDENTITY
    for part, whole in zip(similarity.after(inner), pose):
        torch.testing.assert_close(part, whole, atol=1e-5, rtol=0)
    assert inner.translation.abs().max() <= MAX_SHIFT + 1e-6
    assert MIN_SCALE - 1e-6 <= inner.scale.item() <= MAX_SCALE + 1e-6
    assert abs(angles_from_rotation(inner.rotation)[2].item()) <= MAX_ROLL + 1e-3


def test_a_pose_is_divided_continuously():
    """Steps of a motion that leaves the range of training make steps of about the same size in both parts."""
    parts = []
    for share in np.linspace(0, 1, 400):
        pose = make_pose((0.0, 0.0, 60.0 * share), (float(share), -0.3 * float(share)), 1 + float(share))
        inner, similarity = divide(pose)
        parts.append(np.concatenate([*(part.flatten().numpy() for part in inner), similarity]))
    assert np.abs(np.diff(parts, axis=0))[:, :-1].max() < 0.02 and np.abs(np.diff(parts, axis=0)).max() < 0.5


def test_the_crop_of_a_moved_head_has_the_rendered_head_in_it():
    """A canonical point in the moved crop and in the crop is the same pixel."""
    pose = make_pose(*LARGE[3])
    inner, similarity = divide(pose)
    point = torch.tensor([[[0.1, 0.4, -0.3]]])
    expected = CROP.to_picture(pose.apply(point)[0, 0, :2].numpy())
    moved = similarity.of_crop(CROP).to_picture(inner.apply(point)[0, 0, :2].numpy())
    np.testing.assert_allclose(moved, expected, atol=1e-3)


def test_a_crop_is_moved_like_its_points():
    similarity = Similarity(0.25, -0.5, 1.5, 90.0)
    spot = torch.zeros(1, 1, 64, 64)
    spot[..., 36:44, 44:52] = 1  # around (0.5, 0.25), which the turn takes to (-0.25, 0.5)
    moved_spot = similarity.moved(spot)[0, 0]
    y, x = ((torch.arange(64) * 2 + 1) / 64 - 1 for _ in range(2))
    centre = (moved_spot.sum(0) * x).sum() / moved_spot.sum(), (moved_spot.sum(1) * y).sum() / moved_spot.sum()
    assert centre == pytest.approx((0.25 - 1.5 * 0.25, -0.5 + 1.5 * 0.5), abs=0.01)


def test_shoulders_that_the_similarity_moves_are_moved_no_farther():
    offset = torch.tensor([[0.1, -0.05]])
    torch.testing.assert_close(remaining_shoulder_shift(offset, IDENTITY), offset)
    assert not remaining_shoulder_shift(offset, Similarity(1.0, 0.5, 1.0, 0.0)).any()


# The whole picture


def make_layers(touches_lower_edge: bool = False) -> Layers:
    """A white head with a grey body on a dark gradient, 200 x 160 pixels."""
    y, x = np.mgrid[:160, :200] + 0.5
    head = np.hypot(x - 100, y - 80) < 30
    body = (np.abs(x - 100) < 20) & (y > 100) & (y < (161 if touches_lower_edge else 130))
    alpha = (head | body).astype(np.float32)[..., None]
    colour = np.where(head, 250, 120)[..., None].repeat(3, 2)
    background = (x / 4)[..., None].repeat(3, 2).astype(np.float32)
    return Layers(np.concatenate([colour * alpha, 255 * alpha], 2).astype(np.float32), background)


def moved(layers: Layers, similarity: Similarity) -> np.ndarray:
    return over(moved_person(layers.person, CROP, similarity), layers.background)


@pytest.mark.parametrize("x", [0.0, 0.7, -1.4, 2.0, 4.0])
def test_a_head_goes_anywhere_and_leaves_at_the_edge(x):
    picture = moved(make_layers(), Similarity(x, 0.0, 1.0, 0.0))
    columns = np.flatnonzero((picture[70] > 200).all(1))
    centre = 100 + 40 * x
    assert len(columns) == pytest.approx(max(0, min(200, centre + 29) - max(0, centre - 29)), abs=3)
    if abs(x) > 1:  # it has left its place
        assert picture[80, 100].tolist() == pytest.approx([25, 25, 25], abs=1)


def test_a_head_grows_about_its_centre():
    picture = moved(make_layers(), Similarity(0.0, 0.0, 1.5, 0.0))
    assert (picture[80] > 200).all(1).sum() == pytest.approx(90, abs=2)


def test_a_turn_is_clockwise_and_leaves_the_body():
    layers = make_layers(touches_lower_edge=True)
    layers.person[80:100, 95:105] = (0, 0, 255, 255)  # a chin
    picture = moved(layers, Similarity(0.0, 0.0, 1.0, 90.0))
    assert picture[80, 90].tolist() == [0, 0, 255]  # to the left
    assert np.abs(picture[-1].astype(int) - moved(layers, Similarity(0, 0, 1, 0))[-1]).mean() < 8


@pytest.mark.parametrize("similarity", [Similarity(0, -1.0, 1, 0), Similarity(0, 0, 0.7, 0)])
def test_a_body_at_the_edge_stays_at_the_edge(similarity):
    body = moved(make_layers(touches_lower_edge=True), similarity)[-1, 95:105]
    assert (np.abs(body.astype(int) - 120) < 3).all()


def test_a_body_that_is_carried_far_from_the_edge_fades_out():
    column = moved(make_layers(touches_lower_edge=True), Similarity(0, -1.4, 0.5, 0))[:, 100, 0].astype(int)
    body = column[60:]
    assert body[-1] < 30 and body.max() > 110 and np.abs(np.diff(body)).max() < 40


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 180.0, -65.0])
def test_a_turned_crop_is_cut_and_pasted_back(angle):
    from mpkit.faces.crop import cut

    y, x = np.mgrid[:160, :200]
    picture = np.stack([x, y, 128 + 60 * np.sin(x / 9) * np.cos(y / 7)], 2).astype(np.uint8)
    crop = Crop(100.3, 80.2, 60.5, angle)
    pixels = cut(picture, crop, 121)
    assert np.abs(paste(picture, pixels, crop).astype(int) - picture).mean() < 0.5
    u, v = 20, 90  # a pixel of the crop, and where it is in the picture
    place = crop.to_picture(((2 * u + 1) / 121 - 1, (2 * v + 1) / 121 - 1))
    np.testing.assert_allclose(pixels[v, u, :2], place - 0.5, atol=1.5)
    np.testing.assert_allclose(crop.to_crop(place), ((2 * u + 1) / 121 - 1, (2 * v + 1) / 121 - 1), atol=1e-5)
