"""Clips of natural motion: natural statistics, values within their limits, the same clip for the same seed."""

import numpy as np
import pytest
import torch

from mpkit.actions import ACTIONS
from mpkit.geometry import angles_from_rotation
from mpkit.synthetic.acting import MAX_YAW, sample_clip


@pytest.fixture(scope="module")
def clips():
    return [sample_clip(np.random.default_rng(seed), 100, rate=25) for seed in range(20)]


def actions(clip, name):
    """The values of one action in the frames of a clip, (frames,)."""
    return np.stack([motion.actions for motion in clip])[:, ACTIONS.index(name)]


def yaw(clip):
    """Of the head in the frames of a clip, degrees, (frames,)."""
    return angles_from_rotation(torch.from_numpy(np.stack([motion.rotation for motion in clip])))[0]


def test_the_same_seed_gives_the_same_clip():
    one, two = (sample_clip(np.random.default_rng(3), 7) for _ in range(2))
    for a, b in zip(one, two):
        assert all(np.array_equal(x, y) for x, y in zip(a, b))


def test_values_stay_within_their_limits(clips):
    for clip in clips:
        values = np.stack([motion.actions for motion in clip])
        assert values.shape == (100, 52) and values.min() >= 0 and values.max() <= 1 and values.dtype == np.float32
        assert yaw(clip).abs().max() <= MAX_YAW + 0.1


def test_motion_is_smooth_from_frame_to_frame(clips):
    for clip in clips:
        angles = torch.stack(angles_from_rotation(torch.from_numpy(np.stack([m.rotation for m in clip]))))
        assert angles.diff(dim=1).abs().max() < 12  # degrees in a 25th of a second
        assert np.abs(np.diff(actions(clip, "jawOpen"))).max() < 0.6


def test_people_blink_talk_smile_look_about_and_turn(clips):
    blinks = [(np.diff((actions(clip, "eyeBlinkLeft") > 0.5).astype(int)) == 1).sum() for clip in clips]
    assert 0.5 < np.mean(blinks) < 4  # in four seconds
    for name in ("jawOpen", "mouthPucker", "mouthSmileLeft", "eyeLookOutLeft", "eyeLookUpRight", "browInnerUp"):
        peaks = [actions(clip, name).max() for clip in clips]
        assert max(peaks) > 0.5 and min(peaks) < 0.5, name
    turns = [yaw(clip).abs().max() for clip in clips]
    assert max(turns) > 30 and min(turns) < 25


def test_any_number_of_frames(clips):
    assert len(sample_clip(np.random.default_rng(0), 1)) == 1 and sample_clip(np.random.default_rng(0), 0) == []
