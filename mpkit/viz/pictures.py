"""Pictures in rows and grids, masks over a picture, the axes of a head."""

import io
import math
import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image
from torch import Tensor

from mpkit.geometry import Pose, angles_from_rotation
from mpkit.viz.style import (
    CROP,
    SMALL,
    TEXT,
    WIDTH,
    X_COLOUR,
    Y_COLOUR,
    Z_COLOUR,
    add_colour_bar,
    draw_picture,
    new_figure,
    pale,
    single,
    to_pixels,
)

MAX_CELL = 3.6  # inches: the largest side of one picture
LETTERS_PER_INCH = 13  # of a column's title
TINT = LinearSegmentedColormap.from_list("tint", [(0.80, 0.26, 0.16, share) for share in (0, 0.85)])
AXIS_LENGTH = 0.55  # of the drawn axes of a head, canonical units


def picture_grid(
    rows: Sequence, column_titles: Sequence[str] = (), row_titles: Sequence[str] = (), background: str = "white"
) -> Figure:
    """Rows of pictures below each other, for example source, driver and result, a person in each column.

    A row is a tensor (B, C, H, W) in [0, 1], whose pictures stand side by side, or a list of tensors and uint8 arrays.
    1 channel is grey, 3 are RGB, 4 are premultiplied RGBA laid over the colour `background`, e.g. "white" or "grey".
    """
    rows = [[pixels for picture in row for pixels in _pictures(picture, background)] for row in rows]
    columns = max(map(len, rows))
    side = min(WIDTH / columns, MAX_CELL)
    heights = [max(len(pixels) / pixels.shape[1] for pixels in row) for row in rows]  # in widths
    figure = new_figure(side * sum(heights) + (0.3 if column_titles else 0), side * columns)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03)
    grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes in grid.flat:
        axes.set_axis_off()
    for index, (line, row) in enumerate(zip(grid, rows)):
        for axes, pixels in zip(line, row):
            axes.set_axis_on()
            draw_picture(axes, pixels)
            axes.set_aspect(len(pixels) / pixels.shape[1])
        if row_titles:
            line[0].set_ylabel(row_titles[index], **TEXT)
    for axes, title in zip(grid[0], column_titles):
        axes.set_title(textwrap.fill(title, int(LETTERS_PER_INCH * side)), **SMALL)
    return figure


def picture_row(pictures: Tensor | Sequence, titles: Sequence[str] = (), background: str = "white") -> Figure:
    """Pictures side by side, a title above each. See `picture_grid` for what a picture may be."""
    return picture_grid([pictures], titles, background=background)


class MovingPicture:
    """Pictures one after another, which a notebook shows as an animated PNG that starts again at its end."""

    def __init__(self, data: bytes):
        self.data = data

    def _repr_png_(self) -> bytes:
        return self.data


def moving_picture(pictures: Sequence, rate: float = 12, width: int = 160) -> MovingPicture:
    """Pictures of one size as a film, `rate` of them a second, `width` pixels wide. See `picture_row` for what a
    picture may be. All share 256 colours, so that the file stays small."""
    frames = [Image.fromarray(to_pixels(picture)) for picture in pictures]
    size = width, round(width * frames[0].height / frames[0].width)
    frames = [frame.resize(size, Image.LANCZOS) for frame in frames]
    palette = Image.fromarray(np.concatenate(frames)).quantize(256)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    data = io.BytesIO()
    first.save(data, "png", save_all=True, append_images=others, duration=round(1000 / rate), loop=0)
    return MovingPicture(data.getvalue())


def mask_overlay(picture: Tensor | np.ndarray, mask: Tensor, label: str = "mask", title: str = "") -> Figure:
    """A picture in grey, tinted red where a mask is high; a colour bar gives the values.

    picture: see `picture_row`; mask (1, 1, h, w) in [0, 1] of any resolution, for example `Detail.mask` (share of the
    warped source in each pixel) or a share of disocclusion.
    """
    grey = to_pixels(picture).mean(axis=2, keepdims=True).repeat(3, axis=2)
    figure = new_figure(5.0, 5.8)
    axes = figure.subplots()
    draw_picture(axes, pale(grey), title)
    values = single(mask, 3)[0].clamp(0, 1).numpy()
    tint = axes.imshow(values, cmap=TINT, vmin=0, vmax=1, extent=CROP, interpolation="bilinear")
    add_colour_bar(figure, tint, axes, label)
    return figure


def head_axes(picture: Tensor | np.ndarray, pose: Pose) -> Figure:
    """A head crop with the axes of its pose: x to the right of a frontal head, y down, and -z, where its nose points.

    The camera is orthographic: an arrow that points at the viewer is short, and a frontal head shows -z as a dot. The
    arrows meet at the centre of the head, t. Below: yaw, pitch and roll in degrees, scale s.
    picture: see `picture_row`; pose: of a batch of one, in coordinates of the crop.
    """
    ends = torch.diag(torch.tensor([1.0, 1.0, -1.0])) * AXIS_LENGTH
    pose = pose.to("cpu")
    centre, *ends = pose.apply(torch.cat([torch.zeros(1, 3), ends])[None])[0, :, :2].tolist()
    figure = new_figure(5.4, 5.0)
    axes = figure.subplots()
    draw_picture(axes, to_pixels(picture))
    outline = [withStroke(linewidth=5, foreground="white")]
    for end, colour, name in zip(ends, (X_COLOUR, Y_COLOUR, Z_COLOUR), ("x", "y", "-z")):
        arrow = {"arrowstyle": "-|>,head_width=0.35,head_length=0.6", "lw": 2.6, "color": colour}
        arrow |= {"shrinkA": 0, "shrinkB": 0, "path_effects": outline}
        axes.annotate("", end, centre, arrowprops=arrow)
        length = math.dist(end, centre) or 1
        place = [e + 0.09 * (e - c) / length for e, c in zip(end, centre)]
        axes.text(*place, name, color=colour, size=12, weight="bold", ha="center", va="center", path_effects=outline)
    axes.plot(*centre, "o", color="white", markeredgecolor=TEXT["color"], markersize=6, zorder=5)
    yaw, pitch, roll = (angle.item() for angle in angles_from_rotation(pose.rotation))
    numbers = f"yaw {yaw:+.0f}°   pitch {pitch:+.0f}°   roll {roll:+.0f}°   scale {pose.scale.item():.2f}"
    axes.set_xlabel(f"{numbers}\n-z: where the nose points", **SMALL)
    return figure


def _pictures(picture: Tensor | np.ndarray, background: str) -> list[np.ndarray]:
    """The pictures of a batch (B, C, H, W), or the one picture of another tensor or array, each (H, W, 3) uint8."""
    batch = picture if isinstance(picture, Tensor) and picture.dim() == 4 else [picture]
    return [to_pixels(one, background) for one in batch]
