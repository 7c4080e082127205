"""Properties of the parts of which the face model is made."""

import numpy as np
import pytest
from test_action_fit import modelled

from mpkit.actions import ACTIONS, vector, with_gaze
from mpkit.data import find_face_model
from mpkit.data.calibration import Calibration, few_actions, fitted_actions
from mpkit.faces.face_model import FITTED, fitted_points, load_face_model, pose_columns

MODEL = load_face_model()


def test_a_change_of_the_pose_is_taken_out_and_nothing_else():
    columns, view = pose_columns(MODEL.mean), np.float32((0.3, 0.1, 0.95))
    pose = np.tensordot(np.linspace(-0.02, 0.03, 7), columns, 1)
    assert np.abs(find_face_model.without_pose(pose, MODEL.mean, view)).max() < 1e-5
    shape = find_face_model.without_pose(MODEL.shapes[0], MODEL.mean, np.zeros(3))
    np.testing.assert_allclose(find_face_model.without_pose(shape + pose, MODEL.mean, np.zeros(3)), shape, atol=1e-5)


def test_few_actions_are_drawn_in_range_and_told_in_the_order_of_the_fit():
    rng = np.random.default_rng(0)
    for _ in range(50):
        actions, gaze = few_actions(rng)
        assert 0 <= actions.min() and actions.max() <= 1 and 0 <= (actions > 0).sum() <= 9 and np.abs(gaze).max() <= 1
        assert not any(actions[ACTIONS.index(name)] for name in ACTIONS if name.startswith("eyeLook"))
    numbers = vector(jawOpen=0.5, gaze_x=-0.3, gaze_y=0.2)
    told = dict(zip(FITTED, fitted_actions(with_gaze(numbers[:52], numbers[52:]))))
    assert {name: value for name, value in told.items() if value} == pytest.approx(
        {"jawOpen": 0.5, "left": 0.3, "down": 0.2}
    )


def test_the_regression_finds_what_a_tracker_sees_of_an_action():
    """From faces of which one action moves what the model says, told that it moves nothing: also on the other side."""
    faces, people, actions = [], [], []
    for person in range(12):
        shape = np.random.default_rng(person).normal(0, 0.5, len(MODEL.shapes))
        for share in (0.0, 0.6, 1.0):
            faces.append(modelled(shape, mouthSmileLeft=share))
            people.append(person)
            actions.append(fitted_actions(vector(mouthSmileLeft=share)[:52]))
    data = Calibration(faces, np.array(people), np.float32(actions))
    offsets, left = find_face_model.seen_offsets(np.zeros_like(MODEL.offsets), MODEL.mean, data)
    for side in ("Left", "Right"):
        index = FITTED.index("mouthSmile" + side)
        true = find_face_model.without_pose(MODEL.offsets[index], MODEL.mean, np.float32((0, 0, 1)))
        true, found = true[:468, :2], offsets[index, :468, :2]
        assert np.corrcoef(true.ravel(), found.ravel())[0, 1] > 0.95
    assert left.shape == (36, 470, 3) and np.abs(left).mean() < 0.005


def test_the_bundled_model_is_a_face():
    assert np.linalg.norm(MODEL.normals, axis=1) == pytest.approx(1, abs=2e-3)
    normals = find_face_model.outward_normals(MODEL.mean)
    np.testing.assert_allclose(normals, MODEL.normals, atol=0.03)
    depth = MODEL.mean[:468, 2].mean() * np.float32((0, 0, 1))  # the tracker knows no depth of the whole head
    points = fitted_points(modelled(np.zeros(len(MODEL.shapes))))
    np.testing.assert_allclose(points[:468], MODEL.mean[:468] - depth, atol=1e-3)
    np.testing.assert_allclose(points[468:], MODEL.mean[468:], atol=1e-3)
    assert MODEL.spread.min() > 0 and MODEL.spread == pytest.approx(
        find_face_model.by_name(find_face_model.SPREAD), abs=0.005
    )
    gap, width = (MODEL.offsets[FITTED.index(name)] for name in ("jawOpen", "mouthSmileLeft"))
    assert gap[14, 1] - gap[13, 1] > 0.15 and width[291, 0] > 0.02 > 0 > width[291, 1]
