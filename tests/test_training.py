"""The loop: resume is bit-equal, weights survive a round trip, what is not weights is refused in one line."""

import contextlib
import dataclasses
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import train_until_first_save

from mpkit.config import GAZE, preset
from mpkit.data.pairs import PairSet
from mpkit.errors import MpkitError, WeightsError
from mpkit.networks.base import BaseModel, load_model
from mpkit.networks.gaze import GazeNetwork
from mpkit.training.config import TrainConfig
from mpkit.training.loop import train
from mpkit.training.optimization import learning_rate
from mpkit.training.run_state import check_settings
from mpkit.training.stages.base import BaseWeights
from mpkit.training.stages.mouth import MouthWeights
from mpkit.training.stages.registry import STAGES
from mpkit.training.trainer import Trainer
from mpkit.weights import load_into, load_network, load_tensors, save_weights


def config(shards, run, **changes):
    return TrainConfig(**({"data": (str(shards),), "run": str(run), "preset": "nano", "steps": 6, "batch_size": 2,
                           "save_every": 3, "log_every": 2, "grid_every": 3, "warmup": 2} | changes))  # fmt: skip


def states(run):
    return load_tensors(run / "state.safetensors")[0]


@pytest.mark.parametrize("weights", [None, BaseWeights(adversarial=0.1, matching=1.0, cycle=0.1)])
def test_resume_is_bit_equal(shards, tmp_path, monkeypatch, weights):
    """The networks and their optimizers, with a GAN the discriminator's too, after a run that ended at its first
    save."""
    changes = {"steps": 4, "save_every": 2, "weights": weights}
    whole, parts = (config(shards, tmp_path / name, **changes) for name in ("whole", "parts"))
    train(whole, progress=False)
    train_until_first_save(parts, "base", monkeypatch)
    train(parts, progress=False)
    whole, parts = states(tmp_path / "whole"), states(tmp_path / "parts")
    names = ["optimizer.", "model.", "ema."]
    names += (
        ["discriminator_optimizer.", "discriminator.heads.scales.", "discriminator.crops.scales."] if weights else []
    )
    assert whole.keys() == parts.keys() and all(any(key.startswith(name) for key in parts) for name in names)
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
    lines = [json.loads(line) for line in (tmp_path / "whole" / "stats.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and all(np.isfinite(line["loss"]) for line in lines)
    assert (tmp_path / "whole" / "grid-000003.png").exists()


@pytest.fixture(scope="module")
def finished(shards, tmp_path_factory):
    """The settings of a run of stage gaze, which is over, and what it printed."""
    finished = config(shards, tmp_path_factory.mktemp("finished"), steps=3, log_every=2, grid_every=9)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        train(finished, "gaze")
    return finished, printed.getvalue()


@pytest.mark.parametrize(
    "stage, changes, words",
    [
        ("identity", {}, "is a run of stage gaze; give another --run"),
        ("gaze", {"batch_size": 3}, "is a run with --batch-size 2, not 3; give another --run"),
        ("gaze", {"freeze": ("stages",)}, "is a run with --freeze none, not stages"),
        ("gaze", {"betas": (0.5, 0.999)}, "is a run with --betas 0.9 0.999, not 0.5 0.999"),
        ("gaze", {"steps": 0}, "--steps must be 1 or more, got 0"),
    ],
)
def test_a_run_goes_on_only_as_it_began(finished, stage, changes, words):
    """It may take more steps and log more often. A refused run changes no file."""
    settings, _ = finished
    before = {path: path.read_bytes() for path in Path(settings.run).iterdir()}
    with pytest.raises(MpkitError, match=words):
        train(dataclasses.replace(settings, **changes), stage, progress=False)
    assert {path: path.read_bytes() for path in Path(settings.run).iterdir()} == before
    longer = dataclasses.replace(settings, steps=9, log_every=1)
    check_settings(Path(settings.run), longer.to_json() | {"stage": "gaze"})


def test_a_weight_of_the_loss_may_not_change(tmp_path):
    (tmp_path / "state.safetensors").touch()
    began, now = ({"stage": "base", "weights": {"gaze": gaze}} for gaze in (0.0, 0.5))
    (tmp_path / "config.json").write_text(json.dumps(began))
    check_settings(tmp_path, began)
    with pytest.raises(MpkitError, match="with --weights.gaze 0.0, not 0.5"):
        check_settings(tmp_path, now)


def test_a_run_says_what_it_trains_and_where_the_weights_are(finished, capsys):
    settings, printed = finished
    first, last = printed.split("\n")[0], printed.strip().split("\n")[-1]
    assert first.startswith("stage gaze, preset nano: ") and settings.data[0] in first and "steps 1 to 3" in first
    assert last.startswith(f"wrote {settings.run}/weights.safetensors after 3 steps; the last loss is ")
    train(settings, "gaze")
    assert f"{settings.run} is already at 3 of 3 steps; raise --steps" in capsys.readouterr().out


def test_the_last_step_is_logged(finished):
    run = Path(finished[0].run)
    steps = [json.loads(line)["step"] for line in (run / "stats.jsonl").read_text().splitlines()]
    assert steps == [2, 3]


@pytest.mark.parametrize("name", ["batch_size", "drivers", "save_every", "grid_every", "log_every"])
def test_a_number_out_of_range_is_refused_when_settings_are_made(name):
    with pytest.raises(MpkitError, match=f"--{name.replace('_', '-')} must be 1 or more, got 0"):
        TrainConfig(**{name: 0})


def test_two_processes_are_one_with_the_whole_batch(shards, tmp_path):
    weights = BaseWeights(adversarial=0.1, matching=1.0, cycle=0.1)
    changes = {"batch_size": 4, "drivers": 1, "steps": 3, "log_every": 1, "warmup": 100, "weights": weights}
    train(config(shards, tmp_path / "one", **changes), progress=False)
    options = "--preset nano --batch-size 4 --drivers 1 --steps 3 --log-every 1 --warmup 100 --save-every 3".split()
    options += "--weights.adversarial 0.1 --weights.matching 1 --weights.cycle 0.1".split()
    run = ["train", "base", "--data", str(shards), "--run", str(tmp_path / "two"), "--device", "cpu", *options]
    script = tmp_path / "train.py"  # torchrun would take some of mpkit's options for its own
    check = "from accelerate import Accelerator\nassert Accelerator(cpu=True).num_processes == 2\n"
    script.write_text(f"{check}from mpkit.cli.main import main\nmain({run})")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "stats.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    assert [line["step"] for line in two] == [1, 2, 3]
    for a, b in zip(one, two):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4) and b["discriminator"] == pytest.approx(
            a["discriminator"], rel=1e-3
        )


def test_batches_are_divided_among_processes(shards):
    whole = PairSet({str(shards): 1.0}, 4)[5]
    halves = [PairSet({str(shards): 1.0}, 4, part=part, parts=2)[5] for part in (0, 1)]
    assert torch.equal(whole.driver.picture, torch.cat([half.driver.picture for half in halves]))
    sources = torch.cat([half.motion_input[:2] for half in halves])
    assert torch.equal(whole.motion_input[:4], sources)
    with pytest.raises(MpkitError, match="a batch of 3 cannot be divided among 2 processes"):
        PairSet({str(shards): 1.0}, 3, parts=2)


def test_held_out_people_are_watched(shards, tmp_path):
    watched = config(shards, tmp_path, steps=4, save_every=2, validation=(str(shards),))
    train(watched, "gaze", progress=False)
    lines = [json.loads(line) for line in (tmp_path / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4] and all(line["degrees"] > 0 for line in lines)
    assert load_network(tmp_path / "weights.safetensors", GazeNetwork).config.preset == "nano"


@pytest.mark.parametrize("stage", ["warps", "mouth", "motion", "identity"])
def test_every_quick_stage_trains_what_it_is_for(shards, tmp_path, stage):
    torch.manual_seed(0)
    start = STAGES[stage](TrainConfig(preset="nano")).build().state_dict()
    network = train(config(shards, tmp_path, steps=3, ema=0.0), stage, progress=False)
    moved = {name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, start[name])}
    wanted = {
        "warps": {"actions", "appearance", "warp_source", "warp_driver", "face_source", "face_driver"},
        "mouth": {"mouth"},
        "motion": {"motion", "read_actions"},
        "identity": {"stages", "head"},
    }
    assert moved == wanted[stage]


def test_frozen_parts_stay_as_they_are(shards, tmp_path):
    torch.manual_seed(0)
    objective = STAGES["base"](TrainConfig(preset="nano"))
    start = objective.build().state_dict()
    frozen = ("warp_driver", "appearance.vector")
    network = train(config(shards, tmp_path, steps=2, ema=0.0, freeze=frozen), "base", progress=False)
    for name, value in network.state_dict().items():
        if name.startswith(frozen):
            assert torch.equal(value, start[name])
    moved = {name.split(".")[0] for name, value in network.state_dict().items() if not torch.equal(value, start[name])}
    assert {"warp_source", "render", "appearance", "refine"} <= moved
    with pytest.raises(MpkitError, match="no part 'hands' to freeze"):
        train(config(shards, tmp_path / "b", steps=1, freeze=("hands",)), "base", progress=False)


def test_bf16_trains(shards, tmp_path):
    """What CUDA would do in half precision, on the CPU; in a process of its own, as precision is set once in each."""
    options = "--preset nano --batch-size 2 --steps 2 --log-every 1 --device cpu --precision bf16".split()
    command = [sys.executable, "-m", "mpkit", "train", "base", "--data", str(shards), "--run", str(tmp_path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(np.isfinite(json.loads(line)["loss"]) for line in (tmp_path / "stats.jsonl").read_text().splitlines())


def test_batches_depend_on_seed_and_step_alone(shards):
    first, second = (PairSet({str(shards): 1.0}, 2, seed=4) for _ in range(2))
    assert torch.equal(first[7].driver.picture, second[7].driver.picture)
    assert not torch.equal(first[7].driver.picture, first[8].driver.picture)


def test_learning_rate_warms_up_and_falls_to_its_last(shards, tmp_path):
    plan = config(shards, tmp_path, steps=100, warmup=10)
    rates = [learning_rate(plan, step, step / 100) for step in range(101)]
    assert rates[0] < rates[5] < rates[9] and rates[20] > rates[60] > rates[99]
    assert rates[100] == pytest.approx(plan.last_learning_rate)


def test_the_discriminator_may_learn_faster():
    plan = TrainConfig(preset="nano", batch_size=2, drivers=1, warmup=0, learning_rate=1e-4, discriminator_rate=4.0)
    trainer = Trainer(dataclasses.replace(plan, weights=MouthWeights(adversarial=0.15)), "mouth")
    trainer.step(trainer.data[0])
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in trainer.optimizers.items()}
    assert rates == {"optimizer": pytest.approx(1e-4), "discriminator_optimizer": pytest.approx(4e-4)}


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_inputs(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("mpkit.training.stages.base.multiscale_l1", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(MpkitError, match="not finite at step 0"):
        train(config(shards, tmp_path / "nan"), progress=False)
    tensors, _ = load_tensors(tmp_path / "nan" / "nan-0.safetensors")
    assert tensors["batch.driver.picture"].shape == (4, 4, 64, 64)


def test_weights_survive_a_round_trip(tmp_path):
    model = BaseModel(preset("nano"))
    save_weights(tmp_path / "w.safetensors", model, half=False)
    loaded = load_model(tmp_path / "w.safetensors", "nano")
    assert loaded.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values()))


def test_the_line_about_weights_of_another_network_is_short():
    gaze, model = GazeNetwork(GAZE["nano"]), BaseModel(preset("nano"))
    with pytest.raises(WeightsError) as error:
        load_into(model, gaze.state_dict(), "w.safetensors")
    assert str(error.value).startswith("w.safetensors does not fit") and len(str(error.value)) < 200


def test_weights_have_the_permissions_of_any_new_file(tmp_path):
    save_weights(tmp_path / "w.safetensors", BaseModel(preset("nano")))
    (tmp_path / "other").touch()
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("damage", ["pickle", "cut", "other preset", "no metadata", "not finite", "missing"])
def test_what_is_not_weights_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "w.safetensors"
    model = BaseModel(preset("nano"))
    if damage == "not finite":
        next(model.parameters()).data.fill_(float("nan"))
    save_weights(path, model)
    if damage == "pickle":
        torch.save(model.state_dict(), path)
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "no metadata":
        from safetensors.torch import save_file

        save_file({"a": torch.zeros(1)}, path)
    elif damage == "missing":
        path.unlink()
    with pytest.raises(WeightsError) as error:
        load_model(path, "tiny" if damage == "other preset" else None)
    assert "\n" not in str(error.value)
