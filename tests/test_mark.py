"""The mark: a word in one corner of every frame, legible on every picture."""

import dataclasses

import numpy as np
import pytest
from clips import sway, write_clip
from PIL import Image
from test_stream import student  # noqa: F401  a fixture

from mpkit import Options
from mpkit.animation.mark import marked

CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left")
PICTURES = {
    "white": np.full((200, 300, 3), 255, np.uint8),
    "black": np.zeros((200, 300, 3), np.uint8),
    "grey": np.full((200, 300, 3), 128, np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8),
}


def label_of(corner, picture):
    """Rows and columns of the mark, found with the white and the black picture."""
    changed = np.zeros(picture.shape[:2], bool)
    for value in (0, 255):
        plain = np.full_like(picture, value)
        changed |= (marked(plain, corner) != plain).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def luminance(pixels):
    linear = np.where(pixels / 255 <= 0.04045, pixels / 255 / 12.92, ((pixels / 255 + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("corner", CORNERS)
def test_the_mark_has_contrast_and_changes_its_corner_alone(corner, name):
    picture = PICTURES[name]
    result, place = marked(picture, corner), label_of(corner, picture)
    letters, brightness = marked(PICTURES["black"], corner)[place][..., 0], luminance(result[place])
    text, box = brightness[letters > 200], brightness[letters == 0]
    assert len(text) > 20 and (text.min() + 0.05) / (box.max() + 0.05) > 4.5  # the contrast that WCAG asks of text
    height, width = picture.shape[:2]
    assert place[0].start > height / 2 if "bottom" in corner else place[0].stop < height / 2
    assert place[1].start > width / 2 if "right" in corner else place[1].stop < width / 2
    outside = np.ones((height, width), bool)
    outside[place] = False
    assert (result[outside] == picture[outside]).all()


def test_the_picture_itself_is_not_changed_and_none_draws_nothing():
    before = PICTURES["noise"].copy()
    marked(PICTURES["noise"], "top-left")
    assert (PICTURES["noise"] == before).all() and marked(before, "none") is before


def test_the_mark_grows_with_the_picture():
    small, large = (label_of("top-left", np.zeros((side, side, 3), np.uint8)) for side in (512, 1024))
    assert large[0].stop == pytest.approx(2 * small[0].stop, abs=4)
    assert large[1].stop == pytest.approx(2 * small[1].stop, rel=0.1)


@pytest.mark.parametrize("shape", [(16, 16, 3), (16, 400, 3), (400, 16, 3)])
def test_a_picture_smaller_than_the_word_gets_a_part_of_it(shape):
    for corner in CORNERS:
        assert (marked(np.full(shape, 255, np.uint8), corner) < 255).any()


def test_every_frame_of_the_output_has_it(student, tmp_path):  # noqa: F811
    """Also held frames, and the whole picture where source and driver stand beside the result."""
    animator, still = student
    driver = write_clip(tmp_path / "clip.gif", sway(3))
    for beside in (False, True):
        options = Options(max_frames=3, paste_back=False, side_by_side=beside)
        frames = []
        for mark in ("none", "bottom-right"):
            folder = tmp_path / f"{beside} {mark}"
            animator.animate(still, driver, folder, dataclasses.replace(options, mark=mark))
            frames.append([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
        for plain, with_mark in zip(*frames, strict=True):
            assert (marked(plain, "bottom-right") == with_mark).all() and (plain != with_mark).any()
