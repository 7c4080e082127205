"""`mpkit distil`, and animation with the student that it writes."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from test_student_stage import PORTRAITS, noise  # noqa: F401, F811  a fixture

from mpkit.animation.options import Options
from mpkit.animation.student_animator import StudentAnimator
from mpkit.assets import EXAMPLES
from mpkit.cli.main import main
from mpkit.config import STUDENTS, preset
from mpkit.errors import WeightsError
from mpkit.evaluation.student_bench import STAGES, bench_student, format_student_bench
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.networks import BaseModel, Student
from mpkit.weights import load_network, load_tensors, save_weights

NANO = preset("nano", STUDENTS)


@pytest.fixture(scope="module")
def student_file(tmp_path_factory, weights, clip):
    """A student of two portraits after two steps, as `mpkit distil` writes it."""
    path = tmp_path_factory.mktemp("distil") / "student.safetensors"
    arguments = ["--preset", "nano", "--steps", "2", "--batch-size", "2", "--device", "cpu", "--weights", weights]
    assert distil(PORTRAITS, [clip], path, *arguments) == 0
    return path


def distil(portraits, clips, output, *options):
    arguments = ["distil", "--portraits", *portraits, "--clips", *clips, "--output", output, *options]
    return main([str(argument) for argument in arguments])


def test_distil_writes_a_student_of_all_portraits_with_their_names(student_file):
    student = load_network(student_file, Student)
    assert student.config == dataclasses.replace(NANO, avatars=2)
    metadata = load_tensors(student_file)[1]
    assert metadata["portraits"] == '["grace_hopper.jpg", "mona_lisa.jpg"]' and metadata["steps"] == "2"
    assert (student_file.parent / "student-run" / "weights.safetensors").exists()


def test_a_finished_run_is_not_trained_again(student_file, weights, clip, capsys):
    before = load_tensors(student_file)[0]
    arguments = ["--preset", "nano", "--steps", "2", "--batch-size", "2", "--device", "cpu", "--weights", weights]
    assert distil(PORTRAITS, [clip], student_file, *arguments) == 0
    assert "2 avatars; student against teacher on 4 held-out pictures: L1 0." in capsys.readouterr().out
    assert all(torch.equal(value, before[name]) for name, value in load_tensors(student_file)[0].items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "huge"], "--preset is one of base256, base512, nano, tiny, not huge"),
        (["--steps", "0"], "--steps must be 1 or more"),
        (["--steps", "3", "--minutes", "1"], "give --minutes, a number above 0, or --steps, not both"),
        (["--minutes", "-1"], "give --minutes, a number above 0"),
    ],
)
def test_distil_refuses_what_makes_no_sense_in_one_line(clip, tmp_path, capsys, options, words):
    assert distil(PORTRAITS, [clip], tmp_path / "s.safetensors", *options) == 2
    assert words in capsys.readouterr().err
    assert distil(PORTRAITS, [clip], tmp_path / "s.pt", "--steps", "1") == 2
    assert "is not the name of a .safetensors file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def animate(student_file, source, driver, output, *options):
    arguments = ["animate", source, driver, "--output", output, "--student", student_file, "--device", "cpu", *options]
    return main([str(argument) for argument in arguments])


def test_a_student_animates_its_portrait(student_file, clip, tmp_path):
    assert animate(student_file, PORTRAITS[1], clip, tmp_path / "out", "--avatar", 2, "--max-frames", 3) == 0
    frames = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "out").iterdir())]
    image = read_image(PORTRAITS[1])
    assert len(frames) == 3 and frames[0].shape == image.shape
    assert (frames[0] != image).any() and (frames[0] != frames[2]).any()
    assert (frames[0][:3] == image[:3]).all()  # outside the head crop nothing changes


def test_only_the_first_driver_frame_is_tracked(student_file, clip, tmp_path, monkeypatch):
    tracked = []

    def counted(*arguments, **options):
        tracker = make_tracker(*arguments, **options)
        detect = tracker.detect
        tracker.detect = lambda image: tracked.append(image.shape) or detect(image)
        return tracker

    for module in ("driver", "student_animator"):
        monkeypatch.setattr(f"mpkit.animation.{module}.make_tracker", counted)
    animator = StudentAnimator.load(student_file, 1, device="cpu")
    options = Options(max_frames=5, paste_back=False, size=64)
    result = animator.animate(PORTRAITS[0], clip, tmp_path / "out.gif", options)
    assert result.frames == 5
    assert tracked == [read_image(PORTRAITS[0]).shape, (256, 256, 3)]  # the portrait, and the clip's first frame


def test_a_driver_without_a_face_is_seen_in_its_central_square(student_file, noise, tmp_path):
    assert animate(student_file, PORTRAITS[0], noise / "noise.png", tmp_path / "out.gif", "--size", "64") == 0


def test_a_student_without_alpha_is_matted(tmp_path):
    save_weights(tmp_path / "s.safetensors", Student(dataclasses.replace(NANO, alpha=False)))
    animator = StudentAnimator.load(tmp_path / "s.safetensors", 3, device="cpu")
    result = animator.animate(PORTRAITS[0], PORTRAITS[1], tmp_path / "out", Options(max_frames=1, size=64))
    assert result.frames == 1


def test_another_portrait_than_the_avatars_is_noted(student_file, clip, tmp_path):
    with pytest.warns(UserWarning, match="learned from mona_lisa.jpg; .*grace_hopper.jpg is another file"):
        StudentAnimator.load(student_file, 2, device="cpu").animate(
            PORTRAITS[0], clip, tmp_path / "out.gif", Options(max_frames=1, size=64)
        )


def test_mistakes_with_a_student_end_in_one_line(student_file, weights, clip, tmp_path, capsys):
    mistakes = [
        ((student_file, PORTRAITS[1], EXAMPLES / "nod.json"), [], "is a motion file: a student needs"),
        ((student_file, PORTRAITS[0], clip), ["--avatar", 3], "no --avatar 3; it has 1 grace_hopper.jpg, 2 mona"),
        ((student_file, PORTRAITS[0], clip), ["--avatar", 0], "no --avatar 0"),
        ((weights, PORTRAITS[0], clip), [], "holds weights of a base model, not of a student"),
    ]
    for files, options, words in mistakes:
        assert animate(*files, tmp_path / "out.mp4", *options) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and words in lines[0]  # no note about the portrait before it
    with pytest.raises(WeightsError, match="holds weights of a student, not of a base model"):
        load_network(student_file, BaseModel)
    assert not list(tmp_path.iterdir())


def test_bench_times_student_and_teacher(student_file, weights):
    result = bench_student(student_file, weights, frames=10, device="cpu")
    assert set(result["stages"]) == set(STAGES) and min(result["stages"].values()) > 0
    assert "G_base / G_DT" in format_student_bench(result)
