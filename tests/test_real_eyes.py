"""What is measured of eyes in clips: known movements of irises and lids are found again."""

import numpy as np
import pytest
from test_action_fit import modelled

from mpkit.data.find_face_model import gaze_response, with_real_eyes
from mpkit.data.real_eyes import EyeClip, iris_slopes, whole_blink
from mpkit.faces.face_model import BLINKS, FITTED, lid_gaps, load_face_model
from mpkit.synthetic.anatomy import MAX_EYE_TURN

MODEL = load_face_model()
SIDEWAYS, DOWN = MODEL.offsets[FITTED.index("right"), -1, 0], MODEL.offsets[FITTED.index("down"), -1, 1]


def clip(frames=60, blinks=(20, 40), seed=0):
    """A face that turns, looks at the camera all the time, and blinks for three frames each time."""
    faces = []
    for n in range(frames):
        yaw, pitch = 12 * np.sin(n / 15), 9 * np.cos(n / 12)
        gaze = -np.sin(np.radians((yaw, pitch))) / np.sin(np.radians(MAX_EYE_TURN))
        closed = max((1 - 0.5 * abs(n - blink) for blink in blinks if abs(n - blink) < 2), default=0.0)
        looks = {"gaze_x": gaze[0], "gaze_y": gaze[1] * (1 - closed), "eyeBlink": closed}  # closed lids stay closed
        faces.append(modelled(np.zeros(len(MODEL.shapes)), (yaw, pitch, 0), 0.0005, n + 100 * seed, **looks))
    return EyeClip(faces)


def test_irises_move_as_the_eyes_turn_back():
    assert iris_slopes([clip(), clip(seed=1)]) == pytest.approx((SIDEWAYS, DOWN), rel=0.1)


def test_a_blink_is_found_and_measured():
    filmed = clip(seed=2)
    assert [frame for frame, _ in filmed.blinks()] == [20, 40]
    assert all(filmed.open_eyes()[around].all() and len(around) >= 4 for _, around in filmed.blinks())
    moved, closed = whole_blink([filmed, clip(blinks=())], MODEL.mean)
    assert lid_gaps(moved).mean() == pytest.approx(-1, abs=1e-6)
    both = MODEL.offsets[BLINKS].sum(0)
    lids = np.abs(both[:, 1]) > 0.02
    assert np.corrcoef(moved[lids, 1], both[lids, 1])[0, 1] > 0.98
    assert closed == pytest.approx(lid_gaps(MODEL.mean + both).mean(), abs=2e-3)


def test_lids_that_stay_closed_do_not_blink():
    asleep = clip(frames=30, blinks=range(5, 30))
    assert list(asleep.blinks()) == []
    with pytest.raises(ValueError, match="no clip shows a blink"):
        whole_blink([asleep], MODEL.mean)


def test_the_offsets_of_eyes_are_those_of_the_clips():
    """From offsets whose irises and lids hardly move."""
    lame = MODEL.offsets * np.where(np.arange(470)[:, None] < 468, 1, 0.3)
    lame[BLINKS] *= 0.5
    mended = with_real_eyes(lame, MODEL.mean, [clip(), clip(seed=3)])
    assert mended[FITTED.index("left"), -2:, 0] == pytest.approx(-SIDEWAYS, rel=0.1)
    assert mended[FITTED.index("up"), -2:, 1] == pytest.approx(-DOWN, rel=0.1)
    right, left = lid_gaps(mended[BLINKS])
    assert right == pytest.approx(left[::-1], abs=1e-3) and right[0] < 2 * right[1] < 0  # of its own eye, of the other
    assert right.sum() == pytest.approx(lid_gaps(MODEL.offsets[BLINKS].sum(0)).mean(), abs=3e-3)
    others = np.setdiff1d(np.arange(len(FITTED) - 4), BLINKS)
    assert np.array_equal(mended[others], lame[others])


def test_the_response_is_that_of_the_fitted_gaze():
    response = gaze_response(MODEL, [clip(), clip(seed=4)])
    assert (response[:-4] == 1).all() and response[-4:] == pytest.approx(1, abs=0.3)
