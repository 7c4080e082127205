"""Still pictures, read and written. A picture is an upright RGB array (H, W, 3) uint8."""

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.paths import check_file, one_line, temporary_folder

Picture = str | Path | np.ndarray | Image.Image  # a file, RGB (H, W, 3) uint8, or Pillow's; see `as_picture`
MIN_SIDE = 16  # pixels; a smaller picture cannot hold a face

# Pillow also opens PostScript, MPEG and other files that are not pictures or that start other programs.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TIFF", "WEBP")
_ANIMATED_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")  # the others may hold several pictures, but no animation
_EXIF_ORIENTATION = 0x0112
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
    """The picture as RGB (H, W, 3) uint8, turned upright by its EXIF orientation.

    Any still format that Pillow decodes, recognised by content and not by name; of an animation, the first frame.
    Transparency is laid over white. Grey, palette, CMYK, 16-bit, 32-bit and float pictures are converted to 8-bit RGB.
    Raises MediaError if there is no such picture, it is damaged, a side is under 16 pixels, or there are more than
    `max_pixels` (both are read from its header).
    """
    path = Path(path)
    check_file(path)
    try:
        with _open(path) as image:
            check_size(path, *image.size, max_pixels)
            return _pixels(image)
    except MediaError:
        raise
    except Image.DecompressionBombError:
        raise MediaError(f"{path} has too many pixels; the limit is {max_pixels / 1e6:g} megapixels") from None
    except Image.UnidentifiedImageError:
        raise MediaError(f"{path} is not a picture; use a JPEG, PNG or WebP file") from None
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise MediaError(f"{path} is damaged or cut off and cannot be read ({one_line(error)})") from None


def as_picture(image: Picture) -> np.ndarray:
    """A picture given as a path, see `read_image`, as an RGB array or as a Pillow picture: (H, W, 3) uint8. Raises
    MediaError for a path, TypeError for anything else that is no picture."""
    if isinstance(image, (str, Path)):
        return read_image(image)
    if isinstance(image, Image.Image):
        return _pixels(image)
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8:
        return image
    kind = f"an array {image.shape} {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
    raise TypeError(f"a picture is a path, a Pillow picture or an array (H, W, 3) uint8, not {kind}")


def is_still(path: str | Path) -> bool:
    """Whether the file's content is a picture without animation: False for animated GIF, WebP and PNG, and for videos.

    Raises MediaError if there is no such file, or a picture's header gives hundreds of megapixels.
    """
    path = Path(path)
    check_file(path)
    try:
        with _open(path) as image:
            return not (image.format in _ANIMATED_FORMATS and getattr(image, "is_animated", False))
    except Image.DecompressionBombError:
        raise MediaError(f"{path} has too many pixels") from None
    except Exception:  # damaged, or a format that Pillow does not know
        return False


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


def _open(path: Path) -> Image.Image:
    """Reads the header only. `check_size` replaces Pillow's own warning about large pictures."""
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])


def _pixels(image: Image.Image) -> np.ndarray:
    """The upright picture as RGB (H, W, 3) uint8."""
    orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    image = _to_rgb(image)
    return np.array(image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_grey(image, white=65535)
    if image.mode in ("I", "F"):
        return _from_grey(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _from_grey(image: Image.Image, white: float | None = None) -> Image.Image:
    """A grey picture of more than 8 bits as RGB; `white` is its value of white.

    The header of an integer or float picture does not give that value. Then it is the smallest of 1 (float only), 255
    and 65535 that no pixel exceeds, else the brightest pixel."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0)
    if white is None:
        brightest = max(float(values.max()), 0)
        usual = (1, 255, 65535) if image.mode == "F" else (255, 65535)
        white = next((level for level in usual if brightest <= level), brightest)
    grey = (values * (255 / white)).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
