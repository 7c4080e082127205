"""Properties of the range in which the head of a still may be turned."""

import math

import pytest
import torch
from face_pictures import make_face

from mpkit.animation.options import Controls
from mpkit.animation.transfer import FrameMotion, Transfer
from mpkit.animation.view_range import MAX_ROLL, check_view, limited, limited_roll, pitch_range, yaw_range
from mpkit.errors import NoFaceError
from mpkit.faces.advice import MAX_STILL_YAW
from mpkit.geometry import angles_from_rotation, identity_pose, rotation_from_angles


def rotations(yaw, pitch=0.0, roll=0.0):
    """R (B, 3, 3) of a tensor of yaws; pitch and roll are numbers."""
    yaw = torch.as_tensor(yaw, dtype=torch.float32).reshape(-1)
    return rotation_from_angles(yaw, torch.full_like(yaw, pitch), torch.full_like(yaw, roll))


@pytest.mark.parametrize("find_range, most", [(yaw_range, 60), (pitch_range, 45)])
def test_range_holds_the_own_angle_and_mirrors(find_range, most):
    for own in range(0, most + 1, 5):
        least, largest = find_range(own)
        assert least < own < largest and own - least >= largest - own
        assert find_range(-own) == pytest.approx((-largest, -least))
    widths = [largest - least for least, largest in map(find_range, range(0, most + 1))]
    assert all(later <= earlier for earlier, later in zip(widths, widths[1:]))  # aside there is less to show
    limits = torch.tensor([find_range(own / 10) for own in range(-10 * most, 10 * most + 1)])
    assert limits.diff(dim=0).abs().max() < 0.3  # an angle that is read a little wrong changes little


@pytest.mark.parametrize("own", [-50.0, -20.0, 0.0, 35.0])
def test_turn_is_held_within_the_range_smoothly(own):
    asked = torch.linspace(-110, 110, 2201)
    yaw, pitch, roll = angles_from_rotation(limited(rotations(asked, 5, 20), rotations(own, 5, 20)))
    least, largest = yaw_range(own)
    assert least - 1e-3 <= yaw.min() and yaw.max() <= largest + 1e-3
    assert yaw.max() > own + 0.8 * (largest - own) and yaw.min() < own - 0.8 * (own - least)
    slope = yaw.diff() / asked.diff()
    assert slope.min() > -1e-2 and slope.max() < 1 + 1e-2  # it never turns back or overtakes
    assert slope.diff().abs().max() < 0.02  # and has no kink
    torch.testing.assert_close(pitch, torch.full_like(pitch, 5.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(roll, torch.full_like(roll, 20.0), atol=1e-3, rtol=0)


def test_small_motion_and_any_roll_stay_equal_to_the_bit():
    own = rotations(10, -4, 3)
    for rotation in (own, rotations(20, 5, 170), rotations(0, -10, -60)):
        assert torch.equal(limited(rotation, own), rotation)


def test_turn_to_the_other_side_is_held_at_the_near_limit():
    """By more than 90 degrees, where yaw, pitch and roll are no good measure of a turn."""
    angles = angles_from_rotation(limited(rotations([-60.0, -89.0], 10, 5), rotations(50, -5, 30)))
    assert angles[0].min() >= yaw_range(50)[0] - 2 and angles[0].max() < 40
    assert angles[1].abs().max() < 40 and angles[2].abs().max() < 40


def test_nodding_is_held_too():
    pitch = angles_from_rotation(limited(rotations(0, 70), rotations(0, 10)))[1].item()
    assert 20 < pitch <= pitch_range(10)[1]


@pytest.mark.parametrize("own_roll", [0.0, -70.0, 179.0])
def test_head_leans_no_farther_than_a_neck_bends_while_a_driver_goes_round(own_roll):
    own = rotations(12, -6, own_roll)
    asked = torch.linspace(-400, 400, 8001)
    for yaw, pitch in ((12, -6), (35, 15)):
        turned = rotation_from_angles(torch.full_like(asked, yaw), torch.full_like(asked, pitch), asked + own_roll)
        held = limited_roll(turned, own)
        step = held.diff(dim=0).flatten(1).norm(dim=1).max().item()  # radians times the square root of 2
        assert step < 1.05 * math.sqrt(2) * math.radians(0.1)  # no faster than the driver: nothing jumps
        torch.testing.assert_close(held[:, 2], turned[:, 2])  # yaw and pitch are as they were
    roll = angles_from_rotation(limited_roll(rotation_from_angles(0 * asked, 0 * asked, asked), rotations(0)))[2]
    assert 0.99 * MAX_ROLL < roll.max() <= MAX_ROLL and -MAX_ROLL <= roll.min() < -0.99 * MAX_ROLL
    free = asked.abs() < 25
    torch.testing.assert_close(roll[free], asked[free], atol=1e-3, rtol=0)


def test_small_lean_stays_equal_to_the_bit():
    own = rotations(10, -4, 3)
    for rotation in (own, rotations(20, 5, 25), rotations(0, -10, -20)):
        assert torch.equal(limited_roll(rotation, own), rotation)


@pytest.mark.parametrize("strength", [0.4, 1.0, 1.5])
def test_portrait_leans_continuously_at_any_strength(strength):
    def motion(roll: float) -> FrameMotion:
        return FrameMotion(identity_pose()._replace(rotation=rotations(0, 0, roll)), torch.zeros(1, 54))

    transfer = Transfer(motion(0), controls=Controls(pose_strength=strength))
    transfer.reference = motion(0)
    rolls = torch.tensor([angles_from_rotation(transfer(motion(roll)).pose.rotation)[2] for roll in range(-20, 380, 2)])
    assert rolls.diff().abs().max() < 2 * max(strength, 1) + 0.1 and rolls.abs().max() <= MAX_ROLL + 1e-3


def test_head_seen_from_the_side_is_one_clear_line():
    check_view(make_face(angles=(MAX_STILL_YAW - 1, 10, 20)))
    for yaw in (MAX_STILL_YAW + 2, -80):
        with pytest.raises(NoFaceError, match="seen from the side, turned by .. degrees") as error:
            check_view(make_face(angles=(yaw, 0, 0)))
        assert "\n" not in str(error.value)
