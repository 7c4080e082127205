"""The settings of a training run."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import tyro


@dataclass(frozen=True)
class TrainConfig:
    """One run of a stage. The same config and data give the same run, however often it is interrupted."""

    data: tuple[str, ...] = ()  # shard folders, each optionally "FOLDER:WEIGHT"; none: the bundled people at 64 px
    run: str = ""  # folder of the run: state, weights, stats.jsonl, grids
    validation: tuple[str, ...] = ()  # folders never trained on: their losses go to validation.jsonl at each save
    preset: str = "tiny"
    steps: int = 10_000
    batch_size: int = 4  # people in a batch, of all processes together
    drivers: int = 2  # driver frames of each person
    learning_rate: float = 5e-4
    last_learning_rate: float = 1e-6  # of the cosine schedule
    warmup: int = 200  # steps
    betas: tuple[float, float] = (0.9, 0.999)  # the paper's 0.5 stalls W in small batches (docs/training-log.md)
    weight_decay: float = 1e-2
    clip: float = 1.0  # gradient norm
    ema: float = 0.998
    seed: int = 0
    save_every: int = 250
    grid_every: int = 500
    log_every: int = 25
    workers: int = 0  # processes that load data
    freeze: tuple[str, ...] = ()  # parts of the network that stay as they are, e.g. warp_driver appearance.vector
    base: str = ""  # weights of the frozen base model, stages enhancer and student; by default the bundled ones
    weights: Annotated[Any, tyro.conf.Suppress] = None  # of the loss's terms; None: the stage's defaults

    def to_json(self) -> dict:
        return dataclasses.asdict(self)


def shard_weights(data: tuple[str, ...]) -> dict[str, float]:
    """("runs/heads", "runs/clips:2") -> {"runs/heads": 1.0, "runs/clips": 2.0}"""
    weights = {}
    for entry in data:
        folder, _, weight = entry.rpartition(":")
        weights[folder or entry] = float(weight) if folder else 1.0
    return weights
