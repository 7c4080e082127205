"""One training loop. Fetch, step, EMA, upkeep: each under its banner. A killed run resumes bit-equal.

python -m mpkit.training.loop --data runs/heads --run runs/first --preset nano --steps 20 --batch-size 2
"""

import copy
import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mpkit.config import preset as model_preset
from mpkit.data.pairs import PairSet
from mpkit.errors import MpkitError
from mpkit.losses.objective import STAGES, BaseWeights
from mpkit.networks.base import BaseModel
from mpkit.training.checkpoint import load_run, load_weights, save_run, save_tensors, save_weights, write_json
from mpkit.training.grid import save_grid


@dataclass(frozen=True)
class TrainConfig:
    """One run of the base stage. The same config and data give the same run, however often it is killed."""

    data: tuple[str, ...]  # shard folders, each optionally "FOLDER:WEIGHT"
    run: str  # folder of the run: state, weights, stats.jsonl, grids
    preset: str = "tiny"
    steps: int = 10_000
    batch_size: int = 4  # people in a batch
    drivers: int = 2  # driver frames of each
    learning_rate: float = 5e-4
    last_learning_rate: float = 1e-6  # of the cosine schedule
    warmup: int = 200  # steps
    betas: tuple[float, float] = (
        0.9,
        0.999,
    )  # the paper has 0.5; with small batches W then learns nothing (docs/training-log.md)
    weight_decay: float = 1e-2
    clip: float = 1.0  # gradient norm
    ema: float = 0.998
    seed: int = 0
    save_every: int = 250
    grid_every: int = 500
    log_every: int = 25
    workers: int = 0
    weights: BaseWeights = BaseWeights()


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine from `learning_rate` to `last_learning_rate`."""
    progress = min(1.0, step / max(1, config.steps))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    rate = config.last_learning_rate + (config.learning_rate - config.last_learning_rate) * cosine
    return rate * min(1.0, (step + 1) / max(1, config.warmup))


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """ema <- decay * ema + (1 - decay) * model, with a shorter memory in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)


def clip_gradients(model: BaseModel, limit: float) -> torch.Tensor:
    """Clips E_mtn apart from the rest: they share no gradient, and E_mtn's first ones are a hundred times larger."""
    reader = list(model.motion.parameters()) + list(model.read_actions.parameters())
    apart = {id(parameter) for parameter in reader}
    nn.utils.clip_grad_norm_(reader, limit)
    return nn.utils.clip_grad_norm_([p for p in model.parameters() if id(p) not in apart], limit)


def shard_weights(data: tuple[str, ...]) -> dict[str, float]:
    """("runs/heads", "runs/clips:2") -> {"runs/heads": 1.0, "runs/clips": 2.0}"""
    weights = {}
    for entry in data:
        folder, _, weight = entry.rpartition(":")
        weights[folder or entry] = float(weight) if folder else 1.0
    return weights


def named_tensors(batch, name: str = "batch"):
    """(name, tensor) of every tensor in nested named tuples."""
    if isinstance(batch, torch.Tensor):
        yield name, batch
    else:
        for field, value in batch._asdict().items():
            yield from named_tensors(value, f"{name}.{field}")


def train(
    config: TrainConfig, stage: str = "base", init: str | None = None, device: str = "cpu", progress: bool = True
) -> BaseModel:
    """Trains one of STAGES from the run's last state, or `init` weights, or scratch, to `config.steps`. Returns the EMA
    model. Raises MediaError where the data are not there, WeightsError for `init`."""
    pairs = PairSet(shard_weights(config.data), config.batch_size, config.drivers, config.seed)
    run = Path(config.run)
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / "config.json", dataclasses.asdict(config) | {"stage": stage, "init": init and str(init)})
    torch.manual_seed(config.seed)
    model = BaseModel(model_preset(config.preset)).to(device)
    if init:
        model.load_state_dict(load_weights(init, config.preset).state_dict())
    ema = copy.deepcopy(model).requires_grad_(False)
    objective = STAGES[stage](config.weights).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), config.learning_rate, config.betas, weight_decay=config.weight_decay
    )
    state = run / "state.safetensors"
    first = load_run(state, model, ema, optimizer) if state.exists() else 0

    steps = range(first, config.steps)
    apart = torch.Generator()  # else starting the loader would draw from the run's own random numbers
    loader = DataLoader(pairs, batch_size=None, sampler=steps, num_workers=config.workers, generator=apart)
    bar = tqdm(zip(steps, loader), initial=first, total=config.steps, unit="step", disable=not progress)
    sums, started = {}, time.perf_counter()
    for step, batch in bar:
        # ---- step
        batch = batch.to(device)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        loss, terms, driven = objective(model, batch)
        if not torch.isfinite(loss):
            save_tensors(run / "nan.safetensors", dict(named_tensors(batch)), {"step": str(step)})
            raise MpkitError(f"the loss is not finite at step {step}; its inputs are in {run / 'nan.safetensors'}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = clip_gradients(model, config.clip)
        optimizer.step()
        # ---- EMA
        update_ema(ema, model, config.ema, step)
        # ---- upkeep
        for name, value in {"loss": loss, "gradient_norm": norm, **terms}.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        done = step + 1
        if done % config.log_every == 0:
            means = {name: round(value / config.log_every, 5) for name, value in sums.items()}
            seconds, started, sums = time.perf_counter() - started, time.perf_counter(), {}
            rate = config.log_every * config.batch_size * config.drivers / seconds
            with open(run / "stats.jsonl", "a") as file:
                file.write(json.dumps({"step": done, "samples_per_second": round(rate, 2), **means}) + "\n")
            bar.set_postfix(loss=means["loss"], samples_s=round(rate, 1))
        if driven is not None and done % config.grid_every == 0:
            save_grid(run / f"grid-{done:06d}.png", batch, driven)
        if done % config.save_every == 0 or done == config.steps:
            save_run(state, model, ema, optimizer, done)
            save_weights(run / "weights.safetensors", ema, steps=str(done))
    return ema.eval()
