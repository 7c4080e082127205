"""Properties of the controls of a transfer: strengths, parts and smoothing."""

import dataclasses
import itertools

import pytest
import torch
from support import some_pose

from mpkit.actions import ACTIONS, NUMBERS, vector
from mpkit.animation.options import Controls, Options
from mpkit.animation.transfer import FrameMotion, Transfer, interpolate, transfer_frames
from mpkit.errors import MediaError
from mpkit.geometry import angles_from_rotation

PARTS = ("head", "eyes", "mouth", "brows")
KINDS = ("relative", "absolute")


def motion(yaw=0.0, latent=None, shift=0.0, scale=1.0, **numbers):
    pose = some_pose(yaw=yaw)._replace(translation=torch.tensor([[shift, 0, 0]]), scale=torch.tensor([scale]))
    return FrameMotion(pose, torch.from_numpy(vector(**numbers))[None], torch.tensor([[shift, 0.0]]), latent)


OWN = motion(yaw=5, smile=0.3)
REFERENCE = motion(yaw=-4, jawOpen=0.1)
DRIVER = motion(yaw=8, shift=0.2, scale=1.21, jawOpen=0.6, smile=0.4, eyeBlink=0.8, browInnerUp=0.5, gaze_x=0.7)


def transferred(kind="relative", own=OWN, driver=DRIVER, scale_translation="driver", **controls):
    transfer = Transfer(own, kind, scale_translation, Controls(**controls))
    transfer.reference = REFERENCE if driver.latent is None else REFERENCE._replace(latent=torch.ones(1, 4))
    return transfer(driver)


def yaw_of(moved):
    return angles_from_rotation(moved.pose.rotation)[0].item()


def assert_equal(a, b, tolerance=0.0):
    for x, y in zip((*a.pose, *a[1:3]), (*b.pose, *b[1:3])):
        assert torch.allclose(x, y, rtol=0, atol=tolerance)


