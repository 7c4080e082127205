"""Following a face through a clip: less jitter than the tracker, no delay, one person as long as they are found."""

from types import SimpleNamespace

import numpy as np
import pytest

from mpkit.faces.face import Face
from mpkit.faces.follow import follow, smoothed

PICTURE = np.zeros((8, 8, 3), np.uint8)


def face(x=100.0, yaw=0.0, blink=0.0, radius=50.0) -> Face:
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    rotation = np.float32([(c, 0, -s), (0, 1, 0), (s, 0, c)])
    landmarks = np.full((478, 3), (x, 100, 0), np.float32)
    box = (x - radius, 0.0, x + radius, 2 * radius)
    return Face(
        landmarks, box, np.full(52, blink, np.float32), np.float32((blink, 0)), rotation, np.float32((x, 100)), radius
    )


def run(*frames):
    """The results of `follow` for a clip; each argument is the list of faces in one frame."""
    tracker = SimpleNamespace(detect=lambda picture, found=iter(frames): next(found))
    return list(follow([(n, PICTURE) for n in range(len(frames))], tracker))


def test_every_frame_is_given_once_in_order():
    for count in (0, 1, 2, 5):
        assert [stamp for stamp, _, _ in run(*[[face()]] * count)] == list(range(count))


def test_uniform_motion_is_unchanged_and_without_delay():
    series = [found for _, _, found in run(*[[face(100 + 2 * n, yaw=3 * n, blink=0.1 * n)] for n in range(6)])]
    for n, found in list(enumerate(series))[1:-1]:
        assert found.centre[0] == pytest.approx(100 + 2 * n, abs=1e-3) and found.box[0] == pytest.approx(50 + 2 * n)
        assert found.actions[0] == pytest.approx(0.1 * n, abs=1e-5) and found.radius == pytest.approx(50)
        assert abs(found.angles[0]) == pytest.approx(3 * n, abs=1e-2)
        assert found.landmarks[0, 0] == pytest.approx(100 + 2 * n, abs=1e-3)
        assert np.allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-5)


def test_alternating_jitter_is_removed():
    series = [found.centre[0] for _, _, found in run(*[[face(100 + (-1) ** n)] for n in range(9)])]
    assert np.abs(np.diff(series[1:-1])).max() < 1e-3


def test_frames_without_a_face_stay_without_and_do_not_change_others():
    series = [found for _, _, found in run([face(100)], [], [face(110)], [face(112)])]
    assert series[1] is None and series[0].centre[0] == 100
    assert series[2].centre[0] == pytest.approx((0.5 * 110 + 0.25 * 112) / 0.75)


def test_face_after_a_gap_counts_if_it_is_where_it_was_or_stays():
    """A pattern that looks like a face in one frame must not bring back a head that has left."""
    pattern, other_pattern, entering = face(400, yaw=40), face(700, yaw=-60, radius=20), face(600)
    frames = [face(100), None, pattern, None, pattern, other_pattern, None, entering, face(602), None, face(606), None]
    found = [given and given.centre[0] for _, _, given in run(*[[one] if one else [] for one in frames])]
    assert [index for index, x in enumerate(found) if x] == [0, 7, 8, 10]
    series = [given for _, _, given in run([pattern], [face(100)], [pattern], [face(100)])]
    assert all(series)  # without a gap every face counts: frames may be far apart in time


def test_first_face_is_followed_although_another_becomes_larger():
    left, right = face(100, radius=50), face(400, radius=40)
    grown = face(402, radius=60)  # the right one, now the larger of the two
    series = run([left, right], [right, face(102)], [grown, face(104)], [grown])
    assert [found.centre[0] < 200 for _, _, found in series] == [True, True, True, False]
    assert series[2][2].centre[0] == pytest.approx((0.5 * 104 + 0.25 * 102) / 0.75)  # not mixed with the other person


def test_a_blink_of_one_frame_is_not_smoothed_away():
    """Landmarks that move on the face count as they are; those that only jitter are averaged, and so is the pose."""
    rng, lids, others = np.random.default_rng(0), np.s_[:20], np.s_[20:]
    series = [face(100 + n, yaw=2 * n) for n in range(3)]
    for one in series:
        one.landmarks[:, 1] += rng.normal(0, 0.002 * one.radius, 478)
    series[1].landmarks[lids, 1] += 0.04 * series[1].radius
    mean = smoothed(*series)
    jitter, left = (one.landmarks[others, 1].std() for one in (series[1], mean))
    assert left < 0.7 * jitter and np.abs(mean.landmarks[others, 0] - 101).max() < 0.1
    lowered = (mean.landmarks[lids, 1].mean() - mean.landmarks[others, 1].mean()) / mean.radius
    assert lowered > 0.038


def test_rotations_are_averaged_as_rotations():
    mean = smoothed(face(yaw=-20), face(yaw=0), face(yaw=20))
    assert mean.angles[0] == pytest.approx(0, abs=1e-4) and np.linalg.det(mean.rotation) == pytest.approx(1, abs=1e-5)
    assert smoothed(face(), None, face()) is None
