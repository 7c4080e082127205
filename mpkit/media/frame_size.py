"""The size of the frames that are written. A huge picture is scaled down once, before it is animated."""

import math
import warnings

import cv2
import numpy as np

MAX_AREA = 3840 * 2160  # pixels of a frame, where no largest side is asked for
LARGEST_AREA = 8192 * 4320  # pixels of any frame: about where the levels of H.264 end
LARGEST_SIDE = 8192  # pixels of any frame


def frame_size(width: float, height: float, largest_side: int | None = None) -> tuple[int, int]:
    """The size (width, height) in pixels at which a picture of that size is written: its own, or as much smaller as it
    must be to have at most MAX_AREA pixels, or to be at most `largest_side` pixels wide and high."""
    area = MAX_AREA if largest_side is None else LARGEST_AREA
    side = min(largest_side or LARGEST_SIDE, LARGEST_SIDE)
    scale = min(1, math.sqrt(area / (width * height)), side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def fitted(image: np.ndarray, largest_side: int | None = None) -> np.ndarray:
    """A picture (H, W) or (H, W, C) uint8 at its `frame_size`: itself, or a smaller copy, with a warning."""
    height, width = image.shape[:2]
    size = frame_size(width, height, largest_side)
    if size == (width, height):
        return image
    wide, high = size
    warnings.warn(
        f"the picture is {width} x {height} pixels; frames are written at {wide} x {high}; --largest-side changes that",
        stacklevel=2,
    )
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
