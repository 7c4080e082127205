"""The still picture that an animation starts from: its head crop, cut out of the picture and of its background."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mpkit.animation.options import MAX_SIDE, check_side
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face
from mpkit.faces.matte import Matte, fill_background


@dataclass(frozen=True)
class Still:
    """A source picture with its head crop, S x S pixels."""

    image: np.ndarray  # the whole picture, (H, W, 3) uint8
    crop: Crop
    size: int  # S, side of the animated crop in pixels
    picture: Tensor  # (1, 4, S, S) premultiplied RGBA of the crop
    background: Tensor  # (1, 3, S, S) the crop without the person

    @staticmethod
    def of(image: np.ndarray, face: Face, size: str | int, smallest: int, matte: Matte) -> "Still":
        """The still of a face in a picture, on the CPU; `size` and `smallest` as in `crop_side`. Raises MediaError."""
        crop = Crop.of(face)
        side = crop_side(size, crop, smallest)
        if side == round(2 * crop.radius):
            crop = crop.snapped(side)
        pixels = cut(image, crop, side)
        alpha = matte.in_crop(image, crop, side)
        picture = to_tensor(np.concatenate([pixels * alpha[..., None], alpha[..., None] * 255], axis=2))
        return Still(image, crop, side, picture, to_tensor(fill_background(pixels, alpha)))


def crop_side(size: str | int, crop: Crop, smallest: int) -> int:
    """Side of the animated crop in pixels; native: the picture's, from `smallest` to MAX_SIDE. Raises MediaError."""
    if size == "native":
        return int(np.clip(round(2 * crop.radius), smallest, MAX_SIDE))
    check_side(size)
    return int(size)


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(N, N, C) in [0, 255] -> (1, C, N, N) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).movedim(-1, 0)[None].float() / 255


def with_matte(image: Tensor, matte: Matte) -> Tensor:
    """A picture on black (1, 3, N, N), as RGBA (1, 4, N, N) with the alpha that a matting network finds."""
    pixels = (image[0].movedim(0, -1) * 255).byte().cpu().numpy()
    return torch.cat([image, to_tensor(matte(pixels)[..., None] * 255).to(image.device)], dim=1)


def over_background(rgba: Tensor, background: Tensor) -> np.ndarray:
    """Premultiplied RGBA (1, 4, N, N) over a background (1, 3, N, N): (N, N, 3) uint8."""
    image, alpha = rgba.split([3, 1], dim=1)
    image = torch.addcmul(image, 1 - alpha, background).mul_(255).round_().clamp_(0, 255)
    return image[0].byte().cpu().movedim(0, -1).contiguous().numpy()
