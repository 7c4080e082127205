"""Directions and order of the warps, the inputs of each network, and gradients; each test excludes a common mistake."""

import pytest
import torch
from support import (
    NANO,
    PAPER_NANO,
    bright_voxel,
    brightest,
    calls_to,
    random_loss,
    some_motion,
    some_picture,
    some_pose,
    stirred,
    unreached,
    without_expression,
)
from torch import nn
from torch.testing import assert_close

from mpkit.actions import ACTIONS
from mpkit.geometry import (
    Pose,
    identity_flow,
    identity_grid,
    identity_pose,
    inverse_rigid_grid,
    rigid_grid,
    sample,
)
from mpkit.networks import (
    BaseModel,
    HeadMotion,
    VolumeRefiner,
    WarpGenerator,
    repeat_each,
    warp_from_source,
    warp_to_driver,
)
from mpkit.networks.blocks import AdaptiveGroupNorm
from mpkit.networks.detail import area_ratio
from mpkit.networks.motion import pose_from_numbers

# --- warps -----------------------------------------------------------------------------------------------------------


def test_no_motion_gives_the_identity_grid_once():
    """Not twice: an identity grid added to an absolute grid sends the whole volume into a corner."""
    delta = torch.zeros(2, 3, 8, 16, 16)
    identity = identity_grid(8, 16, 16).expand(2, -1, -1, -1, -1)
    assert_close(warp_from_source(delta, identity_pose(2)).grid, identity)
    assert_close(warp_to_driver(delta, identity_pose(2)).grid, identity)


def test_a_warp_names_its_rigid_and_its_expression_part():
    delta, pose = 0.2 * torch.randn(1, 3, 8, 16, 16), some_pose(yaw=25, roll=10)
    driver, source = warp_to_driver(delta, pose), warp_from_source(delta, pose)
    assert_close(driver.rigid, inverse_rigid_grid(pose, 8, 16, 16))
    assert_close(source.rigid, rigid_grid(pose, 8, 16, 16))
    assert driver.expression is delta and source.expression is delta
    assert_close(driver.grid, driver.rigid + sample(delta, driver.rigid, padding="border").movedim(1, -1))
    assert_close(source.grid, pose.apply(identity_grid(8, 16, 16) + delta.movedim(1, -1)))


def test_no_expression_gives_the_rigid_grid():
    pose = Pose(some_pose(yaw=20, pitch=-10).rotation, torch.tensor([[0.1, -0.2, 0.0]]), torch.tensor([1.2]))
    delta = torch.zeros(1, 3, 8, 16, 16)
    assert_close(warp_from_source(delta, pose).grid, rigid_grid(pose, 8, 16, 16))
    assert_close(warp_to_driver(delta, pose).grid, inverse_rigid_grid(pose, 8, 16, 16))


def inward_offset(side=12):
    """A bumpy delta that moves points towards the middle, so that every sample stays inside the volume."""
    coordinates = identity_grid(side, side, side).movedim(-1, 1)
    return -coordinates * (0.1 + 0.3 * torch.rand_like(coordinates))


def test_driver_warp_is_expression_then_pose():
    """Eq. 3 by two samplings; a volume that holds its own coordinates shows where each cell came from."""
    pose = some_pose(yaw=25, roll=15)._replace(scale=torch.tensor([2.0]))
    delta = inward_offset()
    coordinates = identity_grid(12, 12, 12).movedim(-1, 1)
    expressed = sample(coordinates, identity_grid(12, 12, 12) + delta.movedim(1, -1))
    two_steps = sample(expressed, inverse_rigid_grid(pose, 12, 12, 12))
    warp = warp_to_driver(delta, pose).grid
    assert_close(sample(coordinates, warp), two_steps, atol=1e-5, rtol=0)
    summed = inverse_rigid_grid(pose, 12, 12, 12) + delta.movedim(1, -1)
    assert (warp - summed).abs().max() > 0.05


def test_source_warp_is_pose_then_expression():
    """Eq. 1 by two samplings: rigid first, then identity + delta."""
    pose = some_pose(yaw=25, roll=15)._replace(scale=torch.tensor([0.5]))
    delta = inward_offset()
    coordinates = identity_grid(12, 12, 12).movedim(-1, 1)
    unposed = sample(coordinates, rigid_grid(pose, 12, 12, 12))
    two_steps = sample(unposed, identity_grid(12, 12, 12) + delta.movedim(1, -1))
    warp = warp_from_source(delta, pose).grid
    assert_close(sample(coordinates, warp), two_steps, atol=1e-5, rtol=0)
    summed = rigid_grid(pose, 12, 12, 12) + delta.movedim(1, -1)
    assert (warp - summed).abs().max() > 0.05


