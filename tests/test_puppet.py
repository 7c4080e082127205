"""The tabs Puppet and Look inside: sliders move the portrait, a recording drives it alike, all panels are drawn."""

from pathlib import Path

import numpy as np
import pytest

from mpkit import Animator, Motion, Options
from mpkit.assets import EXAMPLES
from mpkit.media.video_reader import VideoReader
from mpkit.viz.views import CONTROLS

PORTRAIT = str(EXAMPLES / "grace_hopper.jpg")


@pytest.fixture(scope="module")
def start(app):
    """The sliders' values at which the portrait is as in its picture, and its picture there."""
    import tab_puppet

    *values, picture, line = tab_puppet.begin(PORTRAIT, 0)
    assert line == "" and len(values) == len(CONTROLS)
    return values, picture


def test_sliders_move_the_portrait(start):
    import tab_puppet

    values, picture = start
    again, _ = tab_puppet.show(PORTRAIT, 0, *values)
    assert np.array_equal(again, picture)
    turned, line = tab_puppet.show(PORTRAIT, 0, values[0] + 25, *values[1:])
    assert line == "" and np.abs(turned.astype(int) - picture).mean() > 0.5


def test_a_portrait_is_prepared_once(start, monkeypatch):
    import live

    monkeypatch.setattr(Animator, "portrait", lambda *_, **__: pytest.fail("prepared again"))
    assert live.views_of(PORTRAIT, 0) is live.views_of(PORTRAIT, 0)


def test_recordings_are_linear_between_the_moments_when_a_slider_moved(start):
    import tab_puppet

    recording = [(10.0, (0.0, 5.0)), (10.4, (4.0, 5.0))]
    frames = tab_puppet.sampled(recording, 11.0)
    assert len(frames) == 25 and frames[0] == (0.0, 5.0) and frames[5] == pytest.approx((2.0, 5.0))
    assert frames[-1] == (4.0, 5.0)
    assert len(tab_puppet.sampled(recording, 1e6)) == tab_puppet.MAX_RECORDING * tab_puppet.RATE


def test_a_recording_drives_the_portrait_as_the_sliders_did(app, start, weights, tmp_path, monkeypatch):
    import live
    import tab_puppet

    values, _ = start
    moved = [values[0] + 20, *values[1:]]
    recording, *_ = tab_puppet.start_recording(*values)
    recording = tab_puppet.note(recording, *moved)
    recording[0] = (recording[1][0] - 0.2, recording[0][1])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = tab_puppet.end_recording(PORTRAIT, 0, recording)
    path, stopped, *_, line = next(made)
    assert stopped is None and "seconds recorded" in line and len(Motion.load(path)) >= 5
    views = live.views_of(PORTRAIT, 0)
    options = Options(motion="absolute", paste_back=False)
    Animator.load(weights, device="cpu").animate(views.portrait, path, tmp_path / "out.mp4", options)
    made.close()
    with VideoReader(tmp_path / "out.mp4") as reader:
        frames = [picture for _, picture in reader]
    wanted = live.picture_of(views, live.named(moved))
    assert np.abs(frames[-1].astype(int) - wanted).mean() < 6  # what the video's compression changes
    assert not tab_puppet.note(None, *values) and not [file for file in tmp_path.iterdir() if file.is_dir()]


def test_look_inside_draws_every_panel(start):
    import lessons
    import tab_inside

    values, _ = start
    *pictures, line = tab_inside.look(PORTRAIT, 0, tab_inside.SLIDERS, values[0] + 20, *values[1:])
    assert line == "" and len(pictures) == len(tab_inside.PANELS)
    for panel, picture in zip(tab_inside.PANELS, pictures):
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 1, panel.title
        assert panel.lesson in lessons.NAMED
        assert (Path(__file__).parents[1] / "notebooks" / f"{panel.lesson}.ipynb").exists()


def test_a_moment_moves_the_portrait_without_sliders(start):
    import tab_inside

    *at_rest, _ = tab_inside.look(PORTRAIT, 0, tab_inside.SLIDERS, *start[0])
    for moment in tab_inside.MOMENTS:
        *moved, line = tab_inside.look(PORTRAIT, 0, moment, *start[0])
        assert line == "" and np.abs(moved[-1].astype(int) - at_rest[-1]).mean() > 0.1, moment


def test_without_a_portrait_both_tabs_say_what_to_do(app):
    import tab_inside
    import tab_puppet

    values = [0.0] * len(CONTROLS)
    for answer in (
        tab_puppet.begin(None, 0), tab_puppet.show(None, 0, *values), tab_inside.look(None, 0, "", *values)
    ):  # fmt: skip
        assert "choose a portrait in the tab Animate first" in answer[-1]
