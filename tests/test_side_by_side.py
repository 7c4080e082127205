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
