"""One-shot adaptation: pairs of the real picture and its renders, and synthetic people in every batch. It overfits the
one still, leaves frozen parts as they are, resumes bit-equal, and refuses what it cannot use in one line."""

import dataclasses
import tempfile
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from mpkit.animation.animator import Animator
from mpkit.assets import EXAMPLES
from mpkit.cli.main import main
from mpkit.data import one_shot
from mpkit.data.bundled_people import load_people
from mpkit.data.one_shot import HELD_OUT_FRAMES, REAL, TRAINING_FRAMES, StillPairs, synthetic_people
from mpkit.data.shards import HeadShards
from mpkit.errors import MpkitError
from mpkit.evaluation import adaptation
from mpkit.evaluation.adaptation import adapt
from mpkit.faces.crop import Crop, cut
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.networks.base import load_model
from mpkit.training.loop import train
from mpkit.training.stages.adapt import FROZEN, STILL_PAIRS, AdaptObjective, adapt_config
from mpkit.weights import load_tensors

SIZE = 64
STEPS = 60


def bundled_people(seeds: range, size: int) -> list[dict]:
    """The first bundled people, in place of `synthetic_people`, which would render them."""
    found = {"numbers": np.zeros((4, 54), np.float32), "found": np.ones(4, bool)}
    return [person | found for person in load_people()[: len(seeds)]]


@pytest.fixture(scope="module")
def adapted(portrait, weights, tmp_path_factory):
    """A whole adaptation: its config, its result, the weights it wrote, the lines that it said. Random weights take a
    higher learning rate than trained ones."""
    folder = tmp_path_factory.mktemp("adapt")
    config = dataclasses.replace(adapt_config(weights, folder / "run", STEPS), learning_rate=5e-4)
    output, lines = folder / "mine.safetensors", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adaptation, "synthetic_people", bundled_people)
        result = adapt(portrait, output, config, say=lines.append)
    return config, result, output, lines


@pytest.fixture(scope="module")
def config(adapted):
    return adapted[0]


@pytest.fixture(scope="module")
def batches(config):
    return AdaptObjective(config).batches()


def test_the_real_frame_is_the_head_crop_to_the_byte(config, portrait):
    image = read_image(portrait)
    with make_tracker() as tracker, Matte() as matte:
        crop = Crop.of(tracker.detect(image)[0])
        alpha = (matte.in_crop(image, crop, SIZE) * 255).round().astype(np.uint8)
    wanted = np.concatenate([cut(image, crop, SIZE), alpha[..., None]], axis=2)
    assert np.array_equal(HeadShards(config.data[0]).sample(0, REAL)["images"], wanted)


def test_each_pair_has_the_real_picture_as_target_or_source(config, batches):
    """Pairs of renders and the real picture in both directions, and of the real picture with itself. All pixels of a
    real target count."""
    image = torch.from_numpy(HeadShards(config.data[0]).sample(0, REAL)["images"]).movedim(-1, 0).float() / 255
    real = torch.cat([image[:3] * image[3:], image[3:]])
    kinds = Counter()
    for step in range(20):
        source, driver = batches[step].source.picture[:STILL_PAIRS], batches[step].driver
        for index, (a, b) in enumerate(zip(source, driver.picture)):
            from_real, to_real = torch.equal(a, real), torch.equal(b, real)
            kinds[from_real, to_real] += 1
            assert not to_real or driver.reliable[index].all()
            assert from_real == to_real or (a - b).abs().mean() > 0.005
    assert kinds[False, False] == 0 < kinds[True, True] < min(kinds[False, True], kinds[True, False])


def test_held_out_renders_are_never_trained_on(config, batches):
    assert set(HELD_OUT_FRAMES).isdisjoint({REAL, *TRAINING_FRAMES})
    frames = HeadShards(config.data[0]).field("rotation", 0)
    poses = [side.pose.rotation[:STILL_PAIRS] for step in range(20) for side in batches[step][:2]]
    numbers = {int(np.abs(frames - pose).sum((1, 2)).argmin()) for pose in torch.cat(poses).numpy()}
    assert numbers <= {REAL, *TRAINING_FRAMES} and len(numbers) > 10


def test_every_batch_holds_synthetic_people(config, batches):
    for step in range(4):
        source = batches[step].source
        assert len(source.picture) == config.batch_size > STILL_PAIRS
        assert torch.equal(source.anchors[0], source.anchors[STILL_PAIRS - 1])
        assert not torch.equal(source.anchors[0], source.anchors[STILL_PAIRS])
        assert batches[step].motion_input.shape == (2 * config.batch_size, 3, SIZE, SIZE)


def test_batches_depend_on_seed_and_step_alone(config):
    first, second = (AdaptObjective(config).batches() for _ in range(2))
    assert torch.equal(first[7].source.picture, second[7].source.picture)
    assert not torch.equal(first[7].source.picture, first[8].source.picture)


def test_the_numbers_of_synthetic_people_are_their_true_actions():
    (person,) = synthetic_people(range(1), SIZE)
    wanted = np.concatenate([person["actions"], person["gaze"]], axis=1)
    assert np.allclose(person["numbers"], wanted) and person["found"].all()


def test_the_one_still_is_overfitted(config, adapted, weights):
    """From random weights, in STEPS steps of 4 pairs, with synthetic people in every batch."""
    objective, pairs = AdaptObjective(config), StillPairs(config.data[0], 1, [(REAL, REAL)])[0]
    with torch.no_grad():
        before, after = (objective(load_model(path), pairs).terms["reconstruction"] for path in (weights, adapted[2]))
    assert after < 0.4 * before
    scores = adapted[1]
    assert scores.after["self"].psnr > scores.before["self"].psnr + 4
    assert scores.after["to_real"].distance < scores.before["to_real"].distance


