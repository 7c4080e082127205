"""`mpkit adapt`: one-shot adaptation, from a still to weights of the base model that are trained on it, measured before
and after."""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mpkit.data.one_shot import (
    HELD_OUT_FRAMES,
    HELD_OUT_SEEDS,
    REAL,
    SYNTHETIC_FRAMES,
    SYNTHETIC_SEEDS,
    StillPairs,
    check_yaw,
    head_crop,
    still_person,
    synthetic_people,
)
from mpkit.data.pairs import PairSet
from mpkit.data.shards import HeadShards, save_shard
from mpkit.errors import MediaError, MpkitError, NoFaceError
from mpkit.evaluation.ablation import psnr_inside
from mpkit.faces.face import find_face
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.media.paths import temporary_folder
from mpkit.networks.base import BaseModel, load_model
from mpkit.training.config import TrainConfig
from mpkit.training.loop import train
from mpkit.training.stages.adapt import AdaptObjective
from mpkit.training.trainer import Trainer
from mpkit.weights import save_weights

TIMED_STEPS = 3  # by which the time of a step is measured; the first is slower and does not count
SHARD = "shard-00000"  # the only one of each folder
HELD_OUT_PEOPLE = "held-out-people"  # folder in a run
MEASURES = {
    "self": "the picture from itself",
    "to_real": "the picture from held-out renders",
    "from_real": "held-out renders from the picture",
    "people": "held-out synthetic people",
}


class Score(NamedTuple):
    """How near predictions are to their targets, mean over pairs."""

    psnr: float  # dB in the matte, where colours are reliable
    distance: float  # perceptual distance of the middle of the crop, `losses.perceptual`


class Adaptation(NamedTuple):
    """Scores of the weights before and after, by the names in MEASURES."""

    before: dict[str, Score]
    after: dict[str, Score]


def adapt(
    still: Path,
    output: Path,
    config: TrainConfig,
    face: str | int = "largest",
    minutes: float = 2.0,
    device: str = "cpu",
    say: Callable[[str], None] = print,
) -> Adaptation:
    """Trains the weights `config.base` on a face of a still and writes the result. `config` is one of `adapt_config`.

    Takes `config.steps`, or as many as `minutes` allow where that is 0. A run that was interrupted goes on, with its
    number of steps. `say` gets a line about each part of the work. Raises MediaError for a still or an output that
    cannot be used, NoFaceError, WeightsError, and MpkitError where the run's folder holds another run."""
    if output.suffix.lower() != ".safetensors" or output.is_dir():
        raise MediaError(f"{output} is not the name of a .safetensors file; weights are written as one")
    with temporary_folder(output.resolve().parent):
        pass  # only writing shows whether it is allowed; training takes long
    base = load_model(config.base)
    config = dataclasses.replace(config, steps=_steps_so_far(config) or config.steps)
    write_still(still, face, config, base.config.image_size, say)
    _write_people(Path(config.data[1]), SYNTHETIC_SEEDS, base.config.image_size, say)
    _write_people(Path(config.run, HELD_OUT_PEOPLE), HELD_OUT_SEEDS, base.config.image_size, say)
    before = measure(base.to(device), config)
    if not config.steps:
        seconds = seconds_per_step(config, device)
        config = dataclasses.replace(config, steps=max(1, round(60 * minutes / seconds)))
        say(f"a step takes {seconds:.2f} s: {config.steps} steps")
    network = train(config, "adapt", config.base, device)
    save_weights(output, network, adapted_from=Path(config.base).name, still=still.name, steps=str(config.steps))
    return Adaptation(before, measure(network, config))


