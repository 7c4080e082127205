"""Pictures and clips of the formats that phones and browsers make: HEIC, AVIF, animated WebP and PNG; and tags that no
decoder understands."""

import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import HEIGHT, WIDTH, check_line, difference, picture, read
from PIL import Image

from mpkit.animation import track
from mpkit.errors import MediaError, NoFaceError
from mpkit.media import picture_file
from mpkit.media.images import is_still, read_image, read_image_with_alpha
from mpkit.media.video_reader import VideoReader

ANIMATED = ["webp", "avif", "png", "gif"]


def animate(path, durations, **options):
    """Writes an animation whose frame i is `picture(i)`, shown for durations[i] milliseconds."""
    frames = [Image.fromarray(picture(index)) for index in range(len(durations))]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, **options)
    return path


def encode(path, codec, frames, rate=25, pixels="yuv420p", metadata=(), **options):
    """Writes frames (H, W, 3) uint8 with a codec of FFmpeg."""
    with av.open(str(path), "w") as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ANIMATED)
def test_animations_are_clips_with_their_own_times(tmp_path, suffix):
    path = animate(tmp_path / f"a.{suffix}", [100, 100, 300, 100, 100, 100, 200, 200])
    assert not is_still(path)
    with VideoReader(path) as reader:
        assert reader.rate == Fraction(8 * 10, 12) and reader.duration == Fraction(6, 5) and not reader.has_audio
        assert (reader.width, reader.height, reader.frame_count_estimate) == (WIDTH, HEIGHT, 8)
        assert len(list(reader)) == len(list(reader)) == 8
    times, frames = read(path, fps=10)
    assert times == [Fraction(index, 10) for index in range(12)]
    for frame, index in zip(frames, [0, 1, 2, 2, 2, 3, 4, 5, 6, 6, 7, 7]):
        errors = [difference(frame, picture(i)) for i in range(8)]
        assert np.argmin(errors) == index


@pytest.mark.parametrize("suffix", ANIMATED)
@pytest.mark.parametrize("start, max_frames, expected", [(0.5, None, [5, 6, 7]), (0, 2, [0, 1]), (0.3, 2, [3, 4])])
def test_part_of_an_animation(tmp_path, suffix, start, max_frames, expected):
    times, frames = read(animate(tmp_path / f"a.{suffix}", [100] * 8), start=start, max_frames=max_frames)
    assert [np.argmin([difference(frame, picture(i)) for i in range(8)]) for frame in frames] == expected
    assert times == [Fraction(start).limit_denominator(10) + Fraction(i, 10) for i in range(len(expected))]
    with pytest.raises(MediaError, match="0.8 s long"):
        VideoReader(tmp_path / f"a.{suffix}", start=1)


@pytest.mark.parametrize("milliseconds", [0, 10])
def test_frames_without_a_time_last_as_in_a_browser(tmp_path, milliseconds):
    assert VideoReader(animate(tmp_path / "a.webp", [milliseconds] * 5)).duration == Fraction(1, 2)


@pytest.mark.parametrize("suffix", ["webp", "avif", "png", "gif"])
def test_transparency_of_animations_is_laid_over_white(tmp_path, suffix):
    frames = []
    for index in range(3):
        rgba = np.dstack([picture(index), np.full((HEIGHT, WIDTH), 255, np.uint8)])
        rgba[:, : 20 + 10 * index, 3] = 0
        frames.append(Image.fromarray(rgba))
    options = {"webp": {"lossless": True}, "avif": {"quality": 95}}.get(suffix, {"disposal": 2})
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], duration=100, **options)
    _, made = read(tmp_path / f"a.{suffix}")
    for index, frame in enumerate(made):
        assert frame[5:-5, 2 : 15 + 10 * index].min() > 245
        assert difference(frame[:, 26 + 10 * index :], picture(index)[:, 26 + 10 * index :]) < 12


