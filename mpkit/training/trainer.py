"""The trainer of one stage: networks, optimizers, and what one step does with a batch."""

import copy
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from mpkit.errors import MpkitError
from mpkit.training.config import TrainConfig, is_packed, shard_weights
from mpkit.training.optimization import (
    average_gradients,
    clip_gradients,
    freeze,
    learning_rate,
    make_optimizer,
    update_ema,
)
from mpkit.training.run_state import load_run, save_run
from mpkit.training.stages.registry import STAGES
from mpkit.weights import load_network, save_tensors


class Term(NamedTuple):
    """One term of a step's loss."""

    value: float  # unweighted; the mean over processes
    equation: str  # of the paper, e.g. "Eq. 6-7"; "ours" for what the paper does not have; "" for sums and norms


class Trainer:
    """One stage in training. `step(batch)` is one training step, `ema` the network that is saved and used.

        trainer = Trainer(TrainConfig(preset="nano"))
        terms = trainer.step(trainer.data[0])

    Training starts from `init` weights, or from scratch. Raises MediaError where the data do not exist, WeightsError
    for `init`, DeviceError for a device that is absent. precision: fp32, or bf16 or fp16 on CUDA.
    """

    def __init__(
        self,
        config: TrainConfig,
        stage: str = "base",
        init: str | Path | None = None,
        device: str = "cpu",
        precision: str = "fp32",
    ):
        self.config, self.stage = config, stage
        self.accelerator = Accelerator(cpu=device == "cpu", mixed_precision={"fp32": "no"}.get(precision, precision))
        self.part, self.parts = self.accelerator.process_index, self.accelerator.num_processes
        self.device = self.accelerator.device
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")  # TF32, as convolutions have it
        torch.manual_seed(config.seed)
        self.objective = STAGES[stage](config).to(self.device)
        loaded = config.workers and not any(map(is_packed, shard_weights(config.data)))  # by processes
        self.loaders = config.workers if loaded else 0
        self.objective.batch_device = torch.device("cpu") if loaded else self.device
        self.data = self.objective.batches(self.part, self.parts)
        self.held_out = self.objective.validation()
        self.model = self.objective.build().to(self.device)
        if init:
            self.model.load_state_dict(load_network(init, type(self.model), config.preset).state_dict())
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        freeze(self.model, config.freeze)
        self.discriminator = self.objective.discriminator
        self.networks = {"model": self.model, "ema": self.ema}
        self.optimizers = {"optimizer": make_optimizer(self.accelerator, self.model, config)}
        if self.discriminator:
            self.networks["discriminator"] = self.discriminator
            self.optimizers["discriminator_optimizer"] = make_optimizer(self.accelerator, self.discriminator, config)
        self.steps_done = 0
        self.seconds = (
            0.0  # that steps took since this process began, with the time between them; mean of all processes
        )
        self._started: float | None = None  # of the first step, on the clock `time.monotonic`
        self.made = None  # what the last step made, see `Losses`

    def batches(self) -> DataLoader:
        """The batches of the steps that are left, this process's share of each."""
        steps = range(self.steps_done, sys.maxsize if self.config.minutes else self.config.steps)
        own = torch.Generator()  # else starting the loader would draw from the run's own random numbers
        return DataLoader(self.data, batch_size=None, sampler=steps, num_workers=self.loaders, generator=own)

    @property
    def progress(self) -> float:
        """The share of the run that is done, [0, 1], the same in all processes. The clock of a run by minutes begins
        anew when it goes on."""
        if self.config.minutes:
            return min(1.0, self.seconds / 60 / self.config.minutes)
        return min(1.0, self.steps_done / max(1, self.config.steps))

    def step(self, batch) -> dict[str, Term]:
        """One training step on a batch. Returns the loss, its terms unweighted, the discriminator's loss and the
        gradient norm. Raises MpkitError when the loss is not finite; the batch is then in the run's folder."""
        # ---- forward
        self._started = self._started or time.monotonic()
        batch = batch.to(self.device)
        rate = learning_rate(self.config, self.steps_done, self.progress)
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rate * (self.config.discriminator_rate if name == "discriminator_optimizer" else 1)
            optimizer.zero_grad()
        with self.accelerator.autocast():
            loss, terms, self.made = self.objective(self.model, batch)
        values = {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}}
        values = {name: self._mean(value) for name, value in values.items()}
        # ---- backward
        self.accelerator.backward(loss)
        average_gradients(self.accelerator, self.model)
        self.accelerator.unscale_gradients(self.optimizers["optimizer"])
        values["gradient_norm"] = clip_gradients(self.model, self.config.clip)
        self.optimizers["optimizer"].step()
        # ---- discriminator
        if self.discriminator:
            with self.accelerator.autocast():
                loss = self.objective.discriminator_loss(batch, self.made)
            values["discriminator"] = self._mean(loss.detach())
            self.accelerator.backward(loss)
            average_gradients(self.accelerator, self.discriminator)
            self.optimizers["discriminator_optimizer"].step()
        # ---- EMA
        update_ema(self.ema, self.model, self.config.ema, self.steps_done)
        if self.config.minutes:
            self.seconds = float(self._mean(torch.tensor(time.monotonic() - self._started, device=self.device)))
        self._check_finite(values["loss"], batch)  # late, because it waits for a GPU; nothing was saved since
        self.steps_done += 1
        equations = {"loss": "", "gradient_norm": "", "discriminator": "Eq. 5"} | self.objective.equations
        return {name: Term(float(value.detach()), equations.get(name, "ours")) for name, value in values.items()}

    @torch.no_grad()
    def validate(self, batches: int = 8) -> dict[str, float] | None:
        """Mean loss and terms of the EMA network on batches that are never trained on; None where there are none."""
        if self.held_out is None:
            return None
        sums: dict[str, float] = {}
        for index in range(batches):
            loss, terms, _ = self.objective(self.ema, self.held_out[index].to(self.device))
            for name, value in {"loss": loss, **terms}.items():
                sums[name] = sums.get(name, 0.0) + float(value) / batches
        return {name: round(value, 5) for name, value in sums.items()}

    def save(self, path: Path) -> None:
        """Writes everything that `resume` needs to go on bit-equal."""
        save_run(path, self.networks, self.optimizers, self.steps_done)

    def resume(self, path: Path) -> None:
        """Goes on from a saved state, if there is one. Raises WeightsError when it does not fit."""
        if path.exists():
            self.steps_done = load_run(path, self.networks, self.optimizers)

    def _mean(self, value: Tensor) -> Tensor:
        """The mean of a value over all processes."""
        return self.accelerator.reduce(value.float().clone(), "mean")

    def _check_finite(self, loss: Tensor, batch) -> None:
        if torch.isfinite(loss):  # the mean over processes: all of them stop
            return
        run, step = Path(self.config.run), self.steps_done
        save_tensors(run / f"nan-{self.part}.safetensors", dict(named_tensors(batch)), {"step": str(step)})
        raise MpkitError(f"the loss is not finite at step {step}; its inputs are in {run}/nan-*.safetensors")


def named_tensors(batch, name: str = "batch"):
    """(name, tensor) of every tensor in nested named tuples."""
    if isinstance(batch, Tensor):
        yield name, batch
    else:
        for field, value in batch._asdict().items():
            yield from named_tensors(value, f"{name}.{field}")
