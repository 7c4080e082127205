"""2D flows and traces of the detail path. They are backward: for each output pixel, a position in the source."""

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.collections import LineCollection
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from mpkit.geometry import identity_flow, sample
from mpkit.networks.detail import Trace
from mpkit.viz.style import CROP, SMALL, TEXT, Z_COLOUR, draw_picture, new_figure, pale, single, to_pixels

STRONG_SHARE = 0.98  # share of the offsets that are shorter than the one drawn in full colour
VISIBLE = 0.5  # alpha from which a pixel counts as foreground
BACKGROUND = (0.88, 0.89, 0.90)  # RGB of the background of a flow
MIRROR_COLOUR = "#d9731f"


def flow_picture(flow: Tensor, alpha: Tensor | None = None, max_length: float | None = None, title: str = "") -> Figure:
    """A flow in the colours of optical flow, with their wheel: hue is direction, saturation is length.

    White: the pixel shows the source's pixel of the same place. The wheel tells where a pixel's source position lies,
    seen from the pixel: the colour at the wheel's right rim says farther right in the source.
    flow (1, 2, h, w): source positions (x, y) in [-1, 1]. alpha (1, 1, H, W) of the output: its background is drawn in
    grey. max_length: the offset of full colour, in half sides of the crop; without it, the one that 98 % of the
    (foreground's) offsets do not reach.
    """
    offset = _offset(flow)
    shown = _coverage(alpha, identity_flow(*offset.shape[1:]))
    lengths = F.pad(offset.norm(dim=0)[shown > VISIBLE], (0, 1))  # 0 if there is no foreground
    longest = max_length or float(lengths.quantile(STRONG_SHARE))
    colours = torch.lerp(torch.tensor(BACKGROUND), flow_colours(offset / max(longest, 1e-6)), shown[..., None])
    figure = new_figure(5.0, 7.4)
    axes, legend = figure.subplots(1, 2, width_ratios=(3, 1))
    draw_picture(axes, colours.numpy(), title)
    directions = identity_flow(200, 200)[0]
    inside = (directions.norm(dim=0) <= 1).float()
    wheel = torch.cat([flow_colours(directions), inside[..., None]], dim=2)
    draw_picture(legend, wheel.numpy(), "source position\nlies to the …")
    legend.spines[:].set_visible(False)
    for x, y, name in ((0, -1.18, "top"), (0, 1.18, "bottom"), (-1.18, 0, "left"), (1.18, 0, "right")):
        legend.text(x, y, name, **SMALL, ha="center", va="center", rotation=90 if x else 0)
    legend.set(xlim=(-1.35, 1.35), ylim=(1.35, -1.35))
    legend.set_xlabel(f"white: same place\nrim: {longest:.2f} half sides away", **SMALL)
    return figure


def flow_arrows(
    picture: Tensor | np.ndarray, flow: Tensor, alpha: Tensor | None = None, count: int = 20, title: str = ""
) -> Figure:
    """A picture with arrows from output pixels (dots) to their source positions (heads); count x count pixels.

    Over the source, the heads lie on what is sampled; over the result, the dots lie on the pixels that show it.
    picture: see `picture_row`; flow (1, 2, h, w): source positions (x, y) in [-1, 1]; alpha (1, 1, H, W) of the output:
    its background has no arrows.
    """
    lattice = identity_flow(count, count)
    start, offset = (points.flatten(1) for points in (lattice[0], _at(_offset(flow), lattice)))
    shown = _coverage(alpha, lattice).flatten() > VISIBLE
    start, offset = start[:, shown], offset[:, shown]
    figure = new_figure(5.8, 5.6)
    axes = figure.subplots()
    draw_picture(axes, to_pixels(picture), title)
    axes.quiver(
        *start, *offset, angles="xy", scale_units="xy", scale=1, color=Z_COLOUR, edgecolor="white", linewidth=0.6,
        width=0.005, headwidth=3.6, headlength=4, headaxislength=3.8, minlength=0.5,
    )  # fmt: skip
    axes.plot(*start, "o", color="white", markeredgecolor=Z_COLOUR, markersize=3.2, markeredgewidth=0.9)
    axes.set(xlim=CROP[:2], ylim=CROP[2:])
    return figure


def trace_overlay(picture: Tensor, trace: Trace, every: int = 8) -> Figure:
    """The source with the points of a `networks.detail.Trace`: visible points of the driven view and where they go.

    Left: from output pixels (white) to their source positions (blue); a long line is a large motion. Right: from source
    positions to mirrored positions (orange), the same place on the other side of the face; only for points with
    canonical x < 0, because the others are their mirror images.
    picture (1, 4, S, S): the source, premultiplied RGBA; trace (1, h, w): every `every`-th row and column is drawn,
    where the source position is foreground.
    """
    first = every // 2
    driven, canonical, source, mirrored = (
        single(points, 3)[first::every, first::every].flatten(0, 1) for points in trace[:4]
    )
    visible = _coverage(picture[:, 3:], source[:, :2].T[None, :, None])[0] > VISIBLE
    half = visible & (canonical[:, 0] < 0)
    figure = new_figure(4.8)
    panels = figure.subplots(1, 2)
    left = ("output pixel → source position", driven[visible], source[visible], "white", Z_COLOUR, 1.2)
    right = ("source position → mirrored position", source[half], mirrored[half], Z_COLOUR, MIRROR_COLOUR, 0.7)
    for axes, (title, start, end, start_colour, end_colour, width) in zip(panels, (left, right)):
        draw_picture(axes, pale(to_pixels(picture)), title)
        start, end = start[:, :2].numpy(), end[:, :2].numpy()
        axes.add_collection(LineCollection(np.stack([start, end], axis=1), colors=end_colour, linewidths=width))
        for points, colour in ((start, start_colour), (end, end_colour)):
            axes.plot(*points.T, "o", color=colour, markersize=4.5, markeredgecolor=TEXT["color"], markeredgewidth=0.5)
        axes.set(xlim=CROP[:2], ylim=CROP[2:])
    return figure


def _offset(flow: Tensor) -> Tensor:
    """A flow (1, 2, h, w) minus the identity: (2, h, w)."""
    flow = single(flow, 3)
    return flow - identity_flow(*flow.shape[1:])[0]


def _at(values: Tensor, points: Tensor) -> Tensor:
    """Values (C, H, W) at points (1, 2, h, w): (C, h, w)."""
    return sample(values[None], points.movedim(1, -1), padding="border")[0]


def _coverage(alpha: Tensor | None, points: Tensor) -> Tensor:
    """alpha (1, 1, H, W) at points (1, 2, h, w): (h, w) in [0, 1]; 1 without alpha."""
    return torch.ones(points.shape[2:]) if alpha is None else _at(single(alpha, 3), points)[0].clamp(0, 1)


def flow_colours(offset: Tensor) -> Tensor:
    """Offsets (2, h, w), length 1 in full colour -> RGB (h, w, 3) in [0, 1]."""
    x, y = offset.numpy()
    hue, saturation = np.arctan2(y, x) / (2 * np.pi) % 1, np.hypot(x, y).clip(0, 1)
    return torch.from_numpy(hsv_to_rgb(np.stack([hue, 0.8 * saturation, 1 - 0.12 * saturation], axis=-1))).float()
