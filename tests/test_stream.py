"""Properties of streams: they write what `animate` writes, and can be closed after any frame."""

import dataclasses
import inspect
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from mpkit import Animator, Options
from mpkit.animation.student_animator import StudentAnimator
from mpkit.assets import EXAMPLES
from mpkit.config import STUDENTS, preset
from mpkit.errors import MediaError, NoFaceError
from mpkit.networks import Student

SMALL = Options(paste_back=False, size=64, max_frames=5)


@pytest.fixture(scope="module")
def teacher(weights, portrait):
    """An animator and a portrait that it has prepared."""
    animator = Animator.load(weights, device="cpu")
    return animator, animator.portrait(portrait, size=64)


@pytest.fixture(scope="module")
def student(portrait):
    """A student and a still that it has prepared."""
    animator = StudentAnimator(Student(preset("nano", STUDENTS)), 0, device="cpu")
    return animator, animator.still(portrait, Options(size=64))


@pytest.fixture(params=["teacher", "student"])
def prepared(request):
    return request.getfixturevalue(request.param)


def run(stream):
    """The steps of a stream, and its return value."""
    steps = []

    def collect():
        result = yield from stream
        steps.append(result)

    steps[:0] = list(collect())
    return steps[:-1], steps[-1]


def frames_in(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "mpkit-prefetch"]


def test_a_stream_yields_the_frames_that_it_writes(prepared, clip, tmp_path):
    animator, still = prepared
    steps, result = run(animator.stream(still, clip, tmp_path / "frames", SMALL))
    assert [(step.done, step.total) for step in steps] == [(number, 5) for number in range(1, 6)]
    assert (result.frames, result.output) == (5, tmp_path / "frames")
    assert np.array_equal([step.picture for step in steps], frames_in(tmp_path / "frames"))


def test_animate_is_a_stream_run_to_its_end(prepared, clip, tmp_path):
    animator, still = prepared
    seen = []
    animated = animator.animate(still, clip, tmp_path / "a", SMALL, lambda *step: seen.append(step))
    steps, streamed = run(animator.stream(still, clip, tmp_path / "b", SMALL))
    assert dataclasses.replace(animated, output=None) == dataclasses.replace(streamed, output=None)
    assert seen == [(step.done, step.total) for step in steps]
    assert np.array_equal(frames_in(tmp_path / "a"), frames_in(tmp_path / "b"))


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "frames"])
def test_a_stream_closed_after_two_frames_leaves_nothing(prepared, clip, tmp_path, name):
    animator, still = prepared
    stream = animator.stream(still, clip, tmp_path / name, SMALL)
    assert [next(stream).done, next(stream).done] == [1, 2] and threads()
    stream.close()
    assert inspect.getgeneratorstate(stream) == inspect.GEN_CLOSED
    assert not threads() and not list(tmp_path.iterdir())


def test_an_error_of_the_progress_ends_the_stream(teacher, clip, tmp_path):
    animator, still = teacher

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        animator.animate(still, clip, tmp_path / "out.mp4", SMALL, stop)
    assert not threads() and not list(tmp_path.iterdir())


def test_a_stream_that_is_not_run_does_nothing(teacher, clip, tmp_path):
    teacher[0].stream(teacher[1], clip, tmp_path / "out.mp4", SMALL).close()
    assert not list(tmp_path.iterdir())


def test_a_prepared_portrait_gives_the_frames_of_its_file(prepared, portrait, clip, tmp_path):
    animator, still = prepared
    animator.animate(portrait, clip, tmp_path / "file", SMALL)
    animator.animate(still, clip, tmp_path / "prepared", dataclasses.replace(SMALL, size=300, face=7))
    assert np.array_equal(frames_in(tmp_path / "file"), frames_in(tmp_path / "prepared"))


def test_a_portrait_prepared_for_the_tracker_is_not_driven_by_pixels(teacher, clip, tmp_path):
    animator, still = teacher
    options = dataclasses.replace(SMALL, motion_from="pixels", max_frames=1)
    with pytest.raises(MediaError, match="motion_from='pixels'"):
        animator.animate(still, clip, tmp_path / "out.gif", options)
    assert not list(tmp_path.iterdir())
    made = animator.portrait(still.image, size=64, motion_from="pixels")
    assert animator.animate(made, clip, tmp_path / "out.gif", options).frames == 1


def test_options_of_the_controls_reach_the_pictures(teacher, clip, tmp_path):
    """Without any motion the portrait holds still; with half of it, it moves otherwise than with all of it."""
    animator, still = teacher
    folders = {"all": {}, "none": {"pose_strength": 0, "expression_strength": 0}, "calm": {"smoothing": 0.9},
               "half": {"pose_strength": 0.5}, "mouth": {"parts": ("mouth",)}}  # fmt: skip
    for name, controls in folders.items():
        animator.animate(still, clip, tmp_path / name, dataclasses.replace(SMALL, **controls))
    frames = {name: frames_in(tmp_path / name) for name in folders}
    with torch.inference_mode():
        own = animator.frame(still, still.motion).astype(int)
    assert all(np.abs(frame - own).max() <= 1 for frame in frames["none"])
    for name in ("none", "calm", "half", "mouth"):
        assert (frames[name][4] != frames["all"][4]).any(), name


def test_a_picture_without_a_face_is_named(teacher, tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "grey.png")
    with pytest.raises(NoFaceError, match="grey.png"):
        next(teacher[0].stream(tmp_path / "grey.png", EXAMPLES / "nod.json", tmp_path / "out.gif", SMALL))