@pytest.mark.parametrize("config", [NANO, PAPER_NANO])
def test_offsets_go_both_ways(config):
    """At initialisation already, and up to the limits of tanh."""
    generator = WarpGenerator(config)
    motion, vector = some_motion(config, batch=2), torch.randn(2, config.latent_size)
    for delta in (d(motion.expression, vector, motion.pose) for d in (generator, stirred(generator))):
        assert (delta.amin((0, 2, 3, 4)) < 0).all() and (delta.amax((0, 2, 3, 4)) > 0).all()
        assert delta.abs().max() < 1


def test_offsets_start_small():
    delta = WarpGenerator(NANO)(torch.randn(2, 32), torch.randn(2, 32), some_pose(2))
    assert delta.abs().max() < 0.1


def test_adaptive_norms_are_in_the_state_dict_and_read_z_plus_e():
    generator = stirred(WarpGenerator(PAPER_NANO))
    names = [name for name in generator.state_dict() if name.endswith("affine.weight")]
    assert len(names) == 2 * len(PAPER_NANO.warp_widths)
    z, e, shift = torch.randn(3, 1, PAPER_NANO.latent_size)
    delta = generator(z, e, identity_pose())
    assert_close(generator(z + shift, e - shift, identity_pose()), delta, atol=1e-4, rtol=0)
    for norm in (module for module in generator.modules() if isinstance(module, AdaptiveGroupNorm)):
        x = torch.randn(1, norm.norm.num_channels, 2, 4, 4)
        assert not torch.allclose(norm(x, z + e), norm(x, z + 2 * e), atol=1e-2)


def test_paper_preset_does_not_show_the_pose_to_w():
    generator = stirred(WarpGenerator(PAPER_NANO))
    z, e = torch.randn(2, 1, PAPER_NANO.latent_size)
    assert_close(generator(z, e, some_pose(yaw=40)), generator(z, e, identity_pose()))


def test_driving_moves_the_volume():
    """A light at the nose, x = y = 1/16 and z = -7/8, goes where a quarter turn to the right sends it."""
    model = without_expression(BaseModel(NANO)).eval()
    avatar = model.source(some_picture(), some_motion())._replace(canonical=bright_voxel(8, 8, 0))
    driven = model.drive(avatar, some_motion(yaw=90))
    assert brightest(driven.volume) in {(14, 8, 4), (15, 8, 4)}  # x = 7/8 is the edge between two cells of 16
    assert brightest(model.drive(avatar, some_motion()).volume) == (8, 8, 0)


def test_source_pose_is_taken_out():
    """A light on the right of a head that looks right, at its nose, comes back to the front."""
    model = without_expression(BaseModel(NANO)).eval()
    model.appearance.forward = lambda image: (bright_voxel(14, 8, 4), torch.zeros(1, NANO.latent_size))
    model.refine = nn.Identity()
    assert brightest(model.source(some_picture(), some_motion(yaw=90)).canonical) == (8, 8, 0)


def test_canonical_volume_is_the_warped_one():
    """G_3D gets w_s-> o v_s: another source pose, another input, though E_app saw the same picture."""
    model = stirred(BaseModel(NANO)).eval()
    seen = []
    model.refine.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    picture, motion = some_picture(), some_motion()
    avatar = model.source(picture, motion)
    model.source(picture, motion._replace(pose=some_pose(yaw=30)))
    assert_close(seen[0], sample(avatar.appearance, avatar.warp.grid))
    assert not torch.allclose(seen[0], seen[1], atol=1e-2)


# --- who sees what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [NANO, PAPER_NANO])
def test_the_driver_gives_motion_alone(config):
    """Two drivers of the same motion and other looks make the same frame; E_app sees only the source."""
    model = stirred(BaseModel(config)).eval()
    motion = some_motion(config, yaw=10)
    model.motion.forward = lambda image: motion
    seen = calls_to(model.appearance)
    source = some_picture(config)
    first, second = (model(source, some_picture(config)) for _ in range(2))
    assert_close(first.rendering.image, second.rendering.image, atol=0, rtol=0)
    assert len(seen) == 2


