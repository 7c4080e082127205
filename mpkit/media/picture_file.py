"""Picture files as Pillow opens them: which formats are read, their kind, and the colours that their headers name."""

import contextlib
import logging
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

try:
    import pillow_heif
except ImportError:  # it has no build for this machine: HEIC pictures are refused by name, all others are read
    pillow_heif = None
else:
    pillow_heif.register_heif_opener()

logging.getLogger("PIL").addHandler(logging.NullHandler())  # it raises an error after what it logs

# Pillow also opens PostScript, MPEG and other files that are not pictures or that start other programs.
_FORMATS = ("AVIF", "BMP", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TIFF", "WEBP")
_ANIMATED_FORMATS = ("AVIF", "GIF", "PNG", "WEBP")  # the others may hold several pictures, but no animation
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")  # of an ISO file that holds stills
_HEIC_SEQUENCE_BRANDS = (b"hevc", b"hevx", b"hevm", b"hevs", b"msf1")
_OTHER_KINDS = {  # by the first bytes
    b"8BPS": "a Photoshop file",
    b"\x00\x00\x01\x00": "an icon",
    b"II*\x00": "a TIFF picture of a kind",
    b"MM\x00*": "a TIFF picture of a kind",
    b"%PDF": "a PDF file",
    b"%!PS": "a PostScript file",
    b"<svg": "an SVG drawing",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x00\x00\x00\x0cJXL ": "a JPEG XL picture",
    b"\x76\x2f\x31\x01": "an OpenEXR picture",
    b"#?RADIANCE": "a Radiance HDR picture",
    b"FUJIFILMCCD-RAW": "a camera's raw file",
    b"II\x1a\x00\x00\x00HEAPCCDR": "a camera's raw file",
}
_stderr_lock = threading.Lock()
_HEAD = 65536  # bytes at a file's beginning in which its colour is looked for


def open_picture(path: Path) -> Image.Image:
    """Opens a picture and reads its header. `info["cicp"]` gets the code points of its colour primaries and transfer
    function (ITU-T H.273) where the header has them. Raises what Pillow raises."""
    Image.init()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of large pictures: `check_size` replaces it
        image = Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN])
    _read_code_points(image, _head(path, _HEAD))
    return image


def decode(image: Image.Image) -> None:
    """Loads the pixels of an opened picture; those of a TIFF are upright then. Raises what Pillow raises."""
    if image.format != "TIFF" or not hasattr(image, "filename"):
        image.load()
        return
    name, image.filename = image.filename, ""  # else Pillow maps the file into memory, with width and height swapped
    with _no_stderr():
        image.load()
    image.filename = name


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Discards what is written to the process's stderr: of a damaged TIFF, libtiff prints lines there."""
    with _stderr_lock, open(os.devnull, "wb") as nowhere:
        try:
            stderr = os.dup(2)
        except OSError:  # there is none
            yield
            return
        try:
            os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def is_animated(image: Image.Image) -> bool:
    """Whether an opened picture file is an animation of several frames."""
    return image.format in _ANIMATED_FORMATS and getattr(image, "is_animated", False)


def is_heic_sequence(path: Path) -> bool:
    """Whether a file is a clip in the container of HEIC pictures."""
    return _brand(path) in _HEIC_SEQUENCE_BRANDS


def unread_kind(path: Path) -> str | None:
    """The kind of a picture file that cannot be opened, with an article; None for what is no picture."""
    brand, head = _brand(path), _head(path, 16)
    if brand in _HEIC_BRANDS:
        return "a HEIC picture"
    if brand == b"avif":
        return "an AVIF picture"
    return next((kind for magic, kind in _OTHER_KINDS.items() if head.startswith(magic)), None)


def _read_code_points(image: Image.Image, head: bytes) -> None:
    if image.format == "PNG" and (chunk := _png_chunk(head, b"cICP")):
        image.info["cicp"] = tuple(chunk[:2])
        image.info.pop("icc_profile", None)  # which the code points replace
    elif image.format == "HEIF" and (profile := image.info.get("nclx_profile")):
        image.info["cicp"] = profile["color_primaries"], profile["transfer_characteristics"]
    elif image.format == "AVIF" and (start := head.find(b"colrnclx")) >= 0 and len(head) >= start + 12:
        image.info["cicp"] = struct.unpack(">HH", head[start + 8 : start + 12])


def _png_chunk(head: bytes, name: bytes) -> bytes | None:
    """The content of a chunk before the pixels."""
    position = 8
    while position + 8 <= len(head) and head[position + 4 : position + 8] != b"IDAT":
        length = int.from_bytes(head[position : position + 4], "big")
        if head[position + 4 : position + 8] == name:
            return head[position + 8 : position + 8 + length]
        position += length + 12
    return None


def _brand(path: Path) -> bytes:
    """The major brand of an ISO media file, b"" for other files."""
    head = _head(path, 12)
    return head[8:12] if head[4:8] == b"ftyp" else b""


def _head(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)
