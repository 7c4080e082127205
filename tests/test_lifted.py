"""Lifted stills: the picture itself comes back at its own pose, labels and pictures agree."""

import cv2
import numpy as np
import pytest

from mpkit.assets import EXAMPLES
from mpkit.data.lifted import HIDDEN_BEHIND, fill, lift, lift_person, mesh, render
from mpkit.faces.crop import Crop, cut
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.synthetic.poses import rotation_matrix
from mpkit.synthetic.wear import PARTS

PICTURE, SIZE = EXAMPLES / "eileen_collins.jpg", 128


@pytest.fixture(scope="module")
def person():
    with make_tracker() as tracker, Matte() as matte:
        return lift_person(PICTURE, 3, SIZE, seed=5, tracker=tracker, matte=matte)


def test_the_first_frame_is_the_picture(person):
    with make_tracker() as tracker:
        image = read_image(PICTURE)
        wanted = cut(image, Crop.of(tracker.detect(image)[0]), SIZE).astype(float)
    inside = person["images"][0, ..., 3] > 250
    difference = np.abs(person["images"][0, ..., :3].astype(float) - wanted).mean(-1)
    assert inside.mean() > 0.3 and np.median(difference[inside]) < 4


def test_what_the_picture_never_showed_is_marked_as_a_guess(person):
    """Nothing of the picture itself; of other poses a little, beside a head, and where a head is that moved far."""
    guess, heads = ~person["believed"], person["images"][..., 3] > 250
    assert guess[0].mean() < 1e-3 < guess.mean((1, 2)).max() < 0.3
    assert guess[heads].mean() < 0.02
    with make_tracker() as tracker, Matte() as matte:
        image = read_image(PICTURE)
        face = tracker.detect(image)[0]
        lifted = lift(image, face, matte.in_crop(image, Crop.of(face), 256), Crop.of(face))
    turned = rotation_matrix(0.0, 28.0, 0.0) @ lifted.source.rotation
    motion = lifted.source._replace(rotation=turned, translation=np.float32((0.3, 0, 0)))
    guessed = []
    for frame in (render(lifted, lifted.source, SIZE), render(lifted, motion, SIZE)):
        guessed.append(1 - frame["believed"][frame["images"][..., 3] > 250].mean())
    assert guessed[0] < 1e-3 < guessed[1] < 0.2


def test_an_eye_that_was_closed_is_a_guess_and_a_mouth_is_not():
    """White without an iris would be learned; the inside of a mouth has a colour that is about right."""
    picture, known = np.full((32, 32, 4), 0.5, np.float32), np.ones((32, 32), np.float32)
    part = np.full((32, 32), PARTS.index("skin"))
    part[4:8], part[20:24] = PARTS.index("eye"), PARTS.index("mouth")
    known[4:8, 8:24] = known[20:24, 8:24] = 0
    filled, believed = fill(picture, known, part)
    assert not believed[4:8, 8:24].any() and believed.sum() == 32 * 32 - 4 * 16
    assert filled[21, 10, :3].mean() < 0.2 < filled[5, 10, :3].mean()


def test_head_vertices_obey_the_pose(person):
    """view = s R canonical + t, wherever nothing but the pose moves the head: on the sheet above the chin."""
    sheet = person["neutral"][-(49 * 49) :]
    for rotation, translation, scale, view in zip(
        *(person[k] for k in ("rotation", "translation", "scale", "vertices"))
    ):
        posed = scale * sheet @ rotation.T + translation
        top = sheet @ person["rotation"][0].T
        head = top[:, 1] < 0.4
        assert np.abs(posed - view[-(49 * 49) :])[head].max() < 2e-3


def test_true_flow_leads_to_the_same_colours(person):
    """Where both frames show a point, the first frame's colour there is the second's."""
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
    assert np.median(np.abs(colour - here).mean(-1)) < 8 and HIDDEN_BEHIND > 0
