"""The commands: the arguments, the help and the work of each. `mpkit.cli.main` runs them.

A field is an option, and the comment beside it is its help. Heavy modules are imported inside the command that needs
them, so that help is instant.
"""

import contextlib
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from mpkit.animation.options import Options, Progress, check_side
from mpkit.errors import DeviceError, MediaError, MpkitError

# options that several commands have, with their help
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="auto: cuda, else mps, else cpu")]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16"], tyro.conf.arg(help="of the networks; fp16 needs a GPU; bf16 is slow on a CPU")
]
TrackerName = Annotated[
    Literal["mediapipe", "face-alignment"],
    tyro.conf.arg(help="face-alignment is the paper's own; an optional install"),
]
Preset = Literal["nano", "tiny", "base256", "base512"]
Output = Annotated[Path, tyro.conf.arg(aliases=["-o"])]
OptionalOutput = Annotated[Path | None, tyro.conf.arg(aliases=["-o"])]


@dataclass(frozen=True)
class Animate:
    """Make a still picture move as a driver does.

    SOURCE is the still: a painting or a photo, JPEG, PNG, WebP, TIFF, HEIC or AVIF, of any size.
    DRIVER is a video (.mp4 .webm .mov .mkv .avi), an animated GIF, WebP, PNG or AVIF, a motion file made by
    `mpkit track`, or a still, whose pose and expression the portrait takes and holds for a second (25 frames).

    A picture with transparency keeps it in .webm files and PNG frames; in .mp4 and .gif white is behind it.

    The face is found automatically, in paintings too. Memory does not grow with the length of the driver. Frames in
    which the driver shows no face hold the last motion.

    examples
      mpkit animate painting.jpg driver.mp4 --output out.mp4
      mpkit animate painting.jpg driver.mp4 --output out.mp4 --motion absolute --side-by-side
      mpkit animate painting.jpg driver.mp4 --output out.mp4 --motion-from pixels
      mpkit animate painting.jpg driver.mp4 --output out.mp4 --parts head mouth --expression-strength 1.3
      mpkit animate group.jpg motion.json --output out.webm --face 2 --start 1.5 --max-frames 100
      mpkit animate portrait.jpg driver.mp4 --output out.mp4 --student student.safetensors --avatar 2
    """

    source: Annotated[Positional[Path], tyro.conf.arg(metavar="SOURCE")]  # the still picture
    driver: Annotated[Positional[Path], tyro.conf.arg(metavar="DRIVER")]  # the source of the motion
    output: Output  # the file to write: .mp4 (H.264), .webm (VP9), .gif, or a folder for numbered PNG frames
    options: Annotated[Options, tyro.conf.arg(name="")] = Options()
    device: Device = "auto"
    precision: Precision = "fp32"
    weights: Path | None = None  # a safetensors file; by default the weights that come with mpkit
    # weights of an enhancer (`mpkit train enhancer`), which doubles the resolution of the model's picture. With a model
    # of preset nano or tiny it takes the place of the detail path, which samples the source at its own resolution
    enhance: Path | None = None
    tracker: TrackerName = "mediapipe"
    # weights of a student (`mpkit distil`) in place of the base model: faster, and only for its own portraits. It sees
    # the driver's pictures, so no motion file; --weights, --enhance and what changes the motion do nothing
    student: Path | None = None
    avatar: int = 1  # which of the student's portraits SOURCE is, counted in the order of `mpkit distil --portraits`

    def run(self) -> None:
        from mpkit.device import check_precision, choose_device
        from mpkit.media.paths import check_file, check_not_input, check_output, output_format

        output = check_output(self.output)
        check_not_input(output, self.source, self.driver)
        _check_still(self.source)
        check_file(self.driver)
        check_precision(self.precision, choose_device(self.device))
        if output_format(output) == "":
            warnings.warn(f"writing PNGs to the folder {self.output}/", stacklevel=1)

        import torch

        settings = {"device": self.device, "precision": self.precision, "tracker": self.tracker}
        if self.student:
            from mpkit.animation.student_animator import StudentAnimator

            animator = StudentAnimator.load(self.student, self.avatar, **settings)
        else:
            from mpkit.animation.animator import Animator
            from mpkit.assets import DEFAULT_WEIGHTS

            animator = Animator.load(self.weights or DEFAULT_WEIGHTS, self.enhance, **settings)
        try:
            with _progress_bar() as progress:
                result = animator.animate(self.source, self.driver, output, self.options, progress)
        except torch.OutOfMemoryError:
            name = animator.device
            raise DeviceError(f"{name} has too little memory for this; try a smaller --size, or --device cpu") from None
        held = f", {result.without_face} of them held: the driver shows no face" if result.without_face else ""
        _print_result(self.output, f"{result.frames} frames, {float(result.rate):.6g} a second{held}")


@dataclass(frozen=True)
class Track:
    """Save the motion of a face in a video, an animation or a still as a motion file: numbers without pictures.

    The file is JSON, one line per frame: time, head pose (rotation, translation, scale), 52 facial actions, gaze,
    shoulders, face box. mpkit/animation/motion_file.py describes the format. It drives any portrait:
    mpkit animate painting.jpg motion.json ...

    examples
      mpkit track driver.mp4 --output motion.json
      mpkit track driver.mp4 --output part.json --start 3 --max-frames 125
    """

    file: Annotated[Positional[Path], tyro.conf.arg(metavar="FILE")]  # a video, an animated picture or a still
    output: Output  # the motion file to write, .json
    start: float = 0.0  # seconds to skip
    max_frames: int | None = None  # stop after so many frames
    fps: float | None = None  # frames a second; by default exactly the video's
    tracker: TrackerName = "mediapipe"

    def run(self) -> None:
        from mpkit.media.limits import check_range
        from mpkit.media.paths import check_json_output, check_not_input

        check_range(self.start, self.max_frames, self.fps)
        output = check_json_output(self.output)
        check_not_input(output, self.file)

        from mpkit.animation.track import track

        with _progress_bar() as progress:
            motion = track(self.file, self.tracker, self.start, self.max_frames, self.fps, progress)
        motion.save(output)
        found = int(motion.found.sum())
        _print_result(self.output, f"{len(motion)} frames at {motion.rate} a second, {found} with a face")


