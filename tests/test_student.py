"""The student stage: the network, its data, what it learns, `mpkit distil`, and animation with a student."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clips import write_clip
from PIL import Image
from support import block_widths, conv_facts, meta, random_loss, stirred, unreached
from torch.testing import assert_close

from mpkit.animation.options import Options
from mpkit.animation.student_animator import StudentAnimator
from mpkit.assets import EXAMPLES
from mpkit.cli.main import main
from mpkit.config import PRESETS, STUDENTS, preset
from mpkit.data.distillation import HELD_OUT_STEP, DistillationSet, prepare_distillation
from mpkit.errors import MediaError, MpkitError, NoFaceError, WeightsError
from mpkit.evaluation.student_bench import STAGES, bench_student, format_student_bench
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import select_face
from mpkit.faces.trackers import make_tracker
from mpkit.geometry import angles_from_rotation
from mpkit.media.images import read_image
from mpkit.media.video_reader import VideoReader
from mpkit.networks import BaseModel, Student
from mpkit.networks.student import instance_norm
from mpkit.training.config import TrainConfig
from mpkit.training.distil import affordable_steps, held_out_error
from mpkit.training.loop import train
from mpkit.training.run_state import save_run
from mpkit.training.stages.student import StudentObjective, StudentWeights, Teacher, teacher_of
from mpkit.training.trainer import Trainer
from mpkit.weights import load_network, load_tensors, save_weights

NANO = preset("nano", STUDENTS)
PAPER = preset("base512", STUDENTS)
PORTRAITS = [EXAMPLES / "grace_hopper.jpg", EXAMPLES / "mona_lisa.jpg"]

# --- the network -----------------------------------------------------------------------------------------------------


@pytest.fixture
def student():
    return stirred(Student(NANO))


def test_the_network_is_the_papers():
    student = meta(Student, PAPER)
    assert student(torch.empty(2, 3, 512, 512, device="meta"), [0, 99]).shape == (2, 3, 512, 512)
    assert block_widths(student.blocks) == [192] * 5 + [96, 48, 24]
    assert [len(stage) for stage in student.encoder.stages] == [2, 2, 2, 2]  # ResNet-18
    assert conv_facts(student.encoder.stem) == (3, 64, 7) and conv_facts(student.out) == (24, 3, 3)
    assert max(max(spade.identity.shape[2:]) for spade in student.spades()) == 64
    half_precision = 2 * sum(parameter.numel() for parameter in student.parameters())
    assert half_precision == pytest.approx(800e6, rel=0.05)  # the paper's 800 MB for 100 avatars


@pytest.mark.parametrize("name", PRESETS)
def test_its_pictures_have_the_base_models_size(name):
    config = preset(name, STUDENTS)
    size = preset(name).image_size
    picture = meta(Student, config)(torch.empty(1, 3, size, size, device="meta"), 0)
    assert picture.shape == (1, 4 if config.alpha else 3, size, size)


@pytest.mark.parametrize("standardized", [False, True])
def test_every_weight_is_trained(standardized):
    student = stirred(Student(dataclasses.replace(NANO, weight_standardization=standardized)))
    image = student(torch.rand(3, 3, 64, 64), [0, 1, 2])
    assert image.shape == (3, 4, 64, 64) and 0 <= image.min() and image.max() <= 1
    assert not unreached(student, random_loss(image))


@pytest.mark.parametrize("config", [NANO, dataclasses.replace(PAPER, avatars=1, identity_size=16)])
def test_spade_starts_close_to_a_plain_instance_norm(config):
    """Weight standardisation would give the scale a standard deviation of 1."""
    for scale, shift in Student(config).modulations(0):
        assert scale.mean().item() == pytest.approx(1, abs=0.02) and shift.mean().item() == pytest.approx(0, abs=0.02)
        for values in (scale, shift):
            assert 0.05 < values.std().item() < 0.12


def test_group_norm_with_one_channel_per_group_is_instance_norm():
    x = torch.randn(2, 5, 7, 7)
    assert_close(instance_norm(x), F.instance_norm(x))


def test_only_the_avatar_that_is_shown_learns(student):
    random_loss(student(torch.rand(2, 3, 64, 64), 1)).backward()
    for spade in student.spades():
        assert [avatar.any().item() for avatar in spade.identity.grad] == [False, True, False]


def test_another_avatar_gives_another_picture(student):
    driver = torch.rand(1, 3, 64, 64).expand(3, -1, -1, -1)
    faces = student(driver, torch.arange(3))
    assert (faces[0] - faces[1]).abs().max() > 1e-2 and (faces[1] - faces[2]).abs().max() > 1e-2
    assert_close(student(driver[:1], 2), faces[2:], atol=1e-5, rtol=0)


def test_what_depends_on_the_avatar_is_computed_once(student):
    drivers = torch.rand(4, 3, 64, 64)
    assert_close(student.render(drivers, student.modulations(1)), student(drivers, [1, 1, 1, 1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("avatar", [3, -1, [0, 7]])
def test_an_unknown_avatar_is_refused(student, avatar):
    with pytest.raises(IndexError, match="this student knows avatars 0 to 2"):
        student(torch.rand(2, 3, 64, 64), avatar)


def test_a_wrong_count_or_size_is_refused(student):
    with pytest.raises(ValueError, match="2 driver pictures but 3 avatar indices"):
        student(torch.rand(2, 3, 64, 64), [0, 1, 2])
    with pytest.raises(ValueError, match="G_DT takes pictures"):
        student(torch.rand(1, 3, 32, 32), 0)


# --- the data --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, clip):
    """Two portraits and a clip of ten frames, prepared for the nano student."""
    folder = tmp_path_factory.mktemp("student") / "data"
    prepare_distillation(PORTRAITS, [clip], folder, NANO.image_size)
    return folder


def batches(prepared, **options):
    return DistillationSet(prepared, 4, **options)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second))


def test_batches_depend_on_seed_and_step_alone(prepared):
    assert same(batches(prepared, seed=3)[5], batches(prepared, seed=3)[5])
    assert not same(batches(prepared, seed=3)[5], batches(prepared, seed=3)[6])
    halves = [batches(prepared, seed=3, part=part, parts=2)[5] for part in (0, 1)]
    assert same(batches(prepared, seed=3)[5], map(torch.cat, zip(*halves)))
    with pytest.raises(MpkitError, match="a batch of 4 frames cannot be divided among 3 processes"):
        batches(prepared, parts=3)


def test_held_out_frames_are_never_trained_on(prepared):
    trained = {int(frame) for step in range(40) for frame in batches(prepared)[step].frame}
    held_out = batches(prepared, held_out=True)
    lists = [(held_out[n].avatar.tolist(), held_out[n].frame.tolist()) for n in range(len(held_out))]
    pairs = [pair for avatars, frames in lists for pair in zip(avatars, frames)]
    frames = {frame for _, frame in pairs}
    assert frames == set(range(HELD_OUT_STEP - 1, 10, HELD_OUT_STEP)) and trained == set(range(10)) - frames
    assert sorted(pairs) == [(avatar, frame) for avatar in (0, 1) for frame in sorted(frames)]


def test_an_unchanged_sample_is_the_head_crop(prepared, clip):
    frames = [picture for _, picture in VideoReader(clip)]
    with make_tracker(video=True) as tracker:
        crop = Crop.of(select_face(tracker.detect(frames[0])))
    batch = batches(prepared, held_out=True)[0]
    expected = cut(frames[int(batch.frame[0])], crop, 64).astype(float) / 255
    assert np.abs(batch.picture[0].movedim(0, -1).numpy() - expected).mean() < 0.03


def test_a_mirrored_driver_turns_the_other_way(prepared):
    data = batches(prepared)
    plain, mirrored = data._sample(0, 3), data._sample(0, 3, mirrored=True)
    assert torch.equal(mirrored.picture, plain.picture.flip(3))
    angles, others = (angles_from_rotation(sample.rotation) for sample in (plain, mirrored))
    for angle, other, sign in zip(angles, others, (-1, 1, -1)):
        assert other.item() == pytest.approx(sign * angle.item(), abs=1e-3)


def test_preparation_is_not_repeated_and_not_mixed(prepared, clip):
    before = (prepared / "pictures.rgb").stat().st_mtime_ns
    prepare_distillation(PORTRAITS, [clip], prepared, NANO.image_size)
    assert (prepared / "pictures.rgb").stat().st_mtime_ns == before
    with pytest.raises(MpkitError, match="is of other portraits"):
        prepare_distillation(PORTRAITS[:1], [clip], prepared, NANO.image_size)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A picture and a clip without a face."""
    folder = tmp_path_factory.mktemp("noise")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    write_clip(folder / "noise.mp4", [pixels] * 4)
    return folder