@pytest.mark.parametrize("config", [NANO, PAPER_NANO])
def test_driver_warp_reads_the_sources_e(config):
    model = stirred(BaseModel(config)).eval()
    avatar = model.source(some_picture(config), some_motion(config))
    motion = some_motion(config)
    warp = model.drive(avatar, motion).warp.grid
    other = model.drive(avatar._replace(vector=avatar.vector + 1), motion).warp.grid
    assert (warp - other).abs().max() > 1e-3


def test_expression_and_pose_of_the_driver_both_move_the_frame():
    model = stirred(BaseModel(NANO)).eval()
    avatar, motion = model.source(some_picture(), some_motion()), some_motion()
    frame = model.drive(avatar, motion).rendering.image
    for other in (motion._replace(pose=some_pose(yaw=20)), motion._replace(expression=-motion.expression)):
        assert (model.drive(avatar, other).rendering.image - frame).abs().max() > 1e-3


def test_a_source_is_computed_once():
    model = BaseModel(NANO).eval()
    once = calls_to(model.appearance, model.warp_source, model.refine)
    avatar = model.source(some_picture(), some_motion())
    assert len(once) == 3
    for yaw in (0, 10, 20):
        model.drive(avatar, some_motion(yaw=yaw))
    assert len(once) == 3


def test_forward_is_source_then_drive():
    model = stirred(BaseModel(NANO)).eval()
    source, driver = some_picture(), some_picture()
    avatar = model.source(source, model.motion(source[:, :3]))
    driven = model.drive(avatar, model.motion(driver[:, :3]))
    assert_close(model(source, driver).rendering.image, driven.rendering.image)


def test_repeated_avatars_are_driven_one_by_one():
    model = stirred(BaseModel(NANO)).double().eval()
    first, second = (some_motion(batch=2, yaw=yaw) for yaw in (0, 10))
    first, second = (HeadMotion(m.pose.to(torch.float64), m.expression.double()) for m in (first, second))
    avatars = model.source(some_picture(batch=2).double(), first)
    alone = [model.drive(avatars, motion).rendering.image for motion in (first, second)]
    order = [0, 2, 1, 3]  # both frames of the first avatar, then both of the second
    pose = Pose(*(torch.cat(parts)[order] for parts in zip(first.pose, second.pose)))
    motion = HeadMotion(pose, torch.cat([first.expression, second.expression])[order])
    together = model.drive(repeat_each(avatars, 2), motion).rendering.image
    assert_close(together, torch.cat(alone)[order])


def test_pose_from_numbers_is_a_rotation_and_zero_is_the_identity():
    pose = pose_from_numbers(torch.randn(5, 9))
    assert_close(pose.rotation @ pose.rotation.mT, torch.eye(3).expand(5, 3, 3), atol=1e-5, rtol=0)
    assert_close(torch.linalg.det(pose.rotation), torch.ones(5))
    assert (pose.scale > 0).all() and (pose.translation[:, 2] == 0).all()
    for part, identity in zip(pose_from_numbers(torch.zeros(2, 9)), identity_pose(2)):
        assert_close(part, identity)


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="E_app takes pictures"):
        BaseModel(NANO).source(torch.rand(1, 4, 32, 32), some_motion())


# --- gradients -------------------------------------------------------------------------------------------------------


def is_action_name(name):
    return name.startswith(("actions.", "read_actions."))


@pytest.mark.parametrize("config", [NANO, PAPER_NANO])
def test_one_pass_reaches_every_parameter(config):
    """All but the action encoder and the linear read-out, which pixels do not pass through."""
    torch.manual_seed(6)  # a pose that carries neither the head nor the mouth out of view
    model = stirred(BaseModel(config))
    driven = model(some_picture(config, 2), some_picture(config, 2))
    rest = unreached(model, random_loss(driven.rendering.image))
    assert set(rest) == {name for name, _ in model.named_parameters() if is_action_name(name)}


def test_a_neutral_face_has_z_zero():
    """z is 0 for a neutral face, so that it holds the expression alone; a constant belongs to e."""
    model = stirred(BaseModel(NANO))
    z = model.actions(torch.cat([torch.zeros(1, 54), torch.rand(2, 54)]))
    assert_close(z[0], torch.zeros(NANO.latent_size))
    assert (z[1:].norm(dim=1) > 0.1).all()


