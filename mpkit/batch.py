"""A batch of training pairs as named tensors. `data.pairs` makes them, `training.stages` and `losses` read them."""

from typing import NamedTuple

from torch import Tensor

from mpkit.geometry import Pose


class Labels(NamedTuple):
    """What each pixel of an h x h grid over a frame shows. Synthetic heads know it exactly."""

    canonical: Tensor  # (B, h, h, 3) the visible point on the person's NEUTRAL head, canonical
    view: Tensor  # (B, h, h, 3) the same point in the frame's view
    valid: Tensor  # (B, h, h) whether there is one: bool, or a weight
    mouth: Tensor  # (B, h, h) bool, the mouth interior
    teeth: Tensor  # (B, h, h) bool, a tooth


class Frames(NamedTuple):
    """B frames of size S."""

    picture: Tensor  # (B, 4, S, S) premultiplied RGBA, foreground on black, in [0, 1]
    pose: Pose
    numbers: Tensor  # (B, 54) facial actions and gaze
    labels: Labels
    believed: Tensor  # (B, 1, S, S) bool: False where a lifted still's picture is a guess that must not be learned
    anchors: Tensor  # (B, 3, 3) eye and lip centres of the person's neutral face, canonical (faces/anchors.py)


class Pairs(NamedTuple):
    """B people: `source` holds one frame of each, `driver` n more frames of each, B * n, a person's in a row."""

    source: Frames
    driver: Frames
    flow: Tensor  # (B * n, h, h, 2) where the source shows what the driver's pixel shows, (x, y) in [-1, 1]
    flow_valid: Tensor  # (B * n, h, h) bool: both show it, or the source's picture ends before it
    motion_input: Tensor  # (B + B * n, 3, S, S) all pictures, sources first, bent and recoloured for E_mtn

    def to(self, device) -> "Pairs":
        def move(value):
            return type(value)(*map(move, value)) if isinstance(value, tuple) else value.to(device, non_blocking=True)

        return move(self)
