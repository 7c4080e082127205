"""Still pictures, read and written: content, colour, depth, orientation; and one clear line for every error."""

import os
import struct
import zlib

import numpy as np
import pytest
from media_files import HEIGHT, WIDTH, check_line, difference, picture, write
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.images import as_picture, is_still, read_image, write_png
from mpkit.media.video_reader import VideoReader


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
def test_stills_are_recognised_by_content_not_by_name(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(picture()).save(path, quality=95)
    path = path.rename(tmp_path / "a.mp4")
    image = read_image(path)
    assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
    assert difference(image, picture()) < 3
    assert is_still(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = picture()
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), upright)
    assert np.array_equal(as_picture(Image.open(tmp_path / "a.png")), upright)


def test_transparency_is_laid_over_white(tmp_path):
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    alpha[:, WIDTH // 2 :] = 255
    Image.fromarray(np.concatenate([picture(), alpha], -1)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert (image[:, : WIDTH // 2] == 255).all()
    assert np.array_equal(image[:, WIDTH // 2 :], picture()[:, WIDTH // 2 :])


def test_transparent_palette_is_laid_over_white(tmp_path):
    indices = Image.fromarray(np.repeat([[0, 1]], 32, 0).repeat(16, 1).astype(np.uint8), "L").convert("P")
    indices.putpalette([9, 9, 9, 200, 0, 0])
    indices.save(tmp_path / "a.png", transparency=0)
    image = read_image(tmp_path / "a.png")
    assert image[0, 0].tolist() == [255, 255, 255] and image[0, -1].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    "name, values",
    [
        ("deep.png", np.uint16(257) * picture()[..., 0]),
        ("deep.tiff", np.uint16(257) * picture()[..., 0]),
        ("int.tiff", np.int32(257) * picture()[..., 0]),
        ("unit.tiff", picture()[..., 0].astype(np.float32) / 255),
        ("float.tiff", picture()[..., 0].astype(np.float32)),
        ("grey.png", picture()[..., 0]),
    ],
)
def test_grey_of_any_depth_keeps_its_brightness(tmp_path, name, values):
    Image.fromarray(values).save(tmp_path / name)
    image = read_image(tmp_path / name)
    assert difference(image, picture()[..., :1]) < 0.6
    assert np.array_equal(image[..., 0], image[..., 2])


def test_cmyk_and_palette_become_rgb(tmp_path):
    Image.fromarray(picture()).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(picture()).quantize(64).save(tmp_path / "b.png")
    assert difference(read_image(tmp_path / "a.jpg"), picture()) < 6
    assert difference(read_image(tmp_path / "b.png"), picture()) < 6


def test_animations_are_not_stills(tmp_path):
    first, *rest = [Image.fromarray(picture(i)) for i in range(3)]
    for name in ("a.gif", "a.webp", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=rest, duration=100)
        assert not is_still(tmp_path / name)
        first.save(tmp_path / name)
        assert is_still(tmp_path / name)
    assert not is_still(write(tmp_path / "a.mp4", 1))


def test_written_png_is_read_back(tmp_path):
    write_png(tmp_path / "a.png", picture())
    write_png(tmp_path / "a.png", picture(1))
    assert np.array_equal(read_image(tmp_path / "a.png"), picture(1))
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("width, height", [(20000, 20000), (11000, 9500), (100_000, 100_000)])
def test_huge_picture_is_refused_before_it_is_decoded(tmp_path, width, height):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    header = b"IHDR" + struct.pack(">II", width, height) + data[24:29]
    (tmp_path / "a.png").write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    with pytest.raises(MediaError, match="megapixels"):
        read_image(tmp_path / "a.png")


def test_huge_video_is_refused_before_it_is_decoded(tmp_path):
    data = bytearray(write(tmp_path / "a.gif", 3).read_bytes())
    for side, word in [(9000, "megapixels"), (60000, "too many pixels")]:
        data[6:10] = struct.pack("<HH", side, side)
        (tmp_path / "a.gif").write_bytes(data)
        with pytest.raises(MediaError, match=word):
            VideoReader(tmp_path / "a.gif")


def test_limit_of_pixels_is_a_parameter(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match="96 x 64"):
        read_image(tmp_path / "a.png", max_pixels=1000)


@pytest.mark.parametrize(
    "name, word",
    [
        ("missing.png", "does not exist"),
        ("folder", "is a folder"),
        ("empty.mp4", "empty"),
        ("text.txt", "not a picture"),
        ("noise.mp4", "not a picture"),
        ("clip.mp4", "not a picture"),
        ("cut.png", "cut off"),
        ("tiny.png", "15 x 40"),
    ],
)
def test_bad_stills_give_one_clear_line(bad_inputs, name, word):
    with pytest.raises(MediaError) as error:
        read_image(bad_inputs / name)
    check_line(error, name, word)
