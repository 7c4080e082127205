"""The head crop: the square of a picture that the networks see, and how it is pasted back into the picture.

Pixel coordinates start at the picture's outer edge (see `faces/face.py`); coordinates in the crop are those of
`geometry`, [-1, 1] over the square. Crops are upright: the roll of the head stays in its pose.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mpkit.faces.face import Face
from mpkit.geometry import Pose

FEATHER = 0.06  # half sides of the crop over which a pasted crop fades out towards its border

Strip = tuple[slice, slice]  # rows and columns of a picture


@dataclass(frozen=True)
class Crop:
    """A square of a picture: its centre and half side in pixels. It may reach beyond the picture."""

    x: float
    y: float
    radius: float

    @staticmethod
    def of(face: Face, margin: float = 1.0) -> "Crop":
        """The head crop of a face, `margin` times as large. In it the face's own pose has t = 0 and s = 1 / margin."""
        return Crop(float(face.centre[0]), float(face.centre[1]), float(face.radius) * margin)

    def snapped(self, side: int) -> "Crop":
        """The nearest crop of `side` pixels whose borders lie between pixels: cutting it resamples nothing."""
        left, top = round(self.x - side / 2), round(self.y - side / 2)
        return Crop(left + side / 2, top + side / 2, side / 2)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Pixels of the picture (..., 2) -> coordinates in the crop, [-1, 1] over it."""
        return (np.asarray(points, np.float32) - np.float32((self.x, self.y))) / np.float32(self.radius)

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Coordinates in the crop (..., 2) -> pixels of the picture."""
        return np.asarray(points, np.float32) * np.float32(self.radius) + np.float32((self.x, self.y))


def pose_in(face: Face, crop: Crop) -> Pose:
    """The face's head pose in the coordinates of a crop of its picture; batch 1, float32."""
    x, y = crop.to_crop(face.centre).tolist()
    return Pose(
        torch.from_numpy(face.rotation)[None],
        torch.tensor([[x, y, 0.0]]),
        torch.tensor([face.radius / crop.radius], dtype=torch.float32),
    )


def cut(image: np.ndarray, crop: Crop, size: int) -> np.ndarray:
    """The crop of a picture (H, W, 3) uint8, resized to (size, size, 3) uint8; outside the picture, its border pixels.

    Positions are exact to fractions of a pixel. It is resampled bicubically to enlarge, by an area average to shrink.
    """
    step = 2 * crop.radius / size  # picture pixels per crop pixel
    return _resample(image, step, crop.x - crop.radius, crop.y - crop.radius, (size, size), cv2.BORDER_REPLICATE)


def paste(canvas: np.ndarray, picture: np.ndarray, crop: Crop, feather: float = FEATHER) -> np.ndarray:
    """The inverse of `cut`: a copy of the picture `canvas` (H, W, 3) uint8 with the crop's content laid over it.

    picture (N, N, 3) uint8 is that content; it fades out towards the crop's border over `feather` half sides, so that
    no seam shows.
    """
    height, width = canvas.shape[:2]
    x0, y0 = max(0, math.floor(crop.x - crop.radius)), max(0, math.floor(crop.y - crop.radius))
    x1, y1 = min(width, math.ceil(crop.x + crop.radius)), min(height, math.ceil(crop.y + crop.radius))
    result = canvas.copy()
    if x1 <= x0 or y1 <= y0:  # the crop lies outside the picture
        return result
    size = len(picture)
    step = size / (2 * crop.radius)  # crop pixels per picture pixel
    place = (step, (x0 - crop.x + crop.radius) * step, (y0 - crop.y + crop.radius) * step, (x1 - x0, y1 - y0))
    content = _resample(picture, *place, cv2.BORDER_REPLICATE)
    region = result[y0:y1, x0:x1]
    weight, canvas_weight, opaque = _paste_weights(size, feather, *place)
    region[opaque] = content[opaque]
    for strip in _strips_around(opaque, region.shape):
        parts = (np.ascontiguousarray(part[strip]) for part in (content, region, weight, canvas_weight))
        region[strip] = cv2.blendLinear(*parts)
    return result


@functools.lru_cache(maxsize=2)  # they are the same for all frames of a clip
def _paste_weights(size: int, feather: float, *place) -> tuple[np.ndarray, np.ndarray, Strip]:
    """Weights (h, w) float32 of a pasted crop and of the canvas, and the rows and columns where the crop's is 1.

    place: the arguments of `_resample` from `step` to `size`."""
    weight = _resample(_feather_weights(size, feather), *place, cv2.BORDER_CONSTANT).clip(0, 1)
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


def _resample(
    image: np.ndarray, step: float, left: float, top: float, size: tuple[int, int], border: int
) -> np.ndarray:
    """The image resampled to `size` = (width, height): pixel (x, y) of the result is the mean of a square of `step`
    pixels around (left + (x + 1/2) step, top + (y + 1/2) step). `border` is OpenCV's mode outside the image."""
    if abs(step - 1) < 1e-6 and max(abs(left - round(left)), abs(top - round(top))) < 1e-4:
        pixels = _whole_pixels(image, round(left), round(top), size)
        if pixels is not None:
            return pixels
    samples_per_pixel = max(1, math.ceil(step - 1e-3))  # along each axis; their mean avoids aliasing
    step = step / samples_per_pixel
    matrix = np.float64([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    filtering = cv2.INTER_CUBIC if step < 0.999 and image.ndim == 3 else cv2.INTER_LINEAR
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
