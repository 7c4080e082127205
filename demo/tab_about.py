"""The tab How it works: the system in plain words, limits, consent, training."""

import base64

import gradio as gr
import lessons

from mpkit import viz

TEXT = """
## One still, one driver

A portrait gives the *appearance*, once: a network turns it into a volume, a small 3D grid of features, and another
one takes the portrait's own pose and expression out, so that the volume holds a head that looks straight ahead.

A driver gives the *motion*, frame by frame: three angles, a position, and a short list of numbers for the expression.
They bend the volume, and a last network renders the picture. Where your picture shows a pixel, it is taken from there:
a painting keeps its strokes. What the picture does not show, such as teeth or the far cheek, is invented.

This is [MegaPortraits](https://arxiv.org/abs/2207.07621), re-implemented as *mpkit*. The nine lessons in its folder
`notebooks/` take every box of this map apart{link}:
"""
SYMBOLS = """
**x_s, x_d, x̂** your portrait, the driver's frame, the result · **E_app** reads the appearance: **v_s**, the
volume, and **e_s**, a vector · **E_mtn** reads the motion: turn **R**, place **t**, expression **z** · **W, w**
the warps: *s→* takes motion out, *→d* puts it in · **∘** samples a volume by a warp · **G_3D** refines the
canonical volume · **P, G_2D** fold it flat and paint the picture · below: what exists for training, an enlarger
(**G_enh**) and a fast copy (**G_DT**).
"""
LIMITS = """
## What it cannot do

- Profiles, covered faces and animals; more than about 25 degrees away from how the portrait looks.
- Teeth are invented, and too white for dark or yellow paintings. Hats, hands and long hair bend with the head or stay behind.
- This page takes twenty seconds of a driver and portraits of 1600 pixels. The command line has neither limit.

## Consent

Animate only people who agreed to it; of the dead, with respect. Say that the result is made up wherever you show it.
Nothing is sent elsewhere; uploads are deleted after an hour.

## Train it

`mpkit train base --preset nano --run runs/nano --steps 300` trains a very small model within minutes, on people who do
not exist; `mpkit adapt painting.jpg --output mine.safetensors` fine-tunes the model on one picture. The README says the
rest.
"""


def build() -> None:
    """The tab's content."""
    contents = lessons.address("index")
    gr.Markdown(TEXT.format(link=f" ([read them]({contents}))" if contents else ""))
    png = base64.b64encode(viz.system_map()._repr_png_()).decode()
    gr.HTML(
        f'<img src="data:image/png;base64,{png}" style="max-width:100%; background:white; border-radius:8px" '
        'alt="Map of the system: the source becomes a canonical volume once; every driver frame bends and renders it">'
    )
    gr.Markdown(SYMBOLS, elem_classes="quiet")
    gr.Markdown(LIMITS)
