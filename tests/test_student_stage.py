"""The student stage: its data, its teacher, and what its losses train."""

import dataclasses
import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from clips import sway, write_clip
from PIL import Image
from support import stirred, unreached
from torch.testing import assert_close
from training_runs import train_until_first_save

from mpkit.animation.view_range import limited
from mpkit.assets import EXAMPLES
from mpkit.data.distillation import HELD_OUT_STEP, DistillationSet, prepare_distillation
from mpkit.errors import MediaError, MpkitError, NoFaceError
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import select_face
from mpkit.faces.trackers import make_tracker
from mpkit.geometry import angles_from_rotation
from mpkit.media.video_reader import VideoReader
from mpkit.training.config import TrainConfig
from mpkit.training.distil import affordable_steps, held_out_error
from mpkit.training.loop import train
from mpkit.training.stages.student import StudentObjective, StudentWeights, Teacher, teacher_of
from mpkit.training.trainer import Trainer
from mpkit.weights import load_tensors

PORTRAITS = [EXAMPLES / "grace_hopper.jpg", EXAMPLES / "mona_lisa.jpg"]
SIZE = 64  # of the nano student's pictures

# --- the data --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, clip):
    """Two portraits and a clip of ten frames, prepared for the nano student."""
    folder = tmp_path_factory.mktemp("student") / "data"
    prepare_distillation(PORTRAITS, [clip], folder, SIZE)
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
    with pytest.raises(MpkitError, match="a batch of 4 cannot be divided among 3 processes"):
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
    prepare_distillation(PORTRAITS, [clip], prepared, SIZE)
    assert (prepared / "pictures.rgb").stat().st_mtime_ns == before
    with pytest.raises(MpkitError, match="is of other portraits"):
        prepare_distillation(PORTRAITS[:1], [clip], prepared, SIZE)


def test_a_folder_of_an_earlier_version_is_refused(prepared, tmp_path):
    """Its numbers are a tracker's readings, not fractions."""
    inputs = json.loads((prepared / "inputs.json").read_text())
    (tmp_path / "inputs.json").write_text(json.dumps({key: inputs[key] for key in inputs if key != "numbers"}))
    with pytest.raises(MediaError, match="an earlier mpkit prepared"):
        DistillationSet(tmp_path, 2)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A picture and a clip without a face, and a clip that is too short."""
    folder = tmp_path_factory.mktemp("noise")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "noise.png")
    write_clip(folder / "noise.mp4", [pixels] * 4)
    write_clip(folder / "short.mp4", sway(4))
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
        (["portrait"], ["short.mp4"], MediaError, "4 frames of the clips show a face; 5 are the least"),
    ],
)
def test_what_cannot_be_used_is_named(noise, clip, tmp_path, portraits, clips, error, words):
    known = {"portrait": PORTRAITS[0], "clip": clip, "motion": EXAMPLES / "nod.json"}
    with pytest.raises(error, match=words):
        files = [[known.get(name, noise / name) for name in names] for names in (portraits, clips)]
        prepare_distillation(*files, tmp_path / "run" / "data", 64)
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
    own = torch.cat([teacher.portraits[avatar].motion.pose.rotation for avatar in batch.avatar.tolist()])
    expected = [limited(rotation[None], start[None]) for rotation, start in zip(batch.rotation, own)]
    assert torch.equal(teacher.poses(batch).rotation, torch.cat(expected))
    assert StudentObjective(config).samples == config.batch_size
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
    whole, parts = (dataclasses.replace(config, run=str(tmp_path / name)) for name in ("whole", "parts"))
    train(whole, "student", progress=False)
    train_until_first_save(parts, "student", monkeypatch)
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