def test_gaze_numbers_replace_the_eye_look_actions():
    model, numbers = BaseModel(NANO), torch.rand(1, 54)
    looks = [index for index, name in enumerate(ACTIONS) if name.startswith("eyeLook")]
    other, gaze = numbers.clone(), numbers.clone()
    other[:, looks], gaze[:, 52] = 0, -1
    assert_close(model.actions(other), model.actions(numbers))
    assert not torch.allclose(model.actions(gaze), model.actions(numbers))


def test_numbers_beyond_the_range_of_training_are_clamped():
    model, limit = BaseModel(NANO), torch.full((1, 54), 1.5)
    assert_close(model.actions(2 * limit), model.actions(limit))
    assert_close(model.actions(-2 * limit), model.actions(-limit))
    assert not torch.allclose(model.actions(0.9 * limit), model.actions(limit))


def test_the_face_field_shifts_points():
    """A constant in the source's face field shifts the flow by as much, within its window."""
    torch.manual_seed(1)
    model = without_expression(BaseModel(NANO)).eval()
    picture, motion = some_picture(), some_motion()
    avatar = model.source(picture, motion)
    before = model.drive(avatar, motion).rendering.detail
    face = torch.zeros(1, 2, 24, 24)
    face[:, 0] = 0.1
    offsets = avatar.offsets._replace(face=face)
    points = torch.tensor([[[[0.0, 0.1, 0.0], [0.95, 0.1, 0.0]]]])
    moved = offsets.displace(points) - avatar.offsets.displace(points)
    assert_close(moved[0, 0], torch.tensor([[0.1, 0, 0], [0, 0, 0]]))  # the window ends at 0.7
    after = model.drive(avatar._replace(offsets=offsets), motion).rendering.detail
    shift = (after.flow - before.flow)[0, :, 14:18, 14:18]
    assert_close(shift[0], torch.full((4, 4), 0.1), atol=1e-4, rtol=0)


def test_area_ratio_is_the_area_that_a_flow_maps_a_pixel_to():
    plain = identity_flow(16, 16)
    assert_close(area_ratio(plain)[..., 2:-2, 2:-2], torch.ones(1, 1, 12, 12))
    scale = torch.tensor([0.5, 1.5]).view(1, 2, 1, 1)
    assert_close(area_ratio(plain * scale)[..., 2:-2, 2:-2], torch.full((1, 1, 12, 12), 0.75))
    assert area_ratio(plain * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1))[..., 2:-2, 2:-2].max() == -1  # mirrored
    turned = torch.stack([(plain[:, 0] * 2).sin(), plain[:, 1]], dim=1)  # a cylinder: its sides are seen at a slant
    shares = area_ratio(turned)[0, 0, 8]
    assert shares[8] > 1.8 and shares[1] < 0.2


def test_actions_drive_and_are_read_back():
    model = stirred(BaseModel(NANO))
    avatar = model.source(some_picture(), some_motion())
    z = model.actions(torch.rand(1, 54))
    driven = model.drive(avatar, HeadMotion(some_pose(), z))
    rest = unreached(model, random_loss(driven.rendering.image, model.read_actions(z)))
    assert not [name for name in rest if is_action_name(name)]


@pytest.mark.parametrize("config", [NANO, PAPER_NANO])
def test_g_3d_has_skips(config):
    """With its bottleneck cut, the output still depends on the input."""
    refine = stirred(VolumeRefiner(config))
    refine.middle[-1].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
    side = config.volume_size
    volume = torch.randn(1, config.volume_channels, config.volume_depth, side, side, requires_grad=True)
    output = refine(volume)
    assert output.shape == volume.shape
    random_loss(output).backward()
    assert volume.grad.abs().mean() > 1e-4


def test_every_depth_of_the_volume_reaches_the_picture_by_its_own_weights():
    """Folded, not summed: swapping two slices changes the picture."""
    model = stirred(BaseModel(PAPER_NANO)).eval()
    volume = torch.randn(1, PAPER_NANO.volume_channels, PAPER_NANO.volume_depth, 16, 16)
    assert not torch.allclose(model.render(volume), model.render(volume.flip(2)), atol=1e-2)