@pytest.mark.parametrize(
    ("portraits", "clips", "error", "words"),
    [
        ([], ["clip"], MpkitError, "needs --portraits"),
        (["portrait"], [], MpkitError, "--clips that drive them"),
        (["portrait", "noise.png"], ["clip"], NoFaceError, "noise.png: no face"),
        (["portrait", "missing.png"], ["clip"], MediaError, "missing.png does not exist"),
        (["portrait"], ["clip", "noise.mp4"], NoFaceError, "no face in any frame of .*noise.mp4"),
        (["portrait"], ["motion"], MediaError, "is a motion file: it has no pictures"),
        (["portrait"], ["portrait"], MediaError, "is a still picture"),
    ],
)
def test_what_cannot_be_used_is_named(noise, clip, tmp_path, portraits, clips, error, words):
    known = {"portrait": PORTRAITS[0], "clip": clip, "motion": EXAMPLES / "nod.json"}
    with pytest.raises(error, match=words):
        files = [[known.get(name, noise / name) for name in names] for names in (portraits, clips)]
        prepare_distillation(*files, tmp_path / "data", 64)
    assert not list(tmp_path.iterdir())


# --- the stage -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(prepared, weights):
    return TrainConfig(
        data=(str(prepared),), base=str(weights), preset="nano", steps=4, batch_size=2, drivers=1, save_every=2,
        grid_every=4, log_every=2, warmup=1,
    )  # fmt: skip


