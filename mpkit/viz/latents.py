"""Latent expressions z over time, and in the plane of their two principal components."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from mpkit.viz.style import SMALL, TEXT, add_colour_bar, new_figure, principal_components, tidy, to_array


def latent_map(z: Tensor | np.ndarray, rate: float | None = None, title: str = "") -> Figure:
    """A clip's latents as a heat map: time to the right, a row for each number of z.

    Orange is positive, purple negative. A column is the expression of one frame: an edge across many rows is a quick
    change of the face; a white row is a number of z that this clip does not use.
    z (frames, latent); rate: frames per second, for a time axis in seconds.
    """
    z = to_array(z)
    frames, size = z.shape
    limit = max(float(np.quantile(abs(z), 0.995)), 1e-9)
    figure = new_figure(3.8)
    axes = figure.subplots()
    end = frames / rate if rate else frames
    image = axes.imshow(
        z.T, aspect="auto", cmap="PuOr_r", vmin=-limit, vmax=limit, extent=(0, end, size, 0), interpolation="nearest"
    )
    axes.set_xlabel("seconds" if rate else "frame", **SMALL), axes.set_ylabel("number of z", **SMALL)
    axes.set_title(title, **TEXT)
    tidy(axes)
    axes.grid(False)
    add_colour_bar(figure, image, axes, "value", extend="both")
    return figure


def latent_scatter(
    z: Tensor | np.ndarray, colour_by: Tensor | np.ndarray, label: str = "action", title: str = ""
) -> Figure:
    """Frames as dots in the plane of the two directions in which z varies most, coloured by an action of the face.

    Frames that are neighbours in time are joined by a pale line. Colours in order, along the dots, mean that z holds
    the action in a simple form. z (frames, latent), colour_by (frames,), e.g. jawOpen in [0, 1], label: its name.
    """
    points, share = principal_components(to_array(z), 2)
    figure = new_figure(5.0, 6.4)
    axes = figure.subplots()
    axes.plot(*points.T, color="#b9c0c6", linewidth=0.6, zorder=1)
    dots = axes.scatter(
        *points.T, c=to_array(colour_by), cmap="viridis", s=26, edgecolor="white", linewidth=0.4, zorder=2
    )
    axes.set_aspect("equal", adjustable="datalim")
    for name, setter, part in zip(("first", "second"), (axes.set_xlabel, axes.set_ylabel), share):
        setter(f"{name} principal component ({part:.0%} of the variance)", **SMALL)
    axes.set_title(title, **TEXT)
    tidy(axes)
    add_colour_bar(figure, dots, axes, label)
    return figure
