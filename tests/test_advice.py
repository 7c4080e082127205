"""Advice before a run: one sentence for each fault of a face, none for a good one."""

from dataclasses import replace

import numpy as np
import pytest
from face_pictures import make_face

from mpkit.actions import vector
from mpkit.assets import EXAMPLES
from mpkit.faces.advice import advice
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image

SIZE = (640, 480)


def face(yaw=0.0, pitch=0.0, box=(200, 100, 400, 300), lip_gap=0.0, **actions):
    """lip_gap: in head radii."""
    made = make_face(300, 200, 150.0, (yaw, pitch, 0))
    made.landmarks[14] = made.landmarks[13] + 150 * lip_gap * made.rotation[:, 1]
    return replace(made, box=box, actions=vector(**actions)[:52])


def test_a_good_face_needs_no_advice():
    assert advice(face(), SIZE) == []
    assert advice(face(yaw=-24, pitch=19, smile=0.5, lip_gap=0.02, eyeBlink=0.5, box=(1, 1, 639, 479)), SIZE) == []


@pytest.mark.parametrize(
    "fault, words",
    [
        ({"yaw": 34}, "turned 34 degrees to the right"),
        ({"yaw": -34}, "turned 34 degrees to the left"),
        ({"pitch": 23}, "tilted 23 degrees down"),
        ({"pitch": -23}, "tilted 23 degrees up"),
        ({"lip_gap": 0.06}, "lips are apart"),
        ({"yaw": 20, "pitch": -15, "lip_gap": 0.05}, "lips are apart"),
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
    (sentence,) = advice(face(yaw=yaw, pitch=30, lip_gap=0.1), SIZE)
    assert "seen from the side" in sentence and "cannot be animated" in sentence


def test_lips_closed_over_an_open_jaw_are_no_open_mouth():
    assert advice(face(jawOpen=0.6, mouthClose=0.6), SIZE) == []


def test_one_closed_eye_is_a_wink():
    assert advice(face(eyeBlinkLeft=1), SIZE) == []


def test_all_faults_are_named():
    worst = face(yaw=40, pitch=30, box=(0, 0, 50, 50), lip_gap=0.1, eyeBlink=1)
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
