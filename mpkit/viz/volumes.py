"""Appearance volumes: as slices, and as a surface in space."""

import math
from typing import Literal

import numpy as np
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from mpkit.geometry import cell_centres, identity_grid
from mpkit.viz.style import SMALL, add_colour_bar, draw_picture, new_figure, new_scene, principal_components, single

SLICES_ACROSS = 6
MAX_CELLS = (16, 32, 32)  # depth, height, width of the volume that a surface is drawn from: 0.4 MB in a notebook
INNER = 0.9  # cells beyond are left out: there the padding of convolutions, and no head, makes long channel vectors
SURFACE_SHARE = 0.9  # share of the cells that a surface leaves outside when no level is given


def volume_slices(volume: Tensor, colours: Literal["norm", "components"] = "norm", title: str = "") -> Figure:
    """All depth slices of a volume, in order from the nearest to the farthest.

    norm        brightness is the length of a cell's channel vector: how strong its features are
    components  the three principal components of the channels as red, green and blue, the same for all slices: cells
                of one colour hold similar features
    volume (C, D, H, W) or a batch of one; with one channel, for example `Detail.depth_weights[None]`, its values are
    drawn. Each slice is seen from the front, x right, y down; above it stands the z of its cells' centres. Raises
    ValueError.
    """
    if colours not in ("norm", "components"):
        raise ValueError(f"colours is norm or components, not {colours!r}")
    volume = single(volume, 4)
    depth = volume.shape[1]
    rows = math.ceil(depth / SLICES_ACROSS)
    figure = new_figure(1.75 * rows + (0.3 if title else 0))
    panels = figure.subplots(rows, SLICES_ACROSS, squeeze=False)
    if colours == "components":
        parts, _ = principal_components(volume.flatten(1).mT.numpy(), 3)
        low, high = np.quantile(parts, (0.02, 0.98), axis=0)
        parts = ((parts - low) / (high - low).clip(1e-9)).clip(0, 1).reshape(*volume.shape[1:], 3)
        slices, options = (255 * (0.75 * parts + 0.25 * parts.mean(axis=-1, keepdims=True))).astype(np.uint8), {}
    else:
        slices = _strength(volume).numpy()
        label = "value" if len(volume) == 1 else "length of the channel vector"
        options = {"vmin": 0, "vmax": float(np.quantile(slices, 0.995)), "cmap": "magma"}
    for panel in panels.flat[depth:]:
        panel.set_visible(False)
    for index, (panel, z) in enumerate(zip(panels.flat, cell_centres(depth).tolist())):
        side = {0: "nearest, ", depth - 1: "farthest, "}.get(index, "")
        image = draw_picture(panel, slices[index], **options)
        panel.set_title(f"{side}z = {z:+.2f}", **SMALL)
    if colours == "norm":
        add_colour_bar(figure, image, panels, label, extend="max")
    figure.suptitle(title, fontsize=11)
    return figure


def volume_isosurface(volume: Tensor, level: float | None = None, title: str = ""):
    """The surface on which the length of a volume's channel vectors is `level`, as a plotly Figure to be turned.

    Of a canonical volume it shows the head that the network built: it faces the viewer, along -z. Axes: x right, y
    down, z away; the first view is from the camera, moved a little up and to the right.
    volume (C, D, H, W) or a batch of one, with one channel its values count; one larger than MAX_CELLS is averaged down
    to it, so that a notebook stays small. level: by default the length that 90 % of the cells do not reach.
    """
    import plotly.graph_objects as go

    volume = single(volume, 4)
    values = _strength(volume)
    values = F.adaptive_avg_pool3d(values[None], [min(pair) for pair in zip(values.shape, MAX_CELLS)])[0]
    points = identity_grid(*values.shape)[0]
    inner = (points.abs() < INNER).all(dim=-1)
    points, values = points[inner].numpy(), values[inner].numpy()
    level = float(np.quantile(values, SURFACE_SHARE)) if level is None else level
    surface = go.Isosurface(
        **dict(zip("xyz", points.T)), value=values.round(4), isomin=level, isomax=level,
        surface={"count": 1}, caps={f"{name}_show": False for name in "xyz"}, showscale=False,
        colorscale=[[0, "#7fa6bf"], [1, "#7fa6bf"]], hoverinfo="skip", lightposition={"x": 2, "y": -3, "z": -6},
        lighting={"ambient": 0.45, "diffuse": 0.75, "specular": 0.15, "roughness": 0.7},
    )  # fmt: skip
    figure = new_scene([surface], title or f"where channel vectors are {level:.2f} long")
    return figure.update_scenes({f"{name}axis_range": (-1, 1) for name in "xyz"})


def _strength(volume: Tensor) -> Tensor:
    """A volume (C, D, H, W) as one number for each cell, (D, H, W): the length of its channel vector, or with one
    channel the value."""
    return volume[0] if len(volume) == 1 else volume.norm(dim=0)