def test_the_teacher_shows_each_portrait_at_its_own_place_on_black(config):
    """Its pictures over the portrait's background are what `Animator.frame` makes of the same motion."""
    teacher = teacher_of(config, torch.device("cpu"))
    batch = DistillationSet(config.data[0], 4, held_out=True)[0]
    assert torch.equal(teacher.poses(batch).rotation, batch.rotation)
    for index, target in enumerate(teacher(batch)):
        avatar = int(batch.avatar[index])
        portrait = teacher.portraits[avatar]
        pose = teacher.poses(batch)
        assert torch.equal(pose.translation[index], portrait.motion.pose.translation[0])
        assert torch.equal(pose.scale[index], portrait.motion.pose.scale[0])
        composed = target[:3] + (1 - target[3:]) * portrait.background[0]
        frame = teacher.animator.frame(portrait, teacher.transfers[avatar](batch.motion(index)))
        assert np.abs(composed.movedim(0, -1).numpy() * 255 - frame).max() < 2


def test_a_smaller_student_sees_the_mean_of_the_teachers_pixels(config, prepared):
    batch = DistillationSet(config.data[0], 1, held_out=True)[0]
    paths = sorted((prepared / "portraits").iterdir())[:1]
    large, small = (Teacher(config.base, paths, size, "cpu")(batch) for size in (64, 32))
    assert_close(F.avg_pool2d(large, 2), small, atol=1.5 / 255, rtol=0)


def test_the_loss_reaches_the_student_alone(config):
    every = StudentWeights(identity=1.0, gaze=1.0, adversarial=1.0, matching=1.0)
    objective = StudentObjective(dataclasses.replace(config, weights=every))
    student, batch = stirred(objective.build()), objective.batches()[0]._replace(avatar=torch.tensor([1, 1]))
    losses = objective(student, batch)
    assert set(losses.terms) == {"reconstruction", "perceptual", "identity", "gaze", "adversarial", "matching"}
    assert not unreached(student, losses.loss)
    for spade in student.spades():
        assert [avatar.any().item() for avatar in spade.identity.grad] == [False, True]
    teacher = teacher_of(config, torch.device("cpu"))
    for network in (objective, teacher.animator.model):
        assert all(parameter.grad is None for parameter in network.parameters())