def test_animated_png_whose_first_picture_is_no_frame(tmp_path):
    frames = [Image.fromarray(picture(index)) for index in range(1, 4)]
    cover = Image.new("RGB", (WIDTH, HEIGHT), "red")
    cover.save(tmp_path / "a.png", save_all=True, append_images=frames, duration=100, default_image=True)
    _, made = read(tmp_path / "a.png")
    assert len(made) == 3 and difference(made[0], picture(1)) < 2


@pytest.mark.parametrize("suffix", ANIMATED)
def test_frames_that_change_in_part(tmp_path, suffix):
    frames = [picture() for _ in range(3)]
    frames[1][20:30, 30:50] = frames[2][20:30, 40:60] = 255
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=images[1:], duration=100)
    _, made = read(tmp_path / f"a.{suffix}")
    for expected, frame in zip(frames, made, strict=True):
        assert difference(frame, expected) < 12
        assert (frame[24, 34] > 235).all() == (expected[24, 34] == 255).all()


@pytest.mark.parametrize("suffix", ["webp", "avif"])
def test_cut_animation_warns_or_is_refused(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (6, HEIGHT, WIDTH, 3), np.uint8)
    first, *rest = map(Image.fromarray, noise)
    first.save(tmp_path / "whole", suffix, save_all=True, append_images=rest, duration=100)
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            assert len(read(tmp_path / f"cut.{suffix}")[1]) < 6 and "breaks off" in str(caught[-1].message)
        except MediaError as error:
            assert "\n" not in str(error)


