"""The head crop: a square of the picture that the networks see, and the way back into the picture.

Pixels are measured from the picture's outer edge (see tracker.py); the crop's own coordinates are those of
mpkit.geometry, [-1, 1] over the square. Crops are upright: the lean of the head stays in its pose.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mpkit.faces.face import Face
from mpkit.geometry import Pose

FEATHER = 0.06  # of the half side: how softly a pasted crop fades towards its border


@dataclass(frozen=True)
class Crop:
    """A square of a picture: its centre and half side in pixels. It may reach beyond the picture."""

    x: float
    y: float
    radius: float

    @staticmethod
    def of(face: Face, margin: float = 1.0) -> "Crop":
        """The crop around a face's head. In it the face's own pose has t = 0 and s = 1 / margin."""
        return Crop(float(face.centre[0]), float(face.centre[1]), float(face.radius) * margin)

    def snapped(self, side: int) -> "Crop":
        """The crop of `side` pixels nearest to this one whose pixels are the picture's own: nothing is resampled."""
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
    """The crop of a picture (H, W, 3) uint8 at `size` pixels: (size, size, 3) uint8.

    Exact below a pixel. Area average when it shrinks, bicubic when it enlarges. Beyond the picture its border repeats.
    """
    step = 2 * crop.radius / size  # picture pixels per crop pixel
    return _resample(image, step, crop.x - crop.radius, crop.y - crop.radius, (size, size), cv2.BORDER_REPLICATE)


def paste(canvas: np.ndarray, picture: np.ndarray, crop: Crop, feather: float = FEATHER) -> np.ndarray:
    """The inverse of `cut`: lays a crop back over the picture it was cut from, and returns that as a new picture.

    canvas (H, W, 3) uint8; picture (N, N, 3) uint8, which fades out towards the crop's border over `feather` half
    sides, so that no seam shows.
    """
    height, width = canvas.shape[:2]
    x0, y0 = max(0, math.floor(crop.x - crop.radius)), max(0, math.floor(crop.y - crop.radius))
    x1, y1 = min(width, math.ceil(crop.x + crop.radius)), min(height, math.ceil(crop.y + crop.radius))
    result = canvas.copy()
    if x1 <= x0 or y1 <= y0:  # the crop lies beside the picture
        return result
    size = len(picture)
    step = size / (2 * crop.radius)  # crop pixels per picture pixel
    place = (step, (x0 - crop.x + crop.radius) * step, (y0 - crop.y + crop.radius) * step, (x1 - x0, y1 - y0))
    colour = _resample(picture, *place, cv2.BORDER_REPLICATE)
    region = result[y0:y1, x0:x1]
    above, below, inner = _fade(size, feather, *place)
    region[inner] = colour[inner]
    for strip in _around(inner, region.shape):
        parts = (np.ascontiguousarray(part[strip]) for part in (colour, region, above, below))
        region[strip] = cv2.blendLinear(*parts)
    return result


@functools.lru_cache(maxsize=2)
def _fade(size: int, feather: float, *place) -> tuple[np.ndarray, np.ndarray, tuple[slice, slice]]:
    """Weights of a pasted crop and of what lies below it, and the rows and columns where nothing below it shows; the
    same for all frames of a clip."""
    above = _resample(_feathered(size, feather), *place, cv2.BORDER_CONSTANT).clip(0, 1)
    spans = []
    for line in (above.max(1), above.max(0)):
        full = np.flatnonzero(line >= 1 - 1e-6)
        spans.append(slice(full[0], full[-1] + 1) if len(full) else slice(0, 0))
    return above, 1 - above, tuple(spans)


def _around(inner: tuple[slice, slice], shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The strips above, below, left and right of `inner`, without empty ones."""
    (top, bottom), (left, right) = ((part.start, part.stop) for part in inner)
    height, width = shape[:2]
    strips = [
        (slice(0, top), slice(0, width)),
        (slice(bottom, height), slice(0, width)),
        (slice(top, bottom), slice(0, left)),
        (slice(top, bottom), slice(right, width)),
    ]
    return [(rows, columns) for rows, columns in strips if rows.stop > rows.start and columns.stop > columns.start]


def _feathered(size: int, feather: float) -> np.ndarray:
    """(size, size) float32: 1 inside, smoothly to 0 at the border."""
    centres = (np.arange(size, dtype=np.float32) * 2 + 1) / size - 1
    ramp = ((1 - np.abs(centres)) / max(feather, 1e-6)).clip(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return ramp[:, None] * ramp[None, :]


def _resample(
    image: np.ndarray, step: float, left: float, top: float, size: tuple[int, int], border: int
) -> np.ndarray:
    """Output pixel (i, j) is the image around (left + (i + 1/2) step, top + (j + 1/2) step), measured from the edge."""
    if abs(step - 1) < 1e-6 and max(abs(left - round(left)), abs(top - round(top))) < 1e-4:
        inside = _same_pixels(image, round(left), round(top), size)
        if inside is not None:
            return inside
    fine = max(1, math.ceil(step - 1e-3))  # samples per output pixel and axis, averaged: no aliasing
    step = step / fine
    matrix = np.float64([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    filtering = cv2.INTER_CUBIC if step < 0.999 and image.ndim == 3 else cv2.INTER_LINEAR
    flags = filtering | cv2.WARP_INVERSE_MAP
    samples = cv2.warpAffine(image, matrix, (size[0] * fine, size[1] * fine), flags=flags, borderMode=border)
    return samples if fine == 1 else cv2.resize(samples, size, interpolation=cv2.INTER_AREA)


def _same_pixels(image: np.ndarray, left: int, top: int, size: tuple[int, int]) -> np.ndarray | None:
    """The part of an image at whole pixels, if it lies in the image."""
    width, height = size
    if left < 0 or top < 0 or left + width > image.shape[1] or top + height > image.shape[0]:
        return None
    return image[top : top + height, left : left + width].copy()
