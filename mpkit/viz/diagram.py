"""The diagram of the system: every network, tensor and loss by its symbol in the paper, and which one feeds which."""

from collections.abc import Collection
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke

from mpkit.viz.style import TEXT, WIDTH, new_figure

PAGE = (182.0, 128.0)  # width and height, in units of the positions below; y runs down
MARGIN = 5.0  # around highlighted parts, in the same units
COLOURS = {  # of each kind of part: filling, edge
    "network": ("#d9e6f1", "#2f6fb0"),
    "picture": ("#f6ecd6", "#a98a2f"),
    "volume": ("#ddeedd", "#3f8f58"),
    "vector": ("#ddeedd", "#3f8f58"),
    "grid": ("#efe3f3", "#85609f"),
    "sample": ("#ffffff", "#33383d"),
    "loss": ("#f9e0d4", "#c2653a"),
}
PALE = 0.22  # opacity of what is not highlighted


class Part(NamedTuple):
    """A network, tensor, picture or loss at a place of the page."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    label: str  # in matplotlib's mathematical notation
    note: str


PARTS = {
    "x_s": Part("picture", 13, 27, 16, 16, "$x_s$", "source"),
    "E_app": Part("network", 38, 16, 18, 10, "$E_{app}$", "appearance"),
    "v_s": Part("volume", 62, 16, 11, 11, "$v_s$", "volume"),
    "e_s": Part("vector", 62, 33, 4, 12, "$e_s$", ""),
    "E_mtn,s": Part("network", 38, 45, 18, 10, "$E_{mtn}$", "motion"),
    "motion_s": Part("vector", 66, 45, 20, 7, "$R_s, t_s, z_s$", ""),
    "W_s->": Part("network", 94, 42, 18, 10, r"$W_{s\to}$", "motion out"),
    "w_s->": Part("grid", 116, 42, 10, 10, r"$w_{s\to}$", ""),
    "sample_s": Part("sample", 116, 16, 6, 6, r"$\circ$", ""),
    "G_3D": Part("network", 136, 16, 16, 10, "$G_{3D}$", "refines"),
    "canonical": Part("volume", 162, 16, 11, 11, "", "canonical"),
    "x_d": Part("picture", 13, 79, 16, 16, "$x_d$", "driver"),
    "E_mtn,d": Part("network", 38, 79, 18, 10, "$E_{mtn}$", "motion"),
    "motion_d": Part("vector", 66, 79, 20, 7, "$R_d, t_d, z_d$", ""),
    "W_->d": Part("network", 94, 79, 18, 10, r"$W_{\to d}$", "motion in"),
    "w_->d": Part("grid", 116, 79, 10, 10, r"$w_{\to d}$", ""),
    "sample_d": Part("sample", 130, 79, 6, 6, r"$\circ$", ""),
    "P": Part("network", 141, 79, 7, 10, "$P$", ""),
    "G_2D": Part("network", 154, 79, 12, 10, "$G_{2D}$", "renders"),
    "x^": Part("picture", 172, 79, 14, 14, r"$\hat{x}$", "result"),
    "G_DT": Part("network", 26, 112, 26, 11, "$G_{DT}(x_d, i)$", "student of avatar $i$"),
    "L_cos": Part("loss", 62, 112, 26, 11, r"$\mathcal{L}_{cos}$", "$z$ of $\\hat{x}$ as $z_d$"),
    "perceptual": Part("loss", 98, 112, 34, 11, "perceptual", "VGG19 · face · gaze network"),
    "D": Part("loss", 132, 112, 24, 11, "$D$", "real or made? (GAN)"),
    "G_enh": Part("network", 163, 112, 22, 11, "$G_{enh}$", "1024 px"),
}
# (from, to, corner points between them)
ARROWS = (
    ("x_s", "E_app", [(24, 27), (24, 16)]), ("x_s", "E_mtn,s", [(24, 27), (24, 45)]),
    ("E_app", "v_s", []), ("E_app", "e_s", [(52, 16), (52, 33)]), ("E_mtn,s", "motion_s", []),
    ("e_s", "W_->d", [(80, 33), (80, 56), (94, 56)]), ("e_s", "W_s->", [(80, 33), (80, 39.5)]),
    ("motion_s", "W_s->", [(80, 45), (80, 45)]), ("W_s->", "w_s->", []),
    ("w_s->", "sample_s", []), ("v_s", "sample_s", []), ("sample_s", "G_3D", []), ("G_3D", "canonical", []),
    ("x_d", "E_mtn,d", []), ("E_mtn,d", "motion_d", []), ("motion_d", "W_->d", []), ("W_->d", "w_->d", []),
    ("w_->d", "sample_d", []),
    ("canonical", "sample_d", [(162, 52), (130, 52)]), ("sample_d", "P", []), ("P", "G_2D", []), ("G_2D", "x^", []),
    ("x^", "G_enh", [(172, 96), (163, 96)]), ("x^", "D", [(172, 96), (132, 96)]),
    ("x^", "perceptual", [(172, 96), (98, 96)]), ("x^", "L_cos", [(172, 96), (62, 96)]),
    ("x^", "G_DT", [(172, 96), (26, 96)]), ("x_d", "G_DT", [(18, 95)]),
)  # fmt: skip
OVER = ("motion_s", "W_s->")  # the arrow that passes over another one
# Frames around what runs when: title, height of the title, left, top, right, bottom
FRAMES = (
    ("once per source", 4.6, 1, 3, 181, 58),
    ("every driver frame", 66.6, 1, 65, 181, 92),
    ("in training, and after it", 120.6, 1, 101, 181, 126),
)


def system_map(highlight: Collection[str] = (), zoom: bool = False) -> Figure:
    """The diagram of the whole system, one page.

    highlight: names in PARTS, for example "E_app", "w_->d", "L_cos", that keep their colours while the rest turns pale;
    none: all do. zoom: show the highlighted parts alone, larger. Raises ValueError for an unknown name.
    """
    if unknown := set(highlight) - set(PARTS):
        raise ValueError(f"the system has no {', '.join(sorted(unknown))}; choose of {', '.join(PARTS)}")
    left, top, right, bottom = _bounds(highlight) if zoom and highlight else (0, 0, *PAGE)
    scale = PAGE[0] / (right - left)
    figure = new_figure(WIDTH * (bottom - top) / (right - left))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.set_axis_off()
    for title, height, x0, y0, x1, y1 in FRAMES:
        style = {"boxstyle": "round,pad=0,rounding_size=2", "facecolor": "none", "edgecolor": "#b9c0c6"}
        axes.add_patch(FancyBboxPatch((x0, y0), x1 - x0, y1 - y0, linestyle=(0, (4, 3)), **style))
        axes.text(x0 + 3, height, title, size=9 * scale, color="#5c646b", va="top", style="italic", clip_on=True)
    for start, end, corners in ARROWS:
        _draw_arrow(axes, start, end, corners, _opacity(highlight, start, end), scale)
    for name, part in PARTS.items():
        _draw_part(axes, part, _opacity(highlight, name), scale)
    return figure


def _bounds(names: Collection[str]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom around parts, with room for their notes."""
    parts = [PARTS[name] for name in names]
    return (
        min(part.x - part.width / 2 for part in parts) - MARGIN,
        min(part.y - part.height / 2 for part in parts) - MARGIN,
        max(part.x + part.width / 2 for part in parts) + MARGIN,
        max(part.y + part.height / 2 for part in parts) + 2 * MARGIN,
    )


