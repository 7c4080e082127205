"""From shaded heads to finished pictures: backgrounds, and how photographs, paintings, drawings and sculptures look.

Nothing here moves an edge of the head, so that the labels of the render stay exact.
"""

from typing import NamedTuple

import cv2
import numba
import numpy as np

# Kind of picture -> share of people whose pictures are of that kind.
KINDS = {"photo": 0.57, "paint": 0.18, "sepia": 0.05, "sketch": 0.05, "old master": 0.11, "sculpture": 0.04}
PHOTOGRAPHED = ("photo", "sculpture")  # kinds with the noise and blur of a camera, without a canvas


class Style(NamedTuple):
    """How the pictures of a person are finished, the same for all frames."""

    kind: str  # one of KINDS
    brush: int  # radius of the brush filter, pixels of a picture of 256 x 256; 0 for none
    levels: int  # number of levels of each colour channel in a limited palette; 0 for none
    cracks: float  # darkness of the craquelure in [0, 1]; 0 for none
    grain: float  # standard deviation of the noise, display colours
    blur: float  # standard deviation, pixels of a picture of 256 x 256
    contrast: float
    tint: np.ndarray  # (3,) float32 factors of the colour channels
    background: np.ndarray  # (2, 3) float32 display colours of its gradient
    seed: int  # of background, craquelure and grain


