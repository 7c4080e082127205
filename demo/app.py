"""The demo page: a visitor chooses a portrait and a motion, and gets a video of the portrait with that motion.

make demo                    or: python demo/app.py [--open]        PORT=7860, MPKIT_WEIGHTS=other.safetensors
"""

import contextlib
import functools
import html
import math
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import cv2
import gradio as gr

from mpkit import Animator, Options, track
from mpkit.animation.driver import open_driver
from mpkit.assets import DEFAULT_WEIGHTS, EXAMPLES
from mpkit.errors import MediaError, MpkitError
from mpkit.media.images import read_image, write_png

try:  # on ZeroGPU, functions with this decorator get a GPU
    from spaces import GPU
except ImportError:
    GPU = None

WEIGHTS = Path(os.environ.get("MPKIT_WEIGHTS", DEFAULT_WEIGHTS))
MAX_SECONDS = 20  # of a driver
MAX_RATE = 30  # frames a second
MAX_SIDE = 1600  # pixels of the portrait; larger ones are shrunk
HOUR = 3600  # seconds
LIMITS = {"allowed_paths": [], "max_file_size": "60mb", "footer_links": ["api"]}  # of the server

PREVIEW = Path(__file__).with_name("preview.mp4")  # what the page shows before the first click, if it is there
PORTRAITS = sorted(EXAMPLES.glob("*.jpg"), key=lambda path: (path.stem != "mona_lisa", path.stem))
DRIVERS = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".json", ".mp4"))
MOTIONS = {path.stem.replace("_", " ").capitalize(): path for path in DRIVERS}
CLIP, FILE = "My clip", "My file"

TITLE = """
# A portrait comes alive
Choose a portrait and a motion, and press *Animate*. The portrait moves like the person: a painting keeps its brush
strokes, a photograph its grain.
"""
CONSENT = """
Animate only people who agreed to it, and say that the result is made up; the video file says so too.
"""
ABOUT = """
Everything runs where this page runs, by [MegaPortraits](https://arxiv.org/abs/2207.07621) as re-implemented in *mpkit*:
nothing is sent elsewhere, and uploads are deleted after an hour.

**Works best** with one face that looks roughly towards you, mouth closed, nothing in front of it; with calm motions;
with *relative* motion, which adds the driver's change to the portrait's own pose.

**What the bundled weights cannot do.** They are small, made for two CPU cores.
Large turns bend hats, hands and long hair. Teeth are one light row, the same in every mouth. Profiles and animals
are out of reach.

**Limits of this page.** Twenty seconds of a driver, and portraits of 1600 pixels; the command line has neither:
`mpkit animate painting.jpg driver.mp4 --output out.mp4`
"""

THEME = gr.themes.Base(
    primary_hue="stone", neutral_hue="stone", radius_size="lg", font=("ui-sans-serif", "system-ui", "sans-serif")
).set(
    body_background_fill="#f6f2ea",
    body_background_fill_dark="#191714",
    block_background_fill="#fffdf9",
    block_background_fill_dark="#221f1b",
    block_border_color="#e6dfd2",
    block_border_color_dark="#37322b",
    block_shadow="0 1px 2px rgb(60 45 20 / 6%)",
    button_primary_background_fill="#33453d",
    button_primary_background_fill_hover="#40574c",
    button_primary_background_fill_dark="#cfc3a6",
    button_primary_background_fill_hover_dark="#dfd5bd",
    button_primary_text_color="#fffdf9",
    button_primary_text_color_dark="#191714",
    button_secondary_background_fill="#ece6d9",
    button_secondary_background_fill_hover="#e3dbc9",
    button_secondary_background_fill_dark="#332f28",
    button_secondary_background_fill_hover_dark="#403a31",
    checkbox_label_background_fill="#f3eee3",
    checkbox_label_background_fill_hover="#ece6d9",
    checkbox_label_background_fill_selected="#dfe6dc",
    checkbox_label_background_fill_dark="#2c2823",
    checkbox_label_background_fill_hover_dark="#37322b",
    checkbox_label_background_fill_selected_dark="#36423b",
    checkbox_background_color_selected="#5d7a6c",
    checkbox_background_color_selected_dark="#8fae9f",
    color_accent="#6b8b7c",
    slider_color="#6b8b7c",
)
CSS = """
.gradio-container { max-width: 1120px !important; margin: 0 auto; }
#title { padding: 0.6rem 0 0; }
#title h1 { font-family: Georgia, "Times New Roman", serif; font-weight: 400; font-size: 2.3rem; margin: 0 0 0.4rem; }
#title p { font-size: 1.05rem; opacity: 0.75; max-width: 44rem; }
#consent p, #done p { font-size: 0.88rem; opacity: 0.7; }
#examples .gallery { gap: 8px; }
#examples .gallery img { height: 80px; width: 80px; object-fit: cover; object-position: 50% 20%; border-radius: 8px; }
"""


@functools.cache
def animator() -> Animator:
    """The one model of this page, loaded at first use; requests take turns."""
    return Animator.load(WEIGHTS)


@contextlib.contextmanager
def friendly(*uploads: str | Path | None):
    """Shows errors of mpkit as a box on the page, and its warnings as a hint. Paths of uploads are shortened to
    names."""
    package = str(Path(sys.modules["mpkit"].__file__).parent)

    def plain(message) -> str:
        text = str(message)
        for upload in filter(None, uploads):
            text = text.replace(str(upload), Path(upload).name)
        return html.escape(text)

    with warnings.catch_warnings():
        warnings.showwarning = lambda message, _, filename, *__, **___: (
            gr.Info(plain(message)) if filename.startswith(package) else None
        )
        try:
            yield
        except MpkitError as error:
            raise gr.Error(plain(error), title="That did not work", print_exception=False) from None


