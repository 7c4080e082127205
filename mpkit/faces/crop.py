"""The head crop: the square of a picture that the networks see, and how it is pasted back into the picture.

Pixel coordinates start at the picture's outer edge (see `faces/face.py`); coordinates in the crop are those of
`geometry`, [-1, 1] over the square. Crops of drivers and of training pictures are upright: the roll of the head stays
in its pose. The crop of a portrait that leans is turned with the head, so that the networks see it upright.
"""

import functools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import torch

from mpkit.faces.face import Face
from mpkit.geometry import Pose

FEATHER = 0.06  # half sides of the crop over which a pasted crop fades out towards its border
MAX_UPRIGHT_ROLL = 10.0  # degrees; networks render a head that leans this far in an upright crop, and turns of 10 more
CORNERS = np.float32([(-1, -1), (1, -1), (-1, 1), (1, 1)])  # of a crop, in its coordinates
SOFT_EDGE = 0.02  # half sides of the crop: so far beyond the picture the blur sets in, and it is whole at twice as far
BLUR_SIDE, BLUR = 64, 3.0  # pixels: what is blurred has this side, standard deviation

Strip = tuple[slice, slice]  # rows and columns of a picture


@dataclass(frozen=True)
class Crop:
    """A square of a picture: its centre and half side in pixels. It may reach beyond the picture.

    `angle`: degrees by which it is turned about its centre, clockwise on the screen. A head with that roll is upright
    in it."""

    x: float
    y: float
    radius: float
    angle: float = 0.0

    @staticmethod
    def of(face: Face, margin: float = 1.0) -> "Crop":
        """The head crop of a face, `margin` times as large. In it the face's own pose has t = 0 and s = 1 / margin."""
        return Crop(float(face.centre[0]), float(face.centre[1]), float(face.radius) * margin)

    @staticmethod
    def turned_with(face: Face) -> "Crop":
        """The head crop of a portrait: turned by the roll of the head if that is more than MAX_UPRIGHT_ROLL."""
        roll = face.angles[2]
        return replace(Crop.of(face), angle=roll if abs(roll) > MAX_UPRIGHT_ROLL else 0.0)

    def snapped(self, side: int) -> "Crop":
        """The nearest upright crop of `side` pixels whose borders lie between pixels: cutting it resamples nothing."""
        left, top = round(self.x - side / 2), round(self.y - side / 2)
        return Crop(left + side / 2, top + side / 2, side / 2)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Pixels of the picture (..., 2) -> coordinates in the crop, [-1, 1] over it."""
        return (np.asarray(points, np.float32) - np.float32((self.x, self.y))) @ self.axes / np.float32(self.radius)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Coordinates in the crop (..., 2) -> pixels of the picture."""
        return np.asarray(points, np.float32) @ self.axes.T * np.float32(self.radius) + np.float32((self.x, self.y))

    def pixels(self, size: int) -> np.ndarray:
        """(size, size, 2) float32: where the centres of `size` x `size` pixels of the crop lie in the picture."""
        centres = (np.arange(size, dtype=np.float32) * 2 + 1) / size - 1
        return self.to_picture(np.stack(np.meshgrid(centres, centres), -1))

    def shown(self, shape: tuple[int, ...], size: int) -> np.ndarray:
        """(size, size) bool: which of these pixels a picture of `shape` (H, W, ...) shows."""
        place = self.pixels(size)
        return ((place > 0) & (place < np.float32(shape[1::-1]))).all(-1)

    @property
    def axes(self) -> np.ndarray:
        """(2, 2) float32: its columns are the crop's x and y axes in the picture."""
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        return np.float32([[cosine, -sine], [sine, cosine]])


def pose_in(face: Face, crop: Crop) -> Pose:
    """The face's head pose in the coordinates of a crop of its picture; batch 1, float32."""
    x, y = crop.to_crop(face.centre).tolist()
    rotation = face.rotation
    if crop.angle:
        rotation = rotation.copy()
        rotation[:2] = crop.axes.T @ rotation[:2]
    return Pose(
        torch.from_numpy(rotation)[None],
        torch.tensor([[x, y, 0.0]]),
        torch.tensor([face.radius / crop.radius], dtype=torch.float32),
    )


