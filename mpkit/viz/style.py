"""What the figures share: size, colours, axes over a crop, the view of a scene in space."""

import io

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

WIDTH, DPI = 9.0, 100  # inches, pixels per inch
TEXT = {"fontsize": 10, "color": "#33383d"}
SMALL = {"fontsize": 9, "color": "#5c646b"}
LINES = ("#35688f", "#c2653a", "#4f8a5b", "#85609f", "#a98a2f", "#4d8a93", "#b0527a", "#6b6f76")  # one for each run
X_COLOUR, Y_COLOUR, Z_COLOUR = "#c4513f", "#3f8f58", "#2f6fb0"  # axes of the head
CROP = (-1, 1, 1, -1)  # left, right, bottom, top: coordinates of the crop's edges
VIEW = {"eye": {"x": 0.83, "y": -0.61, "z": -1.95}, "up": {"x": 0, "y": -1, "z": 0}}  # camera of a scene


class NotebookFigure(Figure):
    """A matplotlib Figure that a notebook shows as a PNG. Without pyplot a plain Figure would be shown as text."""

    def _repr_png_(self) -> bytes:
        data = io.BytesIO()
        self.savefig(data, format="png")
        return data.getvalue()


def new_figure(height: float, width: float = WIDTH) -> NotebookFigure:
    """An empty figure, sizes in inches, whose axes are laid out so that no text overlaps."""
    return NotebookFigure(figsize=(width, height), dpi=DPI, layout="constrained")


def to_pixels(picture: Tensor | np.ndarray, background: str = "white") -> np.ndarray:
    """A picture as (H, W, 3) uint8.

    A tensor is (C, H, W) or (1, C, H, W) in [0, 1]: C = 1 grey, 3 RGB, 4 premultiplied RGBA, which is laid over the
    colour `background`. An array is uint8 already, (H, W) or (H, W, 3). Raises ValueError for anything else.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.shape[2:] not in ((), (3,)):
            raise ValueError(f"an array must be (H, W) or (H, W, 3) uint8, got {picture.shape} {picture.dtype}")
        return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    channels = picture.detach().float().cpu()
    channels = channels[0] if channels.dim() == 4 and len(channels) == 1 else channels
    if channels.dim() != 3 or len(channels) not in (1, 3, 4):
        raise ValueError(f"a picture must be (C, H, W) with 1, 3 or 4 channels, got {tuple(picture.shape)}")
    if len(channels) == 4:
        channels = channels[:3] + (1 - channels[3:]) * torch.tensor(to_rgb(background)).view(3, 1, 1)
    pixels = (channels.expand(3, -1, -1).clamp(0, 1) * 255).round().byte()
    return pixels.movedim(0, -1).numpy()


def single(values: Tensor, dimensions: int) -> Tensor:
    """`values` on the CPU in fp32, without a batch axis of size 1. Raises ValueError for a batch of several."""
    if values.dim() == dimensions + 1 and len(values) == 1:
        values = values[0]
    if values.dim() != dimensions:
        raise ValueError(f"a tensor of {dimensions} axes, or a batch of one, is needed, got {tuple(values.shape)}")
    return values.detach().float().cpu()


def to_array(values: Tensor | np.ndarray) -> np.ndarray:
    """Numbers as a float64 array."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, np.float64)


def pale(pixels: np.ndarray, strength: float = 0.75) -> np.ndarray:
    """Pixels nearer to white, so that what is drawn over them stands out; shape and dtype stay."""
    return (255 - (255 - pixels) * strength).astype(np.uint8)


def principal_components(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (N, C) along their `count` directions of largest variance: coordinates (N, count), and the share of the
    variance that each holds (count,)."""
    mean, directions, share = principal_directions(vectors, count)
    return (vectors - mean) @ directions.T, share


def principal_directions(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mean of vectors (N, C), (C,); their `count` directions of largest variance, (count, C); the share of the
    variance that each holds, (count,). The largest entry of a direction is positive, so that a picture is
    repeatable."""
    mean = vectors.mean(axis=0)
    _, singular, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    directions = directions[:count]
    directions = directions * np.sign(directions[np.arange(len(directions)), abs(directions).argmax(axis=1)])[:, None]
    return mean, directions, singular[:count] ** 2 / max((singular**2).sum(), 1e-30)


def draw_picture(axes, values: np.ndarray, title: str = "", **options):
    """A picture, or values (H, W), on matplotlib axes whose coordinates are the crop's, [-1, 1]. Returns the image."""
    image = axes.imshow(values, extent=CROP, **options)
    axes.set_xticks([]), axes.set_yticks([])
    axes.set_title(title, **TEXT)
    for spine in axes.spines.values():
        spine.set(color="#c3c9ce", linewidth=0.6)
    return image


def tidy(axes) -> None:
    """Axes with small numbers, a pale grid, and no frame above and to the right."""
    axes.tick_params(which="both", labelsize=8.5, labelcolor=SMALL["color"], color="#c3c9ce")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["bottom", "left"]].set_color("#c3c9ce")
    axes.grid(color="#e6e9eb", linewidth=0.8)
    axes.set_axisbelow(True)


def add_colour_bar(figure: Figure, image, axes, label: str, **options) -> None:
    """A slim colour bar beside `axes`."""
    bar = figure.colorbar(image, ax=axes, fraction=0.05, aspect=30, pad=0.02, **options)
    bar.set_label(label, **SMALL)
    bar.ax.tick_params(labelsize=SMALL["fontsize"], labelcolor=SMALL["color"])
    bar.outline.set_visible(False)


def new_scene(traces: list, title: str):
    """A plotly Figure of traces in space: x right, y down, z away from the camera.

    It is seen as the camera of the crop sees it, from a little above and to the right, so that depth shows.
    """
    import plotly.graph_objects as go

    titles = {"x": "x (right)", "y": "y (down)", "z": "z (away)"}
    axis = {"tickvals": [-1, 0, 1], "backgroundcolor": "#f5f6f7", "gridcolor": "#dfe3e6", "showspikes": False}
    scene = {f"{name}axis": {"title": {"text": text}, "showbackground": True, **axis} for name, text in titles.items()}
    figure = go.Figure(traces)
    figure.update_layout(
        template="none", title={"text": title, "font": {"size": 14}, "x": 0.02}, width=900, height=620,
        margin={"l": 0, "r": 0, "t": 40, "b": 0}, font={"color": TEXT["color"], "size": 12},
        scene={**scene, "camera": VIEW, "aspectmode": "data"},
    )  # fmt: skip
    return figure
