"""The numbers that condition training: in the units of the tracker's readings, without their noise."""

import numpy as np
import pytest

from mpkit.actions import ACTIONS, READING, gaze_of, with_gaze
from mpkit.data.tracked import conditioning, true_actions
from mpkit.faces.face import Face

JAW, BROW = ACTIONS.index("jawOpen"), ACTIONS.index("browInnerUp")


def test_synthetic_frames_get_the_expected_reading():
    actions = np.zeros(52, np.float32)
    actions[[JAW, BROW]] = 0.5
    sample = {"actions": actions, "gaze": np.float32((1, -1)), "numbers": np.random.rand(54)}
    numbers = conditioning(sample)
    assert numbers[JAW] == pytest.approx(0.5 * READING[JAW]) and READING[JAW] < 0.7 and numbers[BROW] == 0.5
    assert numbers[52:] == pytest.approx(READING[52:] * (1, -1)) and numbers.dtype == np.float32
    sample["numbers"] = np.random.rand(54)
    assert np.array_equal(conditioning(sample), numbers)  # the reading of the frame itself is not used


def test_real_frames_get_the_reading():
    numbers = np.random.rand(54).astype(np.float32)
    assert np.array_equal(conditioning({"numbers": numbers}), numbers)


def test_true_actions_are_the_inverse_of_conditioning():
    actions = np.zeros(52, np.float32)
    actions[[JAW, BROW]] = 0.3, 0.6
    face = Face(np.zeros((478, 3)), (0, 0, 1, 1), actions, np.float32((0.3, -0.2)), np.eye(3), np.zeros(2), 1.0)
    truth = true_actions(face)
    numbers = conditioning({"actions": truth, "gaze": gaze_of(truth)})
    assert numbers[[JAW, BROW, 52, 53]] == pytest.approx((0.3, 0.6, 0.3, -0.2), abs=1e-6)
    assert 0 <= truth.min() and truth.max() <= 1


def test_gaze_survives_its_way_through_actions():
    for gaze in ((0.5, -0.3), (-1.0, 1.0), (0.0, 0.0)):
        actions = with_gaze(np.ones(52, np.float32), np.float32(gaze))
        assert np.allclose(gaze_of(actions), gaze) and actions[JAW] == 1
