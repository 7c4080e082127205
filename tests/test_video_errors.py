"""Videos that cannot be read or written: one clear line for every error, and no incomplete output."""

import os
import warnings
from fractions import Fraction

import numpy as np
import pytest
from media_files import HEIGHT, NTSC, WIDTH, check_line, picture, read, write
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.limits import MAX_RATE, MIN_RATE, check_range
from mpkit.media.paths import check_output
from mpkit.media.video_reader import VideoReader
from mpkit.media.video_writer import VideoWriter


@pytest.mark.parametrize(
    "name, options, word",
    [
        ("missing.mp4", {}, "does not exist"),
        ("folder", {}, "is a folder"),
        ("empty.mp4", {}, "empty"),
        ("text.txt", {}, "no MP4"),
        ("noise.mp4", {}, "no MP4"),
        ("still.mp4", {}, "still picture"),
        ("cut.png", {}, "still picture"),
        ("head.mp4", {}, "cut off"),
        ("stump.mp4", {}, "cut off"),
        ("tone.wav", {}, "sound only"),
        ("none.mp4", {}, ""),
        ("clip.mp4", {"start": 9}, "0.5 s long"),
        ("clip.mp4", {"start": -1}, "0 or more seconds"),
        ("clip.mp4", {"start": float("nan")}, "nan"),
        ("clip.mp4", {"max_frames": 0}, "--max-frames"),
        ("clip.mp4", {"fps": 0}, "--fps"),
    ],
)
def test_bad_videos_give_one_clear_line(bad_inputs, name, options, word):
    with pytest.raises(MediaError) as error:
        read(bad_inputs / name, **options)
    check_line(error, word)


@pytest.mark.parametrize("options", [{"start": 0}, {"max_frames": 1}, {"fps": MIN_RATE}, {"fps": MAX_RATE}])
def test_limits_of_the_options_are_allowed(bad_inputs, options):
    times, frames = read(bad_inputs / "clip.mp4", **options)
    assert times[0] == 0 and frames.shape[1:] == (HEIGHT, WIDTH, 3)


def test_options_are_checked_without_a_clip():
    for options in ({"start": -0.1}, {"max_frames": -1}, {"fps": 241}, {"fps": float("nan")}):
        with pytest.raises(MediaError, match="--" + next(iter(options)).replace("_", "-")):
            check_range(**options)


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_clip_that_breaks_off_ends_with_one_warning(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (60, HEIGHT, WIDTH, 3), np.uint8)
    with VideoWriter(tmp_path / f"a.{suffix}", Fraction(25), (WIDTH, HEIGHT)) as writer:
        for frame in noise:
            writer.write(frame)
    data = (tmp_path / f"a.{suffix}").read_bytes()
    (tmp_path / f"b.{suffix}").write_bytes(data[: len(data) // 2])
    with VideoReader(tmp_path / f"b.{suffix}") as reader, pytest.warns(UserWarning, match="breaks off") as caught:
        count = len(list(reader))
    assert 10 < count < 50 and len(caught) == 1


@pytest.mark.parametrize("duration", [100, 0])  # GIFs without times have another decoder
@pytest.mark.parametrize("suffix", ["gif", "png"])
def test_animation_that_breaks_off_ends_with_one_warning(tmp_path, suffix, duration):
    """Wherever it is cut, also between two frames. The whole file gives none."""
    noise = np.random.default_rng(0).integers(0, 255, (8, 24, 32, 3), np.uint8)
    first, *rest = map(Image.fromarray, noise)
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    first.save(whole, save_all=True, append_images=rest, duration=duration, loop=0)
    data = whole.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(whole)[0]) == 8
    for length in [*range(len(data) // 2, len(data), len(data) // 23), len(data) - 1]:
        part.write_bytes(data[:length])
        with VideoReader(part) as reader, pytest.warns(UserWarning, match=r"breaks off at .* after \d") as caught:
            count = len(list(reader))
        assert 2 < count <= 8 and len(caught) == 1


def test_whole_clips_give_no_warning(bad_inputs, shared_clips):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in [bad_inputs / "clip.mp4", *sorted(shared_clips.iterdir())]:
            read(path)
            read(path, max_frames=2)


@pytest.mark.parametrize(
    "name, word",
    [
        ("a.avi", "cannot write .avi"),
        ("missing/a.mp4", "does not exist"),
        ("file", "is a file"),
        ("file/a.mp4", "does not exist"),
        ("full", "notes.txt"),
    ],
)
def test_bad_outputs_are_refused_before_any_work(tmp_path, name, word):
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(MediaError) as error:
        check_output(tmp_path / name)
    check_line(error, word)
    with pytest.raises(MediaError):
        VideoWriter(tmp_path / name, NTSC, (WIDTH, HEIGHT))
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(MediaError, match="cannot write into"):
        check_output(tmp_path / "a.mp4")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames"])
def test_outputs_appear_whole_or_not_at_all(tmp_path, name):
    with pytest.raises(KeyboardInterrupt):
        with VideoWriter(tmp_path / name, NTSC, (WIDTH, HEIGHT)) as writer:
            writer.write(picture())
            raise KeyboardInterrupt
    with pytest.raises(MediaError, match="single frame"):
        write(tmp_path / name, 0)
    with pytest.raises(ValueError, match="uint8"):
        with VideoWriter(tmp_path / name, NTSC, (WIDTH, HEIGHT)) as writer:
            writer.write(picture(width=WIDTH + 2))
    assert os.listdir(tmp_path) == []
    write(tmp_path / name, 2)
    with pytest.raises(RuntimeError):
        with VideoWriter(tmp_path / name, NTSC, (WIDTH, HEIGHT)) as writer:
            assert os.path.exists(tmp_path / name)  # the old output stays until the new one is complete
            raise RuntimeError
    assert os.listdir(tmp_path) == [name]


def test_other_files_that_appear_in_the_folder_are_kept(tmp_path):
    write(tmp_path / "frames", 2)
    with pytest.raises(MediaError, match="notes.txt"):
        with VideoWriter(tmp_path / "frames", NTSC, (WIDTH, HEIGHT)) as writer:
            writer.write(picture())
            (tmp_path / "frames" / "notes.txt").write_text("mine")
    assert sorted(os.listdir(tmp_path / "frames")) == ["000000.png", "000001.png", "notes.txt"]


def test_bad_sound_leaves_no_output(tmp_path):
    for source in ("missing.wav", "text.wav"):
        (tmp_path / "text.wav").write_text("no sound")
        with pytest.raises(MediaError, match=source):
            write(tmp_path / "a.mp4", 2, audio_from=tmp_path / source)
    assert os.listdir(tmp_path) == ["text.wav"]