@dataclass(frozen=True)
class Info:
    """List each network of the presets: output shape, parameters, and GFLOP per frame.

    examples
      mpkit info
      mpkit info --preset base512
      mpkit info --training
    """

    preset: Preset | None = None  # by default all of them
    training: bool = False  # list the cost of training instead: TFLOP of a step, memory, days

    def run(self) -> None:
        from mpkit.config import PRESETS

        names = [self.preset] if self.preset else PRESETS
        if self.training:
            from mpkit.training.cost import format_cost

            print("\n".join(format_cost(name) for name in names))
            return

        from mpkit.evaluation.network_report import format_report, network_report

        for name in names:
            print(f"\n{name}\n{format_report(network_report(name))}")


@dataclass(frozen=True)
class Evaluate:
    """Measure a model and two baselines on a set of portraits and clips: motion, identity, self-reenactment.

    The set is a folder with a manifest.tsv: tab-separated, with the columns `path` and `use`. The rows with the use
    `evaluate`, or that of --use, are measured in their order. mpkit/evaluation/evaluate.py explains the measures. It
    takes about 10 minutes on two cores, with --quick one minute.

    examples
      mpkit evaluate --set my_set --output evaluation.json
      mpkit evaluate --set my_set --use develop --quick --weights runs/first/weights.safetensors
    """

    folder: Annotated[Path, tyro.conf.arg(name="set")]  # the folder with the manifest
    weights: Path | None = None  # a safetensors file; by default the weights that come with mpkit
    use: str = "evaluate"  # which rows are measured. Choose a model on other rows (develop) than those you report
    output: OptionalOutput = None  # also write the result as JSON here
    portraits: int = 12  # number of portraits, at most
    clips: int = 6  # number of clips, at most
    frames: int = 24  # number of frames of each clip, at most
    quick: bool = False  # 3 portraits, 2 clips, 12 frames
    device: Device = "auto"

    def run(self) -> None:
        from mpkit.assets import DEFAULT_WEIGHTS
        from mpkit.device import choose_device

        choose_device(self.device)  # before all else is loaded

        from mpkit.evaluation.evaluate import evaluate, format_table
        from mpkit.evaluation.evaluation_set import QUICK, EvaluationSize

        weights = self.weights or DEFAULT_WEIGHTS
        size = QUICK if self.quick else EvaluationSize(self.portraits, self.clips, self.frames)
        print(format_table(evaluate(self.folder, weights, size, self.use, self.output, self.device, _print_progress)))


@dataclass(frozen=True)
class Bench:
    """Measure the speed: milliseconds per driven frame, stage by stage, and frames a second of the whole program.

    examples
      mpkit bench
      mpkit bench --sizes 256 512 1024 --frames 200 --device cuda --precision fp16
      mpkit bench --student student.safetensors
    """

    sizes: tuple[int, ...] = (256, 1024)  # sides of the animated crop in pixels
    frames: int = 100  # 10 or more
    weights: Path | None = None  # a safetensors file; by default the weights that come with mpkit
    device: Device = "auto"
    precision: Precision = "fp32"
    student: Path | None = None  # time this student (`mpkit distil`) beside its teacher instead, at the student's size

    def run(self) -> None:
        from mpkit.assets import DEFAULT_WEIGHTS
        from mpkit.device import check_precision, choose_device

        for size in self.sizes:
            check_side(size)
        check_precision(self.precision, choose_device(self.device))
        weights = self.weights or DEFAULT_WEIGHTS
        if self.student:
            from mpkit.evaluation.student_bench import bench_student, format_student_bench

            arguments = self.student, weights, self.frames, self.device, self.precision
            print(format_student_bench(bench_student(*arguments)))
            return

        from mpkit.evaluation.bench import bench, format_bench

        print(format_bench(bench(weights, self.sizes, self.frames, self.device, self.precision)))


@contextlib.contextmanager
def _progress_bar() -> Iterator[Progress]:
    """A bar on stderr with rate and remaining time. Yields `progress(frames done, about how many in all, or None)`."""
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


def _print_result(output: Path, line: str) -> None:
    """Prints one line about a file that was written, even if its name has line breaks. Raises MpkitError if the line
    cannot be written; the file stays."""
    try:
        print(*f"{output}: {line}".split(), flush=True)
    except MpkitError as error:
        raise MpkitError(f"{error}; {output} is complete") from None


def _print_progress(doing: str) -> None:
    print(doing, file=sys.stderr)


def _check_still(path: Path) -> None:
    """Raises MediaError if the source is a video. `read_image` raises it for a file that is neither still nor video."""
    from mpkit.media.images import is_still
    from mpkit.media.video_reader import VideoReader

    if is_still(path):
        return
    try:
        VideoReader(path)
    except MediaError:
        return
    raise MediaError(f"{path} is a moving picture; SOURCE must be a still; the clip is the DRIVER, which comes second")
