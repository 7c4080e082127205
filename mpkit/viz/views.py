"""Four pictures of a portrait in one motion, fast enough for sliders: the result, and what leads to it.

`viz.viewer` shows them under sliders in a notebook. The demo page draws the same ones.
"""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from mpkit.actions import ACTIONS, vector
from mpkit.animation.animator import Animator
from mpkit.animation.portrait import Portrait
from mpkit.animation.still import over_background, resized
from mpkit.animation.transfer import FrameMotion
from mpkit.geometry import Pose, angles_from_rotation, identity_flow, identity_grid, rotation_from_angles
from mpkit.networks.base import Driven
from mpkit.networks.warp import Warp
from mpkit.viz.flows import flow_colours
from mpkit.viz.style import principal_directions
from mpkit.viz.warps import lattice_lines

SIDE = 256  # pixels of each picture
SMOOTH = 2  # the lattice is drawn this many times larger
FLOW_LENGTH = 0.35  # offset in full colour, half sides of the crop
TILT = (8.0, -10.0)  # yaw and pitch in degrees by which the lattice is turned, so that its depth shows
LATTICE_SIZE = 0.62  # of the lattice in its picture, so that its corners stay inside
CUBE = (205, 205, 205)  # RGB of the cube [-1, 1], which the lattice of the identity fills
NEAR, FAR = np.array([29, 78, 121]), np.array([197, 217, 168])  # RGB of a lattice's lines


class Control(NamedTuple):
    """A number that a visitor moves: an angle in degrees, a fraction of a facial action, a shift of the head in half
    sides of its crop, or its size as a factor."""

    name: str
    label: str
    least: float
    largest: float
    step: float


CONTROLS = (
    Control("yaw", "turn", -25, 25, 1),
    Control("pitch", "nod", -20, 20, 1),
    Control("roll", "tilt", -20, 20, 1),
    Control("jawOpen", "mouth open", 0, 1, 0.05),
    Control("smile", "smile", 0, 1, 0.05),
    Control("blink", "blink", 0, 1, 0.05),
    Control("eyeBlinkLeft", "wink", 0, 1, 0.05),
    Control("gaze_x", "look aside", -1.5, 1.5, 0.1),
    Control("gaze_y", "look down", -1.5, 1.5, 0.1),
    Control("browInnerUp", "brows up", 0, 1, 0.05),
    Control("x", "move aside", -0.15, 0.15, 0.01),
    Control("y", "move down", -0.15, 0.15, 0.01),
    Control("size", "size", 0.85, 1.15, 0.01),
)
ANGLES = ("yaw", "pitch", "roll")
GAZE = ("gaze_x", "gaze_y")  # the last two of the 54 numbers of a face


class Views(NamedTuple):
    """Pictures (SIDE, SIDE, 3) uint8 of one motion."""

    picture: np.ndarray  # what the model renders
    lattice: np.ndarray  # w_->d: the points of the canonical volume that the cells of the output sample
    flow: np.ndarray  # where each pixel lies in the source picture, as colours
    features: np.ndarray  # a depth slice of the driven volume, as colours of its principal components


CAPTIONS = ("result", "w_→d: sampled points", "flow to the source", "slice of the driven volume")


class ComponentColours:
    """Features as colours: the three principal components of a volume (1, C, D, H, W) are red, green and blue."""

    def __init__(self, volume: Tensor):
        features = volume[0].float().cpu().flatten(1).mT.numpy()  # (cells, C)
        self.mean, self.directions, _ = principal_directions(features, 3)
        parts = (features - self.mean) @ self.directions.T
        self.low, self.high = np.quantile(parts, (0.02, 0.98), axis=0)

    def slice(self, volume: Tensor, depth: float = 0.4) -> np.ndarray:
        """A slice of this volume, or of one with the same features, (SIDE, SIDE, 3) uint8. `depth`: from 0 (nearest)
        to 1 (farthest). Equal colours are similar features."""
        cells = volume[0, :, round(depth * (volume.shape[2] - 1))].float().cpu().movedim(0, -1).numpy()
        parts = (cells - self.mean) @ self.directions.T  # (H, W, 3)
        colours = ((parts - self.low) / (self.high - self.low).clip(1e-9)).clip(0, 1)
        return np.asarray(Image.fromarray((255 * colours).astype(np.uint8)).resize((SIDE, SIDE), Image.NEAREST))


