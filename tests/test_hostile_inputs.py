"""More than 200 hostile input files: each is read, or refused with one line, quickly and in little memory.

They are made of whole files of each kind, the same in every run: cut, with flipped bits, of extreme sizes and rates,
with absurd numbers, and with names of many scripts.
"""

import json
import struct
import sys
import time
import warnings
import zlib
from fractions import Fraction
from itertools import product

import av
import numpy as np
import pytest
from media_files import picture, write, write_stamped
from PIL import Image

from mpkit.animation import driver
from mpkit.animation.motion_file import MotionTrack
from mpkit.assets import EXAMPLES
from mpkit.errors import MpkitError
from mpkit.media.images import is_still, read_image
from mpkit.media.video_reader import VideoReader

MAX_SECONDS = 10  # for one file, on a busy machine
MAX_MEMORY = 500  # MiB by which the process may grow
STILLS = (
    "a.png",
    "a.jpg",
    "a.webp",
    "a.tiff",
    "a.gif",
    "a.bmp",
    "a.heic",
    "a.avif",
    "a.jp2",
    "cmyk.jpg",
    "deep.png",
    "jpeg.tiff",
)
ANIMATIONS = ("many.webp", "many.png", "many.gif", "many.avif")
CLIPS = ("a.mp4", "a.webm", "a.mkv", "a.avi", "a.mov")
SEEDS = (*STILLS, *ANIMATIONS, *CLIPS, "motion.json")
SIZES = ((1, 1), (1, 20_000), (20_000, 1), (16, 16), (17, 20_000), (20_000, 20_000), (0, 0), (2**31 - 1, 2**31 - 1))
NAMES = (
    "Фильм", "电影", "映画", "영화", "فيلم", "סרט", "ภาพยนตร์", "चलचित्र", "ταινία", "ქართული", "🎬👵🏽",
    "e\u0301te\u0301", "\u202egnp", "-o", "%s%d", "a b", "'\"`$(x)", "#?&=", "[0-9]*", "\n", "\x01", "x" * 200,
    ".hidden", "file:a", "pipe:0",
)  # fmt: skip