MEMORY = """
import resource, sys
import numpy as np
from PIL import Image
from mpkit.media.video_reader import VideoReader
def peak_after(count):
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    frames = [Image.fromarray(np.roll(noise, index, 1)) for index in range(40)] * (count // 40)
    frames[0].save(sys.argv[1], save_all=True, append_images=frames[1:], duration=40, quality=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in VideoReader(sys.argv[1])) == count
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
print(peak_after(400))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux only")
def test_memory_does_not_grow_with_the_length_of_an_animation(tmp_path):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "a.webp")]
    growth = float(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)
    assert growth < 30  # MiB; the 400 frames are 88 MiB


@pytest.mark.parametrize("suffix", ["heic", "avif"])
def test_pictures_of_phones_are_stills(tmp_path, suffix):
    path = tmp_path / "a.jpg"  # by content, not by name
    Image.fromarray(picture()).save(path, format=suffix.replace("heic", "heif"), quality=95)
    assert is_still(path) and difference(read_image(path), picture()) < 3
    with pytest.raises(MediaError, match="still picture"):
        VideoReader(path)


@pytest.mark.parametrize("suffix", ["heic", "avif", "webp", "png"])
def test_transparency_of_stills(tmp_path, suffix):
    rgba = np.dstack([picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    rgba[:, :40, 3] = 0
    Image.fromarray(rgba).save(tmp_path / f"a.{suffix}", **({"quality": 97} if suffix != "png" else {}))
    image, alpha = read_image_with_alpha(tmp_path / f"a.{suffix}")
    assert (image[:, :36] >= 250).all() and difference(image[:, 44:], picture()[:, 44:]) < 4
    assert np.abs(alpha.astype(int) - rgba[..., 3])[:, :36].max() < 6
    Image.fromarray(picture()).save(tmp_path / f"b.{suffix}")
    assert read_image_with_alpha(tmp_path / f"b.{suffix}")[1] is None


def test_heic_of_several_pictures_is_its_primary_one(tmp_path):
    first, other = Image.fromarray(picture()), Image.new("RGB", (WIDTH, HEIGHT), "red")
    other.save(tmp_path / "a.heic", save_all=True, append_images=[first], primary_index=1, quality=95)
    assert is_still(tmp_path / "a.heic") and difference(read_image(tmp_path / "a.heic"), picture()) < 3


def test_stereo_pair_of_a_camera_is_its_first_picture(tmp_path):
    other = Image.new("RGB", (WIDTH, HEIGHT), "red")
    Image.fromarray(picture()).save(tmp_path / "a.mpo", save_all=True, append_images=[other], quality=95)
    assert is_still(tmp_path / "a.mpo") and difference(read_image(tmp_path / "a.mpo"), picture()) < 3


@pytest.mark.skipif("libx265" not in av.codecs_available, reason="this FFmpeg has no HEVC encoder")
def test_heic_sequence_is_a_clip(tmp_path):
    options = {"tag": "hvc1", "x265-params": "log-level=none"}
    path = encode(tmp_path / "a.mp4", "libx265", [picture(index) for index in range(5)], **options)
    data = path.read_bytes()
    path = tmp_path / "a.heics"
    path.write_bytes(data[:8] + b"msf1" + data[12:])
    assert not is_still(path)
    assert len(read(path)[1]) == 5


def test_kind_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    Image.fromarray(picture()).save(tmp_path / "a.heic")
    monkeypatch.setattr(picture_file, "_FORMATS", tuple(set(picture_file._FORMATS) - {"HEIF"}))
    files = {
        "a.heic": "a HEIC picture",
        "a.psd": "a Photoshop file",
        "a.pdf": "a PDF file",
        "a.jxl": "a JPEG XL picture",
    }
    (tmp_path / "a.psd").write_bytes(b"8BPS" + bytes(90))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7" + bytes(90))
    (tmp_path / "a.jxl").write_bytes(b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(90))
    for name, kind in files.items():
        assert is_still(tmp_path / name)
        with pytest.raises(MediaError) as error:
            read_image(tmp_path / name)
        check_line(error, name, kind, "JPEG, PNG or WebP")


LATIN1 = "Frühling ÄÖ".encode("latin-1")
PLACE = b"Fr%%hling %%"


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.avi", "a.mkv", "a.webm", "a.ts"])
@pytest.mark.parametrize("key", ["title", "artist", "comment"])
def test_tags_of_any_encoding_do_not_matter(tmp_path, name, key):
    codec = {"a.webm": "libvpx"}.get(name, "mpeg4")
    key = {"a.ts": "service_name"}.get(name, key)
    path = encode(tmp_path / name, codec, [picture(index) for index in range(4)], metadata={key: PLACE.decode()})
    data = path.read_bytes()
    assert PLACE in data
    for tag in (LATIN1, b"\xff\xfe\x00\xd8\x80 \xc3(\xa0\xa1\x00"):
        path.write_bytes(data.replace(PLACE, tag.ljust(len(PLACE))))
        assert len(read(path)[1]) == 4
        with pytest.raises(NoFaceError):  # and not what its tags would raise
            track.track(path)


@pytest.mark.parametrize("codec, pixels", [("ffv1", "yuv422p10le"), ("prores_ks", "yuv422p10le"), ("ffv1", "gray16le")])
def test_deep_and_wide_samples(tmp_path, codec, pixels):
    frames = [picture(index) for index in range(3)]
    _, made = read(encode(tmp_path / "a.mov" if codec != "ffv1" else tmp_path / "a.mkv", codec, frames, pixels=pixels))
    assert len(made) == 3 and made.dtype == np.uint8
    if pixels != "gray16le":
        assert difference(made[1], picture(1)) < 4


def test_interlaced_clip(tmp_path):
    frames = [picture(index) for index in range(6)]
    _, made = read(encode(tmp_path / "a.avi", "mpeg2video", frames, flags="+ildct+ilme"))
    assert len(made) == 6 and difference(made[2], picture(2)) < 8


def test_gif_without_the_times_of_its_frames(tmp_path):
    """Each frame is shown for 100 ms, as in a browser."""
    frames = [Image.new("P", (32, 24), index) for index in range(6)]
    for frame in frames:
        frame.putpalette([level for index in range(256) for level in (40 * index % 256,) * 3])
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], disposal=0)
    assert "duration" not in Image.open(tmp_path / "a.gif").info
    reader = VideoReader(tmp_path / "a.gif")
    assert len(list(reader)) == 6 and reader.rate == 10


@pytest.mark.parametrize("start", [0, 5, 100])
def test_clip_whose_times_begin_late_is_as_long(tmp_path, start):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(50):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = start * 25 + index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    reader = VideoReader(path)
    assert float(reader.duration) == pytest.approx(2, abs=0.1) and len(list(reader)) == 50
    assert len(list(reader.samples(10))) == 10
