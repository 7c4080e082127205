"""The heavy work of the page: one model, one job at a time, and jobs that end when nobody waits for them."""

import functools
import html
import math
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import gradio as gr
from zero_gpu import ZERO_GPU, on_zero_gpu

import mpkit
from mpkit import Animator, Options
from mpkit.animation.driver import open_driver
from mpkit.animation.output import Step
from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.errors import MediaError
from mpkit.media.images import read_image, write_png

WEIGHTS = Path(os.environ.get("MPKIT_WEIGHTS", DEFAULT_WEIGHTS))
PUBLIC = "SPACE_ID" in os.environ  # a public Space: every output carries a visible mark
MAX_SECONDS = 20  # of a driver
MAX_RATE = 30  # frames a second
MAX_SIDE = 1600  # pixels of the portrait; larger ones are shrunk
# Seconds for which ZeroGPU lends a GPU: upper bounds, never measured on a Space. Most of it is work of the CPU, which
# `mpkit bench` timed with one thread on two busy cores; the networks take 10 ms a frame at batch 1 on an H100.
GPU_START = 15  # preparing a portrait took 1.2 s at 512 pixels, 3.1 s at 1600; the rest is for the start of CUDA
GPU_FRAME = 0.05  # networks 0.010, decoding the driver 0.004, tracking it 0.032
GPU_MEGAPIXEL = 0.075  # of each frame written: pasting 0.035, encoding 0.040
GPU_MAX = 120  # the daily share of a visitor without an account; more would be refused at once
MODEL = {"concurrency_id": "model", "concurrency_limit": 1}  # of every event that uses the model for long

MAX_SESSIONS = 10_000  # that are remembered, of each kind
_stopped: dict[str, None] = {}  # sessions whose visitor pressed Stop or left, in this order
_left: dict[str, None] = {}  # sessions whose visitor left


@functools.cache
def animator() -> Animator:
    """The model of this page; requests take turns. On ZeroGPU it is loaded at the start."""
    return Animator.load(WEIGHTS, device="auto")


@functools.cache
def live_animator() -> Animator:
    """The model behind sliders. On ZeroGPU a GPU is lent for single requests only, so it runs on the CPU."""
    return Animator.load(WEIGHTS, device="cpu") if ZERO_GPU else animator()


def begin(request: gr.Request) -> tuple:
    """Called when a visitor starts a job: forgets that they pressed Stop before. Returns the buttons Animate and Stop
    as they are during a job."""
    _stopped.pop(request.session_hash, None)
    return gr.Button("Working …", interactive=False), gr.Button(interactive=True)


def end() -> tuple:
    """The buttons Animate and Stop after a job."""
    return gr.Button("Animate", interactive=True), gr.Button(interactive=False)


def stop(request: gr.Request) -> None:
    """Called by Stop: the visitor's animation ends with its next frame, or when its turn comes."""
    _remember(_stopped, request)


def leave(request: gr.Request) -> None:
    """Called when a visitor leaves: whatever runs for them ends."""
    _remember(_stopped, request)
    _remember(_left, request)


def _remember(sessions: dict[str, None], request: gr.Request) -> None:
    sessions[request.session_hash] = None
    if len(sessions) > MAX_SESSIONS:
        sessions.pop(next(iter(sessions)), None)


def is_stopped(request: gr.Request | None) -> bool:
    return request is not None and request.session_hash in _stopped


def has_left(request: gr.Request | None) -> bool:
    return request is not None and request.session_hash in _left


def plain(error: Exception | str, *uploads: str | Path | None) -> str:
    """A message that is safe in HTML, in which paths of uploads are shortened to names."""
    text = str(error)
    for upload in filter(None, uploads):
        text = text.replace(str(upload), Path(upload).name)
    return html.escape(text)


def hints(caught: list[warnings.WarningMessage]) -> str:
    """The warnings of mpkit among those caught, as a paragraph."""
    package = str(Path(mpkit.__file__).parent)
    return " ".join(f"Note: {plain(str(one.message))}." for one in caught if one.filename.startswith(package))


def within_limits(driver: Path, seconds: float) -> dict:
    """`fps` and `max_frames` that keep a driver within the limits of this page."""
    with open_driver(driver) as clip:
        rate = min(clip.rate, MAX_RATE)
        fps = None if rate == clip.rate else float(rate)
    return {"fps": fps, "max_frames": max(1, math.ceil(min(seconds, MAX_SECONDS) * rate))}


def fitting(portrait: str | None, folder: Path) -> Path:
    """The path of the portrait, or of a copy in `folder` that is at most MAX_SIDE pixels large."""
    if portrait is None:
        raise MediaError("choose a portrait first")
    image = read_image(portrait)
    scale = MAX_SIDE / max(image.shape[:2])
    if scale >= 1:
        return Path(portrait)
    write_png(folder / "portrait.png", cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return folder / "portrait.png"


def gpu_seconds(source: Path, driver: Path, output: Path, options: Options) -> float:
    """How long ZeroGPU lends a GPU for `steps`; it is called with the same arguments."""
    height, width = read_image(source).shape[:2]  # the head alone is hardly larger
    megapixels = height * width / 1e6 * (3 if options.side_by_side else 1)
    frames = options.max_frames or MAX_SECONDS * MAX_RATE
    return min(GPU_MAX, GPU_START + frames * (GPU_FRAME + GPU_MEGAPIXEL * megapixels))


def steps(source: Path, driver: Path, output: Path, options: Options) -> Iterator[Step]:
    """The steps of an animation. Raises MpkitError. The folder of the output is the caller's, and outlives this
    iterator: on ZeroGPU another process writes there, and it does not wait until a step is taken."""
    yield from animator().stream(source, driver, output, options)


if ZERO_GPU:
    steps = on_zero_gpu(steps, gpu_seconds)
    animator()  # a model that is loaded before the page starts is moved to each GPU that is lent


def new_folder() -> tempfile.TemporaryDirectory:
    """A folder for one request; it is deleted when the request ends."""
    return tempfile.TemporaryDirectory(prefix="mpkit-page-")
