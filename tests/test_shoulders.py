"""Shoulders: their offset from the prediction, measured in clips; and its effect on the result."""

from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from mpkit.animation.shoulder_shift import FADE, NECK, move_shoulders
from mpkit.animation.transfer import FrameMotion, Transfer
from mpkit.faces.canonical import CHIN
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face
from mpkit.faces.follow import follow
from mpkit.faces.shoulders import FOLLOW_SHIFT, MAX_SHOULDER_OFFSET, ShoulderTracker, expected_shift
from mpkit.geometry import identity_flow, identity_pose
from mpkit.networks.detail import Detail

SIDE, RADIUS = 300, 100.0


def face(x=150.0, y=130.0, radius=RADIUS) -> Face:
    landmarks = np.zeros((478, 3), np.float32)
    upright = np.eye(3, dtype=np.float32)
    return Face(landmarks, (0, 0, 1, 1), np.zeros(52), np.zeros(2), upright, np.float32((x, y)), radius)


@pytest.fixture(scope="module")
def coat() -> np.ndarray:
    return cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (2 * SIDE, 2 * SIDE, 3), dtype=np.uint8), None, 4)


@pytest.fixture(scope="module")
def frame(coat):
    """Makes pictures: a still wall, and below y = 170 a coat that is moved by x, y pixels."""

    def make(x=0.0, y=0.0):
        moved = cv2.warpAffine(coat, np.float64([[1, 0, x - 150], [0, 1, y - 150]]), (SIDE, SIDE))
        moved[:170] = 90
        return moved

    return make


def test_predicted_shoulders_move_by_a_share_of_the_heads_shift():
    upright = np.eye(3, dtype=np.float32)
    assert np.allclose(expected_shift(upright, np.zeros(3), 1.0), 0)
    assert np.allclose(expected_shift(upright, np.float32((1, 1, 0)), 1.3), FOLLOW_SHIFT)


def test_motion_below_a_still_head_is_measured_to_half_a_pixel(frame):
    tracker = ShoulderTracker()
    assert tracker(frame(), face()).shoulders == (0, 0)
    for x, y in ((1, 0), (3, -2), (6, -5), (2, 7), (-3.5, 9)):
        assert tracker(frame(x, y), face()).shoulders == pytest.approx((x, y), abs=0.5)


def test_still_shoulders_below_a_moving_head_have_the_opposite_of_the_prediction(frame):
    tracker = ShoulderTracker()
    tracker(frame(), face())
    assert tracker(frame(), face(x=160, y=120)).shoulders == pytest.approx(-FOLLOW_SHIFT[:2] * (10, -10), abs=0.3)


def test_shoulders_that_move_as_predicted_have_no_offset(frame):
    tracker = ShoulderTracker()
    tracker(frame(), face())
    for shift in range(2, 11, 2):
        x, y = FOLLOW_SHIFT[:2] * shift
        assert tracker(frame(x, y), face(150 + shift, 130 + shift)).shoulders == pytest.approx((0, 0), abs=0.5)


def test_last_offset_is_kept_where_shoulders_are_not_found(frame):
    tracker = ShoulderTracker()
    tracker(frame(), face()), tracker(frame(4, 0), face())
    noise = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    for picture in (np.zeros_like(noise), noise, np.full_like(noise, 255)):
        assert tracker(picture, face()).shoulders == pytest.approx((4, 0), abs=0.5)


def test_coat_that_changes_becomes_the_new_reference(frame, coat):
    tracker = ShoulderTracker()
    tracker(frame(), face()), tracker(frame(4, 0), face())
    other = frame(4, 0)
    other[170:] = coat[:130, :SIDE]  # another coat: the offset is kept, and the next frame is compared with this coat
    assert tracker(other, face()).shoulders == pytest.approx((4, 0), abs=0.5)
    moved = np.roll(other, 3, axis=1)
    assert tracker(moved, face()).shoulders == pytest.approx((7, 0), abs=0.5)


def test_no_offset_without_shoulders_or_without_texture(frame):
    for pictures in ([frame(x)[:180] for x in range(4)], [np.full((SIDE, SIDE, 3), 7, np.uint8)] * 4):
        tracker = ShoulderTracker()
        assert all(tracker(picture, face()).shoulders == (0, 0) for picture in pictures)


def test_another_person_starts_without_an_offset(frame):
    tracker = ShoulderTracker()
    tracker(frame(), face()), tracker(frame(4, 0), face())
    assert tracker(frame(), face(x=20, y=20)).shoulders == (0, 0)