class MotionViews:
    """The views of a portrait, of which everything that does not change is prepared once."""

    def __init__(self, animator: Animator, portrait: Portrait):
        """Raises ValueError for a model without the detail path, which has no flow."""
        if not animator.model.config.detail:
            raise ValueError("the views need a model with the detail path")
        self.animator, self.portrait = animator, portrait
        self.small = resized(portrait, SIDE)
        self.colours = ComponentColours(portrait.avatar.canonical)

    @property
    def start(self) -> dict[str, float]:
        """The values of CONTROLS at which the portrait is as in its picture, as far as they reach."""
        angles = angles_from_rotation(self.portrait.motion.pose.rotation)
        shown = {name: round(angle.item()) for name, angle in zip(ANGLES, angles)}
        gaze = self.portrait.motion.numbers[0, len(ACTIONS) :]
        shown |= {name: round(value, 1) for name, value in zip(GAZE, gaze.tolist())} | {"size": 1.0}
        return {
            control.name: min(max(shown.get(control.name, 0.0), control.least), control.largest) for control in CONTROLS
        }

    def motion(self, **values: float) -> FrameMotion:
        """The motion with these values of CONTROLS. Actions are added to the picture's own expression; angles and gaze
        take its place. Raises ValueError for an unknown name or a value out of range."""
        values = self.start | values
        rotation = rotation_from_angles(*(torch.tensor([float(values.pop(name))]) for name in ANGLES))
        own = self.portrait.motion
        shift = torch.tensor([[values.pop("x"), values.pop("y"), 0.0]])
        pose = Pose(rotation, own.pose.translation + shift, own.pose.scale * values.pop("size"))
        gaze = torch.tensor([values.pop(name) for name in GAZE])
        numbers = own.numbers + torch.from_numpy(vector(**values))
        numbers[:, : len(ACTIONS)].clamp_(0, 1)
        numbers[:, len(ACTIONS) :] = gaze
        return FrameMotion(pose, numbers)

    @torch.inference_mode()
    def __call__(self, depth: float = 0.4, **values: float) -> Views:
        """The views of a motion. `depth`: of the slice, from 0 (nearest) to 1 (farthest)."""
        head = self.animator.head(self.small, self.motion(**values))
        return Views(
            over_background(head.in_crop, self.small.background), draw_lattice(head.driven.warp),
            draw_flow(head.driven), self.colours.slice(head.driven.volume, depth),
        )  # fmt: skip


def draw_lattice(warp: Warp) -> np.ndarray:
    """The lattice of a warp in the cube that the identity would fill, seen almost from the front. A line is dark where
    its cell of the output is near the viewer."""
    grid = warp.grid[0].float().cpu()  # (D, H, W, 3)
    depth = identity_grid(*grid.shape[:3])[0, ..., 2:]
    canvas = Image.new("RGB", (SIDE * SMOOTH,) * 2, "white")
    draw = ImageDraw.Draw(canvas)
    for stroke in _strokes(lattice_lines(2 * identity_grid(2, 2, 2)[0], 2, 2, 2)):
        draw.line(_tilted(stroke), fill=CUBE, width=SMOOTH)
    strokes = _strokes(lattice_lines(torch.cat([grid, depth], dim=-1), 3, 9, 3))
    for stroke in sorted(strokes, key=lambda stroke: -stroke[:, 3].mean()):  # the farthest first
        nearness = (1 - stroke[:, 3].mean()) / 2
        colour = tuple((FAR + (NEAR - FAR) * nearness).astype(int).tolist())
        draw.line(_tilted(stroke), fill=colour, width=SMOOTH + 1)
    return np.asarray(canvas.resize((SIDE, SIDE), Image.LANCZOS))


def _strokes(lines: np.ndarray) -> list[np.ndarray]:
    """Lines (N, K), with a row of NaN after each, as one array for each line."""
    ends = np.flatnonzero(np.isnan(lines[:, 0]))
    return [lines[start:end] for start, end in zip([0, *ends + 1], ends)]


def _tilted(points: np.ndarray) -> list[tuple[float, float]]:
    """Points (N, 3 or more) in space as pixels (x, y) of the lattice's picture."""
    yaw, pitch = (torch.tensor([angle]) for angle in TILT)
    turned = points[:, :3] @ rotation_from_angles(yaw, pitch, torch.zeros(1))[0].numpy().T
    return [tuple(point) for point in ((turned[:, :2] * LATTICE_SIZE + 1) * (SIDE * SMOOTH / 2)).tolist()]


def draw_flow(driven: Driven) -> np.ndarray:
    """The flow to the source in the colours of `flow_picture`; white where a pixel stays, grey background."""
    flow, alpha = driven.rendering.detail.flow[0].float().cpu(), driven.rendering.alpha.float().cpu()
    offset = flow - identity_flow(*flow.shape[1:])[0]
    shown = torch.nn.functional.interpolate(alpha, size=flow.shape[1:], mode="area")[0, 0].clamp(0, 1)
    colours = torch.lerp(torch.tensor(0.9), flow_colours(offset / FLOW_LENGTH), shown[..., None])
    return np.asarray(Image.fromarray((255 * colours.numpy()).astype(np.uint8)).resize((SIDE, SIDE), Image.BILINEAR))
