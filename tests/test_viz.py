"""Figures: what is drawn is what was given, at the right place; they need no pyplot; widgets hide no error."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from support import NANO, bright_voxel, some_motion, some_picture, some_pose, without_expression

from mpkit import viz
from mpkit.animation.animator import Animator
from mpkit.assets import EXAMPLES
from mpkit.geometry import identity_flow, identity_pose, rotation_from_angles
from mpkit.media.images import read_image
from mpkit.networks import BaseModel, HeadMotion, Warp, warp_from_source
from mpkit.networks.detail import identity_trace

ONE_RUN = [{"step": step, "loss": 8 / step} for step in (1, 2, 4)]
STATS = {"one": ONE_RUN, "two": [{"step": 1, "loss": 9.0, "warp": 1.0}]}


@pytest.fixture(scope="module")
def nano():
    """A random avatar, and one frame of it driven."""
    model = BaseModel(NANO).eval()
    with torch.no_grad():
        avatar = model.source(some_picture(), some_motion(yaw=-10))
        return avatar, model.drive(avatar, some_motion(yaw=20))


@pytest.fixture(scope="module")
def turned():
    """The Mona Lisa by the bundled weights, and driven to look 20 degrees farther to the right of the picture."""
    animator = Animator.load(device="cpu")
    avatar = animator.portrait(read_image(EXAMPLES / "mona_lisa.jpg")).avatar
    pose, expression = avatar.motion
    turn = rotation_from_angles(*torch.tensor([[20.0], [0.0], [0.0]]))
    motion = HeadMotion(pose._replace(rotation=turn @ pose.rotation), expression)
    with torch.inference_mode():
        return avatar, animator.model.drive(avatar, motion)


def images(figure):
    """The array of the first image on each visible axes."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images and axes.get_visible()]


