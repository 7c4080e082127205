"""What the page's buttons ask for: an animation, a motion file, a result in another format."""

import contextlib
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import jobs
from frames import write_frames
from gallery import MOTIONS
from jobs import plain
from share import CORNERS, PARTS, recipes
from zero_gpu import sparse

from mpkit import Options, track
from mpkit.animation.output import Step
from mpkit.errors import MediaError, MpkitError
from mpkit.media.convert import to_gif
from mpkit.media.images import is_still

CLIP, FILE = "My clip", "My file"
PREVIEW_SECONDS = 0.4  # between two pictures of a running job
FIRST_ESTIMATE = 12  # frames after which the time left is told; the first ones are slower


def chosen_driver(motion: str, clip: str | None, file: str | None) -> Path:
    """The path of the driver. Raises MediaError where an upload is missing."""
    if motion in MOTIONS:
        return MOTIONS[motion]
    upload = clip if motion == CLIP else file
    if upload is None:
        raise MediaError(f"{motion}: upload one first, or choose another motion")
    return Path(upload)


def options_of(settings: dict, driver: Path) -> Options:
    """The options of an animation, of the values of the page's controls by name. Raises MediaError."""
    mark = settings["mark"]
    if mark not in CORNERS:
        mark = CORNERS[0] if jobs.PUBLIC else "none"
    return Options(
        motion="relative" if settings["transfer"] == "expression" else settings["transfer"],
        rest="neutral" if settings["transfer"] == "expression" else "clip",
        pose_strength=settings["pose_strength"],
        expression_strength=settings["expression_strength"],
        parts=tuple(part for part in PARTS if part in settings["parts"]),
        smoothing=settings["smoothing"],
        paste_back=settings["whole_picture"],
        side_by_side=settings["side_by_side"],
        view_scale=settings["view_scale"],
        view_x=settings["view_x"],
        view_y=settings["view_y"],
        audio=settings["sound"],
        start=settings["start"],
        face=int(settings["face"] or 0) or "largest",
        mark=mark,
        **jobs.within_limits(driver, settings["seconds"]),
    )


def animate(portrait=None, motion="Talk", clip=None, file=None, request: gr.Request = None, **settings) -> Iterator:
    """Yields (newest frame, video, a line about it, commands). Until the video is there, the one before stays.

    A mistake is a sentence in the line. The files are deleted once the page has its own copy of them."""
    keep = gr.skip()
    with jobs.new_folder() as folder, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if jobs.is_stopped(request):  # while the job waited for its turn
                yield None, keep, "Stopped before it began.", keep
                return
            yield None, keep, "Looking at the portrait …", keep
            source, driver = jobs.fitting(portrait, Path(folder)), chosen_driver(motion, clip, file)
            options, output = options_of(settings, driver), Path(folder, f"{Path(portrait).stem}.mp4")
            begin, first, shown, done = time.monotonic(), 0.0, 0.0, 0
            with contextlib.closing(jobs.steps(source, driver, output, options)) as steps:
                for step in steps:
                    done, now = step.done, time.monotonic()
                    first = first or now  # the portrait has been prepared
                    if jobs.is_stopped(request):
                        yield None, keep, f"Stopped after {done} frames.", keep
                        return
                    if now - shown > PREVIEW_SECONDS:
                        shown = now
                        yield step.picture, keep, _remaining(step, now - first), keep
            taken = time.monotonic() - begin
            line = f"{done} frames in {taken:.0f} s, {done / taken:.1f} a second. {jobs.hints(caught)}"
            if is_still(driver):
                line += "Note: a still shows no change, so its pose and face were copied."
            commands = recipes(Path(portrait).name, driver.name, options)
            yield None, str(output), line, commands
        except MpkitError as error:
            yield None, keep, f"**That did not work:** {plain(error, portrait, clip, file)}.", keep


def _remaining(step: Step, seconds: float) -> str:
    """How far a job is that has run for some seconds."""
    if not step.total:
        return f"Frame {step.done}"
    if step.done < FIRST_ESTIMATE:
        return f"Frame {step.done} of about {step.total}"
    left = seconds / step.done * max(0, step.total - step.done)
    return f"Frame {step.done} of about {step.total}, {left:.0f} s left"


def save_motion(motion="Talk", clip=None, file=None, seconds=6) -> Iterator:
    """Yields the motion of the driver as a motion file, which `mpkit animate` and this page take, and a line."""
    with jobs.new_folder() as folder:
        try:
            driver = chosen_driver(motion, clip, file)
            if driver.suffix == ".json":
                yield str(driver), "This motion is a file already."
                return
            output = Path(folder, f"{driver.stem}.json")
            track(driver, **jobs.within_limits(driver, seconds)).save(output)
            yield str(output), ""
        except MpkitError as error:
            yield gr.skip(), f"**That did not work:** {plain(error, clip, file)}."


def convert(video=None, kind="GIF", request: gr.Request = None) -> Iterator:
    """Yields (file, a line about it): the result as a GIF, or as PNG frames in a ZIP file.

    Nothing is finished for a visitor who leaves."""
    if video is None:
        yield gr.skip(), "There is no result yet: press Animate first."
        return
    with jobs.new_folder() as folder:
        output = Path(folder, f"{Path(video).stem}.{'gif' if kind == 'GIF' else 'zip'}")
        try:
            if kind == "GIF":
                to_gif(Path(video), output)
            else:
                with contextlib.closing(sparse(write_frames(Path(video), output), PREVIEW_SECONDS)) as steps:
                    for done, total in steps:
                        if jobs.has_left(request):
                            return
                        yield gr.skip(), f"PNG frame {done} of about {total} is written."
            yield str(output), f"{output.name} is ready."
        except MpkitError as error:
            yield gr.skip(), f"**That did not work:** {plain(error, video)}."
