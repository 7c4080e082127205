"""The orientation flag of a video: how its frames are turned and mirrored before they are shown."""

import struct
from typing import NamedTuple

import numpy as np


class Orientation(NamedTuple):
    """A combination of quarter turns and flips: first the axes are swapped, then the flips are applied."""

    swap: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, matrix: bytes | None) -> "Orientation":
        """From a display matrix of FFmpeg: 9 int32, of which [[a, b, u], [c, d, v], ...] takes a pixel (x, y), y down,
        to (a x + c y, b x + d y). Angles between quarter turns are rounded; a matrix without an area is ignored."""
        if matrix is None or len(matrix) != 36:
            return cls()
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
        if a * d == b * c:
            return cls()
        # Of the two axis-aligned parts, the one that the matrix is nearest to; a right angle has one of them only.
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, array: np.ndarray) -> np.ndarray:
        """The upright picture of a stored one (H, W, 3)."""
        if self.swap:
            array = array.swapaxes(0, 1)
        return np.ascontiguousarray(array[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the upright picture of a stored one."""
        return (height, width) if self.swap else (width, height)
