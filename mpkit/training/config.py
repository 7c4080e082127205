"""The settings of a training run."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from mpkit.errors import MpkitError


@dataclass(frozen=True)
class TrainConfig:
    """One run of a stage. The same config and data give the same run, however often it is interrupted.

    Raises MpkitError, with the name of the option on the command line, for a number that is out of range."""

    # shard folders and files of `mpkit pack`, each optionally "FOLDER:WEIGHT", by default the bundled people (64 px);
    # for stage enhancer folders of pictures, by default the example portraits
    data: tuple[str, ...] = ()
    run: str = ""  # folder of the run: state, weights, stats.jsonl, grids
    validation: tuple[str, ...] = ()  # folders never trained on: their losses go to validation.jsonl at each save
    # nano: 64 px, for tests and lessons; tiny: 256 px, the bundled model's; base256, base512: the paper's
    preset: Literal["nano", "tiny", "base256", "base512"] = "tiny"
    steps: int = 10_000  # of the whole run, those before an interruption included
    batch_size: int = 4  # people, for the enhancer stills, in a batch of all processes together
    drivers: int = 2  # driver frames of each person; enhancer and student have none
    learning_rate: float = 5e-4  # after the warm-up
    last_learning_rate: float = 1e-6  # at the end of the cosine schedule
    discriminator_rate: float = 1.0  # learning rate of the discriminator over that of the other networks
    warmup: int = 200  # steps in which the learning rate rises
    # of AdamW; the paper uses 0.5 for the first; with small batches the warp generators then stop learning
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2  # of AdamW
    clip: float = 1.0  # largest gradient norm; a larger one is scaled down
    ema: float = 0.998  # decay of the moving average of the weights, which is what is saved and used
    seed: int = 0  # of the first weights and of the batches
    save_every: int = 250  # steps
    grid_every: int = 500  # steps from one grid of sample pictures to the next
    log_every: int = 25  # steps from one line of stats.jsonl to the next
    minutes: float = 0.0  # of training, whatever --steps says; 0: as many steps as it says
    workers: int = 0  # processes that load data; with files of `mpkit pack`, processes that render them
    freeze: tuple[str, ...] = ()  # parts of the network that stay as they are, e.g. warp_driver appearance.vector
    base: str = ""  # weights of the frozen base model, stage enhancer only; by default the bundled ones, preset tiny
    weights: Annotated[Any, tyro.conf.Suppress] = None  # of the loss's terms; None: the stage's defaults

    def __post_init__(self):
        least = {"steps": 0, "warmup": 0, "seed": 0, "workers": 0}
        least |= dict.fromkeys(("batch_size", "drivers", "save_every", "grid_every", "log_every"), 1)
        least |= {"minutes": 0, "discriminator_rate": 0}
        for name, limit in least.items():
            if getattr(self, name) < limit:
                raise MpkitError(f"--{name.replace('_', '-')} must be {limit} or more, got {getattr(self, name)}")

    def to_json(self) -> dict:
        return dataclasses.asdict(self)


def is_packed(data: str) -> bool:
    """Whether a name among `TrainConfig.data` is a file of `mpkit pack`."""
    return data.endswith(".npz")


def shard_weights(data: tuple[str, ...]) -> dict[str, float]:
    """("runs/heads", "runs/clips:2") -> {"runs/heads": 1.0, "runs/clips": 2.0}"""
    weights = {}
    for entry in data:
        folder, _, weight = entry.rpartition(":")
        weights[folder or entry] = float(weight) if folder else 1.0
    return weights
