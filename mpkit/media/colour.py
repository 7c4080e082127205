"""Colours of pictures and clips, converted to sRGB: by an ICC profile, or by the code points of ITU-T H.273 (CICP).

High dynamic range (PQ, HLG) is tone-mapped: what is darker than `_KNEE` keeps its brightness, and what is brighter is
compressed, up to `_PEAK`.
"""

import functools
import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

PQ, HLG, LINEAR = 16, 18, 8  # transfer characteristics of H.273; all others are shown as sRGB
# Chromaticities x, y of red, green, blue and white, by the colour primaries of H.273. Those of older video systems
# differ little from sRGB's and are left as they are.
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
_SRGB = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, 0.3127, 0.3290)
_PRIMARIES = {9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290), 11: _P3, 12: _P3}

_WHITE_NITS = 203  # cd/m² of white in a picture of high dynamic range, ITU-R BT.2408
_PEAK = 1000 / _WHITE_NITS  # the brightest value that is told apart, white is 1
_KNEE = 0.5
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
_BAND = 128  # rows
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}  # of Pillow, by the colour space of a profile
_PROBE = np.stack(np.meshgrid(*3 * [np.linspace(0, 255, 9)]), -1).reshape(1, -1, 3).round().astype(np.uint8)


class ColourSpace(NamedTuple):
    """Colours that are not sRGB. `gamma`: the exponent of its transfer function, where `transfer` is None."""

    primaries: tuple[float, ...] = _SRGB  # 8: x, y of red, green, blue and white
    transfer: int | None = None  # of H.273
    gamma: float | None = None


ADOBE_RGB = ColourSpace((0.640, 0.330, 0.210, 0.710, 0.150, 0.060, 0.3127, 0.3290), gamma=563 / 256)


def coded_space(primaries: int, transfer: int) -> ColourSpace | None:
    """The colour space of two code points of H.273; None for sRGB and what is close to it."""
    if primaries not in _PRIMARIES and transfer not in (PQ, HLG, LINEAR):
        return None
    return ColourSpace(_PRIMARIES.get(primaries, _SRGB), transfer)


def png_space(gamma: float | None, chromaticities: tuple[float, ...] | None) -> ColourSpace | None:
    """The colour space that the chunks gAMA and cHRM of a PNG name (white, red, green, blue); None for what is close to
    sRGB, and for numbers that no picture has."""
    primaries = _SRGB
    if chromaticities and len(chromaticities) == 8:
        primaries = (*chromaticities[2:], *_SRGB[6:])
    if gamma is not None and not 0.1 < gamma < 10:
        gamma = None
    triangle = np.array(primaries[:6]).reshape(3, 2)
    area = abs(np.linalg.det(triangle[1:] - triangle[0])) / 2  # that of sRGB is 0.11
    if not 0.05 < area < 1:
        primaries = _SRGB
    same_primaries = np.abs(np.subtract(primaries, _SRGB)).max() < 0.01
    if same_primaries and (gamma is None or abs(gamma * 2.2 - 1) < 0.05):
        return None
    return ColourSpace(primaries, gamma=None if gamma is None else 1 / gamma)


def to_srgb(pixels: np.ndarray, space: ColourSpace) -> np.ndarray:
    """RGB (H, W, 3) uint8 or uint16 of a colour space, as sRGB (H, W, 3) uint8."""
    curve, matrix, encoded = _curve(space, pixels.dtype.type), _to_srgb_primaries(space.primaries), _encoded()
    made = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _BAND):  # a few rows at a time: the numbers of light take much memory
        light = curve.take(pixels[top : top + _BAND])
        if space.transfer == HLG:  # from the light of the scene to that of a display of 1000 cd/m²
            light *= 1000 / _WHITE_NITS * (light @ _LUMINANCE)[..., None] ** np.float32(0.2)
        if space.transfer in (PQ, HLG):
            light = _tone_map(light)
        codes = (light @ matrix).clip(0, 1) * (len(encoded) - 1) + 0.5
        made[top : top + _BAND] = encoded[codes.astype(np.uint16)]
    return made


def apply_profile(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture of mode L, RGB, CMYK or LAB as sRGB, converted through its ICC profile.

    A profile that is broken, or made for another kind of picture, is ignored."""
    try:
        transform = _transform(profile, image.mode) if profile else None
        if transform is None and image.mode == "L" and profile:
            image, transform = image.convert("RGB"), _transform(profile, "RGB")
        if transform is not None:
            return ImageCms.applyTransform(image, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        pass
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, _lab_transform())
    return image.convert("RGB")


@functools.lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None if the profile is made for another mode, or is sRGB. Raises PyCMSError, OSError."""
    source = ImageCms.getOpenProfile(io.BytesIO(profile))
    if _MODES.get(source.profile.xcolor_space) != mode:
        return None
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if mode == "RGB":
        converted = np.asarray(ImageCms.applyTransform(Image.fromarray(_PROBE), transform))
        if np.abs(converted.astype(int) - _PROBE).max() <= 2:
            return None  # its pixels stay as they are
    return transform


@functools.lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")


@functools.lru_cache(maxsize=4)
def _curve(space: ColourSpace, kind: type) -> np.ndarray:
    """Linear light, float32, of each code of an integer type; white is 1, and 203 cd/m² for PQ. HLG: of the scene."""
    values = np.linspace(0, 1, np.iinfo(kind).max + 1)
    if space.gamma is not None:
        light = values**space.gamma
    elif space.transfer == LINEAR:
        light = values
    elif space.transfer == PQ:  # SMPTE ST 2084
        root = values ** (1 / 78.84375)
        light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        light = light ** (1 / 0.1593017578125) * (10000 / _WHITE_NITS)
    elif space.transfer == HLG:  # ITU-R BT.2100
        light = np.where(values <= 0.5, values**2 / 3, (np.exp((values - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    else:
        light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@functools.lru_cache(maxsize=1)
def _encoded() -> np.ndarray:
    """The sRGB codes, uint8, of linear light from 0 to 1."""
    light = np.linspace(0, 1, 8192)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (values * 255).round().astype(np.uint8)


def _tone_map(light: np.ndarray) -> np.ndarray:
    """Light (..., 3) of high dynamic range as light in [0, 1] of the same hue: extended Reinhard above the knee."""
    light = np.minimum(light, np.float32(_PEAK))
    brightest = np.maximum(np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2]), np.float32(_KNEE))
    above, peak = ((level - _KNEE) / (1 - _KNEE) for level in (brightest, _PEAK))
    mapped = _KNEE + (1 - _KNEE) * above * (1 + above / peak**2) / (1 + above)
    return light * (mapped / brightest)[..., None]


@functools.lru_cache(maxsize=4)
def _to_srgb_primaries(primaries: tuple[float, ...]) -> np.ndarray:
    """The matrix (3, 3) float32 by which rows of linear RGB are multiplied."""
    return (np.linalg.inv(_rgb_to_xyz(_SRGB)) @ _rgb_to_xyz(primaries)).T.astype(np.float32)


def _rgb_to_xyz(primaries: tuple[float, ...]) -> np.ndarray:
    """The matrix (3, 3) from linear RGB to CIE XYZ, relative to white."""
    points = np.array(primaries).reshape(4, 2)
    columns = np.stack([points[:, 0], points[:, 1], 1 - points.sum(1)]) / points[:, 1]
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])
