"""The speed of a driven frame, stage by stage, and G_2D's share of the machine's convolution rate: `mpkit bench`.

The driver is a synthetic clip: an example portrait that sways. Hooks on the networks time the stages of
`Animator.frame`; at the end of each stage they wait for the GPU. `fps` is that of `Animator.animate`, without waiting.
"""

import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import matplotlib.cbook
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mpkit.animation.animator import Animator, Options
from mpkit.animation.transfer import FrameMotion, Transfer
from mpkit.assets import DEFAULT_WEIGHTS, EXAMPLES
from mpkit.config import ModelConfig
from mpkit.errors import MediaError
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face, select_face
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image, write_png
from mpkit.media.video_reader import VideoReader
from mpkit.media.video_writer import VideoWriter
from mpkit.networks.base import BaseModel
from mpkit.networks.detail import identity_trace

RATE = Fraction(25)
DRIVER_SIDE = 512  # pixels of the driver's frames
STAGES = ("decode", "track", "action encoder", "W_->d", "warp", "G_2D", "detail render, composite", "paste", "encode")
PIXEL_ROUTE = "E_mtn"  # timed apart: `--motion-from pixels` runs it in place of the action encoder
CONVOLUTION_RUNS = 20  # of each shape; the fastest counts
WARM_UP_FRAMES = 3  # left out


class Stopwatch:
    """Times consecutive stages: `mark` ends the stage that began at the mark before."""

    def __init__(self, device: torch.device):
        self.device, self.seconds, self.last = device, defaultdict(list), 0.0

    def mark(self, stage: str | None = None) -> None:
        """Ends a stage, if one is named, and begins the next."""
        if self.device.type != "cpu":
            getattr(torch, self.device.type).synchronize()
        now = time.perf_counter()
        if stage is not None:
            self.seconds[stage].append(now - self.last)
        self.last = now

    def milliseconds(self, stage: str) -> float:
        """The median over all frames, which other work of the machine hardly changes."""
        return round(1000 * float(np.median(self.seconds[stage][WARM_UP_FRAMES:])), 2)

    @contextmanager
    def on_networks(self, model: BaseModel):
        """Marks the stages inside `Animator.frame`."""
        hooks = [
            model.actions.register_forward_hook(lambda *_: self.mark("action encoder")),
            model.warp_driver.register_forward_hook(lambda *_: self.mark("W_->d")),
            model.render.register_forward_pre_hook(lambda *_: self.mark("warp")),
            model.render.register_forward_hook(lambda *_: self.mark("G_2D")),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def bench(
    weights: str | Path = DEFAULT_WEIGHTS,
    sizes: tuple[int, ...] = (256, 1024),
    frames: int = 100,
    device: str = "auto",
    precision: str = "fp32",
) -> dict:
    """Times `frames` driven frames (10 or more) at each of `sizes`, the sides of the animated crop in pixels.

    Returns plain JSON, see `format_bench`. Raises WeightsError, DeviceError, MediaError."""
    check_frames(frames)
    animator = Animator.load(weights, device=device, precision=precision)
    image = read_image(example_portrait())
    with tempfile.TemporaryDirectory() as folder:
        driver, source = Path(folder, "driver.mp4"), Path(folder, "source.png")
        write_swaying_clip(driver, image, frames)
        rows = {}
        for size in sizes:
            write_png(source, resize_head(image, size))
            rows[str(size)] = time_frames(animator, source, driver, size)
    gflop, rate = renderer_gflop(animator.model.config), convolution_rate(animator)
    for row in rows.values():
        row["renderer_share"] = round(gflop / (row["stages"]["G_2D"] / 1000) / rate, 3)
    return {
        "weights": Path(weights).name,
        "preset": animator.model.config.preset,
        **circumstances(animator.device, precision, frames),
        "sizes": rows,
        "renderer_gflop": round(gflop, 3),
        "convolution_gflops": round(rate, 1),
    }


def check_frames(frames: int) -> None:
    """Raises MediaError for fewer than 10 frames, whose median would mean little."""
    if frames < 10:
        raise MediaError(f"bench needs 10 frames or more, not {frames}")


def circumstances(device: torch.device, precision: str, frames: int) -> dict:
    """Where and how the times of a bench were measured, as JSON."""
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "precision": precision,
        "frames": frames,
    }


def format_circumstances(result: dict) -> str:
    """The `circumstances` in the result of a bench as text."""
    return "on {device}, {threads} threads, {precision}, {frames} frames".format(**result)


def example_portrait() -> Path:
    """A picture with a face, from mpkit's examples or, without them, from matplotlib."""
    bundled = sorted(path for path in EXAMPLES.glob("*") if path.suffix in (".jpg", ".png"))
    return bundled[0] if bundled else Path(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))


def write_swaying_clip(path: Path, image: np.ndarray, frames: int) -> None:
    """Writes a clip of a picture whose head sways from side to side, once in two seconds. Raises NoFaceError."""
    face = _face(image)
    half_side = 1.5 * face.radius  # of the square of the picture that the clip shows
    with VideoWriter(path, RATE, (DRIVER_SIDE, DRIVER_SIDE)) as writer:
        for index in range(frames):
            phase = np.pi * index / float(RATE)
            centre, scale = tuple(map(float, face.centre)), DRIVER_SIDE / (2 * half_side)
            affine = cv2.getRotationMatrix2D(centre, 6 * np.sin(phase), scale)
            affine[:, 2] += DRIVER_SIDE / 2 - face.centre + (10 * np.sin(phase), 0)
            writer.write(cv2.warpAffine(image, affine, (DRIVER_SIDE, DRIVER_SIDE), borderMode=cv2.BORDER_REPLICATE))


