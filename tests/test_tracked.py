"""The numbers that condition training: the true ones where they are known."""

import numpy as np

from mpkit.actions import ACTIONS, gaze_of, with_gaze
from mpkit.data.tracked import conditioning

JAW = ACTIONS.index("jawOpen")


def test_synthetic_frames_get_their_true_actions():
    actions = np.random.rand(52).astype(np.float32)
    sample = {"actions": actions, "gaze": np.float32((1, -1)), "numbers": np.random.rand(54)}
    numbers = conditioning(sample)
    assert numbers.dtype == np.float32 and np.array_equal(numbers, [*actions, 1, -1])


def test_real_frames_get_what_the_tracker_fits():
    numbers = np.random.rand(54).astype(np.float32)
    assert np.array_equal(conditioning({"numbers": numbers}), numbers)


def test_gaze_survives_its_way_through_actions():
    for gaze in ((0.5, -0.3), (-1.0, 1.0), (0.0, 0.0)):
        actions = with_gaze(np.ones(52, np.float32), np.float32(gaze))
        assert np.allclose(gaze_of(actions), gaze) and actions[JAW] == 1
