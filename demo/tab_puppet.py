"""The tab Puppet: sliders in place of a driver. What they do can be recorded as a motion file."""

import time
from pathlib import Path

import gradio as gr
import jobs
import numpy as np
from jobs import plain
from live import named, picture_of, views_of
from requests_of_page import FILE
from tab_animate import Inputs

from mpkit import Motion
from mpkit.errors import MpkitError
from mpkit.viz.views import CONTROLS

RATE = 25  # frames a second of a recording
MAX_RECORDING = 60.0  # seconds
TEXT = """
Move the sliders: the portrait of the tab *Animate* follows. Press *Record*, move them, press *Stop recording*: you get
a motion file, which drives this or any other portrait there.
"""


def show(portrait, face, *values) -> tuple:
    """(picture, a line) of a portrait with the sliders at `values`."""
    try:
        return picture_of(views_of(portrait, face), named(values)), ""
    except MpkitError as error:
        return gr.skip(), plain(error, portrait)


def begin(portrait, face) -> list:
    """The sliders' values at which the portrait is as in its picture, then its picture and a line."""
    try:
        views = views_of(portrait, face)
        return [*(views.start[control.name] for control in CONTROLS), picture_of(views, views.start), ""]
    except MpkitError as error:
        return [*[gr.skip()] * (len(CONTROLS) + 1), plain(error, portrait)]


def note(recording: list | None, *values) -> list | None:
    """A running recording with the sliders' values now. Without one, None."""
    if recording is None or (recording and time.monotonic() - recording[0][0] > MAX_RECORDING):
        return recording
    return [*recording, (time.monotonic(), values)]


def start_recording(*values) -> tuple:
    """(recording, button Record, button Stop recording)."""
    return [(time.monotonic(), values)], gr.update(interactive=False), gr.update(interactive=True)


def end_recording(portrait, face, recording):
    """Yields (motion file, no recording, button Record, button Stop recording, a line)."""
    buttons = gr.update(interactive=True), gr.update(interactive=False)
    with jobs.new_folder() as folder:
        try:
            views = views_of(portrait, face)
            motions = [views.motion(**named(values)) for values in sampled(recording or [], time.monotonic())]
            path = Path(folder, "puppet.json")
            still = views.portrait
            size = still.image.shape[1::-1]
            Motion.from_motions(motions, still.crop, f"{RATE}/1", size, reference=still.motion).save(path)
            yield str(path), None, *buttons, f"{len(motions) / RATE:.1f} seconds recorded."
        except MpkitError as error:
            yield gr.skip(), None, *buttons, plain(error, portrait)


def sampled(recording: list[tuple[float, tuple]], end: float) -> list[tuple[float, ...]]:
    """A recording as values at RATE frames a second, linear between the moments when a slider moved."""
    times = np.array([moment for moment, _ in recording])
    values = np.array([values for _, values in recording], float)
    end = min(end, times[0] + MAX_RECORDING)
    moments = np.arange(times[0], max(end, times[0] + 1 / RATE), 1 / RATE)
    columns = [np.interp(moments, times, column) for column in values.T]
    return list(zip(*(column.tolist() for column in columns)))


def use_recording(saved: str | None) -> tuple:
    """(motion, file, a line) of the tab Animate, so that the recording drives there."""
    if saved is None:
        return gr.skip(), gr.skip(), "Record something first."
    return FILE, saved, "The tab Animate now uses your recording; choose Absolute there to get exactly what you saw."


def build(inputs: Inputs, tab: gr.Tab) -> list[gr.Slider]:
    """The tab's content. Returns the sliders, in the order of CONTROLS."""
    portrait, face = inputs.portrait
    gr.Markdown(TEXT)
    recording = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300, elem_classes="stays"):
            picture = gr.Image(
                label="The portrait", interactive=False, buttons=[], height=420, elem_id="puppet", format="jpeg",
                alt_text="The portrait as the sliders move it",
            )  # fmt: skip
            with gr.Row():
                record = gr.Button("Record", size="md", min_width=100)
                end = gr.Button("Stop recording", size="md", min_width=100, interactive=False)
            line = gr.Markdown(elem_classes="quiet", label="What happened")
        with gr.Column(scale=4, min_width=300):
            sliders = [
                gr.Slider(control.least, control.largest, 0, step=control.step, label=control.label.capitalize())
                for control in CONTROLS
            ]
            reset = gr.Button("As in the picture", size="sm")
            saved = gr.File(label="Motion file", interactive=False, height=90, elem_classes="until-made")
            use = gr.Button("Use this motion in the tab Animate", size="sm")
    quick = {"show_progress": "hidden", "concurrency_id": "live", "concurrency_limit": 2, "api_visibility": "private"}
    tab.select(begin, [portrait, face], [*sliders, picture, line], **quick)
    reset.click(begin, [portrait, face], [*sliders, picture, line], **quick)
    for slider in sliders:
        slider.input(show, [portrait, face, *sliders], [picture, line], trigger_mode="always_last", **quick)
        slider.input(
            note, [recording, *sliders], recording, queue=False, show_progress="hidden", api_visibility="private"
        )
    record.click(start_recording, sliders, [recording, record, end], **quick)
    end.click(end_recording, [portrait, face, recording], [saved, recording, record, end, line], **quick)
    driver = inputs.driver
    use.click(use_recording, saved, [driver["motion"], driver["file"], line], **quick)
    return sliders
