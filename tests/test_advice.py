"""Advice before a run: one sentence for each fault of a face, none for a good one."""

import numpy as np
import pytest

from mpkit.actions import vector
from mpkit.assets import EXAMPLES
from mpkit.faces.advice import advice
from mpkit.faces.face import Face
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.synthetic.poses import rotation_matrix

SIZE = (640, 480)


def face(yaw=0.0, pitch=0.0, box=(200, 100, 400, 300), **actions):
    landmarks, centre = np.zeros((478, 3), np.float32), np.float32((300, 200))
    return Face(landmarks, box, vector(**actions)[:52], np.zeros(2), rotation_matrix(yaw, pitch, 0), centre, 150.0)


def test_a_good_face_needs_no_advice():
    assert advice(face(), SIZE) == []
    assert advice(face(yaw=-24, pitch=19, smile=0.5, jawOpen=0.1, eyeBlink=0.5, box=(1, 1, 639, 479)), SIZE) == []


@pytest.mark.parametrize(
    "fault, words",
    [
        ({"yaw": 34}, "turned 34 degrees to the right"),
        ({"yaw": -34}, "turned 34 degrees to the left"),
        ({"pitch": 23}, "tilted 23 degrees down"),
        ({"pitch": -23}, "tilted 23 degrees up"),
        ({"jawOpen": 0.6}, "lips are apart"),
        ({"mouthUpperUp": 0.5}, "lips are apart"),
        ({"eyeBlink": 1}, "eyes are closed"),
        ({"box": (300, 200, 360, 280)}, "60 pixels wide"),
        ({"box": (0, 100, 200, 300)}, "touches the edge"),
        ({"box": (200, 300, 400, 480)}, "touches the edge"),
    ],
)
def test_each_fault_is_named_by_one_sentence(fault, words):
    (sentence,) = advice(face(**fault), SIZE)
    assert words in sentence and "\n" not in sentence


@pytest.mark.parametrize("yaw", [60, -75])
def test_head_seen_from_the_side_gets_one_sentence_that_says_so(yaw):
    (sentence,) = advice(face(yaw=yaw, pitch=30, jawOpen=1), SIZE)
    assert "seen from the side" in sentence and "cannot be animated" in sentence


def test_lips_closed_over_an_open_jaw_are_no_open_mouth():
    assert advice(face(jawOpen=0.6, mouthClose=0.3), SIZE) == []


def test_one_closed_eye_is_a_wink():
    assert advice(face(eyeBlinkLeft=1), SIZE) == []


def test_all_faults_are_named():
    worst = face(yaw=40, pitch=30, box=(0, 0, 50, 50), jawOpen=1, eyeBlink=1)
    assert len(advice(worst, SIZE)) == 6


def test_the_bundled_portraits_get_the_advice_that_they_deserve():
    with make_tracker() as tracker:
        for name in ("mona_lisa.jpg", "grace_hopper.jpg"):
            image = read_image(EXAMPLES / name)
            assert advice(tracker.detect(image)[0], image.shape[1::-1]) == [], name
        smile = read_image(EXAMPLES / "eileen_collins.jpg")
        (sentence,) = advice(tracker.detect(smile)[0], smile.shape[1::-1])
        assert "lips are apart" in sentence
        small = np.ascontiguousarray(image[::6, ::6])
        found = tracker.detect(small)
        assert found and any("pixels wide" in sentence for sentence in advice(found[0], small.shape[1::-1]))
