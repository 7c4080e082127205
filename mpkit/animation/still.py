"""The still picture that an animation starts from: its head crop, cut out of the picture and of its background."""

import functools
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.animation.head_frame import IDENTITY, Similarity
from mpkit.animation.options import MAX_SIDE, Options, check_side
from mpkit.animation.scene import Layers, cut_out, moved_person, over, separate
from mpkit.faces.crop import Crop, cut, paste
from mpkit.faces.face import Face
from mpkit.faces.fine_matte import fill_behind, refined
from mpkit.faces.matte import Matte, segmented_view
from mpkit.media.frame_size import fitted
from mpkit.media.images import Picture, as_picture
from mpkit.media.transparency import split_alpha
from mpkit.networks.base import Driven

HEAD_REACH = 0.75  # half sides of the head crop, from its centre to crown and chin
MAX_BACKGROUND_ALPHA = 0.05  # of the segmenter, where there is no person
MIN_MAX_GROWTH, MAX_GROWTH = 1.1, 2.0  # limits of `Still.max_growth`


class AnimatedHead(NamedTuple):
    """An animated head, and where it goes."""

    rgba: Tensor  # (1, 4, S, S) premultiplied RGBA of the head crop
    similarity: Similarity = IDENTITY  # moves the person, in coordinates of the crop; see `head_frame.py`
    driven: Driven | None = None  # the networks' output that it was made of

    @property
    def in_crop(self) -> Tensor:
        """The head where it is in the crop: premultiplied RGBA (1, 4, S, S)."""
        return self.similarity.moved(self.rgba)


@dataclass(frozen=True)
class Still:
    """A source picture with its head crop, S x S pixels."""

    image: np.ndarray  # the whole picture, (H, W, 3) uint8
    crop: Crop
    size: int  # S, side of the animated crop in pixels
    # (1, 4, S + 2 m, S + 2 m) the person in the crop and m pixels around it, as premultiplied RGBA: what the background
    # does not explain, so that both together are the picture exactly. Its colours may leave [0, 1] a little where the
    # matte ends.
    wide: Tensor
    background: Tensor  # (1, 3, S, S) the crop without the person
    # (H, W) uint8 of a picture with transparent parts, which `image` has over white; else None
    alpha: np.ndarray | None = field(default=None, kw_only=True)
    cut_out: bool = field(default=False, kw_only=True)  # whether `alpha` is that of the person, and moves along

    @staticmethod
    def of(picture: np.ndarray, face: Face, size: str | int, smallest: int, matte: Matte) -> "Still":
        """The still of a face in a picture, RGB or straight RGBA, on the CPU; `size` and `smallest` as in `crop_side`.

        In a cut-out picture, see `is_cut_out`, what is opaque is the person. Else the matte is refined, once for all
        frames. Raises MediaError."""
        image, opacity = split_alpha(picture)
        crop = Crop.turned_with(face)
        side = crop_side(size, crop, smallest)
        if side == round(2 * crop.radius) and not crop.angle:
            crop = crop.snapped(side)
        view, view_side = segmented_view(crop, side)
        pixels, margin = cut(image, view, view_side), (view_side - side) // 2
        pixels[margin : margin + side, margin : margin + side] = cut(image, crop, side)
        alpha, shown = matte(pixels), None
        if opacity is not None:
            shown = cut(opacity, view, view_side) / np.float32(255)
        if shown is not None and is_cut_out(shown, alpha):
            alpha, background = shown, np.full_like(pixels, 255)
        else:
            alpha = np.where(view.shown(image.shape, view_side), refined(pixels, alpha), alpha)
            background, shown = fill_behind(pixels, alpha), None
        background, alpha = to_tensor(background), to_tensor(alpha[..., None] * 255)
        wide = torch.cat([to_tensor(pixels) - (1 - alpha) * background, alpha], dim=1)
        settings = {"alpha": opacity, "cut_out": shown is not None}
        return Still(image, crop, side, wide, _centre(background, side), **settings)

    @property
    def picture(self) -> Tensor:
        """The crop alone of `wide`, (1, 4, S, S)."""
        return _centre(self.wide, self.size)

    @functools.cached_property
    def layers(self) -> Layers:
        """The whole picture as two layers. They are made when a head first goes far from its place."""
        if self.cut_out:
            return cut_out(self.image, self.alpha)
        return separate(self.image, self.crop, *map(_to_pixels, (self.wide, self.background)))

    def lay(self, head: AnimatedHead) -> np.ndarray:
        """The whole picture with an animated head in it, (H, W, 3) uint8."""
        if head.similarity == IDENTITY:
            return paste(self.image, over_background(head.rgba, self.background), self.crop)
        return over(self._moved_person(head), self.layers.background)

    def lay_alpha(self, head: AnimatedHead) -> np.ndarray:
        """The alpha (H, W) uint8 of `lay` for a picture that has one."""
        if not self.cut_out:
            return self.alpha
        if head.similarity != IDENTITY:
            return self._moved_person(head)[..., 3].round().clip(0, 255).astype(np.uint8)
        alpha = _to_pixels(head.rgba[:, 3:])[..., 0].round().clip(0, 255).astype(np.uint8)
        return paste(self.alpha, alpha, self.crop)

    def _moved_person(self, head: AnimatedHead) -> np.ndarray:
        """The person's layer with an animated head, moved by its similarity."""
        person = paste(self.layers.person, _to_pixels(head.rgba), self.crop)
        return moved_person(person, self.crop, head.similarity)

    def lay_in_crop(self, head: AnimatedHead) -> np.ndarray:
        """The head crop of the same, (S, S, 3) uint8."""
        if head.similarity == IDENTITY:
            return over_background(head.rgba, self.background)
        return cut(self.lay(head), self.crop, self.size)

    @property
    def max_growth(self) -> float:
        """How many times larger than in the picture the head may become: so that it still fits into the picture, and at
        most MAX_GROWTH, where its pixels show."""
        fitting = min(self.image.shape[:2]) / (2 * HEAD_REACH * self.crop.radius)
        return min(max(fitting, MIN_MAX_GROWTH), MAX_GROWTH)

    @property
    def masked(self) -> Tensor:
        """(1, 4, S, S): the crop times its alpha, and the alpha, as the networks take a picture."""
        foreground, alpha = self.picture.split([3, 1], dim=1)
        return torch.cat([(foreground + (1 - alpha) * self.background) * alpha, alpha], dim=1)