def test_the_defaults_of_controls_are_those_of_the_options():
    assert Options().controls == Controls()
    options = Options(pose_strength=0.5, expression_strength=1.5, parts=("head", "mouth"), smoothing=0.2)
    assert options.controls == Controls(0.5, 1.5, ("head", "mouth"), 0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_strength_scales_the_change_of_pose_and_of_expression_apart(kind):
    whole = transferred(kind)
    change = yaw_of(whole) - 5
    for strength in (0, 0.5, 1.5):
        posed = transferred(kind, pose_strength=strength)
        assert yaw_of(posed) == pytest.approx(5 + strength * change, abs=1e-3)
        assert posed.pose.translation[0, 0].item() == pytest.approx(strength * whole.pose.translation[0, 0].item())
        assert posed.pose.scale.item() == pytest.approx(1.21**strength)
        assert torch.allclose(posed.shoulders, whole.shoulders * strength)
        assert torch.equal(posed.numbers, whole.numbers)
        acted = transferred(kind, expression_strength=strength)
        expected = OWN.numbers + strength * (whole.numbers - OWN.numbers)
        assert torch.allclose(acted.numbers[:, :52], expected[:, :52].clamp(0, 1), atol=1e-6)
        assert_equal(acted._replace(numbers=whole.numbers), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_without_strength_or_parts_the_portrait_keeps_its_own_motion(kind):
    assert_equal(transferred(kind, pose_strength=0, expression_strength=0), OWN, 1e-6)
    assert_equal(transferred(kind, parts=()), OWN, 1e-6)


def test_a_strong_rotation_is_still_a_rotation_about_the_same_axis():
    rotation = transferred(pose_strength=1.5).pose.rotation[0]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-6)
    assert torch.allclose(rotation[1], torch.tensor([0.0, 1, 0]), atol=1e-6)  # yaw turns about y


@pytest.mark.parametrize("parts", [part for n in range(5) for part in itertools.combinations(PARTS, n)])
def test_parts_divide_the_motion_and_what_is_not_named_stays(parts):
    moved, whole = transferred(parts=parts), transferred()
    expected = whole if "head" in parts else OWN
    assert torch.equal(moved.pose.rotation, expected.pose.rotation) and torch.equal(moved.shoulders, expected.shoulders)
    for index, name in enumerate((*ACTIONS, "gaze x", "gaze y")):
        part = "eyes" if name[:3] in ("eye", "gaz") else "brows" if name[:4] == "brow" else "mouth"
        value = (whole if part in parts else OWN).numbers[0, index]
        assert moved.numbers[0, index] == value, name


def test_strength_and_head_apply_to_latents_and_the_face_is_one_part():
    own, driver = OWN._replace(latent=torch.zeros(1, 4)), DRIVER._replace(latent=torch.full((1, 4), 3.0))
    assert torch.allclose(transferred(own=own, driver=driver).latent, torch.tensor(2.0))
    assert torch.allclose(transferred(own=own, driver=driver, expression_strength=0.5).latent, torch.tensor(1.0))
    head = transferred(own=own, driver=driver, parts=("head",))
    assert not head.latent.any() and yaw_of(head) == pytest.approx(17, abs=1e-3)
    face = transferred(own=own, driver=driver, parts=("eyes", "mouth", "brows"))
    assert torch.allclose(face.latent, torch.tensor(2.0)) and yaw_of(face) == pytest.approx(5, abs=1e-3)


def smoothed(share, frames):
    transfer = Transfer(OWN, "absolute", "driver", Controls(smoothing=share))
    return list(transfer_frames([(None, frame) for frame in frames], transfer, rate=1.0))


def test_smoothing_is_an_exponential_mean_that_keeps_rotations():
    frames = [motion(), motion(yaw=20, shift=0.4, jawOpen=1), None, motion(yaw=20, shift=0.4, jawOpen=1)]
    moved = [frame for _, frame, _ in smoothed(0.75, frames)]
    assert [yaw_of(frame) for frame in moved] == pytest.approx([0, 5, 5, 8.75], abs=1e-3)
    jaw = ACTIONS.index("jawOpen")
    assert [frame.numbers[0, jaw].item() for frame in moved] == pytest.approx([0, 0.25, 0.25, 0.4375])
    assert moved[3].pose.translation[0, 0].item() == pytest.approx(0.4 * 0.4375)
    assert moved[2] is moved[1]  # a frame without a face holds the motion
    assert all(torch.allclose(f.pose.rotation @ f.pose.rotation.mT, torch.eye(3), atol=1e-6) for f in moved)
    held = [frame for _, frame, _ in smoothed(1, frames)]
    assert yaw_of(held[3]) == pytest.approx(0, abs=1e-4)


def test_smoothing_0_changes_no_bit():
    frames = [motion(yaw=angle, jawOpen=angle / 30) for angle in (3.0, 14.0, 9.0)]
    transfer = Transfer(OWN, "absolute")
    transfer.reference = frames[0]
    for (_, moved, _), frame in zip(smoothed(0, frames), frames):
        assert_equal(moved, transfer(frame))


def test_interpolation_gives_both_ends():
    a, b = (m._replace(numbers=torch.rand(1, NUMBERS)) for m in (OWN, DRIVER))
    assert_equal(interpolate(a, b, 0, 0), a, 1e-6)
    assert_equal(interpolate(a, b, 1, 1), b)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"pose_strength": -0.1}, "--pose-strength must be from 0 to 1.5, got -0.1"),
        ({"pose_strength": float("nan")}, "--pose-strength"),
        ({"expression_strength": 2}, "--expression-strength must be from 0 to 1.5, got 2"),
        ({"smoothing": 1.1}, "--smoothing must be from 0 to 1, got 1.1"),
        ({"parts": ()}, "--parts is one or more of head, eyes, mouth, brows, not nothing"),
        ({"parts": ("head", "nose")}, "not head nose"),
        ({"parts": ("eyes",), "motion_from": "pixels"}, "all of eyes, mouth and brows or none"),
        ({"mark": "middle"}, "--mark is none or bottom-right"),
    ],
)
def test_controls_out_of_range_are_refused(options, words):
    with pytest.raises(MediaError, match=words):
        Options(**options)


def test_pixels_take_the_head_or_the_whole_face():
    for parts in (("head",), ("eyes", "mouth", "brows"), PARTS):
        assert Options(parts=parts, motion_from="pixels").parts == parts
    assert {field.name for field in dataclasses.fields(Controls)} <= {f.name for f in dataclasses.fields(Options)}
