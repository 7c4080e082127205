"""The face that is drawn of a driver's numbers moves as the numbers say."""

import numpy as np
import pytest
import torch

from mpkit.actions import vector
from mpkit.animation.face_mesh import BACKGROUND, draw_face, face_vertices
from mpkit.animation.transfer import FrameMotion
from mpkit.geometry import identity_pose, rotation_from_angles

UPPER_LIP, LOWER_LIP, CHIN, CORNER, UPPER_LID, LOWER_LID = 13, 14, 152, 61, 159, 145


def motion(yaw=0.0, **actions):
    rotation = rotation_from_angles(*torch.tensor([[yaw], [0.0], [0.0]]))
    return FrameMotion(identity_pose()._replace(rotation=rotation), torch.from_numpy(vector(**actions))[None])


def gap(vertices, top, bottom):
    return vertices[bottom, 1] - vertices[top, 1]


def test_jaw_smile_and_blink_move_their_landmarks():
    rest, jaw, smile, blink = (
        face_vertices(vector(**actions)) for actions in ({}, {"jawOpen": 1}, {"smile": 1}, {"blink": 1})
    )
    assert rest.shape == (468, 3)
    assert gap(jaw, UPPER_LIP, LOWER_LIP) > gap(rest, UPPER_LIP, LOWER_LIP) + 0.1 and jaw[CHIN, 1] > rest[CHIN, 1]
    assert smile[CORNER, 1] < rest[CORNER, 1] and abs(smile[CORNER, 0]) > abs(rest[CORNER, 0])
    assert gap(blink, UPPER_LID, LOWER_LID) < 0.3 * gap(rest, UPPER_LID, LOWER_LID)


def test_the_face_is_in_the_middle_and_turns_with_its_pose():
    def centre(picture):
        x = np.nonzero((picture != BACKGROUND).any(2))[1]
        return x.mean() / picture.shape[1]

    front, right = draw_face(motion(), 128), draw_face(motion(yaw=30), 128)
    assert front.shape == (128, 128, 3) and front.dtype == np.uint8
    assert centre(front) == pytest.approx(0.5, abs=0.03) and centre(right) > centre(front) + 0.03


def test_every_kind_of_motion_changes_the_picture():
    rest = draw_face(motion()).astype(int)
    for actions in ({"jawOpen": 0.5}, {"smile": 0.8}, {"blink": 1}, {"gaze_x": 1}, {"browInnerUp": 1}):
        assert np.abs(draw_face(motion(**actions)) - rest).max() > 40, actions
