"""Regions of a picture, upright or turned, as the pictures that MediaPipe's networks see.

Pixel coordinates start at the picture's outer edge, see `faces/face.py`. Angles are degrees, clockwise as seen on the
screen.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

# The longer side of what the landmarker gets, in pixels. Shrinking costs no precision: its network sees 256 pixels.
MIN_DETECTION_SIDE, MAX_DETECTION_SIDE = 320, 1280

Region = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of a picture; it may reach beyond it


class View(NamedTuple):
    """A region as a picture of its own, grey beyond the border of the picture that it is cut from."""

    pixels: np.ndarray  # (h, w, 3) uint8
    to_picture: np.ndarray  # (2, 3) float64, maps x, y, 1 of the view to pixels of the picture

    @property
    def scale(self) -> float:
        """Pixels of the picture per pixel of the view."""
        return float(np.hypot(*self.to_picture[:, 0]))

    def points_in_picture(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 3) of the view in pixels of the picture, float32; z is only scaled."""
        plane = points[:, :2] @ self.to_picture[:, :2].T + self.to_picture[:, 2]
        return np.column_stack([plane, points[:, 2] * self.scale]).astype(np.float32)

    def quarter_turned(self) -> "View":
        """The view, turned by 90 degrees: what lies turned by 90 degrees in it is upright in the result."""
        turn = np.float64([[0, -1, self.pixels.shape[1]], [1, 0, 0], [0, 0, 1]])  # x, y, 1 of the result to this view's
        return View(np.ascontiguousarray(np.rot90(self.pixels)), self.to_picture @ turn)


def upright_view(image: np.ndarray, region: Region, side: int | None = None) -> View:
    """A region of an RGB picture (H, W, 3) uint8. Its longer side has `side` pixels; by default its own number, brought
    into MIN_DETECTION_SIDE to MAX_DETECTION_SIDE."""
    x0, y0, x1, y1 = region
    height, width = image.shape[:2]
    pixels = image[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    own_side = max(x1 - x0, y1 - y0)
    scale = (side or min(max(own_side, MIN_DETECTION_SIDE), MAX_DETECTION_SIDE)) / own_side
    border = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(border):
        pixels = cv2.copyMakeBorder(pixels, *border, cv2.BORDER_CONSTANT, value=(128, 128, 128))
    if scale != 1.0:
        size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return View(np.ascontiguousarray(pixels), np.float64([[1 / scale, 0, x0], [0, 1 / scale, y0]]))


def square_view(image: np.ndarray, centre: np.ndarray, radius: float, side: int, angle: float = 0.0) -> View:
    """The square around a point of the picture, brought to `side` pixels: a head that is turned by `angle` in the
    picture is upright in it. centre (2,) and radius, its half side, in pixels of the picture."""
    centre = np.float64(centre).clip(0, image.shape[1::-1])
    if angle == 0:
        return upright_view(image, _region_around(centre, radius), side)
    whole = upright_view(image, _region_around(centre, radius * math.sqrt(2)), math.ceil(side * math.sqrt(2)))
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turn = np.float64([[cosine, -sine], [sine, cosine]])
    middle = (centre - whole.to_picture[:, 2]) / whole.scale - turn @ np.full(2, side / 2)
    # OpenCV counts pixels from the centre of the first one, not from its edge
    shift = middle + turn @ np.full(2, 0.5) - 0.5
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpAffine(
        whole.pixels, np.column_stack([turn, shift]), (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    to_whole = np.vstack([np.column_stack([turn, middle]), [0, 0, 1]])
    return View(pixels, whole.to_picture @ to_whole)


def _region_around(centre: np.ndarray, radius: float) -> Region:
    x0, y0 = (round(float(coordinate - radius)) for coordinate in centre)
    side = max(2, round(2 * radius))
    return x0, y0, x0 + side, y0 + side
