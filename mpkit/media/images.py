"""Still pictures in and out, and the checks of output paths. Videos are in `mpkit.video`.

A picture is an RGB array (H, W, 3), uint8, upright. Everything a user can get wrong raises MediaError, one clear line.
"""

import os
import tempfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from mpkit.errors import MediaError

MIN_SIDE = 16  # pixels; nothing smaller can hold a face
VIDEO_SUFFIXES = (".mp4", ".webm", ".gif")

# Pillow also "opens" PostScript, MPEG and other things that are no pictures, or that start other programs.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TIFF", "WEBP")
_ANIMATED_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")  # several pictures in another format are not a moving one
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
    """The picture as RGB (H, W, 3), uint8, turned upright by its EXIF orientation.

    Any still format that Pillow decodes, told by content and not by name; of an animation, the first frame.
    Transparency is laid over white. Grey, palette, CMYK, 16-bit, 32-bit and float pictures are brought to 8-bit RGB.
    Raises MediaError where there is no such picture, or its header says it is under 16 px or over `max_pixels`.
    """
    path = Path(path)
    check_file(path)
    try:
        with _open(path) as image:
            check_size(path, *image.size, max_pixels)
            orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
            image = _to_rgb(image)
            return np.array(image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image)
    except MediaError:
        raise
    except Image.DecompressionBombError:
        raise MediaError(f"{path} has too many pixels; the limit is {max_pixels / 1e6:g} megapixels") from None
    except Image.UnidentifiedImageError:
        raise MediaError(f"{path} is not a picture; use a JPEG, PNG or WebP file") from None
    except Exception as error:  # a damaged file makes Pillow raise nearly anything
        raise MediaError(f"{path} is damaged or cut off and cannot be read ({one_line(error)})") from None


def is_still(path: str | Path) -> bool:
    """Whether the file is a picture that does not move, told by content: an animated GIF, WebP or PNG is not one.

    Raises MediaError where there is no such file, or a picture's header says that it is hundreds of megapixels.
    """
    path = Path(path)
    check_file(path)
    try:
        with _open(path) as image:
            return not (image.format in _ANIMATED_FORMATS and getattr(image, "is_animated", False))
    except Image.DecompressionBombError:
        raise MediaError(f"{path} has too many pixels") from None
    except Exception:  # nothing that Pillow knows, or damaged: not a still
        return False


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Writes an (H, W, 3) uint8 picture; the file appears whole or not at all."""
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


def check_output(path: str | Path) -> Path:
    """The absolute path, if a video can be written there: an .mp4, .webm or .gif file, or a folder for PNG frames.

    A folder is a path without suffix or an existing folder; it must be new, empty, or hold nothing but numbered PNG
    frames (000000.png ...), which are going to be replaced. Raises MediaError. Call it before any long work.
    """
    path = Path(path).resolve()
    if path.is_dir():
        other = [item.name for item in path.iterdir() if not _is_frame_name(item.name)]
        if other:
            raise MediaError(f"{path} holds other files ({sorted(other)[0]}); give a new or an empty folder")
    elif path.suffix == "":
        if path.exists():
            raise MediaError(f"{path} is a file; give a folder, or a name that ends in {_join(VIDEO_SUFFIXES)}")
    elif path.suffix.lower() not in VIDEO_SUFFIXES:
        raise MediaError(f"cannot write {path.suffix} ({path}); use {_join(VIDEO_SUFFIXES)}, or a folder of PNGs")
    with temporary_folder(path.parent):  # the sure test that one may write there
        return path


def temporary_folder(parent: Path) -> tempfile.TemporaryDirectory:
    """A folder inside `parent`, gone after the `with` block, where an output is made before it is moved in place."""
    if not parent.is_dir():
        raise MediaError(f"the folder {parent} does not exist; make it first")
    try:
        return tempfile.TemporaryDirectory(prefix=".mpkit-", dir=parent)
    except OSError as error:
        raise MediaError(f"cannot write into the folder {parent} ({one_line(error)})") from None


def frame_name(index: int) -> str:
    """The file name of frame `index` in a folder of PNG frames."""
    return f"{index:06d}.png"


def check_file(path: Path) -> None:
    """Raises MediaError unless `path` is a readable file with something in it."""
    if path.is_dir():
        raise MediaError(f"{path} is a folder; give one file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise MediaError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise MediaError(f"{path} cannot be opened ({one_line(error)})") from None
    if empty:
        raise MediaError(f"{path} is an empty file")


def check_size(path: Path, width: int, height: int, max_pixels: int) -> None:
    """Raises MediaError where a picture is too small to hold a face or too large to decode."""
    if min(width, height) < MIN_SIDE:
        raise MediaError(f"{path} is {width} x {height} pixels; {MIN_SIDE} x {MIN_SIDE} is the least")
    if width * height > max_pixels:
        raise MediaError(f"{path} is {width} x {height} pixels; the limit is {max_pixels / 1e6:g} megapixels")


def one_line(error: Exception) -> str:
    """What a library said, as one line."""
    return " ".join(str(error).split()) or type(error).__name__


def _open(path: Path) -> Image.Image:
    """Reads the header only. Pillow's own warning about large pictures is left to `check_size`."""
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_grey(image, white=65535)
    if image.mode in ("I", "F"):
        return _from_grey(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _from_grey(image: Image.Image, white: float | None = None) -> Image.Image:
    """Deep grey to 8 bits. Without `white` it is the least of 1, 255, 65535 and the brightest value that covers all;
    a header of such a file does not say it (integers: never 1)."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32), posinf=0)
    if white is None:
        brightest = max(float(values.max()), 0)
        usual = (1, 255, 65535) if image.mode == "F" else (255, 65535)
        white = next((level for level in usual if brightest <= level), brightest)
    grey = (values * (255 / white)).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _is_frame_name(name: str) -> bool:
    stem, suffix = os.path.splitext(name)
    return suffix == ".png" and stem.isdecimal() and len(stem) >= 6


def _join(names: tuple[str, ...]) -> str:
    return ", ".join(names[:-1]) + " or " + names[-1]
