"""The commands that make data and those that train from start to end, written as in `mpkit.cli.commands`. `mpkit train`
is in train_command.py."""

import dataclasses
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from mpkit.cli.commands import Device, OptionalOutput, Output, Precision, Preset, _print_progress
from mpkit.errors import MpkitError


@dataclass(frozen=True)
class Heads:
    """Render synthetic people with exact labels: what the bundled weights learn from. No picture of a real person.

    Also tracks them, as training needs it. An interrupted run continues; a later one with more identities adds.

    examples
      mpkit heads --output runs/heads --identities 1000 --workers 2
    """

    output: Output  # folder of the shards
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
    it becomes one person in several poses and expressions. Stills of one person, named anna_a.jpg, anna_b.jpg in one
    folder, also become frames of one person. What cannot be used is listed in skipped.json, with the reason. An
    interrupted call continues. Use only pictures of people who agreed to it.

    examples
      mpkit prepare my_clips --output runs/clips --workers 4
      mpkit train base --data runs/heads runs/clips:2 --run runs/mine
    """

    folder: Positional[Path]  # pictures and clips, at any depth
    output: Output  # folder of the shards
    size: int = 256  # side of the pictures in pixels, even
    workers: int = 1  # processes
    people: Path | None = None  # table (tabs or commas) with columns path and person, where names do not tell them

    def run(self) -> None:
        _check_at_least_one(self, "workers")
        _check_side(self.size)

        from mpkit.data.prepare import prepare

        counts = prepare(self.folder, self.output, self.size, self.workers, people=self.people)
        print(", ".join(f"{count} {what}" for what, count in counts.items()))


@dataclass(frozen=True)
class Pack:
    """Pack everything that training needs on a machine without network, such as one whose GPU is rented for minutes.

    Pictures and clips are tracked, cropped and matted here. There, they are lifted and rendered anew, in new poses,
    while training runs, and so are synthetic people. The pack holds mpkit itself and the weights to start from. One
    command trains for some minutes and leaves the weights, whole and in parts of 15 MiB.

    examples
      mpkit pack my_portraits my_clips:2 --output pack --workers 2
      sh pack/train.sh 9 run       there: train for 9 minutes; the weights are in the folder run
    """

    folders: Positional[tuple[str, ...]]  # pictures and clips, each optionally "FOLDER:WEIGHT", as for mpkit train
    output: Output  # a new folder
    identities: int = 64  # synthetic people, of whom many are rendered
    people: Path | None = None  # table (tabs or commas) with columns path and person, where names do not tell them
    weights: Path | None = None  # to start from; by default those that come with mpkit
    limit: float = 64.0  # MiB that the pack may have
    workers: int = 1  # processes

    def run(self) -> None:
        _check_at_least_one(self, "workers", "identities")

        from mpkit.assets import DEFAULT_WEIGHTS
        from mpkit.networks.base import load_model
        from mpkit.training.config import shard_weights
        from mpkit.training.pack import read_folder, write_pack

        shares = {Path(folder): weight for folder, weight in shard_weights(self.folders).items()}
        names = {folder.resolve().name: folder for folder in shares}
        if not names or len(names) < len(shares) or "synthetic" in names:
            raise MpkitError("name folders of pictures and clips whose own names differ, and none named synthetic")
        weights = self.weights or DEFAULT_WEIGHTS
        load_model(weights, "tiny")
        people = {name: read_folder(folder, self.output, self.workers, self.people) for name, folder in names.items()}
        named = {name: shares[folder] for name, folder in names.items()}
        sizes = write_pack(self.output, people, named, self.identities, weights, self.limit)
        print(f"wrote {self.output}: " + ", ".join(f"{name} {size:.1f}" for name, size in sizes.items()) + " MiB")


@dataclass(frozen=True)
class Plot:
    """Plot every loss of one training run, or of several over each other.

    examples
      mpkit plot runs/first
      mpkit plot runs/first runs/second --output compared.svg
    """

    runs: Positional[tuple[Path, ...]]  # folders of `mpkit train`
    output: OptionalOutput = None  # a .png, .svg or .pdf; by default losses.png in the first folder

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
    output: Output  # folder of the runs and of ablation.json
    stills: tuple[str, ...] = ()  # shard folders of lifted stills; one row does without
    steps: int = 1000  # of each row
    batch_size: int = 8  # people

    def run(self) -> None:
        _check_at_least_one(self, "steps", "batch_size")

        from mpkit.evaluation.ablation import ablate, format_ablation

        arguments = self.data, self.stills, self.validation, self.output, self.steps, self.batch_size
        print(format_ablation(ablate(*arguments)))


@dataclass(frozen=True)
class Distil:
    """Train a student: one small network that shows some portraits many times faster, without a tracker.

    The base model, the teacher, drives the portraits by the faces in the clips. The student learns to make the same
    pictures from the frames of the clips alone. It can show these portraits only: its avatars 1, 2, ... in this order.
    An interrupted run continues. Every fifth frame is held out, and measures the student at the end.

    examples
      mpkit distil --portraits a.jpg b.jpg --clips one.mp4 two.mp4 --output student.safetensors --minutes 30
      mpkit distil --portraits a.jpg --clips one.mp4 --output student.safetensors --preset nano --steps 500
      mpkit animate b.jpg driver.mp4 --output out.mp4 --student student.safetensors --avatar 2
    """

    portraits: tuple[Path, ...]  # stills, each with a face
    clips: tuple[Path, ...]  # videos or GIFs of people who face the camera; the student learns their motions
    output: Output  # the weights to write, .safetensors
    preset: Preset = "tiny"  # of the student
    minutes: float | None = None  # about how long to train, 10 by default; base256 and base512 take the paper's steps
    steps: int | None = None  # batches to train on, in place of --minutes
    gan: bool = False  # nano and tiny: also the paper's adversarial loss; a step then takes twice as long
    weights: Path | None = None  # of the teacher; by default those that come with mpkit
    run_folder: Annotated[Path | None, tyro.conf.arg(name="run")] = None  # folder of the run; by default OUTPUT-run
    batch_size: int = 8  # frames
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "fp32"

    def run(self) -> None:
        from mpkit.device import check_precision, choose_device
        from mpkit.training.distil import DEFAULT_MINUTES, distil, recipe

        _check_at_least_one(self, "batch_size", *(["steps"] if self.steps is not None else []))
        if self.minutes is not None and (self.steps is not None or self.minutes <= 0):
            raise MpkitError("give --minutes, a number above 0, or --steps, not both")
        device = choose_device(self.device)
        check_precision(self.precision, device)
        config = dataclasses.replace(
            recipe(self.preset, self.gan),
            run=str(self.run_folder or self.output.with_name(f"{self.output.stem}-run")),
            base=str(self.weights or ""),
            batch_size=self.batch_size,
            seed=self.seed,
        )
        if self.steps is not None or self.minutes is not None:
            config = dataclasses.replace(config, steps=self.steps or 0)
        minutes = self.minutes or DEFAULT_MINUTES
        error = distil(self.portraits, self.clips, self.output, config, minutes, str(device), self.precision)
        print(
            f"{self.output}: {len(self.portraits)} avatars; student against teacher on {error.pictures} held-out "
            f"pictures: L1 {error.l1:.4f}, PSNR {error.psnr:.1f} dB"
        )


@dataclass(frozen=True)
class Adapt:
    """Train the base model on one still, so that it shows this face better. The result drives it in `mpkit animate`.

    Renders of the lifted still in many poses are the sources, the real picture is the target. Synthetic people are
    trained on, too, so that nothing else is forgotten. Preparing both takes another minute on two cores, and 150
    seconds more the first time on a machine, when the body model Anny builds its cache.

    examples
      mpkit adapt painting.jpg --output mine.safetensors
      mpkit adapt group.jpg --output second.safetensors --face 2 --minutes 5 --run runs/second
      mpkit animate --weights mine.safetensors painting.jpg driver.mp4 --output out.mp4
    """

    still: Annotated[Positional[Path], tyro.conf.arg(metavar="STILL")]  # the picture, a painting or a photo
    output: Output  # the weights to write, .safetensors
    minutes: float = 2.0  # about how long to train; preparing and measuring come on top
    steps: int | None = None  # batches to train on, in place of --minutes
    face: int | Literal["largest"] = "largest"  # which face of the picture to adapt to, counted from the left from 1
    weights: Path | None = None  # to start from; by default those that come with mpkit
    run_folder: Annotated[Path | None, tyro.conf.arg(name="run")] = None  # keeps the run, which can then be resumed
    device: Device = "auto"

    def run(self) -> None:
        if self.steps is not None:
            _check_at_least_one(self, "steps")
        if not 0 < self.minutes < math.inf:
            raise MpkitError(f"--minutes must be a number above 0, got {self.minutes:g}")

        from mpkit.assets import DEFAULT_WEIGHTS
        from mpkit.device import choose_device

        device = str(choose_device(self.device))  # before all else is loaded

        from mpkit.evaluation.adaptation import adapt, format_adaptation
        from mpkit.training.stages.adapt import adapt_config

        with tempfile.TemporaryDirectory(prefix="mpkit-adapt-") as temporary:
            config = adapt_config(self.weights or DEFAULT_WEIGHTS, self.run_folder or Path(temporary), self.steps or 0)
            result = adapt(self.still, self.output, config, self.face, self.minutes, device, _print_progress)
        print(f"{self.output}, before -> after:\n{format_adaptation(result)}")


def _check_at_least_one(command, *names: str) -> None:
    for name in names:
        if getattr(command, name) < 1:
            raise MpkitError(f"--{name} must be 1 or more, got {getattr(command, name)}")


def _check_side(size: int) -> None:
    if size < 32 or size % 2:
        raise MpkitError(f"--size must be an even number of pixels, 32 or more, got {size}")
