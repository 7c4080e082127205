"""Shoulders: seen in clips, beyond what the head tells; moved in the result, without head, border or seam."""

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
from mpkit.faces.shoulders import FARTHEST, FOLLOW_SHIFT, Shoulders, expected_shift
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
def film(coat):
    """A picture whose upper part is a still wall, and below y = 170 a coat that is moved by x, y."""

    def make(x=0.0, y=0.0):
        moved = cv2.warpAffine(coat, np.float64([[1, 0, x - 150], [0, 1, y - 150]]), (SIDE, SIDE))
        moved[:170] = 90
        return moved

    return make


def test_shoulders_follow_a_head_part_of_its_way():
    upright = np.eye(3, dtype=np.float32)
    assert np.allclose(expected_shift(upright, np.zeros(3), 1.0), 0)
    assert np.allclose(expected_shift(upright, np.float32((1, 1, 0)), 1.3), FOLLOW_SHIFT)


def test_what_moves_below_a_head_that_stays_is_seen_below_a_pixel(film):
    watched = Shoulders()
    assert watched(film(), face()).shoulders == (0, 0)
    for x, y in ((1, 0), (3, -2), (6, -5), (2, 7), (-3.5, 9)):
        assert watched(film(x, y), face()).shoulders == pytest.approx((x, y), abs=0.5)


def test_a_head_that_moves_above_shoulders_that_stay_is_taken_off(film):
    watched = Shoulders()
    watched(film(), face())
    assert watched(film(), face(x=160, y=120)).shoulders == pytest.approx(-FOLLOW_SHIFT[:2] * (10, -10), abs=0.3)


def test_nothing_is_left_where_shoulders_do_what_the_head_tells(film):
    watched = Shoulders()
    watched(film(), face())
    for shift in range(2, 11, 2):
        x, y = FOLLOW_SHIFT[:2] * shift
        assert watched(film(x, y), face(150 + shift, 130 + shift)).shoulders == pytest.approx((0, 0), abs=0.5)


def test_where_nothing_is_seen_the_last_answer_holds(film):
    watched = Shoulders()
    watched(film(), face()), watched(film(4, 0), face())
    noise = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    for picture in (np.zeros_like(noise), noise, np.full_like(noise, 255)):
        assert watched(picture, face()).shoulders == pytest.approx((4, 0), abs=0.5)


def test_a_coat_that_changes_is_followed_on_from_there(film, coat):
    watched = Shoulders()
    watched(film(), face()), watched(film(4, 0), face())
    other = film(4, 0)
    other[170:] = coat[:130, :SIDE]  # another coat: held, and from here on compared with it
    assert watched(other, face()).shoulders == pytest.approx((4, 0), abs=0.5)
    moved = np.roll(other, 3, axis=1)
    assert watched(moved, face()).shoulders == pytest.approx((7, 0), abs=0.5)


def test_a_clip_that_ends_below_the_chin_and_a_flat_one_tell_nothing(film):
    for pictures in ([film(x)[:180] for x in range(4)], [np.full((SIDE, SIDE, 3), 7, np.uint8)] * 4):
        watched = Shoulders()
        assert all(watched(picture, face()).shoulders == (0, 0) for picture in pictures)


def test_another_person_begins_anew(film):
    watched = Shoulders()
    watched(film(), face()), watched(film(4, 0), face())
    assert watched(film(), face(x=20, y=20)).shoulders == (0, 0)


def test_what_is_too_far_is_not_believed(film):
    watched = Shoulders()
    answers = [watched(film(x, -x), face()).shoulders for x in range(0, 40, 2)]
    assert np.abs(answers).max() == pytest.approx(FARTHEST * RADIUS, abs=1e-3)


def test_followed_faces_have_their_shoulders(film):
    frames = [(n, film(2 * n, 0)) for n in range(4)]
    tracker = SimpleNamespace(detect=lambda picture: [face()])
    series = [found for _, _, found in follow(frames, tracker)]
    assert [found.shoulders[0] for found in series] == pytest.approx([0, 2, 4, 6], abs=0.5)
    motion = FrameMotion.of(series[3], Crop.of(series[0]))
    assert motion.shoulders.tolist() == [pytest.approx([6 / RADIUS, 0], abs=0.005)]


def test_transfer_takes_the_change_of_shoulders_in_the_portraits_own_size():
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
    return Detail(ramp.repeat(1, 4, 1, 1), ramp, ramp, here, here.clone(), ramp, None)


def test_moved_shoulders_leave_head_and_border(detail):
    shift = torch.tensor([[0.1, -0.05]])
    moved = move_shoulders(detail, identity_pose(), shift)
    y, x = detail.flow[0, 1, :, 0], detail.flow[0, 0, 0]
    offset = (detail.flow - moved.flow)[0]
    assert offset[:, y < CHIN[1] + NECK[0]].abs().max() < 1e-6
    for part, expected in zip(offset, shift[0]):
        most = part[:, x.abs() < 1 - FADE].abs().amax(0)
        assert (most <= expected.abs() + 1e-6).all() and (most > 0.9 * expected.abs()).all()
        for edge in (part[-1], part[:, 0], part[:, -1]):
            assert edge.abs().max() < 0.06 * expected.abs()
    assert torch.allclose(moved.mask[0, 0], moved.flow[0].sum(0), atol=0.02)  # mask and colour go with the flow


def test_moved_shoulders_never_fold(detail):
    """At the farthest that is believed no part of the picture is shown twice."""
    for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        flow = move_shoulders(detail, identity_pose(), FARTHEST * torch.tensor([[float(x), y]])).flow[0]
        assert (flow[0].diff(dim=1) > 0).all() and (flow[1].diff(dim=0) > 0).all()


def test_no_shift_changes_nothing_and_a_batch_has_its_own(detail):
    two = Detail(*(layer.repeat(2, 1, 1, 1) for layer in detail[:-1]), None)
    moved = move_shoulders(two, identity_pose(2), torch.tensor([[0.0, 0.0], [0.1, 0.0]]))
    assert torch.allclose(moved.flow[0], two.flow[0], atol=1e-6) and (moved.flow[1] - two.flow[1]).abs().max() > 0.05


def test_lower_heads_have_lower_shoulders(detail):
    pose = identity_pose()
    pose = pose._replace(translation=torch.tensor([[0.0, 0.2, 0.0]]))
    moved = move_shoulders(detail, pose, torch.tensor([[0.1, 0.0]]))
    still = (detail.flow[0, 1, :, 0] < CHIN[1] + 0.2 + NECK[0]).sum()
    assert (detail.flow - moved.flow)[0, :, :still].abs().max() < 1e-6


def test_faces_without_a_clip_have_none():
    assert face().shoulders == (0, 0) and replace(face(), shoulders=(1, 2)).shoulders == (1, 2)
