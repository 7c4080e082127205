"""`mpkit distil`: the whole student stage, from pictures and clips to a student and its error on held-out frames."""

import dataclasses
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from mpkit.config import STUDENTS, preset
from mpkit.data.distillation import DistillationSet, portrait_names, prepare_distillation
from mpkit.errors import MediaError
from mpkit.media.paths import temporary_folder
from mpkit.training.config import TrainConfig
from mpkit.training.loop import train
from mpkit.training.recipes import RECIPES
from mpkit.training.stages.student import StudentWeights, teacher_of
from mpkit.training.trainer import Trainer
from mpkit.weights import save_weights

DEFAULT_MINUTES = 10.0  # of training, where the recipe has no number of steps
TIMED_STEPS = 3
HELD_OUT_BATCHES = 8  # of 8 pairs of an avatar and a frame, spread evenly over all, that measure a student


class HeldOutError(NamedTuple):
    """The difference of a student's pictures from its teacher's, values in [0, 1], on frames it was not trained on."""

    pictures: int
    l1: float  # mean
    psnr: float  # dB, mean over pictures


def recipe(name: str, gan: bool = False) -> TrainConfig:
    """The training settings of a preset; `steps` is 0 where they depend on the time. `gan` adds the GAN loss where the
    recipe has none. Raises MpkitError."""
    preset(name, STUDENTS)
    config = TrainConfig(preset=name, **RECIPES["student"][name])
    return dataclasses.replace(config, weights=StudentWeights()) if gan and not config.weights.adversarial else config


def distil(
    portraits: Sequence[Path],
    clips: Sequence[Path],
    output: Path,
    config: TrainConfig,
    minutes: float = DEFAULT_MINUTES,
    device: str = "cpu",
    precision: str = "fp32",
) -> HeldOutError:
    """Trains a student of all portraits in the folder `config.run` and writes its weights, with the portraits' names.

    Takes `config.steps`, or as many as `minutes` allow where that is 0. A run that was interrupted goes on, with its
    number of steps. Raises MpkitError, see `prepare_distillation` and `training.loop.train`; MediaError where `output`
    cannot be written."""
    if output.suffix.lower() != ".safetensors" or output.is_dir():
        raise MediaError(f"{output} is not the name of a .safetensors file; a student is written as one")
    with temporary_folder(output.resolve().parent):
        pass  # only writing shows whether it is allowed; training takes long
    run = Path(config.run)
    size = preset(config.preset, STUDENTS).image_size
    prepare_distillation(portraits, clips, run / "data", size, tqdm.write)
    config = dataclasses.replace(config, data=(str(run / "data"),))
    if not config.steps:
        steps = _steps_so_far(run) or affordable_steps(config, minutes, device, precision)
        config = dataclasses.replace(config, steps=steps)
    student = train(config, "student", device=device, precision=precision)
    save_weights(output, student, portraits=json.dumps(portrait_names(run / "data")), steps=str(config.steps))
    return held_out_error(student, config)


def affordable_steps(config: TrainConfig, minutes: float, device: str, precision: str) -> int:
    """About how many steps of this run take so long, by timing a few. The teacher renders each pair of an avatar and a
    frame once, so that later steps are faster than the first ones."""
    trainer = Trainer(config, "student", None, device, precision)
    teacher_of(config, trainer.device)
    trainer.step(trainer.data[0])  # the first step is slower
    seconds = []
    for _ in ("the teacher renders", "the teacher has rendered"):
        start = time.perf_counter()
        for step in range(1, 1 + TIMED_STEPS):
            trainer.step(trainer.data[step])
        seconds.append((time.perf_counter() - start) / TIMED_STEPS)
    first, later = seconds
    rendered = max(0.0, first - later) / config.batch_size  # seconds of the teacher for one picture
    pairs = 2 * trainer.data.avatars * len(trainer.data.frames)  # twice, for the mirrored frames

    def duration(steps: float) -> float:
        distinct = pairs * (1 - math.exp(-steps * config.batch_size / pairs))  # among so many random ones
        return steps * later + distinct * rendered

    steps = 1.0
    while duration(1.05 * steps) < 60 * minutes:
        steps *= 1.05
    return max(1, round(steps))


@torch.no_grad()
def held_out_error(student: nn.Module, config: TrainConfig) -> HeldOutError:
    """Measures a student on held-out frames of its run's clips, with every avatar."""
    device = next(student.parameters()).device
    data, teacher = DistillationSet(config.data[0], 8, held_out=True), teacher_of(config, device)
    errors = []
    for number in range(0, len(data), -(-len(data) // HELD_OUT_BATCHES)):
        batch = data[number].to(device)
        target, made = teacher(batch)[:, :3], student(batch.picture, batch.avatar)[:, :3]
        errors += [(F.l1_loss(a, b), F.mse_loss(a, b)) for a, b in zip(made, target)]
    l1, squared = torch.tensor(errors).unbind(1)
    return HeldOutError(len(errors), l1.mean().item(), (-10 * squared.log10()).mean().item())


def _steps_so_far(run: Path) -> int:
    """The number of steps of a run that was started before; 0 where there is none."""
    file = run / "config.json"
    return json.loads(file.read_text())["steps"] if file.exists() else 0