FIGURES = {
    "picture_row": lambda avatar, driven: viz.picture_row([avatar.picture, driven.rendering.image], ["a", "b"]),
    "picture_grid": lambda avatar, driven: viz.picture_grid([avatar.picture] * 2, ["a person"], ["one", "two"]),
    "mask_overlay": lambda avatar, driven: viz.mask_overlay(avatar.picture, driven.rendering.detail.mask),
    "head_axes": lambda avatar, driven: viz.head_axes(avatar.picture, avatar.motion.pose),
    "volume_slices": lambda avatar, driven: viz.volume_slices(avatar.canonical),
    "components": lambda avatar, driven: viz.volume_slices(avatar.canonical, "components", "canonical"),
    "depth_weights": lambda avatar, driven: viz.volume_slices(driven.rendering.detail.depth_weights[None]),
    "flow_picture": lambda avatar, driven: viz.flow_picture(driven.rendering.detail.flow, driven.rendering.alpha),
    "flow_arrows": lambda avatar, driven: viz.flow_arrows(avatar.picture, driven.rendering.detail.flow),
    "trace_overlay": lambda avatar, driven: viz.trace_overlay(avatar.picture, driven.rendering.detail.trace),
    "latent_map": lambda avatar, driven: viz.latent_map(torch.randn(20, 8), rate=25),
    "latent_scatter": lambda avatar, driven: viz.latent_scatter(torch.randn(20, 8), torch.rand(20), "jawOpen"),
    "loss_curves": lambda avatar, driven: viz.loss_curves(STATS),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_still_figure_shows_itself_as_a_png_of_at_most_900_pixels(nano, name):
    figure = FIGURES[name](*nano)
    assert isinstance(figure, Figure) and figure._repr_png_().startswith(b"\x89PNG")
    assert figure.get_figwidth() * figure.dpi <= 900


def test_viz_loads_no_pyplot_and_neither_plotly_nor_widgets_before_they_are_needed():
    for file in Path(viz.__file__).parent.glob("*.py"):
        for node in ast.parse(file.read_text()).body:
            names = [getattr(node, "module", None) or "", *(alias.name for alias in getattr(node, "names", []))]
            parts = {part for name in names for part in name.split(".")}
            assert not parts & {"pyplot", "plotly", "ipywidgets", "IPython"}


def test_premultiplied_pictures_lie_over_the_background():
    clear, half = torch.zeros(1, 4, 2, 2), torch.full((1, 4, 2, 2), 0.5)
    array = np.full((2, 2, 3), 7, np.uint8)
    assert [image[0, 0, 0] for image in images(viz.picture_row([clear, half, array]))] == [255, 255, 7]
    assert [image[0, 0, 0] for image in images(viz.picture_row([clear, half, array], background="0.2"))] == [51, 153, 7]


def test_rows_of_different_length_and_shape_keep_order_and_titles():
    batch = torch.stack([torch.full((3, 4, 8), value / 255) for value in (10, 20, 30)])
    figure = viz.picture_grid([batch, [torch.ones(1, 4, 4)]], ["a", "b", "c"], ["first", "second"])
    assert [image.shape for image in images(figure)] == [(4, 8, 3)] * 3 + [(4, 4, 3)]
    assert [image[0, 0, 0] for image in images(figure)] == [10, 20, 30, 255]
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a", "b", "c"]


NO_PICTURES = [torch.rand(2, 8, 8), torch.rand(8, 8), np.zeros((8, 8, 3)), np.zeros((8, 8, 4), np.uint8)]


@pytest.mark.parametrize("bad", NO_PICTURES)
def test_what_is_no_picture_is_refused(bad):
    with pytest.raises(ValueError):
        viz.picture_row([bad])


def test_a_mask_of_zeros_leaves_the_picture_untinted():
    tint = viz.mask_overlay(some_picture(), torch.tensor([[[[0.0, 1.0]]]])).axes[0].images[1]
    assert [rgba[3] for rgba in tint.to_rgba(tint.get_array())[0]] == pytest.approx([0, 0.85], abs=0.01)


def test_the_head_axes_point_as_the_pose_says():
    def ends(**angles):
        return torch.tensor([text.xy for text in viz.head_axes(some_picture(), some_pose(**angles)).axes[0].texts[::2]])

    right, down, nose = ends()
    assert right[0] > 0.5 and abs(right[1]) < 1e-6 and down[1] > 0.5 and nose.abs().max() < 1e-6
    assert ends(yaw=30)[2][0] > 0.2 and ends(pitch=30)[2][1] > 0.2


def test_slices_are_in_order_from_the_nearest():
    volume, depth = bright_voxel(x=3, y=5, z=2), NANO.volume_depth
    figure = viz.volume_slices(volume)
    slices = images(figure)[:depth]
    assert "nearest" in figure.axes[0].get_title() and "farthest" in figure.axes[depth - 1].get_title()
    assert [image.max() > 0 for image in slices] == [z == 2 for z in range(depth)] and slices[2][5, 3] > 0
    with pytest.raises(ValueError):
        viz.volume_slices(volume, "rainbow")


def test_cells_with_equal_features_have_equal_colours():
    halves = torch.randn(8, 1, 1, 2).expand(8, 4, 6, 2).repeat_interleave(3, dim=3)
    slices = np.stack(images(viz.volume_slices(halves, "components")))
    assert len(np.unique(slices.reshape(-1, 3), axis=0)) == 2


def test_an_isosurface_is_in_canonical_axes():
    surface = viz.volume_isosurface(bright_voxel(x=10, y=4, z=2)).data[0]
    brightest = surface.value.argmax()
    place = [surface.x[brightest], surface.y[brightest], surface.z[brightest]]
    assert place == pytest.approx([(2 * i + 1) / n - 1 for i, n in ((10, 16), (4, 16), (2, 8))])


@pytest.mark.parametrize("draw", [viz.warp_lattice, viz.warp_cones])
def test_figures_in_space_of_the_paper_size_stay_under_a_megabyte(draw):
    warp = warp_from_source(torch.randn(1, 3, 16, 64, 64), identity_pose())
    assert len(draw(warp).to_json()) + len(viz.volume_isosurface(torch.randn(96, 16, 64, 64)).to_json()) < 1e6


def test_the_scene_is_seen_from_the_camera(nano):
    camera = viz.warp_lattice(nano[0].warp).layout.scene.camera
    assert camera.eye.z < 0 and abs(camera.eye.z) > abs(camera.eye.x) + abs(camera.eye.y)  # z is away from the viewer
    assert (camera.up.x, camera.up.y, camera.up.z) == (0, -1, 0)  # y is down


def test_a_lattice_shows_the_part_of_the_warp_that_was_asked_for():
    model = without_expression(BaseModel(NANO).eval())
    model.warp_source.basis.data.zero_()
    with torch.no_grad():
        warp = model.source(some_picture(), some_motion(yaw=20)).warp
    lattices = {part: viz.warp_lattice(warp, part).data[1] for part in ("rigid", "composed", "expression")}
    for axis in "xyz":
        rigid, composed, expression = (np.asarray(lattice[axis]) for lattice in lattices.values())
        assert np.allclose(rigid, composed, equal_nan=True, atol=1e-5)
        assert np.nanmax(abs(expression)) < 1  # the identity: cell centres
    assert np.nanmax(abs(np.asarray(lattices["rigid"].x))) > 1
    with pytest.raises(ValueError, match="rigid, expression, composed"):
        viz.warp_lattice(warp, "pose")


def test_cones_go_from_cells_to_where_they_sample():
    shift = identity_pose()._replace(translation=torch.tensor([[0.25, 0.0, 0.0]]))
    cones = viz.warp_cones(warp_from_source(torch.zeros(1, 3, 8, 16, 16), shift)).data[1]
    assert np.allclose(cones.u, 0.25) and np.allclose([cones.v, cones.w], 0, atol=1e-6) and cones.anchor == "tail"
    assert not len(viz.warp_cones(Warp(*warp_from_source(torch.zeros(1, 3, 8, 16, 16), identity_pose()))).data[1].x)


def test_a_flow_is_white_where_it_stays_and_has_the_colour_of_its_direction():
    flow = identity_flow(16, 16).clone()
    assert np.allclose(images(viz.flow_picture(flow))[0], 1)
    flow[:, 0, :, 8:] += 0.5
    picture, wheel = images(viz.flow_picture(flow))
    assert np.allclose(picture[:, :8], 1) and np.allclose(picture[3, 12], wheel[100, 195, :3], atol=0.05)
    half = images(viz.flow_picture(flow, max_length=1.0))[0][3, 12]
    assert half.min() > picture[3, 12].min()  # paler
    background = images(viz.flow_picture(flow, alpha=torch.zeros(1, 1, 16, 16)))[0]
    assert np.ptp(background.reshape(-1, 3), axis=0).max() == 0


def test_arrows_go_from_foreground_pixels_to_source_positions():
    flow, alpha = identity_flow(16, 16) + torch.tensor([0.2, -0.1]).view(1, 2, 1, 1), torch.ones(1, 1, 16, 16)
    alpha[..., :8] = 0
    arrows = viz.flow_arrows(some_picture(), flow, alpha, count=8).axes[0].collections[0]
    assert len(arrows.U) == 8 * 4 and arrows.X.min() > 0
    assert np.allclose(arrows.U, 0.2, atol=1e-6) and np.allclose(arrows.V, -0.1, atol=1e-6)


def test_a_trace_is_drawn_where_the_source_is_foreground():
    points = torch.cat([identity_flow(16, 16), torch.zeros(1, 1, 16, 16)], dim=1).movedim(1, -1)
    picture = torch.zeros(1, 4, 64, 64)
    picture[..., 32:, :] = 1
    for axes, count in zip(viz.trace_overlay(picture, identity_trace(points), every=4).axes, (4 * 2, 2 * 2)):
        lines = np.stack(next(c for c in axes.collections if isinstance(c, LineCollection)).get_segments())
        assert len(lines) == count and lines[..., 1].min() > 0 and np.allclose(lines[:, 0], lines[:, 1])


def test_latents_are_drawn_frame_by_frame():
    z = torch.randn(10, 4)
    image = viz.latent_map(z, rate=5).axes[0].images[0]
    assert np.allclose(image.get_array(), z.T) and image.get_extent()[1] == 2  # seconds
    line = torch.linspace(-1, 1, 10)[:, None] * torch.randn(1, 4)
    axes = viz.latent_scatter(line, torch.arange(10), "jawOpen").axes[0]
    assert "100%" in axes.get_xlabel() and np.allclose(axes.collections[0].get_array(), np.arange(10))
    assert abs(axes.collections[0].get_offsets()[:, 1]).max() < 1e-5


def test_a_run_has_one_colour_in_all_panels_and_a_falling_loss_a_logarithmic_axis():
    loss, warp = viz.loss_curves(STATS).axes[:2]
    thin, bold = loss.lines[:2]
    assert loss.get_title() == "loss" and loss.get_yscale() == "log" and warp.get_yscale() == "linear"
    assert list(thin.get_ydata()) == [8, 4, 2] and list(bold.get_ydata()) == pytest.approx([8, 6, 14 / 3])
    assert warp.lines[0].get_color() == loss.lines[2].get_color() != thin.get_color()
    unlogged = viz.loss_curves({"run": [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 1.0}]})
    assert list(unlogged.axes[0].lines[0].get_xdata()) == [2]


