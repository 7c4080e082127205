"""The detail path copies the source, at any resolution; configs and the report of `mpkit info`."""

import dataclasses
import functools

import pytest
import torch
from support import (
    NANO,
    some_motion,
    some_picture,
    stirred,
    without_expression,
)
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.config import (
    DISCRIMINATORS,
    ENHANCERS,
    PRESETS,
    STUDENTS,
    DiscriminatorConfig,
    EnhancerConfig,
    ModelConfig,
    StudentConfig,
    preset,
)
from mpkit.errors import WeightsError
from mpkit.evaluation.network_report import format_report, network_report
from mpkit.geometry import identity_grid, identity_pose
from mpkit.networks import BaseModel, render_at
from mpkit.networks.detail import DEPTH_SCALE, expected_depth

# --- the detail path -------------------------------------------------------------------------------------------------


def copying_model():
    """No expression, no residual flow (as initialised), mask 1, a transparent mouth layer: the model shows the source
    picture alone."""
    model = without_expression(BaseModel(NANO)).eval()
    nn.init.zeros_(model.render.out.weight)
    with torch.no_grad():
        model.render.out.bias[4 * model.render.shuffle**2 :] = 50
        model.mouth.out.bias[3] = -100
    return model


def drive_itself(model, picture):
    motion = some_motion()
    return model.drive(model.source(picture, motion), motion).rendering


EDGE = NANO.image_size // NANO.volume_size  # pixels: a cell of the volume


def inner(picture, edge=EDGE):
    return picture[..., edge:-edge, edge:-edge]


def test_detail_path_copies_the_source_where_nothing_moves():
    picture = some_picture()
    rendering = drive_itself(copying_model(), picture)
    assert_close(inner(rendering.image), inner(picture[:, :3]), atol=1e-4, rtol=0)
    assert_close(inner(rendering.alpha), inner(picture[:, 3:]), atol=1e-4, rtol=0)


def test_detail_path_copies_the_source_up_to_its_edges():
    picture = some_picture()
    assert_close(drive_itself(copying_model(), picture).image, picture[:, :3], atol=1e-4, rtol=0)


def test_render_at_shows_the_pictures_own_resolution():
    """A picture of twice the size comes back with every pixel, though the model saw half of them."""
    large = some_picture(dataclasses.replace(NANO, image_size=2 * NANO.image_size))
    small = nn.functional.avg_pool2d(large, 2)
    rendering = drive_itself(copying_model(), small)
    result = render_at(large, rendering.detail, 2 * NANO.image_size)
    assert_close(inner(result, 2 * EDGE), inner(large, 2 * EDGE), atol=1e-4, rtol=0)


def test_render_at_the_models_size_is_the_rendering():
    model = stirred(BaseModel(NANO)).eval()
    picture = some_picture()
    rendering = model.drive(model.source(picture, some_motion()), some_motion(yaw=20)).rendering
    result = render_at(picture, rendering.detail, NANO.image_size)
    assert_close(result, torch.cat([rendering.image, rendering.alpha], dim=1), atol=1e-5, rtol=0)


def test_detail_path_moves_the_picture_with_the_head():
    """One cell of the volume to the right is image_size / volume_size pixels to the right."""
    model, picture, motion = copying_model(), some_picture(), some_motion()
    cell = 2 / NANO.volume_size
    shifted = motion._replace(pose=identity_pose()._replace(translation=torch.tensor([[cell, 0, 0]])))
    image = model.drive(model.source(picture, motion), shifted).rendering.image
    step = NANO.image_size // NANO.volume_size
    assert_close(image[..., 8:-8, 8 + step : -8], picture[:, :3, 8:-8, 8 : -8 - step], atol=1e-4, rtol=0)