def sample_style(rng: np.random.Generator) -> Style:
    """A random style; its kind has the probability that KINDS says."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    painted, photographed = kind in ("paint", "old master"), kind in PHOTOGRAPHED
    background = rng.uniform(0.05, 0.95, (2, 3))
    greys = background.mean(1, keepdims=True)
    background = greys + (background - greys) * rng.uniform(0, 0.5)
    if kind == "old master":
        background = background * 0.35 * np.array((1.0, 0.85, 0.65))
    return Style(
        kind=kind,
        brush=int(rng.integers(1, 4)) if painted else 0,
        levels=int(rng.integers(7, 16)) if kind == "paint" and rng.random() < 0.5 else 0,
        cracks=rng.uniform(0.1, 0.5) if kind == "old master" and rng.random() < 0.5 else 0.0,
        grain=rng.uniform(0, 0.015) if photographed else rng.uniform(0.005, 0.03),
        blur=rng.uniform(0, 0.7) if photographed else 0.0,
        contrast=rng.uniform(0.85, 1.2),
        tint=np.exp(rng.normal(0, 0.03 if photographed else 0.05, 3)).astype(np.float32),
        background=background.astype(np.float32),
        seed=int(rng.integers(1 << 30)),
    )


def finish(colour: np.ndarray, matte: np.ndarray, style: Style, shift: np.ndarray) -> np.ndarray:
    """The finished picture (S, S, 4) uint8: RGB on a background, and the matte.

    colour (S, S, 3) premultiplied display colour in [0, 1]; matte (S, S) in [0, 1]; shift (2,) moves the clouds of the
    background, so that a person's frames have different backgrounds.
    """
    size = len(matte)
    rng = np.random.default_rng(style.seed)
    picture = colour + (1 - matte[..., None]) * _background(rng, size, style, shift)
    if style.blur:
        picture = cv2.GaussianBlur(picture, (0, 0), max(style.blur * size / 256, 0.01))
    if style.brush:
        picture = kuwahara(np.ascontiguousarray(picture, np.float32), max(1, style.brush * size // 256))
    luminance = picture @ np.float32((0.3, 0.59, 0.11))
    if style.kind == "sepia":
        picture = luminance[..., None] * np.float32((1.05, 0.86, 0.66)) + np.float32((0.05, 0.03, 0.01))
    elif style.kind == "sketch":
        soft = cv2.GaussianBlur(luminance, (0, 0), size / 40)
        drawn = np.clip(0.35 + 0.75 * luminance / (soft + 0.15), 0, 1) * (0.45 + 0.6 * luminance)
        picture = np.repeat(drawn[..., None], 3, 2) * np.float32((1.0, 0.97, 0.9))
    elif style.kind == "old master":
        picture = picture * np.float32((1.02, 0.9, 0.7)) * 0.92 + np.float32((0.03, 0.02, 0.0))
    if style.levels:
        picture = (picture * style.levels).round() * 0.7 / style.levels + 0.3 * picture
    if style.cracks:
        picture = picture * (1 - style.cracks * _craquelure(rng, size)[..., None])
    picture = ((picture - 0.5) * style.contrast + 0.5) * style.tint
    if style.grain:
        grain = rng.standard_normal((size, size), np.float32) * np.float32(style.grain)
        if style.kind not in PHOTOGRAPHED:  # canvas
            grain = cv2.GaussianBlur(grain, (0, 0), 0.7) * 2
        picture = picture + grain[..., None]
    return (np.dstack([picture, matte]) * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _background(rng: np.random.Generator, size: int, style: Style, shift: np.ndarray) -> np.ndarray:
    """A gradient with soft clouds, (S, S, 3) float32."""
    coarse = max(size // 4, 2)  # it has no finer detail than at a quarter of the size
    y, x = np.mgrid[0:coarse, 0:coarse].astype(np.float32) / coarse
    angle = rng.uniform(0, 6.28)
    blend = 0.5 + rng.uniform(0, 0.6) * ((x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle))
    clouds = np.zeros((coarse, coarse), np.float32)
    for octave in (3, 6, 12, 24):
        small = rng.normal(0, 1, (octave + 2, octave + 2)).astype(np.float32)
        to_noise = np.float32([[octave / coarse, 0, 1 + shift[0]], [0, octave / coarse, 1 + shift[1]]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        clouds += cv2.warpAffine(small, to_noise, (coarse, coarse), flags=flags, borderMode=cv2.BORDER_WRAP) / octave
    blend = np.clip(blend + rng.uniform(0, 0.8) * clouds, 0, 1)[..., None].astype(np.float32)
    picture = style.background[0] * (1 - blend) + style.background[1] * blend
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)


def _craquelure(rng: np.random.Generator, size: int) -> np.ndarray:
    """The fine cracks of old paint, the borders of a distorted Voronoi diagram: (S, S) float32, 1 in a crack."""
    seeds = np.ones((size, size), np.uint8)
    seeds[tuple(rng.integers(0, size, (2, int(rng.integers(150, 500)))))] = 0
    cells = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    lines = (cells != np.roll(cells, 1, 0)) | (cells != np.roll(cells, 1, 1))
    bend = cv2.GaussianBlur(rng.standard_normal((size, size, 2), np.float32), (0, 0), size / 60) * size / 6
    place = np.mgrid[:size, :size].astype(np.float32).transpose(1, 2, 0) + bend
    age = cv2.GaussianBlur(rng.random((size, size), np.float32), (0, 0), size / 30)
    lines = lines * np.float32(age > np.median(age))  # half of the area is whole, so that lines have ends
    return cv2.remap(lines, place[..., 1], place[..., 0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


@numba.njit(cache=True, nogil=True)
def kuwahara(picture, radius):
    """The Kuwahara filter of a picture (S, S, 3) float32; the result looks like brush strokes.

    Each pixel is a corner of four squares of radius + 1 pixels. It becomes the mean of the square whose brightness has
    the least variance.
    """
    height, width = picture.shape[:2]
    out = np.empty_like(picture)
    # Sums over the rectangle above and left of each pixel: of the colours, of the brightness and of its square.
    sums = np.zeros((height + 1, width + 1, 5))
    for y in range(height):
        for x in range(width):
            brightness = picture[y, x, 0] + picture[y, x, 1] + picture[y, x, 2]
            for n in range(5):
                value = picture[y, x, n] if n < 3 else (brightness if n == 3 else brightness * brightness)
                sums[y + 1, x + 1, n] = value + sums[y, x + 1, n] + sums[y + 1, x, n] - sums[y, x, n]
    for y in range(height):
        for x in range(width):
            least_variance = np.inf
            for corner in range(4):
                y0 = y - radius if corner < 2 else y
                x0 = x - radius if corner % 2 == 0 else x
                y1, x1 = min(y0 + radius + 1, height), min(x0 + radius + 1, width)
                y0, x0 = max(y0, 0), max(x0, 0)
                area = (y1 - y0) * (x1 - x0)
                mean = (sums[y1, x1, 3] - sums[y0, x1, 3] - sums[y1, x0, 3] + sums[y0, x0, 3]) / area
                square = (sums[y1, x1, 4] - sums[y0, x1, 4] - sums[y1, x0, 4] + sums[y0, x0, 4]) / area
                if square - mean * mean < least_variance:
                    least_variance = square - mean * mean
                    for n in range(3):
                        out[y, x, n] = (sums[y1, x1, n] - sums[y0, x1, n] - sums[y1, x0, n] + sums[y0, x0, n]) / area
    return out
