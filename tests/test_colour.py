"""Colours of pictures and clips come out as sRGB: ICC profiles of all kinds, code points, and high dynamic range."""

import struct
import zlib

import av
import numpy as np
import pytest
from colour_profiles import ADOBE_RGB, PROPHOTO, cmyk_profile, grey_profile, rgb_profile
from media_files import HEIGHT, WIDTH, difference, picture
from PIL import Image, ImageCms

from mpkit.media.images import as_picture, read_image, read_image_with_alpha
from mpkit.media.video_reader import VideoReader

# of linear light, both for D65
SRGB_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
SRGB_TO_D50 = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
SUFFIXES = ["png", "jpg", "webp", "tiff", "avif", "heic"]


def linear(image) -> np.ndarray:
    """Linear light in [0, 1] of sRGB in [0, 255]."""
    values = np.asarray(image) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_8_bit(values) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)


def in_space(columns, gamma) -> np.ndarray:
    """`picture()`, coded in an RGB space that is given by its primaries and its exponent."""
    light = linear(picture()) @ (np.linalg.inv(np.array(columns).T) @ SRGB_TO_D50).T
    return to_8_bit(light.clip(0) ** (1 / gamma))


def save(image, path, **options):
    options = {"quality": 97, **options} if path.suffix != ".png" else options
    Image.fromarray(image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("columns, gamma", [(ADOBE_RGB, 563 / 256), (PROPHOTO, 1.8)], ids=["adobe", "prophoto"])
def test_profiles_of_wide_gamut_become_srgb(tmp_path, suffix, columns, gamma):
    stored = in_space(columns, gamma)
    path = save(stored, tmp_path / f"a.{suffix}", icc_profile=rgb_profile(columns, gamma))
    image = read_image(path)
    assert difference(stored, picture()) > 8
    assert difference(image, picture()) < (2 if suffix in ("png", "tiff") else 5)
    assert np.array_equal(as_picture(Image.open(path)), image)


def test_profile_applies_below_transparency(tmp_path):
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:, :20] = 0
    stored = np.concatenate([in_space(ADOBE_RGB, 563 / 256), alpha], -1)
    path = save(stored, tmp_path / "a.png", icc_profile=rgb_profile())
    image, opacity = read_image_with_alpha(path)
    assert (image[:, :20] == 255).all() and difference(image[:, 20:], picture()[:, 20:]) < 2
    assert np.array_equal(opacity, alpha[..., 0])


def test_srgb_profile_changes_nothing(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(read_image(save(picture(), tmp_path / "a.png", icc_profile=profile)), picture())


@pytest.mark.parametrize(
    "profile",
    [
        b"x",
        b"",
        bytes(500),
        rgb_profile()[:200],
        rgb_profile()[:128] + b"\xff" * 300,
        grey_profile(1.8),
        cmyk_profile(),
    ],
    ids=["letter", "empty", "zeros", "cut", "damaged", "of grey", "of inks"],
)
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_broken_or_foreign_profiles_are_ignored(tmp_path, profile, suffix):
    plain = read_image(save(picture(), tmp_path / f"a.{suffix}"))
    assert np.array_equal(read_image(save(picture(), tmp_path / f"b.{suffix}", icc_profile=profile)), plain)


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_inks_become_srgb_through_their_profile(tmp_path, suffix):
    inks = Image.new("CMYK", (WIDTH, HEIGHT), (255, 0, 0, 0))
    inks.paste((0, 0, 0, 0), (WIDTH // 2, 0, WIDTH, HEIGHT))
    inks.save(tmp_path / f"a.{suffix}", icc_profile=cmyk_profile(cyan=(60, -20, -30)))
    image = read_image(tmp_path / f"a.{suffix}")
    assert np.abs(image[10, 10].astype(int) - [46, 156, 197]).max() < 10  # L 60, a -20, b -30, of D50, as sRGB
    assert image[10, -10].min() > 250
    inks.save(tmp_path / f"b.{suffix}", icc_profile=b"broken")
    assert np.abs(read_image(tmp_path / f"b.{suffix}")[10, 10].astype(int) - [0, 255, 255]).max() < 6


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "deep.png", "deep.tiff", "alpha.png"])
def test_grey_profiles_apply_at_any_depth(tmp_path, name):
    grey = picture()[..., 0]
    stored = to_8_bit(linear(grey) ** (1 / 1.8))
    image = Image.fromarray(np.uint16(257) * stored if "deep" in name else stored)
    if "alpha" in name:
        image.putalpha(255)
    image.save(tmp_path / name, icc_profile=grey_profile(1.8))
    assert difference(stored, grey) > 8
    assert difference(read_image(tmp_path / name), grey[..., None]) < 2


def test_grey_picture_with_a_profile_of_colours(tmp_path):
    grey = picture()[..., 0]
    save(to_8_bit(linear(grey) ** (1 / 1.8)), tmp_path / "a.png", icc_profile=rgb_profile(PROPHOTO, 1.8))
    assert difference(read_image(tmp_path / "a.png"), grey[..., None]) < 2


def test_lab_becomes_srgb(tmp_path):
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(picture()), to_lab).save(tmp_path / "a.tiff")
    assert difference(read_image(tmp_path / "a.tiff"), picture()) < 3