def test_the_picture_is_continued_beyond_its_lower_edge():
    """A head that moves up by a cell takes the lowest row with it, down to the new edge: no gap, no fading alpha."""
    model, picture, motion = copying_model(), some_picture(), some_motion()
    up = motion._replace(pose=identity_pose()._replace(translation=torch.tensor([[0, -2 / NANO.volume_size, 0]])))
    rendering = model.drive(model.source(picture, motion), up).rendering
    result = torch.cat([rendering.image, rendering.alpha], dim=1)
    assert_close(result[:, :, -EDGE:], picture[:, :, -1:].expand(-1, -1, EDGE, -1), atol=1e-4, rtol=0)


def test_the_mirrored_source_is_a_second_source_of_pixels():
    """With weight 0 for the warped source and 1 for its mirrored side, a head that faces the camera comes out
    mirrored."""
    model, picture, ahead = copying_model(), some_picture(), some_motion(yaw=0, pitch=0, roll=0)
    with torch.no_grad():
        model.render.out.bias[4 * model.render.shuffle**2 : 5 * model.render.shuffle**2] = -50
    ahead = ahead._replace(pose=identity_pose())
    image = model.drive(model.source(picture, ahead), ahead).rendering.image
    assert_close(image, picture[:, :3].flip(3), atol=1e-4, rtol=0)


def test_depth_weights_choose_one_voxel_of_each_column():
    rendering = drive_itself(stirred(BaseModel(NANO)).eval(), some_picture())
    weights = rendering.detail.depth_weights
    assert_close(weights.sum(1), torch.ones_like(weights[:, 0]))
    assert (0 <= rendering.detail.mask).all() and (rendering.detail.mask <= 1).all()
    second = torch.zeros(1, 4, 2, 2)
    second[:, 1] = 1  # of four cells: z = -0.25
    assert_close(expected_depth(second), torch.full((1, 1, 2, 2), -0.25))


def test_depth_is_refined_beyond_the_cells_of_the_volume():
    """The refinement moves single points along z; as initialised it moves none."""
    model, picture, motion = without_expression(BaseModel(NANO)).eval(), some_picture(), some_motion()
    avatar = model.source(picture, motion)
    detail = model.drive(avatar, motion).rendering.detail
    plain = F.interpolate(expected_depth(detail.depth_weights), size=detail.depth.shape[-2:], mode="bilinear")
    assert detail.depth.shape[-1] > detail.depth_weights.shape[-1]
    assert_close(detail.depth, plain)
    with torch.no_grad():
        model.render.depth_middle.bias += 2
    moved = model.drive(avatar, motion).rendering.detail
    assert_close(moved.depth - detail.depth, torch.full_like(plain, 2 * DEPTH_SCALE))
    assert_close(
        moved.trace.surface[..., 2].mean() - detail.trace.surface[..., 2].mean(), torch.tensor(2 * DEPTH_SCALE)
    )


# --- configs and report ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", [PRESETS, ENHANCERS, STUDENTS, DISCRIMINATORS])
def test_configs_survive_json(table):
    for name in PRESETS:
        config = preset(name, table)
        assert config.preset == name and type(config).from_json(config.to_json()) == config
    with pytest.raises(ValueError, match="choose one of nano, tiny"):
        preset("huge", table)


@pytest.mark.parametrize("kind", [ModelConfig, EnhancerConfig, StudentConfig, DiscriminatorConfig])
def test_json_of_another_kind_is_refused(kind):
    for text in ('{"wings": 2}', "[]", "not json"):
        with pytest.raises(WeightsError, match=f"not a {kind.__name__}"):
            kind.from_json(text)


report = functools.cache(network_report)


@pytest.mark.parametrize("name", ["nano", "tiny", "base512"])
def test_report_counts_every_network(name):
    rows = {row.symbol or row.network: row for row in report(name)}
    for symbol in ("E_app", "E_mtn", "W_s->", "G_3D", "W_->d", "P + G_2D", "G_enh", "D"):
        assert rows[symbol].parameters > 0 and rows[symbol].gflop > 0
    config = preset(name)
    volume = (config.volume_channels, config.volume_depth, config.volume_size, config.volume_size)
    assert rows["E_app"].output.startswith("x".join(map(str, volume)))
    parts = ("E_mtn", "W_->d", "P + G_2D", *(["(ours) face_->d", "(ours) mouth"] if config.face_size else []))
    frame = sum(rows[symbol].gflop for symbol in parts)
    assert rows["one driven frame"].gflop == pytest.approx(frame)
    student = next(row for symbol, row in rows.items() if symbol.startswith("G_DT"))
    assert student.gflop < rows["one driven frame"].gflop


