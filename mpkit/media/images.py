"""Still pictures, read and written. A picture is an upright RGB array (H, W, 3) uint8."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.colour import ADOBE_RGB, ColourSpace, apply_profile, coded_space, png_space, to_srgb
from mpkit.media.paths import check_file, one_line, temporary_folder
from mpkit.media.picture_file import decode, is_animated, is_heic_sequence, open_picture, unread_kind
from mpkit.media.transparency import with_alpha

Picture = str | Path | np.ndarray | Image.Image  # a file, RGB or RGBA (H, W, 3 or 4) uint8, or Pillow's
MIN_SIDE = 16  # pixels; a smaller picture cannot hold a face

_EXIF_ORIENTATION, _INTEROPERABILITY = 0x0112, 0xA005
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str | Path, max_pixels: int = 100_000_000) -> np.ndarray:
    """The picture as sRGB (H, W, 3) uint8, turned upright by its orientation flag.

    Any still format that Pillow decodes, and HEIC, recognised by content and not by name; of an animation, the first
    frame. Transparency is laid over white. Colours are converted to sRGB: through an ICC profile (a broken one is
    ignored), from high dynamic range, and from grey, palette, CMYK, Lab, 16-bit, 32-bit and float pictures.
    Raises MediaError if there is no such picture, it is damaged, a side is under 16 pixels, or there are more than
    `max_pixels` (both are read from its header).
    """
    return read_image_with_alpha(path, max_pixels)[0]


def read_image_with_alpha(path: str | Path, max_pixels: int = 100_000_000) -> tuple[np.ndarray, np.ndarray | None]:
    """The picture of `read_image`, and its opacity (H, W) uint8, 255 is opaque; None if all of it is opaque."""
    path = Path(path)
    check_file(path)
    try:
        with open_picture(path) as image:
            check_size(path, *image.size, max_pixels)
            return picture_and_alpha(image)
    except MediaError:
        raise
    except Image.DecompressionBombError:
        raise MediaError(f"{path} has too many pixels; the limit is {max_pixels / 1e6:g} megapixels") from None
    except Image.UnidentifiedImageError:
        kind = unread_kind(path)
        if kind:
            raise MediaError(f"{path} is {kind} that cannot be read here; save it as JPEG, PNG or WebP") from None
        raise MediaError(f"{path} is not a picture; use a JPEG, PNG, WebP or HEIC file") from None
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise MediaError(f"{path} is damaged or cut off and cannot be read ({one_line(error)})") from None


def as_picture(image: Picture) -> np.ndarray:
    """A picture given as a path, see `read_image`, as an array or as a Pillow picture: RGB (H, W, 3) uint8, or straight
    RGBA (H, W, 4) uint8 where parts of it are transparent. Raises MediaError for a path, TypeError for anything else
    that is no picture."""
    if isinstance(image, (str, Path)):
        return _joined(*read_image_with_alpha(image))
    if isinstance(image, Image.Image):
        return _joined(*picture_and_alpha(image))
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] in (3, 4) and image.dtype == np.uint8:
        return image
    kind = f"an array {image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
    raise TypeError(f"a picture is a path, a Pillow picture or an array (H, W, 3 or 4) uint8, not {kind}")


def _joined(image: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    return image if alpha is None else with_alpha(image, alpha)


def is_still(path: str | Path) -> bool:
    """Whether the file's content is a picture without animation: False for animated GIF, WebP, PNG and AVIF, and
    for videos.

    Raises MediaError if there is no such file, or a picture's header gives hundreds of megapixels.
    """
    path = Path(path)
    check_file(path)
    try:
        with open_picture(path) as image:
            return not is_animated(image) and not is_heic_sequence(path)
    except Image.DecompressionBombError:
        raise MediaError(f"{path} has too many pixels") from None
    except Exception:  # damaged, or a format that Pillow does not know
        return unread_kind(path) is not None


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Writes a picture (H, W, 3) uint8; the file appears whole or not at all. Raises MediaError."""
    path = Path(path).resolve()
    if path.suffix.lower() != ".png":
        raise MediaError(f"{path} is not a .png name; a picture is written as .png")
    if path.is_dir():
        raise MediaError(f"{path} is a folder; give a file name that ends in .png")
    with temporary_folder(path.parent) as folder:
        try:
            Image.fromarray(image).save(Path(folder, "image.png"))
            os.replace(Path(folder, "image.png"), path)
        except OSError as error:
            raise MediaError(f"{path} cannot be written ({one_line(error)})") from None


def check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Raises MediaError if a picture is too small to hold a face or too large to decode."""
    if min(width, height) < MIN_SIDE:
        raise MediaError(f"{path} is {width} x {height} pixels; {MIN_SIDE} x {MIN_SIDE} is the smallest allowed size")
    if width * height > max_pixels:
        raise MediaError(f"{path} is {width} x {height} pixels; the limit is {max_pixels / 1e6:g} megapixels")


def over_white(image: Image.Image) -> Image.Image:
    """An RGBA picture laid over white, as RGB."""
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def picture_and_alpha(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """What `read_image_with_alpha` returns, of a Pillow picture."""
    decode(image)  # Pillow turns a TIFF upright here, and reads the EXIF data that follows the pixels of a PNG
    space, orientation = _declared_space(image), _orientation(image)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    opaque, alpha = _split_alpha(image)
    if space:
        rgb = Image.fromarray(to_srgb(np.asarray(opaque.convert("RGB")), space))
    else:
        rgb = apply_profile(opaque, image.info.get("icc_profile"))
    if alpha is None or alpha.getextrema() == (255, 255):
        return np.array(rgb), None
    rgb.putalpha(alpha)
    return np.array(over_white(rgb)), np.array(alpha)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, from 1 to 8, in which the pixels are stored; 1 if the tags cannot be read."""
    if image.format in ("AVIF", "HEIF"):
        image.info.pop("xmp", None)  # the container's own flags count alone; they are applied or are in the EXIF tags
    try:
        return image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # broken tags make Pillow raise nearly anything
        return 1


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """A picture as L, RGB, CMYK or LAB, and its opacity (L) or None."""
    if image.mode.startswith("I;16"):
        return _to_8_bit(image, white=65535), None
    if image.mode in ("I", "F"):
        return _to_8_bit(image), None
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
        return image.convert(image.mode.removesuffix("A")), image.getchannel("A")
    if image.mode in ("L", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _declared_space(image: Image.Image) -> ColourSpace | None:
    """The colour space that a file without ICC profile names; None for sRGB."""
    info = image.info
    if info.get("icc_profile") or image.mode in ("CMYK", "LAB"):
        return None
    if "cicp" in info:
        return coded_space(*info["cicp"])
    if image.format == "PNG":
        return None if "srgb" in info else png_space(info.get("gamma"), info.get("chromaticity"))
    try:
        adobe = image.getexif().get_ifd(_INTEROPERABILITY).get(1) == "R03"  # as cameras mark it
    except Exception:  # broken tags make Pillow raise nearly anything
        return None
    return ADOBE_RGB if adobe else None


def _to_8_bit(image: Image.Image, white: float | None = None) -> Image.Image:
    """A grey picture of more than 8 bits as L; `white` is its value of white.

    The header of an integer or float picture does not give that value. Then it is the smallest of 1 (float only), 255
    and 65535 that no pixel exceeds, else the brightest pixel."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0)
    if white is None:
        brightest = max(float(values.max()), 0)
        usual = (1, 255, 65535) if image.mode == "F" else (255, 65535)
        white = next((level for level in usual if brightest <= level), brightest)
    return Image.fromarray((values * (255 / white)).round().clip(0, 255).astype(np.uint8))