def is_cut_out(opacity: np.ndarray, alpha: np.ndarray) -> bool:
    """Whether a picture shows a person without background: where `alpha` (H, W) has none of the person, most of the
    picture is transparent. opacity (H, W): that of the picture; both in [0, 1]."""
    background = opacity[alpha < MAX_BACKGROUND_ALPHA]
    return background.size > 0 and float((background < 0.5).mean()) > 0.5


def resized(still: Still, side: int) -> Still:
    """The still, or portrait, with a head crop of `side` pixels along each side."""
    around = 2 * round((still.wide.shape[-1] - still.size) / 2 * side / still.size)
    wide, background = (
        F.interpolate(layers, size=(size, size), mode="area")
        for layers, size in ((still.wide, side + around), (still.background, side))
    )
    return replace(still, size=side, wide=wide, background=background)


def read_source(source: Picture, options: Options) -> np.ndarray:
    """The picture of a source, RGB or straight RGBA (see `as_picture`), scaled down where whole frames of it would be
    too large to write. Raises MediaError."""
    picture = as_picture(source)
    return fitted(picture, options.largest_side) if options.paste_back else picture


def crop_side(size: str | int, crop: Crop, smallest: int) -> int:
    """Side of the animated crop in pixels; native: the picture's, from `smallest` to MAX_SIDE. Raises MediaError."""
    if size == "native":
        return int(np.clip(round(2 * crop.radius), smallest, MAX_SIDE))
    check_side(size)
    return int(size)


def to_tensor(pixels: np.ndarray) -> Tensor:
    """(N, N, C) in [0, 255] -> (1, C, N, N) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).movedim(-1, 0)[None].float() / 255


def _to_pixels(layers: Tensor) -> np.ndarray:
    """(1, C, N, N) in [0, 1] -> (N, N, C) float32 to 255."""
    return (layers[0] * 255).movedim(0, -1).contiguous().cpu().numpy()


def _centre(layers: Tensor, side: int) -> Tensor:
    """The middle (1, C, side, side) of layers (1, C, N, N)."""
    margin = (layers.shape[-1] - side) // 2
    return layers[..., margin : margin + side, margin : margin + side]


def with_matte(image: Tensor, matte: Matte) -> Tensor:
    """A picture on black (1, 3, N, N), as RGBA (1, 4, N, N) with the alpha that a matting network finds."""
    pixels = (image[0].movedim(0, -1) * 255).byte().cpu().numpy()
    return torch.cat([image, to_tensor(matte(pixels)[..., None] * 255).to(image.device)], dim=1)


def over_background(rgba: Tensor, background: Tensor) -> np.ndarray:
    """Premultiplied RGBA (1, 4, N, N) over a background (1, 3, N, N): (N, N, 3) uint8."""
    image, alpha = rgba.split([3, 1], dim=1)
    image = torch.addcmul(image, 1 - alpha, background).mul_(255).round_().clamp_(0, 255)
    return image[0].byte().cpu().movedim(0, -1).contiguous().numpy()
