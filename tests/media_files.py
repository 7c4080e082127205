"""What the tests of media share: small clips and sounds, and broken files."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mpkit.media.video_reader import VideoReader
from mpkit.media.video_writer import VideoWriter

NTSC = Fraction(24000, 1001)
WIDTH, HEIGHT = 96, 64


def picture(shift: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Smooth colours (height, width, 3) uint8, different in all four corners and for each shift."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([40 + 160 * x, 40 + 160 * y, np.full_like(x, (30 + 8 * shift) % 200)], -1).astype(np.uint8)


def write(path, count=12, rate=NTSC, width=WIDTH, height=HEIGHT, **options):
    """Writes a clip whose frame i is `picture(i)`; returns its path."""
    with VideoWriter(path, rate, (width, height), **options) as writer:
        for index in range(count):
            writer.write(picture(index, width, height))
    return path


def read(path, **options):
    """(times, frames (T, H, W, 3) uint8) of a clip; the options are those of `VideoReader`."""
    with VideoReader(path, **options) as reader:
        times, frames = zip(*reader)
    return list(times), np.stack(frames)


def difference(a, b) -> float:
    """Mean absolute difference of two pictures, in levels of 0 to 255."""
    return float(np.abs(np.asarray(a).astype(int) - np.asarray(b)).mean())


def write_stamped(path, stamps, time_base=Fraction(1, 1000), **options):
    """A clip whose frame i is `picture(i)` and starts at stamps[i], in units of `time_base`."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264" if path.suffix == ".mp4" else "libvpx", rate=1000)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = time_base
        for index, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts, frame.time_base = stamp, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sine(path, seconds=2.0, codec="aac", rate=48000):
    """A clip of 25 frames a second with a tone of 440 Hz whose amplitude falls every 0.5 s: 0.8, 0.4, 0.27 ..."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream(codec, rate=rate, layout="mono")
        for index in range(round(seconds * 25)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(video.encode(None))
        time = np.arange(round(seconds * rate)) / rate
        tone = (0.8 / (1 + np.floor(time * 2)) * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def read_sound(path):
    """(samples, samples a second); sample 0 is at time 0 of the file."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        rate = frames[0].sample_rate
        sound = np.zeros(round(frames[-1].time * rate) + frames[-1].samples)
        for frame in frames:
            start, values = round(frame.time * rate), frame.to_ndarray().mean(0)
            sound[max(start, 0) : start + len(values)] = values[max(-start, 0) :]
    return sound, rate


@pytest.fixture(scope="session")
def shared_clips(tmp_path_factory):
    """A folder with a.mp4, a.webm and a.gif, 60 frames at 25 a second each."""
    folder = tmp_path_factory.mktemp("clips")
    for suffix in ("mp4", "webm", "gif"):
        write(folder / f"a.{suffix}", 60, rate=Fraction(25))
    return folder


def _bad_inputs(folder: Path) -> None:
    (folder / "folder").mkdir()
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.txt").write_text("no picture\n" * 50)
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    Image.fromarray(picture()).save(folder / "still.mp4", format="JPEG")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:3000])
    Image.new("RGB", (15, 40)).save(folder / "tiny.png")
    write(folder / "clip.mp4", 12)
    data = write_stamped(folder / "late.mp4", range(20)).read_bytes()  # its index is at the end
    (folder / "head.mp4").write_bytes(data[: len(data) // 2])
    (folder / "stump.mp4").write_bytes((folder / "clip.mp4").read_bytes()[:300])
    with av.open(str(folder / "tone.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    write_stamped(folder / "none.mp4", [])


@pytest.fixture(scope="session")
def bad_inputs(tmp_path_factory):
    """A folder of files that are broken or of another kind, see `_bad_inputs`; and clip.mp4, which is good."""
    folder = tmp_path_factory.mktemp("bad")
    _bad_inputs(folder)
    return folder


def check_line(error, *words):
    """The error message is one line and has all the words."""
    line = str(error.value)
    assert "\n" not in line and len(line) < 300
    for word in words:
        assert word in line