def test_each_term_has_a_gradient(config):
    objective = StudentObjective(config)
    student, batch = stirred(objective.build()), objective.batches()[0]
    for name, term in objective(student, batch).terms.items():
        gradient = torch.autograd.grad(term, student.out.weight, retain_graph=True)[0]
        assert gradient.isfinite().all() and gradient.any(), name


def test_the_discriminators_loss_reaches_the_discriminator_alone(config):
    objective = StudentObjective(config)
    student, batch = objective.build(), objective.batches()[0]
    made = objective(student, batch).made
    assert not unreached(objective.discriminator, objective.discriminator_loss(batch, made))
    assert all(parameter.grad is None for parameter in student.parameters())


def test_equations_name_terms_that_exist():
    terms = {field.name for field in dataclasses.fields(StudentWeights)} | {"discriminator"}
    assert set(StudentObjective.equations) <= terms


def test_resume_is_bit_equal(config, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def save_then_die(*arguments):
        save_run(*arguments)
        raise Killed

    whole, parts = (dataclasses.replace(config, run=str(tmp_path / name)) for name in ("whole", "parts"))
    train(whole, "student", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr("mpkit.training.trainer.save_run", save_then_die)
        with pytest.raises(Killed):
            train(parts, "student", progress=False)
    train(parts, "student", progress=False)
    first, second = (load_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts"))
    assert any(name.startswith("discriminator_optimizer.") for name in first)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert (tmp_path / "whole" / "grid-000004.png").exists()


def test_it_learns_two_frames_by_heart(config):
    weights = StudentWeights(perceptual=0.0, adversarial=0.0, matching=0.0)
    quick = dataclasses.replace(config, steps=60, learning_rate=5e-3, weights=weights, run="")
    trainer = Trainer(quick, "student")
    batch = trainer.data[0]
    values = [trainer.step(batch)["reconstruction"].value for _ in range(quick.steps)]
    assert values[-1] < 0.3 * values[0]


# --- mpkit distil ----------------------------------------------------------------------------------------------------


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


def test_the_held_out_error_of_the_teachers_own_pictures_is_zero(config):
    class Copy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, picture, avatar):
            return teacher(held_out)

    teacher, held_out = teacher_of(config, torch.device("cpu")), DistillationSet(config.data[0], 8, held_out=True)[0]
    assert held_out_error(Copy(), config)[:2] == (4, 0.0)


def test_more_minutes_allow_more_steps(config):
    few, many = (affordable_steps(config, minutes, "cpu", "fp32") for minutes in (0.05, 5))
    assert 1 <= few < many


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "huge"], "unknown preset 'huge'"),
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


# --- animation and speed ---------------------------------------------------------------------------------------------


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

    monkeypatch.setattr("mpkit.animation.student_animator.make_tracker", counted)
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
        ((student_file, PORTRAITS[0], EXAMPLES / "nod.json"), [], "is a motion file: a student needs"),
        ((student_file, PORTRAITS[0], clip), ["--avatar", 3], "no --avatar 3; it has 1 grace_hopper.jpg, 2 mona"),
        ((student_file, PORTRAITS[0], clip), ["--avatar", 0], "no --avatar 0"),
        ((weights, PORTRAITS[0], clip), [], "holds weights of a BaseModel, not of a Student"),
    ]
    for files, options, words in mistakes:
        assert animate(*files, tmp_path / "out.mp4", *options) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and words in lines[0]
    with pytest.raises(WeightsError, match="holds weights of a Student, not of a BaseModel"):
        load_network(student_file, BaseModel)
    assert not list(tmp_path.iterdir())


def test_bench_times_student_and_teacher(student_file, weights):
    result = bench_student(student_file, weights, frames=10, device="cpu")
    assert set(result["stages"]) == set(STAGES) and min(result["stages"].values()) > 0
    assert "G_base / G_DT" in format_student_bench(result)