def on_gpu(function):
    """The function itself; on ZeroGPU decorated, so that it gets a GPU for at most two minutes."""
    return function if GPU is None else GPU(duration=120)(function)


def chosen_driver(motion: str, clip: str | None, file: str | None) -> Path:
    """The path of the driver. Raises MediaError where an upload is missing."""
    if motion in MOTIONS:
        return MOTIONS[motion]
    upload = clip if motion == CLIP else file
    if upload is None:
        raise MediaError(f"{motion}: upload one first, or choose another motion")
    return Path(upload)


def limits(driver: Path, seconds: float) -> dict:
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


@on_gpu
def animate(portrait, motion, clip, file, transfer, paste_back, side_by_side, seconds, progress=gr.Progress()):
    """Yields the path of the video and a line about it. The file is deleted once the page has its own copy."""
    with friendly(portrait, clip, file), tempfile.TemporaryDirectory() as folder:
        progress(0.0, desc="Looking at the portrait")
        source, driver = fitting(portrait, Path(folder)), chosen_driver(motion, clip, file)
        options = Options(transfer, paste_back=paste_back, side_by_side=side_by_side, **limits(driver, seconds))
        begin, output = time.monotonic(), Path(folder, f"{Path(portrait).stem}.mp4")

        def report(done: int, total: int | None) -> None:
            progress((done, total), desc="Animating", unit="frames")

        result = animator().animate(source, driver, output, options, report)
        taken = time.monotonic() - begin
        yield str(output), f"{result.frames} frames in {taken:.0f} s, {result.frames / taken:.1f} a second."


@on_gpu
def save_motion(motion, clip, file, seconds, progress=gr.Progress()):
    """Yields the path of the chosen motion as a motion file, which `mpkit animate` and this page take."""
    with friendly(clip, file), tempfile.TemporaryDirectory() as folder:
        driver = chosen_driver(motion, clip, file)
        if driver.suffix == ".json":
            yield str(driver)
            return

        def report(done: int, total: int | None) -> None:
            progress((done, total), desc="Tracking", unit="frames")

        output = Path(folder, f"{driver.stem}.json")
        track(driver, **limits(driver, seconds), progress=report).save(output)
        yield str(output)


def show_uploads(motion: str):
    return gr.update(visible=motion == CLIP), gr.update(visible=motion == FILE)


def build() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="mpkit: a portrait comes alive", analytics_enabled=False, delete_cache=(HOUR, HOUR)) as page:
        gr.Markdown(TITLE, elem_id="title")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4):
                portrait = gr.Image(
                    str(PORTRAITS[0]), label="Portrait", type="filepath", image_mode=None, height=290,
                    sources=["upload", "clipboard"], buttons=[],
                )  # fmt: skip
                examples = [[str(path)] for path in PORTRAITS]
                gr.Examples(examples, portrait, label="Example portraits", elem_id="examples", api_name="load_example")
                motion = gr.Radio([*MOTIONS, CLIP, FILE], value=next(iter(MOTIONS)), label="Motion")
                clip = gr.Video(
                    label="A clip of one face", sources=["upload", "webcam"], height=290, visible=False,
                    include_audio=True, webcam_options=gr.WebcamOptions(mirror=False),
                )  # fmt: skip
                file = gr.File(
                    label="A picture, a GIF, or a motion file made by mpkit track", file_types=["image", ".json"],
                    height=140, visible=False,
                )  # fmt: skip
                go = gr.Button("Animate", variant="primary", size="lg")
                with gr.Accordion("Options", open=False):
                    transfer = gr.Radio(
                        [("Relative: adds the driver's change", "relative"), ("Absolute: copies its pose", "absolute")],
                        value="relative",
                        label="How the motion is taken over",
                    )
                    paste_back = gr.Checkbox(True, label="Show the whole picture, not the head alone")
                    side_by_side = gr.Checkbox(False, label="Show portrait and driver beside the result")
                    seconds = gr.Slider(1, MAX_SECONDS, value=6, step=1, label="Seconds at most")
                    keep = gr.Button("Save the chosen motion as a file", size="sm")
                    saved = gr.File(label="Motion file", visible=False, interactive=False)
            with gr.Column(scale=5):
                video = gr.Video(
                    str(PREVIEW) if PREVIEW.exists() else None, label="Result", autoplay=True, loop=True, height=520,
                    interactive=False, buttons=["download"],
                )  # fmt: skip
                done = gr.Markdown(elem_id="done")
                gr.Markdown(CONSENT, elem_id="consent")
                with gr.Accordion("What to expect", open=False):
                    gr.Markdown(ABOUT)

        model = {"concurrency_id": "model", "concurrency_limit": 1}
        drivers = [motion, clip, file]
        motion.change(show_uploads, motion, [clip, file], api_name="show_uploads", queue=False, show_progress="hidden")
        choices = [portrait, *drivers, transfer, paste_back, side_by_side, seconds]
        go.click(animate, choices, [video, done], api_name="animate", show_progress_on=video, **model)
        keep.click(lambda: gr.update(visible=True), None, saved, api_name="show_saved", queue=False).then(
            save_motion, [*drivers, seconds], saved, api_name="save_motion", **model
        )
    return page.queue(max_size=20)


def main() -> int:
    port = int(os.environ.get("PORT", "7860"))
    try:
        build().launch(theme=THEME, css=CSS, server_port=port, inbrowser="--open" in sys.argv, **LIMITS)
    except OSError:
        print(f"demo: port {port} is taken; choose another: PORT={port + 1} make demo", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
