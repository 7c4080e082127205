"""Lifted stills: in its own pose the picture comes back unchanged, and labels agree with pictures."""

import cv2
import numpy as np
import pytest

from mpkit.actions import ACTIONS
from mpkit.assets import EXAMPLES
from mpkit.data.lifted import SHEET_CELLS, TEXTURE_SIDE, fill, lift, lift_person, mesh, render, with_closed_mouth
from mpkit.data.reading import read_still
from mpkit.faces.crop import Crop, cut
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.synthetic.poses import rotation_matrix
from mpkit.synthetic.wear import PARTS

PICTURE, SIZE = EXAMPLES / "eileen_collins.jpg", 128


@pytest.fixture(scope="module")
def person():
    return lift_person(read_still(PICTURE, TEXTURE_SIDE).crops[0], 3, SIZE, np.random.default_rng(5))


def test_the_first_frame_is_the_picture(person):
    with make_tracker() as tracker:
        image = read_image(PICTURE)
        wanted = cut(image, Crop.of(tracker.detect(image)[0]), SIZE).astype(float)
    inside = person["images"][0, ..., 3] > 250
    difference = np.abs(person["images"][0, ..., :3].astype(float) - wanted).mean(-1)
    assert inside.mean() > 0.3 and np.median(difference[inside]) < 4


def test_invented_colours_are_marked_unreliable(person):
    """There are none in the picture's own pose, few in other poses, and more on a head that moves far."""
    invented, heads = ~person["reliable"], person["images"][..., 3] > 250
    assert invented[0].mean() < 1e-3 < invented.mean((1, 2)).max() < 0.3
    assert invented[heads].mean() < 0.02
    with make_tracker() as tracker, Matte() as matte:
        image = read_image(PICTURE)
        face = tracker.detect(image)[0]
        lifted = lift(image, face, matte.in_crop(image, Crop.of(face), 256), Crop.of(face))
    turned = rotation_matrix(0.0, 28.0, 0.0) @ lifted.source.rotation
    motion = lifted.source._replace(rotation=turned, translation=np.float32((0.3, 0, 0)))
    shares = []
    for frame in (render(lifted, lifted.source, SIZE), render(lifted, motion, SIZE)):
        shares.append(1 - frame["reliable"][frame["images"][..., 3] > 250].mean())
    assert shares[0] < 1e-3 < shares[1] < 0.2


def test_what_closed_eyes_and_mouths_hide_is_unreliable():
    """An eye would be learned without its iris. Insides of mouths: test_mouth_interior.py."""
    picture, known = np.full((32, 32, 4), 0.5, np.float32), np.ones((32, 32), np.float32)
    part = np.full((32, 32), PARTS.index("skin"))
    part[4:8], part[20:24] = PARTS.index("eye"), PARTS.index("mouth")
    known[4:8, 8:24] = known[20:24, 8:24] = 0
    filled, reliable = fill(picture, known, part)
    assert np.array_equal(reliable, known > 0) and filled[5, 10, :3].mean() > 0.5


def test_the_sheet_moves_with_the_head(person):
    """view = s R canonical + t above the chin, where no expression moves it."""
    sheet = person["neutral"][-((SHEET_CELLS + 1) ** 2) :]
    for rotation, translation, scale, view in zip(
        *(person[k] for k in ("rotation", "translation", "scale", "vertices"))
    ):
        posed = scale * sheet @ rotation.T + translation
        top = sheet @ person["rotation"][0].T
        head = top[:, 1] < 0.4
        assert np.abs(posed - view[-((SHEET_CELLS + 1) ** 2) :])[head].max() < 2e-3


def test_true_flow_leads_to_the_same_colours(person):
    """Where both frames show a point, they show the same colour."""
    faces, _ = mesh()
    source, driver = (person["images"][k].astype(np.float32) for k in (0, 1))
    triangle, weights = person["triangle"][1], person["barycentric"][1].astype(np.float32)
    seen = triangle >= 0
    u, v = weights[seen].T[..., None]
    a, b, c = (person["vertices"][0][faces[triangle[seen], k]].astype(np.float32) for k in range(3))
    there = u * a + v * b + (1 - u - v) * c
    pixel = ((there[:, :2] + 1) * SIZE / 2 - 0.5).astype(np.float32)
    colour = cv2.remap(source, pixel[:, None, 0], pixel[:, None, 1], cv2.INTER_LINEAR)[:, 0, :3]
    here = cv2.resize(driver, (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)[seen][:, :3]
    assert np.median(np.abs(colour - here).mean(-1)) < 8


def test_a_closed_mouth_leaves_the_rest_of_the_face():
    """Jaw, mouth and tongue are at rest but for a faint smile; brows, lids and gaze stay."""
    actions = np.full(52, 0.7, np.float32)
    closed = dict(zip(ACTIONS, with_closed_mouth(actions, np.random.default_rng(0))))
    mouth = {name: value for name, value in closed.items() if name.startswith(("jaw", "mouth", "tongue"))}
    smiles = {mouth.pop("mouthSmileLeft"), mouth.pop("mouthSmileRight")}
    assert not any(mouth.values()) and len(smiles) == 1 and 0 <= smiles.pop() <= 0.2
    assert {closed[name] for name in set(closed) - set(mouth) - {"mouthSmileLeft", "mouthSmileRight"}} == {actions[0]}
    assert (actions == np.float32(0.7)).all()
