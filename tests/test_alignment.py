"""The tracker face-alignment: faces from its 68 landmarks. A fake module stands in for the package."""

import sys
import types

import numpy as np
import pytest
import torch

from mpkit.actions import ACTIONS
from mpkit.errors import MpkitError
from mpkit.faces import face_alignment_tracker as alignment
from mpkit.faces import make_tracker
from mpkit.faces.canonical import CANONICAL_FACE
from mpkit.geometry import rotation_from_angles

TURNED = rotation_from_angles(*torch.tensor([[25.0], [5.0], [-10.0]]))[0].numpy()


class FakeFaceAlignment(types.ModuleType):
    """Finds two faces that look to the picture's right, in the coordinates of the package: z towards the camera."""

    class LandmarksType:
        THREE_D = 3

    class FaceAlignment:
        def __init__(self, kind, device):
            assert kind == 3

        def get_landmarks_from_image(self, image):
            if image.max() == 0:
                return None
            points = CANONICAL_FACE[alignment.MESH_LANDMARKS] @ (50 * TURNED).T + np.float32((120, 100, 0))
            return [points * 0.5 * np.float32((1, 1, -1)), points * np.float32((1, 1, -1))]


def test_face_alignment_gives_faces_in_our_coordinates(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", FakeFaceAlignment("face_alignment"))
    with make_tracker("face-alignment") as tracker:
        assert tracker.detect(np.zeros((9, 9, 3), np.uint8)) == []
        faces = tracker.detect(np.ones((200, 240, 3), np.uint8))
    assert len(faces) == 2 and faces[0].area > faces[1].area
    face = faces[0]
    assert face.angles == pytest.approx((25, 5, -10), abs=0.1) and face.radius == pytest.approx(50, rel=1e-3)
    np.testing.assert_allclose(face.centre, (120.5, 100.5), atol=0.05)  # the package counts from pixel centres
    expected = 50 * CANONICAL_FACE @ TURNED.T + np.float32((120.5, 100.5, 0))
    np.testing.assert_allclose(face.landmarks[:468], expected, atol=0.05)
    assert face.landmarks.shape == (478, 3) and face.actions.shape == (52,)


def test_open_mouth_and_closed_eye_are_estimated_from_distances():
    points = CANONICAL_FACE[alignment.MESH_LANDMARKS].copy()
    rest = alignment.estimate_actions(points)
    points[[65, 66, 67], 1] += 0.15
    points[[37, 38, 41, 40], 1] = points[[36, 39], 1].mean()
    changed = alignment.estimate_actions(points)
    assert changed[ACTIONS.index("jawOpen")] > rest[ACTIONS.index("jawOpen")] + 0.4
    assert changed[ACTIONS.index("eyeBlinkRight")] > 0.8 > changed[ACTIONS.index("eyeBlinkLeft")]


def test_missing_face_alignment_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    with pytest.raises(MpkitError, match="pip install face-alignment") as error:
        make_tracker("face-alignment")
    assert "\n" not in str(error.value)


def test_failed_download_is_one_clear_line(monkeypatch):
    fake = FakeFaceAlignment("face_alignment")

    def offline(*args, **kwargs):
        raise OSError("name resolution\nfailed")

    fake.FaceAlignment = offline
    monkeypatch.setitem(sys.modules, "face_alignment", fake)
    with pytest.raises(MpkitError, match="downloaded") as error:
        make_tracker("face-alignment")
    assert "\n" not in str(error.value)
