"""Clips and stills are turned and mirrored as their flags say, once, whatever holds the flag."""

import struct

import numpy as np
import pytest
from media_files import HEIGHT, WIDTH, difference, picture, write
from PIL import Image

from mpkit.media.images import as_picture, read_image
from mpkit.media.orientation import Orientation
from mpkit.media.video_reader import VideoReader

RIGHT_ANGLES = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)]
RIGHT_ANGLES += [(0, 1, 1, 0), (0, -1, 1, 0), (0, 1, -1, 0), (0, -1, -1, 0)]


def moved(image, matrix):
    """Each pixel (x, y) of a picture at (a x + c y, b x + d y), from the top left corner on."""
    a, b, c, d = matrix
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    new_x, new_y = a * x + c * y, b * x + d * y
    new_x, new_y = new_x - new_x.min(), new_y - new_y.min()
    made = np.empty((new_y.max() + 1, new_x.max() + 1, 3), np.uint8)
    made[new_y, new_x] = image
    return made


def with_matrix(path, matrix):
    """Writes a display matrix into the track header of an MP4 or MOV file."""
    a, b, c, d = (round(65536 * number) for number in matrix)
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 44
    data[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("matrix", RIGHT_ANGLES)
def test_whole_display_matrix_is_applied(tmp_path, matrix):
    path = with_matrix(write(tmp_path / "a.mp4", 3), matrix)
    expected = moved(picture(1), matrix)
    with VideoReader(path) as reader:
        frames = [frame for _, frame in reader]
        assert (reader.height, reader.width) == expected.shape[:2] == frames[1].shape[:2]
        assert difference(frames[1], expected) < 4


@pytest.mark.parametrize(
    "matrix, nearest",
    [
        ((0.99, 0.1, -0.1, 0.99), (1, 0, 0, 1)),
        ((-0.9, 0.3, 0.3, 0.9), (-1, 0, 0, 1)),
        ((0.2, 0.95, -0.95, 0.2), (0, 1, -1, 0)),
        ((-2, 0, 0, 2), (-1, 0, 0, 1)),
        ((0, 0, 0, 0), (1, 0, 0, 1)),
        ((1, 1, 1, 1), (1, 0, 0, 1)),
    ],
)
def test_other_matrices_are_rounded_or_ignored(tmp_path, matrix, nearest):
    _, frame = next(iter(VideoReader(with_matrix(write(tmp_path / "a.mp4", 2), matrix))))
    assert frame.shape == moved(picture(), nearest).shape and difference(frame, moved(picture(), nearest)) < 4


def test_broken_matrix_is_ignored():
    assert Orientation.of(None) == Orientation.of(b"short") == Orientation()


STORED = {  # how a camera stores `picture()` with each orientation
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}


def stored(orientation, image=None):
    return np.ascontiguousarray(STORED[orientation](picture() if image is None else image))


def exif_of(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def xmp_of(orientation):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{orientation}"/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("compression", [None, "jpeg", "tiff_lzw", "tiff_adobe_deflate"])
def test_tiff_is_turned_once(tmp_path, orientation, compression):
    path = tmp_path / "a.tif"
    options = {"quality": 95} if compression == "jpeg" else {}
    Image.fromarray(stored(orientation)).save(path, tiffinfo={274: orientation}, compression=compression, **options)
    assert read_image(path).shape == (HEIGHT, WIDTH, 3)
    assert difference(read_image(path), picture()) < 3
    assert difference(as_picture(Image.open(path)), picture()) < 3


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["grey", "deep", "inks", "alpha", "pages"])
def test_tiff_of_any_mode_is_turned_once(tmp_path, orientation, kind):
    path, grey = tmp_path / "a.tif", stored(orientation)[..., 0]
    image = {
        "grey": Image.fromarray(grey),
        "deep": Image.fromarray(np.uint16(257) * grey),
        "inks": Image.fromarray(stored(orientation)).convert("CMYK"),
        "alpha": Image.fromarray(stored(orientation)).convert("RGBA"),
        "pages": Image.fromarray(stored(orientation)),
    }[kind]
    more = {"save_all": True, "append_images": [Image.new("RGB", (40, 30))]} if kind == "pages" else {}
    image.save(path, tiffinfo={274: orientation}, **more)
    expected = picture()[..., :1] if kind in ("grey", "deep") else picture()
    assert read_image(path).shape == (HEIGHT, WIDTH, 3) and difference(read_image(path), expected) < 3


@pytest.mark.parametrize("orientation", [2, 3, 5, 6, 8])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "heic"])
@pytest.mark.parametrize("tags", ["exif", "xmp", "both"])
def test_exif_and_xmp_turn_once(tmp_path, orientation, suffix, tags):
    path = tmp_path / f"a.{suffix}"
    options = {"quality": 97} if suffix != "png" else {}
    if tags != "xmp":
        options["exif"] = exif_of(orientation).tobytes()
    if tags != "exif" and suffix != "png":
        options["xmp"] = xmp_of(orientation)
    if tags != "exif" and suffix == "png":
        from PIL.PngImagePlugin import PngInfo

        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp_of(orientation).decode())
    Image.fromarray(stored(orientation)).save(path, **options)
    image = read_image(path)
    if suffix == "avif" and tags == "xmp":  # its own flag, which was not written, counts alone
        assert difference(image, stored(orientation)) < 4
    else:
        assert image.shape == (HEIGHT, WIDTH, 3) and difference(image, picture()) < 4


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_only_the_flag_of_the_container_turns_heic_and_avif(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path, quality=97, exif=exif_of(6).tobytes())
    turned = path.read_bytes()
    assert b"irot" in turned and difference(read_image(path), np.rot90(picture(), -1)) < 4
    angle = turned.index(b"irot") + 4
    path.write_bytes(turned[:angle] + b"\0" + turned[angle + 1 :])
    assert difference(read_image(path), picture()) < 4


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow
@pytest.mark.parametrize(
    "exif",
    [b"x", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + b"\xff" * 60],
    ids=["letter", "empty", "far", "wrong"],
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_broken_tags_are_ignored(tmp_path, exif, suffix):
    Image.fromarray(picture()).save(tmp_path / f"a.{suffix}", exif=exif, quality=97)
    assert difference(read_image(tmp_path / f"a.{suffix}"), picture()) < 5
