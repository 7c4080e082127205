"""The size of frames, transparency of frames, and the mark on transparent frames."""

import warnings

import numpy as np
import pytest

from mpkit import Options
from mpkit.animation.mark import marked
from mpkit.animation.output import side_by_side
from mpkit.errors import MediaError
from mpkit.media.frame_size import LARGEST_AREA, LARGEST_SIDE, MAX_AREA, fitted, frame_size
from mpkit.media.transparency import with_alpha, without_alpha


@pytest.mark.parametrize("size", [(6000, 9327), (20000, 20000), (20000, 16), (1, 20000), (3841, 2161), (64, 64)])
@pytest.mark.parametrize("largest_side", [None, 64, 1000, 8192])
def test_frames_keep_their_shape_within_the_limits(size, largest_side):
    made = frame_size(*size, largest_side)
    area, side = (LARGEST_AREA, largest_side) if largest_side else (MAX_AREA, LARGEST_SIDE)
    assert 1 <= min(made) and max(made) <= side and made[0] * made[1] <= area + sum(made)  # rounded
    if min(made) > 1:
        assert abs(made[0] - size[0] * made[1] / size[1]) <= 1 + size[0] / size[1]
    within = size[0] * size[1] <= area and max(size) <= side
    assert (made == size) == within


def test_a_huge_picture_is_scaled_down_once_with_a_note():
    image = np.zeros((3000, 6000, 3), np.uint8)
    image[:, 3000:] = 200
    with pytest.warns(
        UserWarning, match="6000 x 3000 pixels; frames are written at 4073 x 2036; --largest-side"
    ) as notes:
        made = fitted(image)
    assert (
        len(notes) == 1 and made.shape == (2036, 4073, 3) and made[:, 2040:].min() == 200 and made[:, :2030].max() == 0
    )
    with pytest.warns(UserWarning, match="500 x 250"):
        assert fitted(image[..., 0], 500).shape == (250, 500)  # alpha is scaled in the same way


def test_a_picture_within_the_limits_is_the_same_array():
    image = np.zeros((2160, 3840, 3), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fitted(image) is image and fitted(image, 3840) is image


@pytest.mark.parametrize("side", [63, 8193, -1])
def test_the_option_is_checked(side):
    with pytest.raises(MediaError, match="--largest-side is a number of pixels from 64 to 8192"):
        Options(largest_side=side)


def test_a_row_of_panels_stays_within_the_limits():
    still, driver, picture = (np.zeros((height, width, 3), np.uint8) for height, width in
                              ((2048, 2048), (1080, 1920), (2048, 2048)))  # fmt: skip
    height, width, _ = side_by_side(still, driver, picture).shape
    assert height * width <= MAX_AREA * 1.01 and height > 1400
    assert max(side_by_side(still, driver, picture, 300).shape) <= 301
    assert side_by_side(still[:64, :64], driver[:60, :80], picture[:64, :64]).shape == (64, 64 + 85 + 64, 3)


def test_alpha_is_added_so_that_the_frame_over_white_stays():
    rng = np.random.default_rng(0)
    alpha = rng.integers(0, 256, (40, 50), np.uint8)
    alpha[:10], alpha[10:20] = 0, 255
    colour = rng.integers(0, 256, (40, 50, 3), np.uint8)
    frame = without_alpha(np.dstack([colour, alpha]))
    made = with_alpha(frame, alpha)
    assert (made[..., 3] == alpha).all() and np.abs(without_alpha(made).astype(int) - frame).max() <= 1
    opaque = alpha > 128
    assert np.abs(made[..., :3].astype(int) - colour)[opaque].max() <= 2  # no white edge over another background


@pytest.mark.parametrize("alpha", [0, 100, 255])
def test_the_mark_can_be_read_on_transparent_frames(alpha):
    frame = np.full((200, 300, 4), 255, np.uint8)
    frame[..., 3] = alpha
    made = marked(frame, "top-left")
    changed = (made != frame).any(2)
    assert made[changed][:, 3].min() > 170 and (made[~changed] == frame[~changed]).all()
    over_white = marked(without_alpha(frame), "top-left")
    assert np.abs(without_alpha(made).astype(int) - over_white).max() <= 2
