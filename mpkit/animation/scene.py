"""The whole picture of a still in two layers, the person and what lies behind, in which the animated head is laid.

Where the head stays near its place, its crop alone is pasted. Where it goes farther, see `head_frame.py`, the whole
person is moved, turned and scaled with it. At an edge of the picture that the person touches, as a coat touches the
lower one, there is no more of the person to show: there the layer is stretched from the head to the edge, and fades out
where the head goes farther still.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from mpkit.animation.head_frame import Similarity
from mpkit.faces.crop import Crop, paste
from mpkit.faces.matte import Matte, fill_background

# Square views around the head in which a body is looked for: (half side, in half sides of the head crop; width of the
# blend into the view before it, in half sides of this view)
BODY_VIEWS = ((6.0, 0.0), (2.5, 0.3))
BODY_SIDE = 768  # pixels along a side of the views in which it is looked for
MAX_UNSURE_ALPHA = 0.35  # in these views; up to this alpha becomes 0, from 1 minus this on 1
FILL_FEATHER = 0.6  # half sides of the head crop over which the background of the crop goes over to that of the picture
FACE_REACH = 0.6  # half sides of the head crop around its centre: this part is not stretched
MAX_STRETCH = 3.0  # of what lies between head and edge; more looks like stripes
TURNED_REACH = 0.8, 2.2  # half sides of the head crop; what is nearer turns with the head, what is farther does not
FADE = 0.5  # of FACE_REACH: width over which a layer fades out at its end
MIN_EDGE_ALPHA = 0.5  # a person with more than this at an edge of the picture touches it


class Layers(NamedTuple):
    """A picture in two layers, float32 to 255."""

    person: np.ndarray  # (H, W, 4) premultiplied RGBA
    background: np.ndarray  # (H, W, 3) the picture without the person


def separate(image: np.ndarray, crop: Crop, wide: np.ndarray, background: np.ndarray) -> Layers:
    """The layers of a picture (H, W, 3) uint8. In its head crop and around it the person is given, `wide` (N, N, 4),
    and in the crop the background (S, S, 3); both float32 to 255.

    Elsewhere the body is looked for in ever closer views: the segmenter finds it best in those that a person fills."""
    height, width = image.shape[:2]
    corners = crop.to_crop(np.float32([(0, 0), (width, 0), (0, height), (width, height)]))
    alpha = np.zeros((height, width), np.float32)
    with Matte() as matte:
        for reach, feather in BODY_VIEWS:
            view = replace(crop, radius=crop.radius * min(reach, max(1.0, float(np.abs(corners).max()))))
            found = matte.in_crop(image, view, BODY_SIDE)
            found = ((found - MAX_UNSURE_ALPHA) / (1 - 2 * MAX_UNSURE_ALPHA)).clip(0, 1)
            alpha = paste(alpha, found, view, feather)
    filled = paste(fill_background(image, alpha).astype(np.float32), background, crop, FILL_FEATHER)
    view = replace(crop, radius=crop.radius * len(wide) / len(background))
    alpha = paste(alpha, np.ascontiguousarray(wide[..., 3]) / 255, view, 1 - crop.radius / view.radius)[..., None]
    return Layers(np.concatenate([image - (1 - alpha) * filled, 255 * alpha], axis=2), filled)


def cut_out(image: np.ndarray, alpha: np.ndarray) -> Layers:
    """The layers of a cut-out picture (H, W, 3) uint8 over white, with its alpha (H, W) uint8."""
    white, opacity = np.full(image.shape, 255, np.float32), alpha[..., None] / np.float32(255)
    return Layers(np.concatenate([image - (1 - opacity) * white, 255 * opacity], axis=2), white)


def moved_person(person: np.ndarray, crop: Crop, similarity: Similarity) -> np.ndarray:
    """The layer of a person (H, W, 4) moved by a similarity in coordinates of the head crop."""
    x, y = _axes(person[..., 3], crop, similarity)
    across, down = np.meshgrid(x.origin - np.float32(crop.x), y.origin - np.float32(crop.y))
    if similarity.roll:
        across, down = _turned(across, down, similarity.roll, crop.radius)
    origin = across + np.float32(crop.x - 0.5), down + np.float32(crop.y - 0.5)
    moved = cv2.remap(person, *origin, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if min(x.weight.min(), y.weight.min()) < 1:
        moved *= (y.weight[:, None] * x.weight)[..., None]
    return moved


def over(person: np.ndarray, background: np.ndarray) -> np.ndarray:
    """A person's layer (H, W, 4) over a background (H, W, 3): (H, W, 3) uint8."""
    picture = person[..., :3] + (1 - person[..., 3:] / 255) * background
    return picture.round().clip(0, 255).astype(np.uint8)