def with_chunk(path, name: bytes, content: bytes):
    """Adds a chunk to a PNG, after its header."""
    data = path.read_bytes()
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    path.write_bytes(data[:33] + chunk + data[33:])
    return path


def test_gamma_of_a_png_is_applied(tmp_path):
    usual = with_chunk(save(picture(), tmp_path / "a.png"), b"gAMA", struct.pack(">I", 45455))
    assert np.array_equal(read_image(usual), picture())
    light = with_chunk(save(to_8_bit(linear(picture())), tmp_path / "b.png"), b"gAMA", struct.pack(">I", 100_000))
    assert difference(read_image(light), picture()) < 4
    for wrong in (0, 2**32 - 1):
        with_chunk(save(picture(), tmp_path / "c.png"), b"gAMA", struct.pack(">I", wrong))
        assert np.array_equal(read_image(tmp_path / "c.png"), picture())


def test_chromaticities_of_a_png_are_applied(tmp_path):
    path = save(in_space(ADOBE_RGB, 563 / 256), tmp_path / "a.png")
    numbers = (31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    with_chunk(with_chunk(path, b"gAMA", struct.pack(">I", 45470)), b"cHRM", struct.pack(">8I", *numbers))
    assert difference(read_image(path), picture()) < 3
    for wrong in ((0,) * 8, (2**32 - 1,) * 8, (31270, 32900) * 4):
        with_chunk(save(picture(), tmp_path / "b.png"), b"cHRM", struct.pack(">8I", *wrong))
        assert np.array_equal(read_image(tmp_path / "b.png"), picture())


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_adobe_rgb_that_only_the_camera_names(tmp_path, suffix):
    pointers = [struct.pack("<HHHIII", 1, tag, 4, 1, offset, 0) for tag, offset in ((0x8769, 26), (0xA005, 44))]
    interoperability = struct.pack("<HHHI4sI", 1, 0x0001, 2, 4, b"R03\0", 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + b"".join(pointers) + interoperability
    Image.fromarray(in_space(ADOBE_RGB, 563 / 256)).save(tmp_path / f"a.{suffix}", quality=97, exif=exif)
    assert difference(read_image(tmp_path / f"a.{suffix}"), picture()) < 5


def pq(nits) -> np.ndarray:
    """SMPTE ST 2084."""
    y = np.clip(nits / 10000, 0, 1) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(nits) -> np.ndarray:
    """ITU-R BT.2100, for a display of 1000 cd/m²."""
    light = np.asarray(nits) / 1000
    scene = light * np.maximum(light @ [0.2627, 0.678, 0.0593], 1e-9)[..., None] ** (1 / 1.2 - 1)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


CURVES = {"pq": (pq, 16), "hlg": (hlg, 18)}


@pytest.mark.parametrize("curve", CURVES)
def test_hdr_stills_are_tone_mapped(tmp_path, curve):
    function, number = CURVES[curve]
    path = save(to_8_bit(function(203 * linear(picture()) @ SRGB_TO_BT2020.T)), tmp_path / "a.png")
    with_chunk(path, b"cICP", bytes([9, number, 0, 1]))
    assert difference(read_image(path), picture()) < 6
    assert difference(read_image(path)[:40, :60], picture()[:40, :60]) < 3  # below the knee


def write_hdr(path, image, curve, codec="libx265", pixels="yuv420p10le"):
    """A clip of three frames of a picture whose white has 203 cd/m², in BT.2020 with the PQ or HLG curve."""
    function, number = CURVES[curve]
    values = (function(203 * linear(image) @ SRGB_TO_BT2020.T).clip(0, 1) * 65535).round().astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(values, format="rgb48le").reformat(
        format=pixels, dst_colorspace=9, dst_color_range=1
    )
    frame.color_trc, frame.color_primaries = number, 9
    with av.open(str(path), "w") as container:
        options = {"crf": "8"} | ({"x265-params": "log-level=none"} if codec == "libx265" else {})
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 9, number, 9, 1
        for index in range(3):
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize(
    "name, codec, pixels",
    [
        ("a.mp4", "libx265", "yuv420p10le"),
        ("a.mov", "libx264", "yuv422p10le"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_hdr_clips_are_tone_mapped(tmp_path, curve, name, codec, pixels):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    path = write_hdr(tmp_path / name, picture(), curve, codec, pixels)
    for _, frame in VideoReader(path):
        assert difference(frame, picture()) < 7
        assert frame.std() > 0.9 * picture().std()


def test_bright_light_of_hdr_is_compressed_not_cut(tmp_path):
    nits = np.tile(np.geomspace(1, 1000, WIDTH)[None, :, None], (HEIGHT, 1, 3))
    path = save(to_8_bit(pq(nits)), tmp_path / "a.png")
    row = read_image(with_chunk(path, b"cICP", bytes([9, 16, 0, 1])))[5, :, 0].astype(int)
    assert (np.diff(row) >= -1).all() and row[0] < 30 and row[-1] >= 250
    assert 190 < row[np.argmin(np.abs(nits[0, :, 0] - 203))] < 240
    assert (np.diff(row[-20:]) > 0).sum() > 12
