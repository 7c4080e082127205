"""The tab Animate: a portrait and a driver go in, a video comes out."""

from typing import NamedTuple

import gradio as gr
import jobs
import settings
from faces_on_page import PictureFile, choose_face, click_face, find_faces
from gallery import FIRST, MOTIONS, PAIRS, WORKS, motion_film
from jobs import MODEL
from look import CONSENT
from requests_of_page import CLIP, FILE, animate, convert, save_motion
from share import LINK_SCRIPT, settings_of_link

START = "Press *Animate*, or play an example below."
HIDDEN = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}  # of quick events
CHOICE = {"allow_preview": False, "buttons": [], "object_fit": "cover"}  # of galleries to choose from


class Portrait(NamedTuple):
    """The components of the portrait, which other tabs use, too."""

    picture: gr.Image
    face: gr.Number  # counted from the left, from 1; 0: the largest


class Inputs(NamedTuple):
    """What the tab gives to other tabs."""

    portrait: Portrait
    driver: dict[str, gr.components.Component]  # motion, clip, file


def build(page: gr.Blocks) -> Inputs:
    """The tab's content."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            portrait = _portrait(page)
            driver = _driver()
            options = settings.build()
        with gr.Column(scale=5, min_width=320, elem_classes="result-first"):
            _result(portrait, driver, options)
    page.load(settings_of_link, None, [portrait.picture, driver["motion"], *options.values()], **HIDDEN)
    return Inputs(portrait, driver)


def _portrait(page: gr.Blocks) -> Portrait:
    """The portrait: an upload or one of the works, its faces outlined."""
    faces = gr.State([])
    face = gr.Number(0, precision=0, visible="hidden", label="Face, counted from the left; 0: the largest")
    with gr.Row():
        picture = PictureFile(
            str(PAIRS[0].work.file), label="Portrait", type="filepath", height=260, scale=3,
            sources=["upload", "clipboard", "webcam"], buttons=[], alt_text="The portrait that will be animated",
        )  # fmt: skip
        outline = gr.Image(
            label="Its face", interactive=False, buttons=[], height=260, scale=2, min_width=140,
            alt_text="The portrait with its faces outlined",
        )  # fmt: skip
    which = gr.Radio([], visible=False, label="Face that will move, counted from the left")
    note = gr.Markdown(elem_classes="quiet", label="About the face")
    titles = [(str(work.thumbnail), work.title) for work in WORKS]
    works = gr.Gallery(titles, label="Paintings and photographs", elem_id="works", columns=5, **CHOICE)
    found = [outline, faces, face, which, note]
    picture.change(find_faces, picture, found, **HIDDEN)
    page.load(find_faces, picture, found, **HIDDEN)
    chosen = [outline, face, which, note]
    outline.select(click_face, [picture, faces], chosen, **HIDDEN)
    which.input(choose_face, [picture, faces, which], chosen, **HIDDEN)
    works.select(_chosen_work, None, picture, **HIDDEN)
    return Portrait(picture, face)


def _driver() -> dict[str, gr.components.Component]:
    """The driver's components by the names of the API: a motion of ours, or a visitor's clip, picture or file."""
    films = [(str(motion_film(name)), name) for name in MOTIONS]
    motions = gr.Gallery(films, label="Motions", elem_id="motions", columns=len(films), **CHOICE)
    motion = gr.Radio([*MOTIONS, CLIP, FILE], value=PAIRS[0].motion, label="Motion")
    clip = gr.Video(
        label="A clip of one face", sources=["upload", "webcam"], height=260, visible=False, include_audio=True,
        webcam_options=gr.WebcamOptions(mirror=False),
    )  # fmt: skip
    kinds = ["image", ".json"]
    file = gr.File(label="A picture, a GIF, or a motion file", file_types=kinds, height=140, visible=False)
    motions.select(_chosen_motion, None, motion, **HIDDEN)
    motion.change(_show_uploads, motion, [clip, file], **HIDDEN)
    return {"motion": motion, "clip": clip, "file": file}


def _result(portrait: Portrait, driver: dict, options: dict) -> None:
    """The buttons; the video, before the first job a film of examples; the newest frame while a job runs; what to take
    away."""
    with gr.Row():
        go = gr.Button("Animate", variant="primary", size="lg", scale=3)
        halt = gr.Button("Stop", size="lg", scale=1, min_width=90, interactive=False)
    line = gr.Markdown(START, elem_classes="quiet", elem_id="line", label="What happened")
    newest = gr.Image(label="Newest frame", interactive=False, buttons=[], height=360, elem_id="newest")
    video = gr.Video(
        str(FIRST) if FIRST.exists() else None, label="Result", autoplay=True, loop=True,
        interactive=False, buttons=["download"], elem_id="result",
    )  # fmt: skip
    films = [(str(pair.work.thumbnail), f"{pair.work.title.split(',')[0]}: {pair.motion.lower()}") for pair in PAIRS]
    pairs = gr.Gallery(films, label="Play an example", elem_id="pairs", columns=len(films), **CHOICE)
    gr.Markdown(CONSENT, elem_classes="quiet")
    with gr.Accordion("Take it with you", open=False):
        with gr.Row():
            small = {"size": "sm", "min_width": 120}
            gif, frames = gr.Button("As a GIF (large)", **small), gr.Button("As PNG frames (large)", **small)
            keep, link = gr.Button("The motion as a file", **small), gr.Button("Copy a link", **small)
        converted = gr.File(label="Converted result", interactive=False, height=90, elem_classes="until-made")
        saved = gr.File(label="Motion file", interactive=False, height=90, elem_classes="until-made")
        saved_line = gr.Markdown(label="About it")
        commands = gr.Code(
            label="The same on the command line, and in Python", language="shell",
            elem_classes="until-made",
        )  # fmt: skip

    inputs = {"portrait": portrait.picture, **driver, "face": portrait.face, **options}
    outputs = [newest, video, line, commands]
    started = go.click(jobs.begin, None, [go, halt], **HIDDEN)
    job = started.then(animate, None, outputs, inputs_kwargs=inputs, api_name="animate", show_progress_on=line, **MODEL)
    job.then(jobs.end, None, [go, halt], **HIDDEN)
    pairs.select(_chosen_pair, None, [video, portrait.picture, driver["motion"]], **HIDDEN)
    halt.click(jobs.stop, None, None, **HIDDEN)
    made = [converted, saved_line]
    for button, kind in ((gif, "GIF"), (frames, "PNG frames")):
        button.click(convert, [video, gr.State(kind)], made, show_progress_on=saved_line, api_visibility="private")
    keep.click(
        save_motion, [*driver.values(), options["seconds"]], [saved, saved_line], api_name="save_motion", **MODEL
    )
    shared = [portrait.picture, driver["motion"], *options.values()]
    link.click(None, shared, saved_line, js=LINK_SCRIPT, api_visibility="private")


def _show_uploads(motion: str) -> list:
    """Shows the clip, or the file, if the motion is the visitor's own."""
    return [gr.update(visible=motion == kind) for kind in (CLIP, FILE)]


def _chosen_work(event: gr.SelectData) -> str:
    return str(WORKS[event.index].file)


def _chosen_motion(event: gr.SelectData) -> str:
    return list(MOTIONS)[event.index]


def _chosen_pair(event: gr.SelectData) -> tuple[str, str, str]:
    """The film of a pair, which plays at once, and the pair's portrait and motion."""
    pair = PAIRS[event.index]
    return str(pair.film), str(pair.work.file), pair.motion
