"""A result of the page as PNG frames in a ZIP file: whole, with progress, within a limit."""

import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from clips import sway, write_clip
from PIL import Image

from mpkit.media.video_reader import VideoReader


def test_a_result_becomes_png_frames_in_a_zip_file(app, tmp_path, monkeypatch):
    import requests_of_page

    monkeypatch.setattr(requests_of_page, "PREVIEW_SECONDS", 0)  # each frame is told
    video = write_clip(tmp_path / "result.mp4", sway(6), rate=10)
    made = requests_of_page.convert(str(video), "PNG frames")
    lines = [next(made)[1] for _ in range(6)]
    assert lines[0].startswith("PNG frame 1 of") and lines[-1].startswith("PNG frame 6 of")
    file, line = next(made)
    assert line == "result.zip is ready."
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        with archive.open(names[-1]) as last:
            picture = np.asarray(Image.open(last))
    with VideoReader(video) as reader:
        frames = [frame for _, frame in reader]
    assert len(names) == 6 and np.array_equal(picture, frames[-1])
    made.close()
    assert not Path(file).exists()


def test_png_frames_have_a_limit_and_end_with_the_visit(app, tmp_path, monkeypatch):
    import frames
    import jobs
    import requests_of_page

    visitor = SimpleNamespace(session_hash="a visitor who leaves")
    monkeypatch.setattr(requests_of_page, "PREVIEW_SECONDS", 0)
    video = str(write_clip(tmp_path / "result.mp4", sway(6), rate=10))
    making = requests_of_page.convert(video, "PNG frames", visitor)
    next(making)
    jobs.leave(visitor)
    assert list(making) == []
    monkeypatch.setattr(frames, "MAX_MEGAPIXELS", 0.01)
    ((_, line),) = requests_of_page.convert(video, "PNG frames")
    assert line.startswith("**That did not work:** ") and "too many for PNG files" in line
    ((_, line),) = requests_of_page.convert(None, "PNG frames")
    assert "press Animate first" in line