def write_still(still: Path, face: str | int, config: TrainConfig, size: int, say: Callable[[str], None]) -> None:
    """Lifts the still into its folder of the run, unless it is there. Raises MediaError, NoFaceError, and MpkitError if
    the folder holds another picture, or another face of it."""
    image, folder = read_image(still), Path(config.data[0])
    with make_tracker() as tracker, Matte() as matte:
        try:
            found = find_face(tracker, image, face)
            check_yaw(found)
        except NoFaceError as error:
            raise NoFaceError(f"{still}: {error}") from None
        if not (folder / SHARD).exists():
            say("rendering; the first time on a machine, the body model Anny builds its cache: up to 150 s more")
        _write(folder, lambda: [still_person(image, found, matte, size)], say)
        crop = head_crop(image, found, matte, size)
    if not np.array_equal(HeadShards(folder).sample(0, REAL)["images"], crop):
        raise MpkitError(f"{config.run} holds a run on another picture or face; give a new folder")


def seconds_per_step(config: TrainConfig, device: str) -> float:
    """Seconds of a training step with its batch, on this machine. It trains a network that is thrown away."""
    trainer = Trainer(dataclasses.replace(config, steps=TIMED_STEPS), "adapt", config.base, device)
    ends = []
    for batch in trainer.batches():
        trainer.step(batch)
        ends.append(time.perf_counter())
    return (ends[-1] - ends[0]) / (TIMED_STEPS - 1)


@torch.no_grad()
def measure(model: BaseModel, config: TrainConfig) -> dict[str, Score]:
    """The scores of a model on the pairs of a run that are named in MEASURES."""
    device, still = next(model.parameters()).device, config.data[0]
    people = {str(Path(config.run, HELD_OUT_PEOPLE)): 1.0}
    pairs = {
        "self": [StillPairs(still, 1, [(REAL, REAL)])[0]],
        "to_real": [StillPairs(still, 1, [(frame, REAL)])[0] for frame in HELD_OUT_FRAMES],
        "from_real": [StillPairs(still, 1, [(REAL, frame)])[0] for frame in HELD_OUT_FRAMES],
        "people": [PairSet(people, 4, SYNTHETIC_FRAMES - 1, augment=False)[0]],
    }
    objective = AdaptObjective(config).to(device)
    scores = {}
    for name, batches in pairs.items():
        rows = []
        for batch in batches:
            batch = batch.to(device)
            losses, driver = objective(model, batch), batch.driver
            matte = driver.picture[:, 3:] * driver.reliable
            psnr = psnr_inside(losses.made.rendering.image, driver.picture[:, :3], matte)
            rows.append((float(psnr.mean()), float(losses.terms["perceptual"])))
        scores[name] = Score(*np.mean(rows, axis=0).tolist())
    return scores


def format_adaptation(result: Adaptation) -> str:
    """A row for each measure, before -> after."""
    lines = [f"{'':<34}{'PSNR, dB':<20}perceptual distance"]
    for name, title in MEASURES.items():
        before, after = result.before[name], result.after[name]
        psnr, distance = f"{before.psnr:.1f} -> {after.psnr:.1f}", f"{before.distance:.3f} -> {after.distance:.3f}"
        lines.append(f"{title:<34}{psnr:<20}{distance}")
    return "\n".join(lines)


def _steps_so_far(config: TrainConfig) -> int:
    """The number of steps of a run that was started before, 0 where there is none. Raises MpkitError if it started from
    other weights."""
    file = Path(config.run, "config.json")
    if not file.exists():
        return 0
    started = json.loads(file.read_text())
    if started["base"] != config.base:
        raise MpkitError(f"{config.run} holds a run from the weights {started['base']}; give a new folder")
    return started["steps"]


def _write_people(folder: Path, seeds: range, size: int, say: Callable[[str], None]) -> None:
    _write(folder, lambda: synthetic_people(seeds, size), say)


def _write(folder: Path, make: Callable[[], list[dict[str, np.ndarray]]], say: Callable[[str], None]) -> None:
    """Writes people as the only shard of a folder, unless it is there."""
    shard = folder / SHARD
    if shard.exists():
        return
    start = time.perf_counter()
    people = make()
    folder.mkdir(parents=True, exist_ok=True)
    save_shard(shard, people)
    frames = sum(len(person["images"]) for person in people)
    say(f"{folder.name}: {frames} frames rendered in {time.perf_counter() - start:.0f} s")
