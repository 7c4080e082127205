"""The inside of the mouth of lifted stills: upper teeth stay with the skull, and below them a wide mouth is dark."""

import numpy as np
import pytest

from mpkit.actions import ACTIONS
from mpkit.assets import EXAMPLES
from mpkit.data.lifted import INNER_LIPS, TEXTURE_SIDE, lift, render
from mpkit.data.mouth_interior import carried_by_the_skull, shaded_interior
from mpkit.data.reading import read_still
from mpkit.geometry import identity_flow
from mpkit.synthetic.anatomy import average_identity, landmarks_on, move
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix

SIZE = 256
STILL = SyntheticMotion(np.eye(3), np.zeros(3), 1.0, np.eye(3), np.zeros(52, np.float32))


def acting(motion: SyntheticMotion, **actions: float) -> SyntheticMotion:
    values = np.zeros(52, np.float32)
    for name, value in actions.items():
        values[ACTIONS.index(name)] = value
    return motion._replace(actions=values)


def lifted(name: str):
    crop = read_still(EXAMPLES / name, TEXTURE_SIDE).crops[0]
    return lift(crop.picture, crop.face, crop.alpha.astype(np.float32) / 255, crop.square)


@pytest.fixture(scope="module")
def smiling():
    return lifted("eileen_collins.jpg")


def column_of_the_mouth(picture: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Mean colours (H, 3) of rows between the lips, a few pixels wide in the middle of the mouth."""
    upper, lower = ((landmarks_on(vertices.astype(np.float32))[INNER_LIPS, :2] + 1) * SIZE / 2).astype(int)
    x = (upper[0] + lower[0]) // 2
    return picture[upper[1] + 1 : lower[1], x - 2 : x + 3, :3].mean(1)


def test_a_wide_mouth_shows_the_pictures_upper_teeth_and_dark_below(smiling):
    frame = render(smiling, acting(smiling.source, jawOpen=0.8), SIZE)
    column = column_of_the_mouth(frame["images"].astype(float), frame["vertices"]).mean(1)
    teeth, below = column[: len(column) // 4], column[len(column) // 2 : -len(column) // 6]
    assert len(column) > 12 and teeth.mean() > 140 and below.mean() < 0.6 * teeth.mean()


def test_only_beside_teeth_that_the_picture_shows_are_colours_reliable(smiling):
    closed = lifted("grace_hopper.jpg")
    assert smiling.mouth is not None and closed.mouth is None
    for still in (smiling, closed):
        motion = acting(still.source, jawOpen=0.8)
        inside = shaded_interior(move(still.identity, motion), SIZE, still.white)[..., 3] > 0
        assert inside.mean() > 2e-3
        assert (render(still, motion, SIZE)["reliable"][inside] == (still.mouth is not None)).all()


def test_a_closed_mouth_shows_nothing_of_its_inside():
    assert shaded_interior(move(average_identity(), STILL), SIZE, 1.0)[..., 3].mean() < 2e-4


def test_teeth_are_drawn_with_smooth_edges_and_in_the_light_of_the_face():
    vertices = move(average_identity(), acting(STILL, jawOpen=0.5, mouthSmileLeft=0.6, mouthSmileRight=0.6))
    bright, dim = (shaded_interior(vertices, SIZE, white) for white in (1.0, 0.5))
    edge = (bright[..., 3] > 0) & (bright[..., 3] < 1)
    assert edge.sum() > 40 and (bright[..., :3] <= bright[..., 3:] + 1e-6).all()
    assert np.allclose(dim[..., :3], bright[..., :3] / 2) and np.array_equal(dim[..., 3], bright[..., 3])
    column = column_of_the_mouth(bright, vertices).mean(1)
    assert column[: len(column) // 3].max() > 2.5 * column[-len(column) // 3 :].min()


def test_what_the_skull_carries_follows_its_pose_and_no_expression():
    """Crop coordinates painted as colours come back from where a point of the plane lies in the other pose."""
    picture = identity_flow(SIZE, SIZE)[0].permute(1, 2, 0).numpy().astype(np.float32).copy()
    turned = STILL._replace(rotation=rotation_matrix(20.0, -8.0, 5.0), translation=np.array([0.05, -0.02, 0]))
    turned = acting(turned._replace(scale=0.9), jawOpen=1.0)
    point = np.array([0.02, 0.25, -0.55])
    carried = carried_by_the_skull(picture, STILL, turned, point, SIZE)
    there = turned.scale * turned.rotation @ point + turned.translation
    x, y = np.round((there[:2] + 1) * SIZE / 2 - 0.5).astype(int)
    assert np.abs(carried[y, x] - point[:2]).max() < 0.02