def test_only_what_is_not_frozen_changes(adapted, weights):
    before, after = (load_tensors(path)[0] for path in (weights, adapted[2]))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [name for name in changed if name.startswith(FROZEN)]
    assert {name.split(".")[0] for name in changed} == {name.split(".")[0] for name in before} - set(FROZEN)


def test_the_result_animates_and_names_its_origin(adapted, weights, portrait):
    with safe_open(adapted[2], framework="pt") as file:
        notes = file.metadata()
    assert notes["adapted_from"] == weights.name and notes["still"] == portrait.name
    animator = Animator.load(adapted[2], device="cpu")
    made = animator.portrait(read_image(portrait), size=SIZE)
    assert animator.frame(made, made.motion).std() > 10


def test_resume_is_bit_equal(config, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    def killed_after_saving(path, *state):
        save_run(path, *state)
        raise Killed

    from mpkit.training.trainer import save_run

    short = dataclasses.replace(config, steps=4, save_every=2)
    whole, parts = (dataclasses.replace(short, run=str(tmp_path / name)) for name in ("whole", "parts"))
    train(whole, "adapt", config.base, progress=False)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("mpkit.training.trainer.save_run", killed_after_saving)
        train(parts, "adapt", config.base, progress=False)
    train(parts, "adapt", config.base, progress=False)
    whole, parts = (load_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_a_finished_run_is_not_trained_again(adapted, portrait, tmp_path):
    """The second call prepares and trains nothing, and writes the same weights."""
    config, _, output, _ = adapted
    lines = []
    adapt(portrait, tmp_path / "again.safetensors", dataclasses.replace(config, steps=0), say=lines.append)
    again, first = (load_tensors(path)[0] for path in (tmp_path / "again.safetensors", output))
    assert lines == [] and all(torch.equal(again[name], first[name]) for name in first)


def test_a_run_belongs_to_one_picture_and_its_weights(adapted, portrait, tmp_path):
    config, _, output, _ = adapted
    with pytest.raises(MpkitError, match="another picture or face"):
        adapt(EXAMPLES / "eileen_collins.jpg", tmp_path / "a.safetensors", config)
    with pytest.raises(MpkitError, match="from the weights"):
        adapt(portrait, tmp_path / "a.safetensors", dataclasses.replace(config, base=str(output)))
    assert list(tmp_path.iterdir()) == []


def test_minutes_set_the_number_of_steps(adapted, portrait, tmp_path, monkeypatch):
    config, trained = adapted[0], []
    config = dataclasses.replace(config, run=str(tmp_path / "run"), steps=0)
    monkeypatch.setattr(adaptation, "seconds_per_step", lambda *_: 0.5)
    monkeypatch.setattr(adaptation, "measure", lambda *_: {})
    monkeypatch.setattr(adaptation, "synthetic_people", bundled_people)
    monkeypatch.setattr(adaptation, "train", lambda config, *_: trained.append(config.steps) or load_model(config.base))
    adapt(portrait, tmp_path / "a.safetensors", config, minutes=0.1)
    assert trained == [12]


def test_the_time_of_a_step_is_measured(config):
    assert 0 < adaptation.seconds_per_step(config, "cpu") < 30


MISTAKES = {  # still, further arguments, what the line says
    "no face": ("noise.png", [], "noise.png: no face"),
    "not a picture": ("text.jpg", [], "not a picture"),
    "missing still": ("missing.jpg", [], "does not exist"),
    "no weights name": ("portrait.jpg", ["--output", "mine.mp4"], "name of a .safetensors file"),
    "no folder": ("portrait.jpg", ["--output", "nowhere/mine.safetensors"], "does not exist"),
    "face 3 of 1": ("portrait.jpg", ["--face", "3"], "--face 3 of 1"),
    "no time": ("portrait.jpg", ["--minutes", "0"], "--minutes must be a number above 0"),
    "no step": ("portrait.jpg", ["--steps", "0"], "--steps must be 1 or more"),
    "missing weights": ("portrait.jpg", ["--weights", "missing.safetensors"], "no weights file"),
}


@pytest.fixture
def refusal(weights, portrait, tmp_path, capsys, monkeypatch):
    """Runs `mpkit adapt`, which must refuse its arguments and leave nothing behind, and returns its line."""
    (tmp_path / "portrait.jpg").write_bytes(portrait.read_bytes())
    (tmp_path / "text.jpg").write_text("this is not a picture")
    cv2.imwrite(str(tmp_path / "noise.png"), np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8))
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))

    def run(still: str, arguments: list[str]) -> str:
        before = set(tmp_path.rglob("*"))
        assert main(["adapt", still, "--output", "mine.safetensors", "--weights", str(weights), *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == "" and set(tmp_path.rglob("*")) == before
        return captured.err

    return run


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_end_in_one_line_before_any_work(refusal, mistake):
    still, arguments, line = MISTAKES[mistake]
    error = refusal(still, arguments)
    assert line in error and error.startswith("mpkit: ") and error.count("\n") == 1


def test_profiles_are_refused(refusal, monkeypatch):
    monkeypatch.setattr(one_shot, "MAX_YAW", 0)
    assert "turned aside by 1 degrees" in refusal("portrait.jpg", [])


def test_the_command_keeps_nothing_but_the_weights(weights, portrait, tmp_path, capsys, monkeypatch):
    """Without --run its folder is a temporary one."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(adaptation, "synthetic_people", bundled_people)
    output = tmp_path / "mine.safetensors"
    command = ["adapt", str(portrait), "--output", str(output), "--weights", str(weights), "--steps", "1"]
    assert main(command) == 0
    assert "before -> after" in capsys.readouterr().out
    assert set(tmp_path.rglob("*")) == {output, tmp_path / "temporary"}