def _opacity(highlight: Collection[str], *names: str) -> float:
    return 1.0 if not highlight or all(name in highlight for name in names) else PALE


def _draw_part(axes, part: Part, alpha: float, scale: float) -> None:
    kind, x, y, width, height, label, note = part
    filling, edge = COLOURS[kind]
    style = {"facecolor": filling, "edgecolor": edge, "linewidth": 1.4 * scale, "alpha": alpha, "zorder": 3}
    x0, y0 = x - width / 2, y - height / 2
    if kind == "sample":
        axes.add_patch(Circle((x, y), width / 2, **style))
    elif kind in ("network", "loss"):
        axes.add_patch(FancyBboxPatch((x0, y0), width, height, boxstyle="round,pad=0,rounding_size=1.6", **style))
    elif kind == "volume":
        slant = width / 3.5
        top = [(x0, y0), (x0 + slant, y0 - slant), (x0 + width + slant, y0 - slant), (x0 + width, y0)]
        side = [(x0 + width, y0), (x0 + width + slant, y0 - slant), (x0 + width + slant, y0 + height - slant)]
        for corners in (top, [*side, (x0 + width, y0 + height)]):
            axes.add_patch(Polygon(corners, **style))
        axes.add_patch(Rectangle((x0, y0), width, height, **style))
    else:
        axes.add_patch(Rectangle((x0, y0), width, height, **style))
    if kind == "grid":
        for share in (0.25, 0.5, 0.75):
            line = {"color": edge, "linewidth": 0.5 * scale, "alpha": 0.6 * alpha, "zorder": 4}
            axes.plot([x0 + share * width] * 2, [y0, y0 + height], **line)
            axes.plot([x0, x0 + width], [y0 + share * height] * 2, **line)
    inside = kind in ("network", "loss") and note  # the note stands in the box
    text = {"ha": "center", "va": "center", "color": TEXT["color"], "alpha": max(alpha, 0.35), "zorder": 5}
    beside = kind == "vector" and width < 6  # too slim for its label
    place = (x + width / 2 + 4, y + 3.2) if beside else (x, y - (1.8 if inside else 0))
    axes.text(*place, label, size=12 * scale, clip_on=True, **text)
    if note:
        axes.text(x, y + 2.6 if inside else y + height / 2 + 2.6, note, size=7.5 * scale, clip_on=True, **text)


def _draw_arrow(axes, start: str, end: str, corners: list, alpha: float, scale: float) -> None:
    first, last = PARTS[start], PARTS[end]
    centres = [(first.x, first.y), *corners, (last.x, last.y)]
    points = [_leave(first, centres[1]), *corners, _leave(last, centres[-2])]
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points), arrowstyle="-|>,head_width=2.4,head_length=4", mutation_scale=scale,
            color="#5c646b", linewidth=1.1 * scale, joinstyle="miter", capstyle="butt", alpha=alpha, zorder=2,
            path_effects=[withStroke(linewidth=5 * scale, foreground="white")] if (start, end) == OVER else None,
        )
    )  # fmt: skip


def _leave(part: Part, towards: tuple[float, float]) -> tuple[float, float]:
    """The point of a part's edge at which a horizontal or vertical line to `towards` leaves it."""
    dx, dy = towards[0] - part.x, towards[1] - part.y
    if abs(dy) < part.height / 2 and dx:  # sideways, at the height of `towards`
        return part.x + (part.width / 2 if dx > 0 else -part.width / 2), towards[1]
    return towards[0] if abs(dx) < part.width / 2 else part.x, part.y + (
        part.height / 2 if dy > 0 else -part.height / 2
    )