class NoFace:
    """A tracker that finds nothing, at no cost."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def detect(self, *_):
        return []


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """name -> content of one whole small file of each kind."""
    folder = tmp_path_factory.mktemp("seeds")
    still = Image.fromarray(picture())
    frames = [Image.fromarray(picture(index)) for index in range(4)]
    for name in STILLS[:9]:
        still.save(folder / name)
    still.convert("CMYK").save(folder / "cmyk.jpg")
    still.save(folder / "jpeg.tiff", compression="jpeg")
    Image.fromarray(np.uint16(257) * picture()[..., 0]).save(folder / "deep.png")
    for name in ANIMATIONS:
        frames[0].save(folder / name, save_all=True, append_images=frames[1:], duration=70)
    write(folder / "a.mp4", 4)
    write(folder / "a.webm", 4)
    for name in ("a.mkv", "a.avi", "a.mov"):
        _write_mpeg4(folder / name, Fraction(25))
    (folder / "motion.json").write_bytes((EXAMPLES / "nod.json").read_bytes())
    return {name: (folder / name).read_bytes() for name in SEEDS}


def _write_mpeg4(path, rate):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for index in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode(None))


def _read_clip(path):
    with VideoReader(path) as reader:
        for _, frame in reader:
            assert frame.shape == (reader.height, reader.width, 3) and frame.dtype == np.uint8


@pytest.fixture
def check(monkeypatch, capfd):
    """A function that reads a file in every way; each must succeed, or raise an MpkitError of one line."""
    monkeypatch.setattr(driver, "make_tracker", lambda *_, **__: NoFace())

    def run(path):
        begin, peak = time.monotonic(), _peak_memory()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for read in (is_still, read_image, _read_clip, MotionTrack.load, driver.open_driver):
                try:
                    read(path)
                except MpkitError as error:
                    assert "\n" not in str(error).replace(str(path), "") and str(error)
        assert time.monotonic() - begin < MAX_SECONDS
        assert _peak_memory() - peak < MAX_MEMORY
        own = [str(warning.message) for warning in caught if "PIL" not in warning.filename]  # others are not shown
        assert all("breaks off" in line and "\n" not in line.replace(str(path), "") for line in own)
        assert capfd.readouterr() == ("", "")

    return run


def _peak_memory() -> float:
    """MiB that the process has used at most, 0 where that is not known."""
    if not sys.platform.startswith("linux"):
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("name", SEEDS)
def test_cut_files(seeds, tmp_path, check, name):
    whole = seeds[name]
    for count in (1, 12, 33, 120, len(whole) // 2, len(whole) - 9):
        (tmp_path / name).write_bytes(whole[:count])
        check(tmp_path / name)


@pytest.mark.parametrize("name", SEEDS)
def test_flipped_bits(seeds, tmp_path, check, name):
    random = np.random.default_rng(zlib.crc32(name.encode()))
    for end, flips in product((64, 400, None), (1, 8)):
        data = np.frombuffer(seeds[name], np.uint8).copy()
        places = random.integers(4, len(data[:end]), flips)
        data[places] ^= (1 << random.integers(0, 8, flips)).astype(np.uint8)
        (tmp_path / name).write_bytes(data.tobytes())
        check(tmp_path / name)


@pytest.mark.parametrize("width, height", SIZES)
def test_sizes_in_headers(seeds, tmp_path, check, width, height):
    short = struct.pack("<HH", width % 65536, height % 65536)
    png = seeds["a.png"]
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    files = {
        "a.png": png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:],
        "a.gif": seeds["a.gif"][:6] + short + seeds["a.gif"][10:],
        "many.gif": seeds["many.gif"][:6] + short + seeds["many.gif"][10:],
        "a.bmp": seeds["a.bmp"][:18] + struct.pack("<II", width, height) + seeds["a.bmp"][26:],
        "a.jpg": _replace_jpeg_size(seeds["a.jpg"], width, height),
        "a.avi": seeds["a.avi"].replace(struct.pack("<II", 96, 64), struct.pack("<II", width, height)),
    }
    canvas = struct.pack("<II", max(width - 1, 0) % 2**24, max(height - 1, 0) % 2**24)
    webp = seeds["many.webp"]
    files["many.webp"] = webp[:24] + canvas[:3] + canvas[4:7] + webp[30:]
    for name, old in (("a.heic", (96, 64)), ("a.avif", (96, 64)), ("many.avif", (96, 64))):
        files[name] = seeds[name].replace(struct.pack(">II", *old), struct.pack(">II", width, height))
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        check(tmp_path / name)


def _replace_jpeg_size(data, width, height):
    start = data.index(b"\xff\xc0")
    return data[: start + 5] + struct.pack(">HH", height % 65536, width % 65536) + data[start + 9 :]


@pytest.mark.parametrize(
    "width, height", [(1, 1), (1, 20_000), (20_000, 1), (16, 20_000), (20_000, 18), (3, 3), (16, 16)]
)
def test_whole_files_of_extreme_sizes(tmp_path, check, width, height):
    grey = Image.new("L", (width, height), 90)
    for suffix in ("png", "jpg", "gif", "tiff"):
        grey.save(tmp_path / f"a.{suffix}")
        check(tmp_path / f"a.{suffix}")
    grey.save(tmp_path / "many.png", save_all=True, append_images=[Image.new("L", (width, height), 9)])
    check(tmp_path / "many.png")


@pytest.mark.parametrize(
    "stamps",
    [
        [0, 1, 2, 3],
        [0, 10**6, 2 * 10**6],
        [0, 10**12, 10**12 + 40],
        [2**40, 2**40 + 1],
        [-(10**6), 0, 40],
        [0],
        [0, 599_000, 599_040],
    ],
)
def test_odd_rates(tmp_path, check, stamps):
    for suffix in ("mp4", "webm"):
        try:
            write_stamped(tmp_path / f"a.{suffix}", stamps)
        except av.FFmpegError:
            continue  # FFmpeg does not write such a file
        check(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("milliseconds", [0, 1, 10, 65_535, 2**24 - 1])
def test_odd_durations_of_animations(seeds, tmp_path, check, milliseconds):
    frames = [Image.fromarray(picture(index)) for index in range(3)]
    for suffix in ("webp", "png", "gif"):
        if suffix == "webp" or milliseconds < 65_536:
            frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=milliseconds)
            check(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(
    "rate", ["1/0", "0/1", "-25/1", "1e400", "9" * 5000, "NaN", "", None, [], {}, 1e308, "1/10000000000"]
)
def test_odd_rates_of_motion_files(seeds, tmp_path, check, rate):
    motion = json.loads(seeds["motion.json"])
    motion["rate"] = rate
    (tmp_path / "a.json").write_text(json.dumps(motion))
    check(tmp_path / "a.json")


@pytest.mark.parametrize("field", ["width", "crop", "actions", "frames", "rotation", "scale", "box", "time", "found"])
def test_odd_numbers_of_motion_files(seeds, tmp_path, check, field):
    for value in (float("nan"), float("inf"), 10**400, -1, "x", None, [], [[[]]], True, {"a": 1}):
        motion = json.loads(seeds["motion.json"])
        target = motion if field in motion else motion["frames"][0]
        target[field] = value
        (tmp_path / "a.json").write_text(json.dumps(motion))
        check(tmp_path / "a.json")


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", "[" * 100_000, '{"format": "mpkit-motion"}', '"\ud800"', "\ufeff{}", "1" * 9999]
)
def test_other_json(tmp_path, check, text):
    (tmp_path / "a.json").write_text(text, "utf-8", "surrogatepass")
    check(tmp_path / "a.json")


@pytest.mark.parametrize("stem", NAMES)
def test_names_of_all_scripts(seeds, tmp_path, check, stem):
    for name in ("a.jpg", "a.heic", "many.webp", "a.mp4", "motion.json"):
        path = tmp_path / (stem + name[name.index(".") :])
        path.write_bytes(seeds[name])
        check(path)
        if name in STILLS:
            assert read_image(path).shape == (64, 96, 3)
        elif name != "motion.json":
            assert len(list(VideoReader(path))) == 4
    (tmp_path / stem).write_bytes(seeds["many.gif"])
    assert len(list(VideoReader(tmp_path / stem))) == 4