def test_report_is_a_table_with_a_line_for_each_row():
    rows = report("nano")
    lines = format_report(rows).splitlines()
    assert len(lines) == 1 + len(rows) + 2  # a head and two rules
    for row in rows:
        assert any(line.startswith(row.network) and row.output in line for line in lines)


def test_report_counts_a_convolution_by_hand():
    """The action encoder is three linear layers, 54-64-64-32 at nano, for the face and for the neutral one."""
    row = next(row for row in report("nano") if row.network == "action encoder")
    assert row.parameters == pytest.approx((54 * 64 + 64 + 64 * 64 + 64 + 64 * 32 + 32) / 1e6)
    assert row.gflop == pytest.approx(2 * 2 * (54 * 64 + 64 * 64 + 64 * 32) / 1e9)


def test_tiny_fits_two_cores():
    rows = report("tiny")
    frame = next(row for row in rows if row.network == "one driven frame")
    assert frame.gflop < 4
    files = list(DEFAULT_WEIGHTS.parent.glob("*.safetensors"))
    assert len(files) >= 3 and sum(file.stat().st_size for file in files) < 40e6  # everything that is bundled


# --- what the warps did, by name -------------------------------------------------------------------------------------


def test_drive_traces_the_visible_points_as_trace_does():
    model = stirred(BaseModel(NANO)).eval()
    avatar, motion = model.source(some_picture(), some_motion()), some_motion(yaw=20, pitch=5)
    inside = model.drive(avatar, motion).rendering.detail.trace
    asked = model.trace(avatar, motion, inside.surface)
    for name, values in inside._asdict().items():
        assert_close(getattr(asked, name), values, atol=1e-5, rtol=1e-4), name


def test_a_trace_tells_expressions_from_poses():
    """`moved` is what both expressions do on the head: nothing without expressions, however the head is turned."""
    turned, frontal = some_motion(yaw=20, pitch=5), some_motion()
    points = torch.rand(1, 8, 8, 3) - 0.5
    model = without_expression(BaseModel(NANO)).eval()
    trace = model.trace(model.source(some_picture(), frontal), turned, points)
    assert_close(trace.moved, torch.zeros_like(points), atol=1e-5, rtol=0)
    model = stirred(BaseModel(NANO)).eval()
    trace = model.trace(model.source(some_picture(), frontal), turned, points)
    apart = frontal.pose.unapply(trace.source) - turned.pose.unapply(points)
    assert_close(trace.moved, apart, atol=1e-5, rtol=1e-4)
    assert trace.moved.abs().max() > 1e-3


def test_a_trace_without_motion_stays_in_place_and_mirrors_x():
    model, motion = without_expression(BaseModel(NANO)).eval(), some_motion()
    points = torch.rand(1, 8, 8, 3) - 0.5
    trace = model.trace(model.source(some_picture(), motion), motion, points)
    assert_close(trace.source, points, atol=1e-5, rtol=0)
    assert_close(trace.canonical, points, atol=1e-5, rtol=0)
    assert_close(trace.mirrored, points * torch.tensor([-1, 1, 1]), atol=1e-5, rtol=0)


def test_area_ratio_of_a_trace_is_that_of_its_flow():
    """A source head of half the size shows a quarter of the area in each pixel."""
    model, motion = without_expression(BaseModel(NANO)).eval(), some_motion()
    grid = identity_grid(1, 8, 8)[:, 0]
    small = motion._replace(pose=motion.pose._replace(scale=torch.tensor([0.5])))
    trace = model.trace(model.source(some_picture(), small), motion, grid)
    assert_close(trace.area_ratio[..., 2:-2, 2:-2], torch.full((1, 1, 4, 4), 0.25), atol=1e-4, rtol=0)