def _turned(across: np.ndarray, down: np.ndarray, roll: float, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets x and y (H, W) from the head's centre, turned back by the roll of the head: all of it for the head, less
    and less beyond, so that the neck bends and the body stays upright."""
    near, far = TURNED_REACH
    share = ((far - np.hypot(across, down) / np.float32(radius)) / (far - near)).clip(0, 1)
    angle = np.float32(math.radians(roll)) * share * share * (3 - 2 * share)
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * across + sine * down, cosine * down - sine * across


class _Axis(NamedTuple):
    """One axis of a moved layer."""

    origin: np.ndarray  # (length,) float32: where the pixels of the result lie in the layer, pixels from its outer edge
    weight: np.ndarray  # (length,) float32 in [0, 1]: by which the layer is faded


def _axes(alpha: np.ndarray, crop: Crop, similarity: Similarity) -> tuple[_Axis, _Axis]:
    """The axes x and y of a layer with `alpha` (H, W), to 255, that a similarity moves, its roll left out."""
    moved = np.float64((crop.x, crop.y)) + crop.radius * crop.axes @ np.float64((similarity.x, similarity.y))
    edges = (alpha[:, 0], alpha[:, -1]), (alpha[0], alpha[-1])
    return tuple(
        _moved_axis(
            length, (centre, float(moved[axis]), similarity.scale), FACE_REACH * crop.radius,
            [edge.max() > 255 * MIN_EDGE_ALPHA for edge in edges[axis]],
        )
        for axis, (length, centre) in enumerate(zip(alpha.shape[::-1], (crop.x, crop.y)))
    )  # fmt: skip


def _moved_axis(length: int, motion: tuple[float, float, float], reach: float, touched: list[bool]) -> _Axis:
    """motion (centre, moved, scale): the head's centre goes to `moved`, and the layer is scaled about it.

    Where the layer ends before the result does, it fades out. At an edge that is `touched` it is first stretched from
    `reach` beside the head's centre towards the edge, at most MAX_STRETCH times."""
    centre, moved, scale = motion
    pixels = np.arange(length, dtype=np.float32) + 0.5
    origin, weight = (pixels - moved) / scale + centre, np.ones(length, np.float32)
    for edge, side, touches in zip((0, length), (-1, 1), touched):
        inner, inner_origin = moved + side * reach * scale, centre + side * reach
        gap = side * ((edge - moved) / scale + centre - edge)  # from the end of the layer to the edge of the result
        if gap <= 0:
            continue
        if touches and 0 < inner < length and 0 < inner_origin < length:
            step = max((edge - inner_origin) / (edge - inner), 1 / (scale * MAX_STRETCH))
            outside = side * (pixels - inner) > 0
            origin[outside] = (inner_origin + (pixels - inner) * step)[outside]
            gap = side * (inner_origin + (edge - inner) * step - edge)
        fade = min(gap, FADE * reach)
        if fade > 0.5:
            weight = weight * (side * (edge - origin) / fade).clip(0, 1)
    return _Axis(origin, weight.astype(np.float32))