def test_offset_is_limited(frame):
    tracker = ShoulderTracker()
    offsets = [tracker(frame(x, -x), face()).shoulders for x in range(0, 40, 2)]
    assert np.abs(offsets).max() == pytest.approx(MAX_SHOULDER_OFFSET * RADIUS, abs=1e-3)


def test_followed_faces_have_the_offset_of_their_shoulders(frame):
    frames = [(n, frame(2 * n, 0)) for n in range(4)]
    tracker = SimpleNamespace(detect=lambda picture: [face()])
    series = [found for _, _, found in follow(frames, tracker)]
    assert [found.shoulders[0] for found in series] == pytest.approx([0, 2, 4, 6], abs=0.5)
    motion = FrameMotion.of(series[3], Crop.of(series[0]))
    assert motion.shoulders.tolist() == [pytest.approx([6 / RADIUS, 0], abs=0.005)]


def test_transfer_scales_the_change_of_the_offset_to_the_portrait():
    own, reference, driver = (FrameMotion(identity_pose(), torch.zeros(1, 54)) for _ in range(3))
    own = own._replace(pose=own.pose._replace(scale=torch.tensor([0.5])))
    reference = reference._replace(shoulders=torch.tensor([[0.02, 0.0]]))
    driver = driver._replace(shoulders=torch.tensor([[0.1, -0.04]]))
    for kind in ("absolute", "relative"):
        transfer = Transfer(own, kind)
        transfer.reference = reference
        assert torch.allclose(transfer(driver).shoulders, torch.tensor([[0.04, -0.02]]))
        still = Transfer(own, kind, scale_translation="source")
        still.reference = reference
        assert not still(driver).shoulders.any()


@pytest.fixture
def detail() -> Detail:
    size = 64
    here = identity_flow(size, size)
    ramp = here.sum(1, keepdim=True)
    return Detail(ramp.repeat(1, 4, 1, 1), ramp, ramp, here, here.clone(), ramp, ramp, None)


def test_moved_shoulders_leave_head_and_border_of_the_crop(detail):
    shift = torch.tensor([[0.1, -0.05]])
    moved = move_shoulders(detail, identity_pose(), shift)
    y, x = detail.flow[0, 1, :, 0], detail.flow[0, 0, 0]
    offset = (detail.flow - moved.flow)[0]
    assert offset[:, y < CHIN[1] + NECK[0]].abs().max() < 1e-6
    for part, expected in zip(offset, shift[0]):
        largest = part[:, x.abs() < 1 - FADE].abs().amax(0)
        assert (largest <= expected.abs() + 1e-6).all() and (largest > 0.9 * expected.abs()).all()
        for edge in (part[-1], part[:, 0], part[:, -1]):
            assert edge.abs().max() < 0.06 * expected.abs()
    assert torch.allclose(moved.mask[0, 0], moved.flow[0].sum(0), atol=0.02)  # mask and colour go with the flow


def test_moved_shoulders_do_not_fold_the_picture(detail):
    """At the largest offset no part of the picture is shown twice: the flow increases along x and along y."""
    for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        flow = move_shoulders(detail, identity_pose(), MAX_SHOULDER_OFFSET * torch.tensor([[float(x), y]])).flow[0]
        assert (flow[0].diff(dim=1) > 0).all() and (flow[1].diff(dim=0) > 0).all()


def test_each_of_a_batch_is_moved_by_its_own_shift(detail):
    two = Detail(*(layer.repeat(2, 1, 1, 1) for layer in detail[:-2]), None)
    moved = move_shoulders(two, identity_pose(2), torch.tensor([[0.0, 0.0], [0.1, 0.0]]))
    assert torch.allclose(moved.flow[0], two.flow[0], atol=1e-6) and (moved.flow[1] - two.flow[1]).abs().max() > 0.05


def test_shoulders_of_a_lower_head_are_lower(detail):
    pose = identity_pose()
    pose = pose._replace(translation=torch.tensor([[0.0, 0.2, 0.0]]))
    moved = move_shoulders(detail, pose, torch.tensor([[0.1, 0.0]]))
    still = (detail.flow[0, 1, :, 0] < CHIN[1] + 0.2 + NECK[0]).sum()
    assert (detail.flow - moved.flow)[0, :, :still].abs().max() < 1e-6


def test_faces_of_stills_have_no_offset():
    assert face().shoulders == (0, 0) and replace(face(), shoulders=(1, 2)).shoulders == (1, 2)
