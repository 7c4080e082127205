"""The commands: what each takes, its help, and what it does. `mpkit.cli` runs them.

A field is an option and the comment beside it is its help. Everything heavy is imported by the command that needs it,
so that help is instant.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from mpkit.errors import DeviceError, MediaError, MpkitError
from mpkit.options import Options

Device = Literal["auto", "cpu", "cuda", "mps"]
TrackerName = Literal["mediapipe", "face-alignment"]
Preset = Literal["nano", "tiny", "base256", "base512"]
Precision = Literal["fp32", "bf16", "fp16"]
TRAINING_STAGES = ("warps", "motion", "gaze", "identity", "base")


@dataclass(frozen=True)
class Animate:
    """Make a still picture move as a driver does.

    SOURCE is the still: a painting or a photo, JPEG, PNG or WebP, of any size.
    DRIVER is a video (.mp4 .webm .mov .gif), a still, or a motion file made by `mpkit track`.

    The face is found by itself, in paintings too. Memory does not grow with the length of the driver. Frames in which
    the driver shows no face hold the last motion.

    examples
      mpkit animate painting.jpg driver.mp4 --output out.mp4
      mpkit animate painting.jpg driver.mp4 --output out.mp4 --motion absolute --side-by-side
      mpkit animate group.jpg motion.json --output out.webm --face 2 --start 1.5 --max-frames 100
    """

    source: Annotated[Positional[Path], tyro.conf.arg(metavar="SOURCE")]  # the still picture
    driver: Annotated[Positional[Path], tyro.conf.arg(metavar="DRIVER")]  # what gives the motion
    output: Path  # .mp4 (H.264), .webm (VP9), .gif, or a folder for numbered PNG frames
    options: Annotated[Options, tyro.conf.arg(name="")] = Options()
    device: Device = "auto"  # auto is the best there is
    precision: Precision = "fp32"  # of the networks; fp16 needs a GPU
    weights: Path | None = None  # a safetensors file; by default the weights that come with mpkit
    tracker: TrackerName = "mediapipe"  # face-alignment is the paper's own; an optional install

    def run(self) -> None:
        from mpkit.media import check_file, check_output

        output = check_output(self.output)
        _check_not_input(output, self.source, self.driver)
        _check_still(self.source)
        check_file(self.driver)

        import torch

        from mpkit.animate import Animator
        from mpkit.assets import DEFAULT_WEIGHTS

        weights = self.weights or DEFAULT_WEIGHTS
        animator = Animator.load(weights, device=self.device, precision=self.precision, tracker=self.tracker)
        try:
            with _progress_bar() as progress:
                result = animator.animate(self.source, self.driver, output, self.options, progress)
        except torch.OutOfMemoryError:
            name = animator.device
            raise DeviceError(f"{name} has too little memory for this; try a smaller --size, or --device cpu") from None
        held = f", {result.without_face} of them held: the driver shows no face" if result.without_face else ""
        print(f"{self.output}: {result.frames} frames, {float(result.rate):.6g} a second{held}")


@dataclass(frozen=True)
class Track:
    """Save what a face does in a video, a GIF or a still as a motion file: numbers without pictures.

    The file is JSON, a frame a line: time, head pose (rotation, translation, scale), 52 facial actions, gaze, face box.
    The format is described in mpkit/motion.py. It drives any portrait: mpkit animate painting.jpg motion.json ...

    examples
      mpkit track driver.mp4 --output motion.json
      mpkit track driver.mp4 --output part.json --start 3 --max-frames 125
    """

    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE")]  # a video, a GIF or a still
    output: Path  # the motion file to write, .json
    start: float = 0.0  # seconds to skip
    max_frames: int | None = None  # stop after so many frames
    fps: float | None = None  # frames a second; by default exactly the video's
    tracker: TrackerName = "mediapipe"  # face-alignment is the paper's own; an optional install

    def run(self) -> None:
        from mpkit.media import temporary_folder

        if self.output.suffix.lower() != ".json" or self.output.is_dir():
            raise MediaError(f"{self.output} is not the name of a .json file; a motion file is written as .json")
        _check_not_input(self.output, self.file)
        with temporary_folder(self.output.resolve().parent):
            pass  # the sure test that one may write there, before long work

        from mpkit.tracking import track

        with _progress_bar() as progress:
            motion = track(self.file, self.tracker, self.start, self.max_frames, self.fps, progress)
        motion.save(self.output)
        print(f"{self.output}: {len(motion)} frames at {motion.rate} a second, {int(motion.found.sum())} with a face")


@dataclass(frozen=True)
class Info:
    """List each network of the presets: output shape, parameters, and GFLOP per frame.

    examples
      mpkit info
      mpkit info --preset base512
      mpkit info --training
    """

    preset: Preset | None = None  # by default all of them
    training: bool = False  # what a training step costs instead: TFLOP, memory, days

    def run(self) -> None:
        from mpkit.config import PRESETS

        names = [self.preset] if self.preset else PRESETS
        if self.training:
            from mpkit.training.recipes import format_cost

            print("\n".join(format_cost(name) for name in names))
            return

        from mpkit.report import format_report, network_report

        for name in names:
            print(f"\n{name}\n{format_report(network_report(name))}")


@dataclass(frozen=True)
class Evaluate:
    """Measure the weights on a set of portraits and clips: motion, identity, self-reenactment, beside two baselines.

    The set is a folder with a manifest.tsv: tab-separated, with the columns `path` and `use`; the rows with the use
    `evaluate` count. mpkit/evaluate.py says what the numbers mean. About 10 minutes on two cores; --quick a minute.

    examples
      mpkit evaluate --set my_set --output evaluation.json
      mpkit evaluate --set my_set --quick --weights runs/first/weights.safetensors
    """

    folder: Annotated[Path, tyro.conf.arg(name="set")]  # the folder with the manifest
    weights: Path | None = None  # a safetensors file; by default the weights that come with mpkit
    output: Path | None = None  # also write the result as JSON here
    portraits: int = 12  # at most
    clips: int = 6  # at most
    frames: int = 24  # of each clip
    quick: bool = False  # 3 portraits, 2 clips, 12 frames
    device: Device = "auto"  # auto is the best there is

    def run(self) -> None:
        from mpkit.assets import DEFAULT_WEIGHTS
        from mpkit.evaluate import evaluate, format_table

        counts = self.portraits, self.clips, self.frames, self.quick
        weights = self.weights or DEFAULT_WEIGHTS
        print(format_table(evaluate(self.folder, weights, *counts, self.output, self.device, _say)))


@dataclass(frozen=True)
class Bench:
    """Measure the speed: milliseconds per driven frame, stage by stage, and frames a second end to end.

    examples
      mpkit bench
      mpkit bench --sizes 256 512 1024 --frames 200 --device cuda --precision fp16
    """

    sizes: tuple[int, ...] = (256, 1024)  # sides of the animated crop in pixels
    frames: int = 100  # 10 or more
    weights: Path | None = None  # a safetensors file; by default the weights that come with mpkit
    device: Device = "auto"  # auto is the best there is
    precision: Precision = "fp32"  # of the networks; fp16 needs a GPU

    def run(self) -> None:
        from mpkit.assets import DEFAULT_WEIGHTS
        from mpkit.bench import bench, format_bench

        weights = self.weights or DEFAULT_WEIGHTS
        print(format_bench(bench(weights, self.sizes, self.frames, self.device, self.precision)))


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

        from mpkit.training.ablation import ablate, format_ablation

        arguments = self.data, self.stills, self.validation, self.output, self.steps, self.batch_size
        print(format_ablation(ablate(*arguments)))


def train(arguments: list[str]) -> None:
    """Train the base model from shards of `mpkit heads`; a killed run resumes where it was.

    `warps` teaches both warp generators alone, from exact labels, and `motion` E_mtn alone what a tracker reads; both
    are quick. `gaze` and `identity` train the networks whose features are losses. `base` is the model itself.
    A run's folder holds its state, weights.safetensors, stats.jsonl and grids of pictures. What --preset base256 and
    base512 do unless told otherwise is the paper's recipe.

    examples
      mpkit heads --output runs/heads --identities 200
      mpkit train warps --data runs/heads --run runs/warps --steps 400 --batch-size 8 --drivers 4 --learning-rate 1e-3
      mpkit train base --data runs/heads --run runs/first --init runs/warps/weights.safetensors --steps 20000
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
        from mpkit.animate import check_precision, choose_device
        from mpkit.config import preset

        preset(config.preset)  # say so before the run has a folder
        check_precision(precision, choose_device(device))
        train_stage(config, stage, init, str(choose_device(device)), precision)

    tyro.cli(run, prog=f"mpkit train {stage}", description=description, args=arguments[1:])


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[int, int | None], None]]:
    """A bar with rate and time left on stderr; gives `progress(frames done, about how many there are)`."""
    from tqdm import tqdm

    bar = None

    def progress(done: int, total: int | None) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(unit=" frames", leave=False, mininterval=0.5, file=sys.stderr)
        bar.total = total and max(total, done)
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()


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


def _say(doing: str) -> None:
    print(doing, file=sys.stderr)


def _check_not_input(output: Path, *inputs: Path) -> None:
    for path in inputs:
        if output.resolve() == path.resolve():
            raise MediaError(f"--output is {path} itself; give another name")


def _check_still(path: Path) -> None:
    """Raises MediaError where the source moves. What is neither still nor video is left to `read_image`."""
    from mpkit.media import is_still
    from mpkit.video import VideoReader

    if is_still(path):
        return
    try:
        VideoReader(path)
    except MediaError:
        return
    raise MediaError(f"{path} is a moving picture; SOURCE must be a still; the clip is the DRIVER, which comes second")