def resize_head(image: np.ndarray, size: int) -> np.ndarray:
    """The picture, resized so that its head crop is `size` pixels wide."""
    scale = size / (2 * _face(image).radius)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _face(image: np.ndarray) -> Face:
    with make_tracker() as tracker:
        return select_face(tracker.detect(image))


def time_frames(animator: Animator, source: Path, driver: Path, size: int) -> dict:
    """Milliseconds of each stage, and the frames a second of `Animator.animate` without preparing the source."""
    begin = time.perf_counter()
    portrait = animator.portrait(read_image(source), size=size)
    preparation = time.perf_counter() - begin
    watch, output = Stopwatch(animator.device), source.with_name("out.mp4")
    transfer, crop = Transfer(portrait.motion), None
    with (
        make_tracker(video=True) as tracker,
        VideoReader(driver) as reader,
        VideoWriter(output, reader.rate, portrait.image.shape[1::-1]) as writer,
        watch.on_networks(animator.model),
    ):
        watch.mark()
        for _, picture in reader:
            watch.mark("decode")
            face = select_face(tracker.detect(picture))
            crop = crop or Crop.of(face)
            tracked = FrameMotion.of(face, crop)
            transfer.reference = transfer.reference or tracked
            motion = transfer(tracked)
            watch.mark("track")
            with torch.inference_mode():
                animator.model.motion(portrait.avatar.picture[:, :3])
            watch.mark(PIXEL_ROUTE)
            head = animator.head(portrait, motion)
            watch.mark("detail render, composite")
            frame = portrait.lay(head)
            watch.mark("paste")
            writer.write(frame)
            watch.mark("encode")
    begin = time.perf_counter()
    result = animator.animate(source, driver, output, Options(size=str(size), audio=False))
    whole = time.perf_counter() - begin
    stages = {stage: watch.milliseconds(stage) for stage in STAGES}
    return {
        "stages": stages,
        "frame": round(sum(stages.values()), 2),
        "pixel_route": watch.milliseconds(PIXEL_ROUTE),
        "preparation": round(1000 * preparation),
        "fps": round(result.frames / max(whole - preparation, 1e-6), 2),
    }


def renderer_gflop(config: ModelConfig) -> float:
    """GFLOP of P and G_2D for one frame: the additions and multiplications of convolutions and matrix products."""
    channels, depth, side, picture = config.volume_channels, config.volume_depth, config.volume_size, config.image_size
    with torch.device("meta"):
        model = BaseModel(config).render
        inputs = [torch.empty(1, channels, depth, side, side)]
        if config.detail:
            inputs += [
                identity_trace,
                torch.empty(1, 4, picture, picture),
                torch.empty(1, config.latent_size),
            ]
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(*inputs)
    return counter.get_total_flops() / 1e9


@torch.inference_mode()
def convolution_rate(animator: Animator) -> float:
    """GFLOP/s of the fastest plain 3x3 convolution among the widths and sides of G_2D's stages."""
    config, watch = animator.model.config, Stopwatch(animator.device)
    best = 0.0
    for stage, width in enumerate((config.render_width, *config.render_widths)):
        side = config.volume_size * 2**stage
        place = {"device": animator.device, "dtype": animator.precision}
        convolution = nn.Conv2d(width, width, 3, padding=1, bias=False, **place).to(memory_format=torch.channels_last)
        values = torch.randn(1, width, side, side, **place).to(memory_format=torch.channels_last)
        for _ in range(CONVOLUTION_RUNS):
            watch.mark()
            convolution(values)
            watch.mark("convolution")
        best = max(best, 2 * 9 * width**2 * side**2 / 1e9 / min(watch.seconds.pop("convolution")))
    return best


def format_bench(result: dict) -> str:
    """The result of `bench` as a text table."""
    rows = result["sizes"]
    lines = [
        f"{result['weights']} ({result['preset']}) {format_circumstances(result)}",
        "",
        f"{'ms per driven frame':<34}" + "".join(f"{size + ' px':>10}" for size in rows),
    ]

    def line(label: str, values: list, digits: int = 1) -> None:
        lines.append(f"{label:<34}" + "".join(f"{value:>10.{digits}f}" for value in values))

    for stage in STAGES:
        line(stage, [row["stages"][stage] for row in rows.values()])
    line("sum", [row["frame"] for row in rows.values()])
    line("frames a second, whole program", [row["fps"] for row in rows.values()])
    lines.append("")
    line("E_mtn in place of action encoder", [row["pixel_route"] for row in rows.values()])
    line("preparing the source, once", [row["preparation"] for row in rows.values()])
    line("G_2D, share of convolution rate", [row["renderer_share"] for row in rows.values()], 2)
    lines.append(
        f"G_2D is {result['renderer_gflop']:.2f} GFLOP a frame; "
        f"plain 3x3 convolutions run at {result['convolution_gflops']:.0f} GFLOP/s here"
    )
    return "\n".join(lines)
