"""`actions.vector`: a face's 54 numbers by name."""

import numpy as np
import pytest

from mpkit.actions import ACTIONS, SHORT_NAMES, vector


def named(numbers):
    """The numbers that are not 0, by name."""
    return {name: value for name, value in zip((*ACTIONS, "gaze_x", "gaze_y"), numbers.tolist()) if value}


@pytest.mark.parametrize("name", ACTIONS)
def test_each_action_has_its_number(name):
    assert named(vector(**{name: 0.25})) == {name: 0.25}


def test_values_are_fractions_and_the_rest_is_at_rest():
    numbers = vector(jawOpen=0.5, gaze_x=-1, gaze_y=0.5)
    assert numbers.dtype == np.float32 and numbers.shape == (54,)
    assert named(numbers) == pytest.approx({"jawOpen": 0.5, "gaze_x": -1, "gaze_y": 0.5})
    assert not vector().any()


def test_names_without_a_side_set_both_sides():
    both = vector(mouthSmileLeft=0.3, mouthSmileRight=0.3)
    assert np.array_equal(vector(mouthSmile=0.3), both) and np.array_equal(vector(smile=0.3), both)
    assert np.array_equal(vector(smile=1, mouthSmile=0.3), both)  # the later counts
    assert all(vector(**{name: 1}).any() for name in SHORT_NAMES)


@pytest.mark.parametrize("name", ["jaw", "mouth", "smileLeft", "eyeBlinkleft", "gaze", "gaze x", ""])
def test_unknown_names_are_errors_that_list_the_choices(name):
    with pytest.raises(ValueError, match="jawOpen.*tongueOut"):
        vector(**{name: 1})


@pytest.mark.parametrize("name, value", [("jawOpen", 1.1), ("smile", -0.1), ("gaze_x", -1.5), ("blink", float("nan"))])
def test_values_out_of_range_are_errors_that_name_the_range(name, value):
    with pytest.raises(ValueError, match=f"{name} must be from"):
        vector(**{name: value})