def cut(image: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """The crop of a picture (H, W, 3) uint8, resized to (size, size, 3) uint8; outside the picture, its border pixels,
    blurred, since border pixels that repeat look like stripes.

    Positions are exact to fractions of a pixel. It is resampled bicubically to enlarge, by an area average to shrink.
    """
    pixels = _resample(image, _Square.of_crop(crop, size), (size, size), cv2.BORDER_REPLICATE)
    corners, extent = crop.to_picture(CORNERS), np.float32(image.shape[1::-1])
    reach = max(-corners.min(), (corners - extent).max()) / crop.radius  # half sides of the crop
    if pixels.ndim < 3 or reach < SOFT_EDGE:
        return pixels
    place = crop.pixels(size)
    beyond = np.maximum(-place, place - extent).max(-1) / np.float32(crop.radius)
    share = (beyond / SOFT_EDGE - 1).clip(0, 1)[..., None]
    small = cv2.resize(pixels, (BLUR_SIDE, BLUR_SIDE), interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cv2.GaussianBlur(small, None, BLUR), (size, size), interpolation=cv2.INTER_CUBIC)
    return (pixels + share * (blurred - pixels.astype(np.float32))).round().clip(0, 255).astype(np.uint8)


def paste(canvas: np.ndarray, picture: np.ndarray, crop: Crop, feather: float = FEATHER) -> np.ndarray:
    """The inverse of `cut`: a copy of the picture `canvas` (H, W, C) uint8 with the crop's content laid over it.

    picture (N, N, C) uint8 is that content; it fades out towards the crop's border over `feather` half sides, so that
    no seam shows.
    """
    height, width = canvas.shape[:2]
    corners = crop.to_picture(CORNERS)
    x0, y0 = np.floor(corners.min(0)).astype(int).clip(0).tolist()
    x1, y1 = np.ceil(corners.max(0)).astype(int).clip(None, (width, height)).tolist()
    result = canvas.copy()
    if x1 <= x0 or y1 <= y0:  # the crop lies outside the picture
        return result
    size = len(picture)
    place = _Square.of_picture(crop, size, (x0, y0)), (x1 - x0, y1 - y0)
    content = _resample(picture, *place, cv2.BORDER_REPLICATE)
    region = result[y0:y1, x0:x1]
    weight, canvas_weight, opaque = _paste_weights(size, feather, *place)
    region[opaque] = content[opaque]
    for strip in _strips_around(opaque, region.shape):
        parts = (np.ascontiguousarray(part[strip]) for part in (content, region, weight, canvas_weight))
        region[strip] = cv2.blendLinear(*parts)
    return result


class _Square(NamedTuple):
    """Where the pixels of a resampled image lie in another: pixel (x, y) at corner + (x + 1/2) u + (y + 1/2) v. u has
    the length `step` and the direction `angle`, v the same length and is perpendicular to it."""

    step: float
    angle: float  # degrees, clockwise
    corner: tuple[float, float]

    @staticmethod
    def of_crop(crop: Crop, size: int) -> "_Square":
        """The pixels of a crop, `size` along each side, in its picture."""
        left, top = crop.x - crop.radius, crop.y - crop.radius
        if crop.angle:
            left, top = crop.to_picture((-1.0, -1.0)).tolist()
        return _Square(2 * crop.radius / size, crop.angle, (left, top))

    @staticmethod
    def of_picture(crop: Crop, size: int, origin: tuple[int, int]) -> "_Square":
        """The pixels of the picture from `origin` on, in a crop of `size` pixels along each side."""
        step = size / (2 * crop.radius)
        corner = (origin[0] - crop.x + crop.radius) * step, (origin[1] - crop.y + crop.radius) * step
        if crop.angle:
            corner = tuple(((crop.to_crop(origin) + 1) * (size / 2)).tolist())
        return _Square(step, -crop.angle, corner)


@functools.lru_cache(maxsize=2)  # they are the same for all frames of a clip
def _paste_weights(
    size: int, feather: float, square: _Square, region: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, Strip]:
    """Weights (h, w) float32 of a pasted crop and of the canvas, and the rows and columns where the crop's is 1.

    square, region: where the pixels of the canvas lie in the crop, and how many there are, (width, height)."""
    weight = _resample(_feather_weights(size, feather), square, region, cv2.BORDER_CONSTANT).clip(0, 1)
    if square.angle:  # the weights are 1 in no rectangle
        return weight, 1 - weight, (slice(0, 0), slice(0, 0))
    spans = []
    for profile in (weight.max(1), weight.max(0)):
        opaque = np.flatnonzero(profile >= 1 - 1e-6)
        spans.append(slice(opaque[0], opaque[-1] + 1) if len(opaque) else slice(0, 0))
    return weight, 1 - weight, tuple(spans)


def _strips_around(inner: Strip, shape: tuple[int, ...]) -> list[Strip]:
    """What is left of a picture of that shape without `inner`: strips above, below, left and right, no empty ones."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in inner)
    height, width = shape[:2]
    strips = [
        (slice(0, top), slice(0, width)),
        (slice(bottom, height), slice(0, width)),
        (slice(top, bottom), slice(0, left)),
        (slice(top, bottom), slice(right, width)),
    ]
    return [(rows, columns) for rows, columns in strips if rows.stop > rows.start and columns.stop > columns.start]


def _feather_weights(size: int, feather: float) -> np.ndarray:
    """(size, size) float32: 1 inside, falling smoothly to 0 over `feather` half sides at the border."""
    centres = (np.arange(size, dtype=np.float32) * 2 + 1) / size - 1
    ramp = ((1 - np.abs(centres)) / max(feather, 1e-6)).clip(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp[None, :]


def _resample(image: np.ndarray, square: _Square, size: tuple[int, int], border: int) -> np.ndarray:
    """The image resampled to `size` = (width, height): each pixel is the mean of a square of the image, see `_Square`.
    `border` is OpenCV's mode outside the image."""
    step, angle, (left, top) = square
    if not angle and abs(step - 1) < 1e-6 and max(abs(left - round(left)), abs(top - round(top))) < 1e-4:
        pixels = _whole_pixels(image, round(left), round(top), size)
        if pixels is not None:
            return pixels
    samples_per_pixel = max(1, math.ceil(step - 1e-3))  # along each axis; their mean avoids aliasing
    step = step / samples_per_pixel
    along_x, along_y = step * math.cos(math.radians(angle)), step * math.sin(math.radians(angle))
    matrix = np.float64([
        [along_x, -along_y, left + (along_x - along_y) / 2 - 0.5],
        [along_y, along_x, top + (along_y + along_x) / 2 - 0.5],
    ])  # fmt: skip
    filtering = cv2.INTER_CUBIC if (step < 0.999 or angle) and image.ndim == 3 else cv2.INTER_LINEAR
    flags = filtering | cv2.WARP_INVERSE_MAP
    sample_size = size[0] * samples_per_pixel, size[1] * samples_per_pixel
    samples = cv2.warpAffine(image, matrix, sample_size, flags=flags, borderMode=border)
    return samples if samples_per_pixel == 1 else cv2.resize(samples, size, interpolation=cv2.INTER_AREA)


def _whole_pixels(image: np.ndarray, left: int, top: int, size: tuple[int, int]) -> np.ndarray | None:
    """A copy of the image's own pixels from (left, top) on; None if they reach beyond it."""
    width, height = size
    if left < 0 or top < 0 or left + width > image.shape[1] or top + height > image.shape[0]:
        return None
    return image[top : top + height, left : left + width].copy()
