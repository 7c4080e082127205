"""Beside the result stand the still and the driver; a motion file is drawn as a plain face."""

import numpy as np
from PIL import Image

from mpkit import Animator, Options
from mpkit.assets import EXAMPLES


def test_a_motion_file_is_drawn_as_a_face(weights, portrait, tmp_path):
    options = Options(side_by_side=True, paste_back=False, size=64, max_frames=2)
    animator = Animator.load(weights, device="cpu")
    animator.animate(portrait, EXAMPLES / "talk.json", tmp_path / "out", options)
    frames = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out").iterdir())]
    assert len(frames) == 2 and frames[0].shape == (64, 3 * 64, 3)
    driver = frames[0][:, 64:128]
    assert (driver[:4] > 230).all() and driver.std() > 20  # a face on a light background


def test_a_view_shows_more_around_the_head_and_moves(weights, portrait, tmp_path):
    animator = Animator.load(weights, device="cpu")

    def frame(name, **view):
        options = Options(paste_back=False, size=64, max_frames=1, **view)
        animator.animate(portrait, EXAMPLES / "talk.json", tmp_path / name, options)
        return np.asarray(Image.open(next((tmp_path / name).iterdir()))).astype(int)

    crop, wide = frame("crop"), frame("wide", view_scale=2)
    assert crop.shape == (64, 64, 3) and wide.shape == (128, 128, 3)
    assert np.abs(wide[36:92, 36:92] - crop[4:60, 4:60]).mean() < 12  # resampled twice
    moved = frame("moved", view_x=0.5)
    assert np.abs(moved[8:56, 4:40] - crop[8:56, 20:56]).mean() < 12
