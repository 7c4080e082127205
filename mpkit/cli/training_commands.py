"""The commands that make data and train: what each takes, its help, and what it does. See `mpkit.commands`."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from mpkit.cli.commands import Device, Precision
from mpkit.errors import MpkitError

TRAINING_STAGES = ("warps", "mouth", "motion", "gaze", "identity", "base")


@dataclass(frozen=True)
class Heads:
    """Render synthetic people with exact labels: what the bundled weights learn from. No picture of a real person.

    Also tracks them, as training needs it. An interrupted run continues; a later one with more identities adds.

    examples
      mpkit heads --output runs/heads --identities 1000 --workers 2
    """

    output: Path  # folder of the shards
    identities: int = 64  # people
    frames: int = 8  # of each
    size: int = 256  # side of the pictures in pixels, even
    seed: int = 0  # of the first person; the n-th has seed + n
    workers: int = 1  # processes
    preview: Path | None = None  # also draw the first people on a sheet, a .png

    def run(self) -> None:
        _check_at_least_one(self, "identities", "frames", "workers")
        _check_side(self.size)

        from mpkit.data.shards import contact_sheet, write_shards
        from mpkit.data.tracked import track_shards

        write_shards(self.output, self.identities, self.frames, self.size, self.seed, self.workers)
        track_shards(self.output, self.workers)
        if self.preview:
            contact_sheet(self.output, self.preview)


@dataclass(frozen=True)
class Prepare:
    """Make training data of a folder of real pictures and clips, whatever folders are in it.

    A clip is tracked, cropped and matted; frames that are small, blurred or cut off are left out. A still is lifted:
    it becomes one person in several poses and expressions. What cannot be used is listed in skipped.json, with the
    reason. An interrupted call continues. Use only pictures of people who agreed to it.

    examples
      mpkit prepare my_clips --output runs/clips --workers 4
      mpkit train base --data runs/heads runs/clips:2 --run runs/mine
    """

    folder: Positional[Path]  # pictures and clips, at any depth
    output: Path  # folder of the shards
    size: int = 256  # side of the pictures in pixels, even
    workers: int = 1  # processes

    def run(self) -> None:
        _check_at_least_one(self, "workers")
        _check_side(self.size)

        from mpkit.data.prepare import prepare

        counts = prepare(self.folder, self.output, self.size, self.workers)
        print(", ".join(f"{count} {what}" for what, count in counts.items()))


@dataclass(frozen=True)
class Plot:
    """Plot every loss of one training run, or of several over each other.

    examples
      mpkit plot runs/first
      mpkit plot runs/first runs/second --output compared.svg
    """

    runs: Positional[tuple[Path, ...]]  # folders of `mpkit train`
    output: Path | None = None  # a .png, .svg or .pdf; by default losses.png in the first folder

    def run(self) -> None:
        from mpkit.training.plot import plot_runs

        if not self.runs:
            raise MpkitError("name the folder of a run, as in: mpkit plot runs/first")
        output = self.output or self.runs[0] / "losses.png"
        plot_runs(list(self.runs), output)
        print(f"wrote {output}")


@dataclass(frozen=True)
class Ablate:
    """Show what each loss is for: train the nano preset with everything and without each part, and compare.

    All rows take equally many steps. An interrupted call continues.

    examples
      mpkit ablate --data runs/heads --stills runs/photos --validation runs/held_out --output runs/ablation
    """

    data: tuple[str, ...]  # shard folders, each optionally "FOLDER:WEIGHT"
    validation: tuple[str, ...]  # shard folders of people that are not in the others
    output: Path  # folder of the runs and of ablation.json
    stills: tuple[str, ...] = ()  # shard folders of lifted stills; one row does without
    steps: int = 1000  # of each row
    batch_size: int = 8  # people

    def run(self) -> None:
        _check_at_least_one(self, "steps", "batch_size")

        from mpkit.evaluation.ablation import ablate, format_ablation

        arguments = self.data, self.stills, self.validation, self.output, self.steps, self.batch_size
        print(format_ablation(ablate(*arguments)))


def train(arguments: list[str]) -> None:
    """Train the base model from shards of `mpkit heads`; a killed run resumes where it was.

    `warps` teaches both warp generators alone, and `mouth` what lips that part show, from exact labels; `motion` E_mtn
    alone what a tracker reads; they are quick. `gaze` and `identity` train the networks whose features are losses.
    `base` is the model itself. A run's folder holds its state, weights.safetensors, stats.jsonl and grids of pictures.
    What --preset base256 and base512 do unless told otherwise is the paper's recipe.

    examples
      mpkit heads --output runs/heads --identities 200
      mpkit train warps --data runs/heads --run runs/warps --steps 400 --batch-size 8 --drivers 4 --learning-rate 1e-3
      mpkit train mouth --data runs/heads --run runs/mouth --init runs/warps/weights.safetensors --steps 600
      mpkit train base --data runs/heads --run runs/first --init runs/mouth/weights.safetensors --freeze mouth
      mpkit train base --data runs/heads --run runs/small --preset nano --steps 20 --batch-size 2
      accelerate launch --num_processes 4 -m mpkit train base --data runs/heads --run runs/large --preset base512
    """
    description = inspect.cleandoc(train.__doc__)
    if not arguments or arguments[0] in ("-h", "--help"):
        stages = "|".join(TRAINING_STAGES)
        print(f"usage: mpkit train {stages} ...        help on it: mpkit train base --help\n\n{description}")
        return
    stage = arguments[0]
    if stage not in TRAINING_STAGES:
        raise MpkitError(f"there is no stage '{stage}' to train; choose one of {', '.join(TRAINING_STAGES)}")

    from mpkit.training.loop import TrainConfig
    from mpkit.training.loop import train as train_stage
    from mpkit.training.recipes import RECIPES

    name = _preset_among(arguments)
    recipe = RECIPES.get(name, {}) if stage == "base" else {}
    default = TrainConfig(data=tyro.MISSING, run=tyro.MISSING, **({"preset": name} | recipe))

    def run(
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = default,
        init: Annotated[Path | None, tyro.conf.arg(help="weights to start from, a safetensors file")] = None,
        device: Annotated[Device, tyro.conf.arg(help="auto is the best there is")] = "auto",
        precision: Annotated[Precision, tyro.conf.arg(help="of the networks; bf16 and fp16 are for CUDA")] = "fp32",
    ) -> None:
        from mpkit.config import preset
        from mpkit.device import check_precision, choose_device

        preset(config.preset)  # say so before the run has a folder
        check_precision(precision, choose_device(device))
        train_stage(config, stage, init, str(choose_device(device)), precision)

    tyro.cli(run, prog=f"mpkit train {stage}", description=description, args=arguments[1:])


def _preset_among(arguments: list[str]) -> str:
    """The value of --preset, before anything is parsed: what is left out depends on it."""
    for word, following in zip(arguments, [*arguments[1:], ""]):
        if word.startswith("--preset"):
            return word.partition("=")[2] or following
    return "tiny"


def _check_at_least_one(command, *names: str) -> None:
    for name in names:
        if getattr(command, name) < 1:
            raise MpkitError(f"--{name} must be 1 or more, got {getattr(command, name)}")


def _check_side(size: int) -> None:
    if size < 32 or size % 2:
        raise MpkitError(f"--size must be an even number of pixels, 32 or more, got {size}")