def test_explore_runs_once_and_then_at_each_change(capsys):
    calls = []

    def show(strength=0.5, side="left", flip=False):
        calls.append((strength, side, flip))
        if strength > 0.9:
            raise KeyError("too strong")
        return viz.picture_row(torch.full((1, 3, 8, 8), strength))

    explorer = viz.explore(show, strength=(0.0, 1.0), side=["left", "right"], flip=True)
    assert calls == [(0.5, "left", True)] and "image/png" in explorer._repr_mimebundle_()
    first = explorer.result
    explorer.controls["side"].value = "right"
    assert calls[1:] == [(0.5, "right", True)] and explorer.result is not first
    explorer.controls["strength"].value = 1.0
    assert "KeyError: 'too strong'" in capsys.readouterr().out
    explorer.controls["strength"].value = 0.0
    assert calls[-1] == (0.0, "right", True)


def test_explore_raises_what_the_function_raises_at_first():
    with pytest.raises(ZeroDivisionError):
        viz.explore(lambda x: 1 / 0, x=(0, 1))
    with pytest.raises(ValueError, match="x="):
        viz.explore(lambda x: x, x=object())


def test_the_canonical_volume_holds_a_head_that_faces_the_viewer(turned):
    surface = viz.volume_isosurface(turned[0].canonical).data[0]
    strong = surface.value > surface.isomin
    x, y, z = (np.asarray(surface[axis])[strong] for axis in "xyz")
    assert abs(x.mean()) < 0.2 and abs(y.mean()) < 0.2 and z.mean() < 0.1 and np.hypot(x, y).mean() < 0.5


def test_a_face_turned_to_the_right_is_found_farther_left_in_the_source(turned):
    avatar, driven = turned
    picture, wheel = images(viz.flow_picture(driven.rendering.detail.flow, driven.rendering.alpha))
    face, left, right = picture[60:80, 60:80].mean((0, 1)), wheel[100, 20, :3], wheel[100, 180, :3]
    assert abs(face - left).sum() < abs(face - right).sum()
    mirrored = viz.trace_overlay(avatar.picture, driven.rendering.detail.trace).axes[1].collections[0]
    start, end = np.stack(mirrored.get_segments()).mean(axis=0)
    assert end[0] > start[0] + 0.3  # the mirrored side of the face lies to the right
