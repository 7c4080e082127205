"""One training loop for every stage. An interrupted run resumes bit-equal. Started by `accelerate launch`, several
processes share each batch and average their gradients."""

import json
import time
from pathlib import Path

from torch import nn
from tqdm import tqdm

from mpkit.files import write_json
from mpkit.training.config import TrainConfig
from mpkit.training.grid import save_grid
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
    EMA network, in eval mode. Raises what `Trainer` raises."""
    trainer, run = Trainer(config, stage, init, device, precision), Path(config.run)
    first_process = trainer.accelerator.is_main_process
    if first_process:
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / "config.json", config.to_json() | {"stage": stage, "init": init and str(init)})
    trainer.resume(run / "state.safetensors")
    log = Log(run / "stats.jsonl", config.log_every, trainer.objective.samples)
    bar = {"initial": trainer.steps_done, "total": config.steps, "unit": "step"}
    for batch in tqdm(trainer.batches(), **bar, disable=not (progress and first_process)):
        log.add(trainer.step(batch), trainer.steps_done)
        if not first_process:
            continue
        if trainer.steps_done % config.grid_every == 0:
            save_grid(run / f"grid-{trainer.steps_done:06d}.png", trainer.objective.pictures(batch, trainer.made))
        if trainer.steps_done % config.save_every == 0 or trainer.steps_done == config.steps:
            if losses := trainer.validate():
                append_json(run / "validation.jsonl", {"step": trainer.steps_done, **losses})
            trainer.save(run / "state.safetensors")
            save_weights(run / "weights.safetensors", trainer.ema, steps=str(trainer.steps_done))
    return trainer.ema.eval()


class Log:
    """Writes the means of every `log_every` steps to a run's stats.jsonl. `samples` is how many a batch has."""

    def __init__(self, path: Path, log_every: int, samples: int):
        self.path, self.log_every, self.samples = path, log_every, samples
        self.sums: dict[str, float] = {}
        self.started = time.perf_counter()

    def add(self, terms: dict[str, Term], step: int) -> None:
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + term.value
        if step % self.log_every:
            return
        means = {name: round(value / self.log_every, 5) for name, value in self.sums.items()}
        rate = round(self.log_every * self.samples / (time.perf_counter() - self.started), 2)
        append_json(self.path, {"step": step, "samples_per_second": rate, **means})
        self.sums, self.started = {}, time.perf_counter()


def append_json(path: Path, line: dict) -> None:
    """Appends a line to a .jsonl file."""
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")
