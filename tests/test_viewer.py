"""The viewer and its four views, films, and the diagram of the system."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mpkit import viz
from mpkit.animation.animator import Animator
from mpkit.assets import EXAMPLES
from mpkit.media.images import read_image
from mpkit.viz.diagram import ARROWS, PARTS
from mpkit.viz.views import CONTROLS, SIDE


@pytest.fixture(scope="module")
def animator():
    return Animator.load(device="cpu")


@pytest.fixture(scope="module")
def portrait(animator):
    return animator.portrait(read_image(EXAMPLES / "mona_lisa.jpg"), size=SIDE)


@pytest.fixture(scope="module")
def views(animator, portrait):
    return viz.MotionViews(animator, portrait)


def test_the_views_are_four_pictures_and_the_first_is_what_the_animator_renders(views, animator, portrait):
    shown = views(yaw=20, jawOpen=0.5)
    assert all(picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.uint8 for picture in shown)
    frame = animator.frame(portrait, views.motion(yaw=20, jawOpen=0.5))
    assert np.abs(shown.picture.astype(int) - frame).max() <= 1


def test_at_the_start_the_portrait_is_as_in_its_picture(views, portrait):
    motion = views.motion()
    assert torch.allclose(motion.numbers[:, :52], portrait.motion.numbers[:, :52].clamp(0, 1), atol=1e-6)
    assert torch.allclose(motion.numbers[:, 52:], portrait.motion.numbers[:, 52:], atol=0.051)  # gaze is rounded
    assert torch.allclose(motion.pose.rotation, portrait.motion.pose.rotation, atol=0.02)  # angles are rounded


def test_every_control_changes_the_result(views):
    rest = views().picture.astype(int)
    for control in CONTROLS:
        ends = [views(**{control.name: value}).picture.astype(int) for value in (control.least, control.largest)]
        assert max(np.abs(end - rest).max() for end in ends) > 20, control.name


def test_a_turned_head_turns_the_lattice_and_not_its_depth_slice_alone(views):
    left, right = views(yaw=-30), views(yaw=30)
    assert np.abs(left.lattice.astype(int) - right.lattice).mean() > 3
    assert np.abs(left.features.astype(int) - right.features).mean() > 3


def test_the_views_refuse_unknown_controls_and_models_without_a_flow(views, animator, portrait, monkeypatch):
    with pytest.raises(ValueError, match="there is no action 'wings'"):
        views(wings=1)
    monkeypatch.setattr(animator.model, "config", replace(animator.model.config, detail=False))
    with pytest.raises(ValueError, match="need a model with the detail path"):
        viz.MotionViews(animator, portrait)


def test_the_viewer_answers_each_change_with_new_pictures(animator, portrait):
    widget = viz.viewer(animator, portrait, yaw=10)
    before = list(widget.pictures)
    assert len(before) == 4 and all(Image.open(io.BytesIO(data)).format == "JPEG" for data in before)
    assert widget.values["yaw"] == 10 and set(widget.values) == {control.name for control in CONTROLS}
    widget.values = widget.values | {"yaw": -20}
    assert all(old != new for old, new in zip(before, widget.pictures)) and widget.error == ""


def test_the_viewer_says_what_went_wrong_and_answers(animator, portrait):
    widget = viz.viewer(animator, portrait)
    widget.values = widget.values | {"smile": 7}
    assert "smile must be from 0 to 1" in widget.error and len(widget.pictures) == 4


def test_the_viewer_has_a_still_for_readers_without_a_kernel(animator, portrait):
    bundle, _ = viz.viewer(animator, portrait)._repr_mimebundle_()
    assert "image/png" in bundle and "application/vnd.jupyter.widget-view+json" in bundle


def test_the_front_end_uses_only_what_the_widget_has():
    from mpkit.viz.viewer_widget import Viewer

    script = Viewer._esm if isinstance(Viewer._esm, str) else str(Viewer._esm)
    for name in ("values", "controls", "captions", "pictures", "error"):
        assert f'"{name}"' in script and name in Viewer.class_trait_names()


def test_a_film_holds_all_frames_in_order():
    film = viz.moving_picture([np.full((40, 40, 3), grey, np.uint8) for grey in (0, 120, 250)], rate=5, width=20)
    opened = Image.open(io.BytesIO(film._repr_png_()))
    assert opened.n_frames == 3 and opened.size == (20, 20) and opened.info["duration"] == 200
    levels = []
    for index in range(3):
        opened.seek(index)
        levels.append(opened.convert("L").getpixel((10, 10)))
    assert np.allclose(levels, (0, 120, 250), atol=3)


def test_the_diagram_names_each_part_and_joins_them():
    figure = viz.system_map()
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert all(part.label in texts for part in PARTS.values())
    joined = {name for start, end, _ in ARROWS for name in (start, end)}
    assert joined == set(PARTS)


def test_parts_of_the_diagram_do_not_overlap():
    boxes = [
        (part.x - part.width / 2, part.y - part.height / 2, part.x + part.width / 2, part.y + part.height / 2)
        for part in PARTS.values()
    ]
    for index, (a0, b0, a1, b1) in enumerate(boxes):
        for x0, y0, x1, y1 in boxes[:index]:
            assert a1 <= x0 or x1 <= a0 or b1 <= y0 or y1 <= b0


def test_what_is_not_highlighted_turns_pale():
    axes = viz.system_map(["E_app"]).axes[0]
    opaque = {text.get_text() for text in axes.texts if text.get_alpha() == 1}
    assert PARTS["E_app"].label in opaque and PARTS["G_3D"].label not in opaque
    with pytest.raises(ValueError, match="the system has no E_none"):
        viz.system_map(["E_none"])


def test_a_zoomed_diagram_shows_its_parts_alone():
    left, right = viz.system_map(["G_2D", "x^"], zoom=True).axes[0].get_xlim()
    assert left < PARTS["G_2D"].x < PARTS["x^"].x < right and right - left < 60
