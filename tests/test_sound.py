"""The sound of a video that is written: it starts and ends with the pictures and keeps their time."""

from fractions import Fraction

import numpy as np
import pytest
from media_files import read, read_sound, write, write_sine

from mpkit.media.video_reader import VideoReader


@pytest.mark.parametrize("codec, name", [("aac", "a.mp4"), ("aac", "a.webm"), ("libopus", "a.webm"), ("flac", "a.mp4")])
@pytest.mark.parametrize("start", [0, 0.5])
def test_sound_is_in_sync_and_as_long_as_the_video(tmp_path, codec, name, start):
    source = write_sine(tmp_path / "tone.mkv", codec=codec)
    write(tmp_path / name, 25, rate=Fraction(25), audio_from=source, audio_start=start)
    with VideoReader(tmp_path / name) as reader:
        assert reader.has_audio and reader.rate == 25 and len(list(reader)) == 25
    sound, rate = read_sound(tmp_path / name)
    assert len(sound) / rate == pytest.approx(1, abs=0.03)

    def loudness(begin, end):
        return np.sqrt(np.mean(sound[int(begin * rate) : int(end * rate)] ** 2))

    step = round(start * 2)  # the amplitude falls as 1, 1/2, 1/3 at 0.5, 1 s of the source
    ratio = (1 + step) / (2 + step)
    assert loudness(0.53, 0.95) / loudness(0.05, 0.47) == pytest.approx(ratio, rel=0.05)
    assert loudness(0.44, 0.49) / loudness(0.1, 0.4) == pytest.approx(1, rel=0.05)  # the step is not earlier


def test_sound_may_be_shorter_or_absent(tmp_path):
    tone = write_sine(tmp_path / "tone.mp4", seconds=0.4)
    silent = write(tmp_path / "silent.mp4", 5)
    write(tmp_path / "a.mp4", 50, rate=Fraction(25), audio_from=tone)
    sound, rate = read_sound(tmp_path / "a.mp4")
    assert len(sound) / rate == pytest.approx(0.4, abs=0.05)
    assert len(read(tmp_path / "a.mp4")[0]) == 50
    for name, source in [("b.mp4", silent), ("c.gif", tone), ("d", tone)]:
        write(tmp_path / name, 5, audio_from=source)
    assert not VideoReader(tmp_path / "b.mp4").has_audio
