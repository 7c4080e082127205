"""Videos, read and written: content, time, size, and memory."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import HEIGHT, NTSC, WIDTH, difference, picture, read, write, write_stamped

from mpkit.errors import MediaError
from mpkit.media.images import read_image
from mpkit.media.video_reader import VideoReader


@pytest.mark.parametrize("suffix, tolerance", [("mp4", 3), ("webm", 3), ("gif", 16)])
def test_written_video_is_read_back(tmp_path, suffix, tolerance):
    path = write(tmp_path / f"a.{suffix}", 30)
    with VideoReader(path) as reader:
        times, frames = zip(*reader)
        assert (reader.width, reader.height, reader.has_audio) == (WIDTH, HEIGHT, False)
        assert len(frames) == 30 and reader.frame_count_estimate in (29, 30, 31)
        if suffix != "gif":  # whose times are rounded to 1/100 s
            assert reader.rate == NTSC
        assert float(reader.rate) == pytest.approx(float(NTSC), rel=0.01)
        assert float(reader.duration) == pytest.approx(30 / float(NTSC), abs=0.02)
        assert list(times) == [i / reader.rate for i in range(30)]
        assert len(list(reader)) == 30  # a second time
    for index, frame in enumerate(frames):
        assert difference(frame, picture(index)) < tolerance


def test_folder_of_frames_is_exact_and_replaced(tmp_path):
    folder = tmp_path / "frames"
    write(folder, 5)
    write(folder, 3)
    assert sorted(os.listdir(folder)) == ["000000.png", "000001.png", "000002.png"]
    assert np.array_equal(read_image(folder / "000002.png"), picture(2))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(MediaError, match="notes.txt"):
        write(folder, 3)
    assert os.listdir(tmp_path) == ["frames"]


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_odd_sizes_are_padded(tmp_path, suffix):
    _, frames = read(write(tmp_path / f"a.{suffix}", 3, width=WIDTH - 1, height=HEIGHT - 1))
    assert frames.shape == (3, HEIGHT, WIDTH, 3)
    assert difference(frames[2, :-1, :-1], picture(2, WIDTH - 1, HEIGHT - 1)) < 3


def test_fast_gif_keeps_its_length(tmp_path):
    with VideoReader(write(tmp_path / "a.gif", 60, rate=Fraction(60))) as reader:
        assert float(reader.duration) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_metadata_is_written(tmp_path, suffix):
    path = write(tmp_path / f"a.{suffix}", 2, metadata={"comment": "synthetic"})
    with av.open(str(path)) as container:
        assert "synthetic" in container.metadata.values()


@pytest.mark.parametrize("degrees, turns", [(90, 1), (180, 2), (-90, 3)])
def test_rotation_flag_is_applied(tmp_path, degrees, turns):
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.set_display_rotation(degrees)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(), format="rgb24")))
        container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        expected = np.rot90(picture(), turns)
        assert (reader.height, reader.width) == expected.shape[:2]
        assert difference(next(iter(reader))[1], expected) < 4


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH // 2, HEIGHT, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(width=WIDTH // 2), format="rgb24")))
        container.mux(stream.encode(None))
    with VideoReader(path) as reader:
        assert (reader.width, reader.height) == (WIDTH, HEIGHT)
        assert difference(next(iter(reader))[1], picture()) < 4


def test_frames_of_a_varying_rate_keep_their_time(tmp_path):
    stamps = [0, 40, 80, 120, 700, 740, 780, 1200, 1240, 1280]
    times, frames = read(write_stamped(tmp_path / "a.mp4", stamps), fps=50)
    assert times == [Fraction(i, 50) for i in range(len(times))]
    for time, frame in zip(times, frames):
        on_screen = max(i for i, stamp in enumerate(stamps) if stamp <= time * 1000 + 10)
        assert difference(frame, picture(on_screen)) < 4
    times, _ = read(tmp_path / "a.mp4")
    assert float(times[-1]) == pytest.approx(1.28, abs=0.15)  # the default rate keeps the duration too


def test_clip_without_rate_and_duration_is_measured(tmp_path):
    path = write_stamped(tmp_path / "a.webm", [33 * i for i in range(30)], live="1")  # as browsers record it
    with VideoReader(path) as reader:
        assert float(reader.rate) == pytest.approx(1 / 0.033, rel=0.01)
        assert len(list(reader)) == reader.frame_count_estimate == 30


def test_time_zero_is_the_first_frame(tmp_path):
    times, frames = read(write_stamped(tmp_path / "a.webm", [500 + 40 * i for i in range(10)]), fps=25)
    assert times[0] == 0 and len(times) == 10
    assert difference(frames[0], picture(0)) < 4


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(max_frames=4), [0, 1, 2, 3]),
        (dict(start=2.0), list(range(50, 60))),
        (dict(start=2.0, max_frames=3), [50, 51, 52]),
        (dict(start=0.5, fps=12.5, max_frames=3), [12, 14, 16]),
        (dict(start=2.0, fps=50), [50, 50, 51, 51, 52, 52, 53, 53, 54, 54, 55, 55, 56, 56, 57, 57, 58, 58, 59, 59]),
        (dict(fps=5), list(range(0, 60, 5))),
    ],
)
def test_start_max_frames_and_fps(shared_clips, suffix, options, expected):
    with VideoReader(shared_clips / f"a.{suffix}", **options) as reader:
        times, frames = zip(*reader)
        assert abs(reader.frame_count_estimate - len(expected)) <= 1
        start = Fraction(options.get("start", 0))
        assert times == tuple(start + i / reader.rate for i in range(len(frames)))
    if "start" in options and options["start"] == 0.5:
        expected = [round((0.5 + i / 12.5) * 25 - 0.01) for i in range(3)]
    assert len(frames) == len(expected)
    for frame, index in zip(frames, expected):
        errors = [difference(frame, picture(i)) for i in range(60)]
        assert difference(frame, picture(index)) <= min(errors) + 1


MEMORY = """
import resource, sys
from fractions import Fraction
from tests.media_files import picture
from mpkit.media.video_reader import VideoReader
from mpkit.media.video_writer import VideoWriter

size = 160, 120

def peak_after(count):
    with VideoWriter(sys.argv[1], Fraction(25), size) as writer:
        for index in range(count):
            writer.write(picture(index, *size))
    assert sum(1 for _ in VideoReader(sys.argv[1])) == count
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

print(-peak_after(80) + peak_after(400))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_memory_does_not_grow_with_length(tmp_path, name):
    root = Path(__file__).parents[1]
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, str(tmp_path / name)]
    growth = float(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)
    assert growth < 8  # MiB; the further 320 frames are 18 MiB
