"""The options of an animation as controls of the page."""

import gradio as gr
import jobs
from share import CORNERS, PARTS


def build() -> dict[str, gr.components.Component]:
    """The controls by the names that `options_of`, links and the API use."""
    with gr.Accordion("Options", open=False):
        transfer = gr.Radio(
            [
                ("Relative: adds the driver's change since its calmest moment", "relative"),
                ("Relative, but with the driver's whole expression", "expression"),
                ("Absolute: copies the driver's face", "absolute"),
            ],
            value="relative", label="How the motion is taken over",
            info="Relative keeps the portrait's own pose and face, and is better for most pictures.",
        )  # fmt: skip
        with gr.Row():
            pose = gr.Slider(0, 1.5, 1, step=0.05, label="Strength of head motion")
            expression = gr.Slider(0, 1.5, 1, step=0.05, label="Strength of expression")
        parts = gr.CheckboxGroup(
            list(PARTS), value=list(PARTS), label="What follows the driver", info="The driver is who gives the motion."
        )
        smoothing = gr.Slider(0, 0.95, 0, step=0.05, label="Smoothing", info="Against jitter; fast motion gets slower.")
        with gr.Row():
            start = gr.Slider(0, 60, 0, step=0.5, label="Start of the driver, seconds")
            seconds = gr.Slider(1, jobs.MAX_SECONDS, 6, step=1, label="Length, seconds at most")
        whole_picture = gr.Checkbox(False, label="Show the whole picture, not the head alone (slower)")
        with gr.Row():
            view_scale = gr.Slider(1, 3, 1, step=0.1, label="Room around the head")
            view_x = gr.Slider(-1, 1, 0, step=0.05, label="View to the right")
            view_y = gr.Slider(-1, 1, 0, step=0.05, label="View down")
        side_by_side = gr.Checkbox(False, label="Show portrait and driver beside the result")
        sound = gr.Checkbox(True, label="Keep the driver's sound")
        choices = [*CORNERS] if jobs.PUBLIC else ["none", *CORNERS]
        mark = gr.Dropdown(choices, value=choices[0], label="Write 'synthetic' into a corner")
    return {
        "transfer": transfer, "pose_strength": pose, "expression_strength": expression, "parts": parts,
        "smoothing": smoothing, "start": start, "seconds": seconds, "whole_picture": whole_picture,
        "view_scale": view_scale, "view_x": view_x, "view_y": view_y,
        "side_by_side": side_by_side, "sound": sound, "mark": mark,
    }  # fmt: skip
