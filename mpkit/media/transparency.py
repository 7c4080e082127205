"""Frames of pictures with transparency. Animation works on pictures laid over white; alpha is added to its frames."""

import numpy as np


def with_alpha(frame: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Straight RGBA (H, W, 4) uint8 which, laid over white, looks as `frame` (H, W, 3) uint8. alpha: (H, W) uint8.

    Where alpha is between 0 and 255, the white is taken out of the colour: else edges would have a white line over any
    other background."""
    result = np.dstack([frame, alpha])
    edge = (alpha > 0) & (alpha < 255)
    share = alpha[edge, None] / np.float32(255)
    result[edge, :3] = (255 - (255 - frame[edge]) / share).round().clip(0, 255)
    return result


def split_alpha(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """A picture, RGB or straight RGBA, as RGB laid over white (H, W, 3) uint8, and its alpha (H, W) uint8 or None."""
    if picture.shape[2] == 3:
        return picture, None
    return without_alpha(picture), np.ascontiguousarray(picture[..., 3])


def without_alpha(frame: np.ndarray) -> np.ndarray:
    """A straight RGBA frame (H, W, 4) uint8 laid over white: (H, W, 3) uint8."""
    share = frame[..., 3:] / np.float32(255)
    return (255 + (frame[..., :3] - np.float32(255)) * share).round().astype(np.uint8)
