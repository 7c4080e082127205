"""The tab Look inside: every stage of one picture of one portrait, in pictures."""

from typing import NamedTuple

import gradio as gr
import numpy as np
import torch
from jobs import plain
from lessons import reference
from live import named, views_of
from tab_animate import Inputs

from mpkit import viz
from mpkit.errors import MpkitError
from mpkit.faces.crop import cut
from mpkit.viz.views import SIDE, draw_flow, draw_lattice

TEXT = """
What happens between your portrait and its next frame. The volumes are 3D grids of *cells*, 12 deep and 32 x 32 wide;
the two warps say for each cell where its content comes from.
"""
SLIDERS = "As the sliders of Puppet say"
MOMENTS = {"Head turned": {"yaw": 20.0}, "Mouth open": {"jawOpen": 0.7}, "Looking aside": {"gaze_x": 1.0}}  # changes


class Panel(NamedTuple):
    """One stage: a title, two sentences, the lesson that explains it."""

    title: str
    text: str
    lesson: str


PANELS = (
    Panel(
        "Crop and matte",
        "The head is found and cut out. The matte, here in red, says which pixels belong to the person: these move.",
        "01_faces_and_crops",
    ),
    Panel(
        "Canonical head",
        "Pose and gaze of the picture are taken out: a head that looks straight ahead. Every frame starts from it.",
        "04_appearance_volumes",
    ),
    Panel(
        "Warp of the source",
        "For each cell of the canonical head, where the picture shows it. It takes motion out. Dark lines are near.",
        "03_warp_fields",
    ),
    Panel(
        "Warp of the driver",
        "For each cell of the new frame, which canonical point it shows. A head turned to the right samples left.",
        "03_warp_fields",
    ),
    Panel(
        "Flow",
        "Both warps together: where a pixel lies in your picture. White: same place; hue: direction; grey: background.",
        "03_warp_fields",
    ),
    Panel(
        "Mask",
        "Bright pixels come from your picture, so brush strokes survive. Dark ones are painted by the network.",
        "04_appearance_volumes",
    ),
    Panel(
        "Depth slices",
        "Four slices of the new frame's volume, from front (upper left) to back. Equal colours are similar features.",
        "04_appearance_volumes",
    ),
    Panel(
        "Expression",
        "The numbers z of this frame, orange above 0, blue below: the whole expression, without the turn of the head.",
        "02_motion_latents",
    ),
    Panel("Result", "The new frame: the picture in its new motion.", "00_tour"),
)


def look(portrait, face, moment, *values) -> list:
    """The pictures of PANELS, and a line. `values` are those of the sliders."""
    try:
        views = views_of(portrait, face)
        return [*draw(views, at_moment(views, moment) if moment in MOMENTS else named(values)), ""]
    except MpkitError as error:
        return [*[gr.skip()] * len(PANELS), plain(error, portrait)]


def at_moment(views: viz.MotionViews, moment: str) -> dict[str, float]:
    """The values of CONTROLS at a moment: those of the portrait, changed; towards its other side if it is turned."""
    values = dict(views.start)
    for name, change in MOMENTS[moment].items():
        values[name] += -change if values[name] > 0 else change
    return values


@torch.inference_mode()
def draw(views: viz.MotionViews, values: dict[str, float]) -> list[np.ndarray]:
    """The pictures of PANELS for one motion of a portrait, in order."""
    animator, portrait = views.animator, views.portrait
    motion = views.motion(**values)
    driven = animator.drive(portrait, motion)
    frontal = animator.frame(portrait, views.motion(**dict.fromkeys(("yaw", "pitch", "roll", "gaze_x", "gaze_y"), 0.0)))
    detail = driven.rendering.detail
    crop = cut(portrait.image, portrait.crop, SIDE)
    alpha = torch.nn.functional.interpolate(portrait.picture[:, 3:].cpu(), size=(SIDE, SIDE))
    red = 0.55 * alpha[0, 0, ..., None].numpy()
    matted = crop * (1 - red) + np.array([200, 70, 50]) * red
    mask = (detail.mask[0, 0].float().cpu().numpy() * 255).astype(np.uint8)
    slices = [views.colours.slice(driven.volume, depth) for depth in (0.15, 0.35, 0.55, 0.75)]
    tiles = np.concatenate([np.concatenate(slices[:2], 1), np.concatenate(slices[2:], 1)])[::2, ::2]
    z = animator.model.latents(motion.corrected(portrait.correction).numbers)
    return [
        matted.astype(np.uint8), frontal, draw_lattice(portrait.avatar.warp), draw_lattice(driven.warp),
        draw_flow(driven), np.repeat(mask[..., None], 3, axis=2), tiles, draw_bars(z[0].cpu().numpy()),
        animator.frame(portrait, motion),
    ]  # fmt: skip


def draw_bars(z: np.ndarray) -> np.ndarray:
    """z as 8 x 8 squares: orange positive, blue negative, (SIDE, SIDE, 3) uint8."""
    strength = (z / max(abs(z).max(), 1e-6)).reshape(8, -1)[..., None]
    colours = 255 - np.where(strength > 0, strength * (20, 110, 200), -strength * (200, 110, 20))
    return np.kron(colours, np.ones((SIDE // 8, SIDE // colours.shape[1], 1))).astype(np.uint8)


def build(inputs: Inputs, sliders: list[gr.Slider], tab: gr.Tab) -> None:
    """The tab's content."""
    portrait, face = inputs.portrait
    gr.Markdown(TEXT)
    moment = gr.Radio([*MOMENTS, SLIDERS], value=next(iter(MOMENTS)), label="The next frame")
    line = gr.Markdown(elem_classes="quiet", label="What happened")
    pictures = []
    for start in range(0, len(PANELS), 3):
        with gr.Row():
            for panel in PANELS[start : start + 3]:
                with gr.Column(min_width=220):
                    pictures.append(
                        gr.Image(
                            label=panel.title, interactive=False, buttons=[], alt_text=panel.text, format="jpeg",
                            height=260,
                        )
                    )  # fmt: skip
                    text = f"<p>{panel.text} {reference(panel.lesson)}</p>"
                    gr.HTML(text, elem_classes="quiet", padding=False)
    shown = [portrait, face, moment, *sliders]
    quick = {"concurrency_id": "live", "concurrency_limit": 2, "api_visibility": "private"}
    moment.input(look, shown, [*pictures, line], trigger_mode="always_last", **quick)
    tab.select(look, shown, [*pictures, line], **quick)
