"""Properties of the fine matte, on a drawn head with hairs whose alpha and colours are known."""

import cv2
import numpy as np
import pytest

from mpkit.animation.still import Still, over_background
from mpkit.faces.closed_form import closed_form_alpha
from mpkit.faces.face import Face
from mpkit.faces.fine_matte import fill_behind, refined
from mpkit.faces.matte import fill_background

HAIR = np.float32((60, 35, 25))
DRAWN = 4  # drawn at so many times the size, for soft edges


def drawn_head(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A dark disc with hairs over a ground of two colours with some grain: picture (side, side, 3) uint8, its alpha
    (side, side) float32 in [0, 1], and the matte of a segmenter that sees no hairs."""
    random = np.random.default_rng(0)
    large, disc = np.zeros((2, side * DRAWN, side * DRAWN), np.uint8)
    middle, radius = side * DRAWN // 2, side * DRAWN // 4
    for canvas in (large, disc):
        cv2.circle(canvas, (middle, middle), radius, 255, -1)
    for angle in np.linspace(0, 2 * np.pi, 60, endpoint=False):
        way = np.linspace(0.9, 1.0 + random.uniform(0.1, 0.22), 12)
        bent = angle + random.uniform(-0.3, 0.3) * (way - 0.9)
        points = middle + radius * way[:, None] * np.stack([np.cos(bent), np.sin(bent)], 1)
        cv2.polylines(large, [points.round().astype(np.int32)], False, 255, max(1, side * DRAWN // 320))
    alpha = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    ground = np.full((side, side, 3), (90, 150, 220), np.float32)
    ground[:, side // 2 :] = (200, 190, 120)
    ground = cv2.GaussianBlur(ground, None, side / 40) + random.normal(0, 1, (side, side, 3))
    picture = (alpha[..., None] * HAIR + (1 - alpha[..., None]) * ground).round().clip(0, 255).astype(np.uint8)
    coarse = cv2.resize(cv2.GaussianBlur(disc, None, 3 * DRAWN), (64, 64), interpolation=cv2.INTER_AREA)
    return picture, alpha, cv2.resize(coarse.astype(np.float32) / 255, (side, side)).clip(0, 1)


def coloured(picture: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """The colours (H, W, 3) of a person times alpha, as a still has them."""
    return picture - (1 - alpha[..., None]) * background.astype(np.float32)


@pytest.mark.parametrize("side", [300, 900])
def test_hairs_are_found_and_keep_no_colour_of_the_ground(side):
    picture, alpha, coarse = drawn_head(side)
    fine = refined(picture, coarse)
    assert fine.dtype == np.float32 and 0 <= fine.min() and fine.max() <= 1
    assert np.abs(fine - alpha).mean() < np.abs(coarse - alpha).mean() / 3.5
    true = alpha[..., None] * HAIR
    before = np.abs(coloured(picture, coarse, fill_background(picture, coarse)) - true)
    after = np.abs(coloured(picture, fine, fill_behind(picture, fine)) - true)
    assert after.mean() < before.mean() / 3


def test_the_inside_and_the_far_ground_stay_as_they_are():
    picture, _, coarse = drawn_head(300)
    fine = refined(picture, coarse)
    y, x = np.mgrid[:300, :300] - 149.5
    certain = np.abs(np.hypot(y, x) - 75) > 45
    np.testing.assert_array_equal(fine[certain], coarse[certain])


def test_a_person_that_leaves_the_picture_stays_solid_there():
    picture, _, coarse = (np.ascontiguousarray(array[:150]) for array in drawn_head(300))
    fine = refined(picture, coarse)
    np.testing.assert_array_equal(fine[-1], coarse[-1])
    assert fine[-6:, 100:200].min() > 0.95


def test_a_dark_head_on_dark_ground_has_no_holes():
    _, alpha, coarse = drawn_head(300)
    grain = np.random.default_rng(1).normal(0, 1.5, (300, 300, 1))
    picture = (22 + 3 * alpha[..., None] + grain + np.zeros(3)).round().clip(0, 255).astype(np.uint8)
    fine = refined(picture, coarse)
    assert fine[coarse > 0.99].min() > 0.65 and fine[coarse > 0.99].mean() > 0.98


def test_it_is_the_same_every_time():
    picture, _, coarse = drawn_head(300)
    fine = refined(picture, coarse)
    np.testing.assert_array_equal(refined(picture, coarse), fine)
    np.testing.assert_array_equal(fill_behind(picture, fine), fill_behind(picture, fine))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 5), (40, 30), (1, 700), (700, 500)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("flat", [True, False])
def test_any_picture_with_any_even_matte(shape, value, flat):
    picture = np.random.default_rng(2).integers(0, 255, (*shape, 3)).astype(np.uint8)
    picture = np.full_like(picture, 128) if flat else picture
    coarse = np.full(shape, value, np.float32)
    fine = refined(picture, coarse)
    assert fine.shape == shape and np.isfinite(fine).all()
    if value != 0.5:
        np.testing.assert_array_equal(fine, coarse)
    filled = fill_behind(picture, fine)
    assert filled.shape == picture.shape and filled.dtype == np.uint8
    if value == 0:
        np.testing.assert_array_equal(filled, picture)


def test_without_a_solution_the_coarse_matte_stays(monkeypatch):
    picture, _, coarse = drawn_head(120)
    monkeypatch.setattr(
        "mpkit.faces.fine_matte.closed_form_alpha", lambda image, alpha, *_: np.full_like(alpha, np.nan)
    )
    np.testing.assert_array_equal(refined(picture, coarse), coarse)


def test_alpha_that_is_affine_in_the_colour_is_recovered():
    """Levin's model holds exactly; only a frame of the picture is known."""
    x = np.linspace(0, 1, 40, dtype=np.float32)
    alpha = np.outer(1 - np.abs(2 * x - 1), x)
    image = np.stack([alpha, 1 - alpha, 0.5 * alpha], -1)
    unknown = np.zeros((40, 40), bool)
    unknown[3:-3, 3:-3] = True
    start = np.where(unknown, 0.5, alpha).astype(np.float32)
    solved = closed_form_alpha(image, start, unknown, np.zeros((40, 40), np.float32), 1e-7, 500)
    assert np.abs(solved - alpha).max() < 0.03


def test_a_still_is_its_picture_and_a_cut_out_keeps_its_alpha():
    picture, alpha, coarse = drawn_head(300)
    face = Face(
        np.zeros((478, 3), np.float32), (100, 100, 200, 200), np.zeros(52, np.float32), np.zeros(2, np.float32),
        np.eye(3, dtype=np.float32), np.float32((150, 150)), 128.0,
    )  # fmt: skip

    def segment(view):
        border = (len(view) - 256) // 2
        return cv2.copyMakeBorder(coarse[22:278, 22:278], *[border] * 4, cv2.BORDER_CONSTANT, value=0)

    still = Still.of(picture, face, 256, 256, segment)
    shown = over_background(still.picture, still.background)
    assert np.abs(shown.astype(int) - picture[22:278, 22:278]).max() <= 1
    assert np.abs(still.picture[0, 3].numpy() - alpha[22:278, 22:278]).mean() < 0.01
    opacity = (coarse * 255).round().astype(np.uint8)
    still = Still.of(np.dstack([picture, opacity]), face, 256, 256, segment)
    assert still.cut_out
    np.testing.assert_allclose(still.picture[0, 3].numpy() * 255, opacity[22:278, 22:278], atol=1e-3)
