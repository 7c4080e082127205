"""The loop: resume is bit-equal, weights survive a round trip, what is not weights is refused in one line."""

import json

import numpy as np
import pytest
import torch

from mpkit.config import preset
from mpkit.data.pairs import PairSet
from mpkit.errors import MpkitError, WeightsError
from mpkit.networks.base import BaseModel
from mpkit.training.checkpoint import load_tensors, load_weights, save_weights
from mpkit.training.loop import TrainConfig, learning_rate, train


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Three people of four frames: moving noise on a mesh of two triangles."""
    folder = tmp_path_factory.mktemp("shards") / "shard-00000"
    folder.mkdir()
    rng = np.random.default_rng(0)
    people, frames, size = 3, 4, 64
    square = np.float32([(-0.8, -0.8, 0), (0.8, -0.8, 0), (-0.8, 0.8, 0), (0.8, 0.8, 0)])
    fields = {
        "images": rng.integers(0, 255, (people, frames, size, size, 4), dtype=np.uint8),
        "triangle": rng.integers(-1, 2, (people, frames, size // 2, size // 2)).astype(np.int32),
        "barycentric": np.full((people, frames, size // 2, size // 2, 2), 0.3, np.float16),
        "vertices": np.tile(square, (people, frames, 1, 1)).astype(np.float16),
        "neutral": np.tile(square, (people, 1, 1)),
        "rotation": np.tile(np.eye(3, dtype=np.float32), (people, frames, 1, 1)),
        "translation": np.zeros((people, frames, 3), np.float32),
        "scale": np.ones((people, frames), np.float32),
        "actions": rng.random((people, frames, 52), dtype=np.float32),
        "gaze": rng.random((people, frames, 2), dtype=np.float32),
        "numbers": rng.random((people, frames, 54), dtype=np.float32),
        "found": np.ones((people, frames), bool),
    }
    for name, array in fields.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder.parent / "faces.npy", np.int32([(0, 1, 2), (1, 3, 2)]))
    return folder.parent


def config(shards, run, **changes):
    return TrainConfig(**({"data": (str(shards),), "run": str(run), "preset": "nano", "steps": 6, "batch_size": 2,
                           "save_every": 3, "log_every": 2, "grid_every": 3, "warmup": 2} | changes))  # fmt: skip


def states(run):
    return load_tensors(run / "state.safetensors")[0]


def test_resume_is_bit_equal(shards, tmp_path):
    class Killed(Exception):
        pass

    train(config(shards, tmp_path / "whole"), progress=False)
    half = config(shards, tmp_path / "parts")
    with pytest.MonkeyPatch.context() as patch:
        import mpkit.training.loop as loop

        original = loop.save_run

        def save_then_die(path, model, ema, optimizer, step):
            original(path, model, ema, optimizer, step)
            raise Killed

        patch.setattr(loop, "save_run", save_then_die)
        with pytest.raises(Killed):
            train(half, progress=False)
    train(half, progress=False)
    whole, parts = states(tmp_path / "whole"), states(tmp_path / "parts")
    assert whole.keys() == parts.keys() and len(whole) > 100
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
    lines = [json.loads(line) for line in (tmp_path / "whole" / "stats.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6] and all(np.isfinite(line["loss"]) for line in lines)
    assert (tmp_path / "whole" / "grid-000003.png").exists()


def test_batches_depend_on_seed_and_step_alone(shards):
    first, second = (PairSet({str(shards): 1.0}, 2, seed=4) for _ in range(2))
    assert torch.equal(first[7].driver.picture, second[7].driver.picture)
    assert not torch.equal(first[7].driver.picture, first[8].driver.picture)


def test_learning_rate_warms_up_and_falls_to_its_last(shards, tmp_path):
    plan = config(shards, tmp_path, steps=100, warmup=10)
    rates = [learning_rate(plan, step) for step in range(101)]
    assert rates[0] < rates[5] < rates[9] and rates[20] > rates[60] > rates[99]
    assert rates[100] == pytest.approx(plan.last_learning_rate)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_its_inputs(shards, tmp_path, monkeypatch):
    monkeypatch.setattr("mpkit.losses.objective.multiscale_l1", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(MpkitError, match="not finite at step 0"):
        train(config(shards, tmp_path / "nan"), progress=False)
    tensors, _ = load_tensors(tmp_path / "nan" / "nan.safetensors")
    assert tensors["batch.driver.picture"].shape == (4, 4, 64, 64)


def test_weights_survive_a_round_trip(tmp_path):
    model = BaseModel(preset("nano"))
    save_weights(tmp_path / "w.safetensors", model, half=False)
    loaded = load_weights(tmp_path / "w.safetensors", "nano")
    assert loaded.config == model.config
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values()))


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
        load_weights(path, "tiny" if damage == "other preset" else None)
    assert "\n" not in str(error.value)
