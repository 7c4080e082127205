"""A video as a GIF: no frame is lost."""

import pytest
from clips import sway, write_clip
from PIL import Image

from mpkit.errors import MediaError
from mpkit.media.convert import to_gif


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("video") / "v.mp4", sway(6), rate=10)


def test_a_gif_has_all_frames_at_the_same_rate(video, tmp_path):
    to_gif(video, tmp_path / "v.gif")
    gif = Image.open(tmp_path / "v.gif")
    assert gif.n_frames == 6 and gif.info["duration"] == 100


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError):
        to_gif(tmp_path / "text.mp4", tmp_path / "v.gif")
    assert not (tmp_path / "v.gif").exists()
