"""One training loop for every stage. An interrupted run resumes bit-equal. Started by `accelerate launch`, several
processes share each batch and average their gradients."""

import dataclasses
import json
import time
from pathlib import Path

from torch import nn
from tqdm import tqdm

from mpkit.errors import MpkitError
from mpkit.files import write_json
from mpkit.training.config import TrainConfig
from mpkit.training.grid import save_grid
from mpkit.training.run_state import check_settings
from mpkit.training.stages.registry import STAGES
from mpkit.training.trainer import Term, Trainer
from mpkit.weights import save_weights


def train(
    config: TrainConfig,
    stage: str = "base",
    init: str | Path | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    progress: bool = True,
) -> nn.Module:
    """Trains a stage from the run's last state, or from `init` weights, or from scratch, to `config.steps`. Returns the
    EMA network, in eval mode. `progress` prints what is trained, a bar, and where the weights are. Raises what
    `Trainer` raises, and MpkitError where the run's folder holds a run with other settings."""
    run, kind = Path(config.run), STAGES[stage].Weights
    config = dataclasses.replace(config, weights=config.weights or (kind and kind()))
    settings = config.to_json() | {"stage": stage, "init": init and str(init)}
    check_settings(run, settings)
    if config.steps < 1 and not config.minutes:
        raise MpkitError(f"--steps must be 1 or more, got {config.steps}")
    trainer = Trainer(config, stage, init, device, precision)
    first_process = trainer.accelerator.is_main_process
    if first_process:
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / "config.json", settings)
    trainer.resume(run / "state.safetensors")
    show = progress and first_process
    if show:
        tqdm.write(describe(trainer))
    log = Log(run / "stats.jsonl", trainer.objective.samples)
    bar = {"initial": trainer.steps_done, "total": config.steps if not config.minutes else None, "unit": "step"}
    for batch in tqdm(iter(trainer.batches()), **bar, disable=not show):
        log.add(terms := trainer.step(batch))
        step, last = trainer.steps_done, trainer.progress == 1
        if first_process:
            _record(trainer, batch, log, last)
        if show and last:
            loss = terms["loss"].value
            tqdm.write(f"wrote {run}/weights.safetensors after {step} steps; the last loss is {loss:.4g}")
        if last:
            break
    return trainer.ema.eval()


def _record(trainer: Trainer, batch, log: "Log", last: bool) -> None:
    """What a run's folder gets after a step: lines of its log, a grid of pictures, its state and weights."""
    config, run, step = trainer.config, Path(trainer.config.run), trainer.steps_done
    if step % config.log_every == 0 or last:
        log.write(step)
    if step % config.grid_every == 0 or last:
        save_grid(run / f"grid-{step:06d}.png", trainer.objective.pictures(batch, trainer.made))
    if step % config.save_every == 0 or last:
        if losses := trainer.validate():
            append_json(run / "validation.jsonl", {"step": step, **losses})
        trainer.save(run / "state.safetensors")
        save_weights(run / "weights.safetensors", trainer.ema, steps=str(step))


def describe(trainer: Trainer) -> str:
    """What a run is about to do, as one line."""
    config, done = trainer.config, trainer.steps_done
    if done >= config.steps and not config.minutes:
        return f"{config.run} is already at {done} of {config.steps} steps; raise --steps to train on"
    trained = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    data = ", ".join(config.data) or "the data that come with mpkit"
    length = f"steps of {config.minutes:g} minutes" if config.minutes else f"steps {done + 1} to {config.steps}"
    return (
        f"stage {trainer.stage}, preset {config.preset}: {trained:,} weights learn from {data}, {length}, "
        f"{trainer.objective.samples} samples each, on {trainer.device}"
    )


class Log:
    """Writes the means of the steps since its last line to a run's stats.jsonl. `samples` is how many a batch has."""

    def __init__(self, path: Path, samples: int):
        self.path, self.samples = path, samples
        self._restart()

    def add(self, terms: dict[str, Term]) -> None:
        self.count += 1
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + term.value

    def write(self, step: int) -> None:
        means = {name: round(value / self.count, 5) for name, value in self.sums.items()}
        rate = round(self.count * self.samples / (time.perf_counter() - self.started), 2)
        append_json(self.path, {"step": step, "samples_per_second": rate, **means})
        self._restart()

    def _restart(self) -> None:
        self.count, self.sums, self.started = 0, {}, time.perf_counter()


def append_json(path: Path, line: dict) -> None:
    """Appends a line to a .jsonl file."""
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
