"""The networks: the paper's shapes and layers, what each warp means, where gradients go, what runs when.

Real computation uses the nano preset and, as PAPER_NANO, the paper's variant of it (no detail path, no pose
conditioning, weight standardisation); the paper's own sizes run on the meta device, where nothing is allocated.
"""

import dataclasses
import functools

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

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
from mpkit.geometry import (
    Pose,
    identity_grid,
    identity_pose,
    inverse_rigid_grid,
    rigid_grid,
    rotation_from_angles,
    sample,
)
from mpkit.networks import (
    BaseModel,
    Discriminator,
    Enhancer,
    HeadMotion,
    Student,
    VolumeRefiner,
    WarpGenerator,
    render_at,
    repeat_avatar,
    warp_from_source,
    warp_to_driver,
)
from mpkit.networks.blocks import AdaptiveGroupNorm, ResBlock, standardize_weights
from mpkit.networks.motion import pose_from_numbers
from mpkit.report import format_report, network_report

NANO = preset("nano")
PAPER_NANO = dataclasses.replace(
    NANO, stem_downscale=1, appearance_widths=(16, 24), vector_downscale=1, vector_bottleneck=True, motion_pool=0,
    motion_blocks=(2, 2), pose_conditioning=False, detail=False, render_widths=(24, 16), weight_standardization=True,
)  # fmt: skip
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def stirred(module):
    """The module with every parameter moved a little, so that nothing is zero because it starts as zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return module


def without_expression(model):
    """The model with delta = 0 on both sides: the warps are rigid."""
    for generator in (model.warp_source, model.warp_driver):
        nn.init.zeros_(generator.offset.weight), nn.init.zeros_(generator.offset.bias)
    return model


def some_pose(batch=1, **angles):
    names = ("yaw", "pitch", "roll")
    rotation = rotation_from_angles(*(torch.full((batch,), float(angles.get(name, 0))) for name in names))
    return identity_pose(batch)._replace(rotation=rotation)


def some_motion(config=NANO, batch=1, **angles):
    return HeadMotion(some_pose(batch, **angles), torch.randn(batch, config.latent_size))


def some_picture(config=NANO, batch=1):
    """Premultiplied RGBA."""
    rgb, alpha = torch.rand(batch, 4, config.image_size, config.image_size).split([3, 1], dim=1)
    return torch.cat([rgb * alpha, alpha], dim=1)


def bright_voxel(x, y, z, config=NANO):
    side = config.volume_size
    volume = torch.zeros(1, config.volume_channels, config.volume_depth, side, side)
    volume[:, :, z, y, x] = 1
    return volume


def brightest(volume):
    """(x, y, z) of the brightest voxel of the first channel."""
    depth, height, width = volume.shape[2:]
    index = volume[0, 0].flatten().argmax().item()
    return index % width, index // width % height, index // (width * height)


def calls_to(*modules):
    """A list that grows by one with each forward call of any of the modules."""
    calls = []
    for module in modules:
        module.register_forward_hook(lambda module, *_: calls.append(module))
    return calls


def meta(build, config):
    with torch.device("meta"):
        return build(config)


@pytest.fixture(scope="module")
def paper_model():
    return meta(BaseModel, preset("base512"))


# --- the paper's shapes and layers -----------------------------------------------------------------------------------


def test_paper_shapes(paper_model):
    source, driver = (torch.empty(1, 4, 512, 512, device="meta") for _ in range(2))
    avatar = paper_model.source(source, paper_model.motion(source[:, :3]))
    driven = paper_model.drive(avatar, paper_model.motion(driver[:, :3]))
    assert avatar.appearance.shape == avatar.canonical.shape == driven.volume.shape == (1, 96, 16, 64, 64)
    assert avatar.warp.shape == driven.warp.shape == (1, 16, 64, 64, 3)
    assert avatar.vector.shape == avatar.motion.expression.shape == (1, 512)
    assert driven.rendering.image.shape == (1, 3, 512, 512)
    assert driven.rendering.alpha is None and driven.rendering.detail is None
    delta = paper_model.warp_driver(avatar.motion.expression, avatar.vector, avatar.motion.pose)
    assert delta.shape == (1, 3, 16, 64, 64)


@pytest.mark.parametrize("name", ["nano", "tiny", "base256"])
def test_every_preset_gives_a_picture_of_its_own_size(name):
    config = preset(name)
    picture = torch.empty(2, 4, config.image_size, config.image_size, device="meta")
    driven = meta(BaseModel, config)(picture, picture)
    assert driven.rendering.image.shape == (2, 3, config.image_size, config.image_size)
    assert driven.volume.shape[1:] == (config.volume_channels, config.volume_depth, *[config.volume_size] * 2)


def block_widths(blocks):
    return [block.conv2.out_channels for block in blocks]


def conv_facts(conv):
    return conv.in_channels, conv.out_channels, conv.kernel_size[0]


def test_layers_of_e_app(paper_model):
    net = paper_model.appearance
    assert conv_facts(net.stem) == (3, 64, 7)
    assert block_widths(net.blocks_2d) == [128, 256, 512]
    assert conv_facts(net.to_volume) == (512, 1536, 1)
    assert block_widths(net.blocks_3d) == [96] * 6
    assert [len(stage) for stage in net.vector.stages] == [3, 4, 6, 3]  # ResNet-50
    assert [stage[-1].convs[-1].out_channels for stage in net.vector.stages] == [256, 512, 1024, 2048]


def test_layers_of_e_mtn(paper_model):
    for net in (paper_model.motion.pose, paper_model.motion.expression):  # two ResNet-18, nothing shared
        assert [block_widths(stage) for stage in net.stages] == [[64] * 2, [128] * 2, [256] * 2, [512] * 2]
    pose, expression = (set(net.parameters()) for net in (paper_model.motion.pose, paper_model.motion.expression))
    assert not pose & expression


def test_layers_of_w(paper_model):
    for net in (paper_model.warp_source, paper_model.warp_driver):
        assert net.start.out_features == 2048 and net.shape[:2] == (512, 4)
        assert net.constant.shape == (512, 4, 4, 4)
        assert block_widths(net.blocks) == [256, 128, 64, 32]
        assert net.scales == ((2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
        assert all(isinstance(norm, AdaptiveGroupNorm) for block in net.blocks for norm in (block.norm1, block.norm2))
        assert conv_facts(net.offset) == (32, 3, 3)
    assert not set(paper_model.warp_source.parameters()) & set(paper_model.warp_driver.parameters())


def test_layers_of_g_3d(paper_model):
    net = paper_model.refine
    assert block_widths(net.down) == [192, 384] and block_widths(net.middle) == [512, 512]
    assert block_widths(net.skips) == [192, 384] and block_widths(net.up) == [384, 192]
    assert net.last.conv2.out_channels == 96 and conv_facts(net.out) == (96, 96, 3)


def test_layers_of_g_2d(paper_model):
    net = paper_model.render
    assert conv_facts(net.project) == (96 * 16, 512, 1)
    assert block_widths(net.blocks) == [512] * 8 and block_widths(net.up) == [256, 128, 64]
    assert conv_facts(net.out) == (64, 3, 3)


def test_layers_of_g_enh():
    net = meta(Enhancer, preset("base512", ENHANCERS))
    assert conv_facts(net.stem) == (3, 64, 7)
    assert block_widths(net.encoder) == [128, 256, 512]
    assert conv_facts(net.to_volume) == (512, 1536, 1)
    assert block_widths(net.blocks_3d) == [96] * 6
    assert conv_facts(net.project) == (1536, 512, 1)
    assert block_widths(net.blocks_2d) == [512] * 8
    assert block_widths(net.up) == [256, 128, 128] and block_widths(net.final) == [128, 64, 32]
    assert conv_facts(net.out) == (32, 3, 3)


def test_no_batch_norm_anywhere(paper_model):
    """BatchNorm would mix the people of a batch; its running statistics would be a second set of weights."""
    for model in (paper_model, BaseModel(NANO)):
        kinds = {type(module) for module in model.modules() if "Norm" in type(module).__name__}
        assert kinds == {nn.GroupNorm, AdaptiveGroupNorm} and not list(model.buffers())


def inner_convolutions(network):
    """The 3^n convolutions of residual blocks."""
    blocks = [module for module in network.modules() if isinstance(module, ResBlock)]
    return [conv for block in blocks for conv in (block.conv1, block.conv2)]


def test_weights_are_standardised_inside_and_not_at_the_ends(paper_model):
    m = paper_model
    assert sum(is_parametrized(conv) for conv in inner_convolutions(m)) == len(inner_convolutions(m)) - 2
    assert all(is_parametrized(conv) for conv in inner_convolutions(meta(Enhancer, preset("base512", ENHANCERS))))
    ends = [m.appearance.stem, m.appearance.vector.stem, m.motion.pose.stem, m.motion.expression.stem]
    ends += [m.refine.out, m.render.project, m.render.out, m.warp_source.offset, m.warp_driver.offset]
    assert not any(is_parametrized(conv) for conv in ends)


def networks_of(m):
    """Lists of modules in the order of computation, one list a network."""
    a = m.appearance
    return {
        "E_app volume": [a.stem, a.blocks_2d, a.to_volume, a.blocks_3d],
        "E_app vector": [a.vector],
        "E_mtn pose": [m.motion.pose],
        "W_->d": [m.warp_driver],
        "G_3D": [m.refine],
        "G_2D": [m.render],
    }


def test_weights_are_standardised_on_all_convolutions_but_first_and_last(paper_model):
    wrong = {}
    for name, parts in networks_of(paper_model).items():
        kinds = CONVOLUTIONS + (nn.Linear,)
        layers = [
            (path, module)
            for part in parts
            for path, module in part.named_modules()
            if isinstance(module, kinds) and not path.endswith(".affine")  # an adaptive norm's matrix
        ]
        expected = [False] + [True] * (len(layers) - 2) + [False]
        wrong[name] = [path for (path, layer), should in zip(layers, expected) if is_parametrized(layer) != should]
    assert not any(wrong.values()), wrong


def test_standardised_weights_have_mean_0_and_variance_1_over_fan_in():
    conv = standardize_weights(nn.Conv3d(8, 16, 3))
    weight = conv.weight.flatten(1)
    assert_close(weight.mean(1), torch.zeros(16), atol=1e-6, rtol=0)
    assert_close(weight.var(1) * weight.shape[1], torch.ones(16), atol=1e-2, rtol=0)


# --- warps -----------------------------------------------------------------------------------------------------------


def test_no_motion_gives_the_identity_grid_once():
    """Not twice: an identity grid added to an absolute grid sends the whole volume into a corner."""
    delta = torch.zeros(2, 3, 8, 16, 16)
    identity = identity_grid(8, 16, 16).expand(2, -1, -1, -1, -1)
    assert_close(warp_from_source(delta, identity_pose(2)), identity)
    assert_close(warp_to_driver(delta, identity_pose(2)), identity)


def test_no_expression_gives_the_rigid_grid():
    pose = Pose(some_pose(yaw=20, pitch=-10).rotation, torch.tensor([[0.1, -0.2, 0.0]]), torch.tensor([1.2]))
    delta = torch.zeros(1, 3, 8, 16, 16)
    assert_close(warp_from_source(delta, pose), rigid_grid(pose, 8, 16, 16))
    assert_close(warp_to_driver(delta, pose), inverse_rigid_grid(pose, 8, 16, 16))


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
    warp = warp_to_driver(delta, pose)
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
    warp = warp_from_source(delta, pose)
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
    assert_close(seen[0], sample(avatar.appearance, avatar.warp))
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
    warp = model.drive(avatar, motion).warp
    other = model.drive(avatar._replace(vector=avatar.vector + 1), motion).warp
    assert (warp - other).abs().max() > 1e-3


def test_expression_and_pose_of_the_driver_both_move_the_frame():
    model = stirred(BaseModel(NANO)).eval()
    avatar, motion = model.source(some_picture(), some_motion()), some_motion()
    frame = model.drive(avatar, motion).rendering.image
    for other in (motion._replace(pose=some_pose(yaw=20)), motion._replace(expression=-motion.expression)):
        assert (model.drive(avatar, other).rendering.image - frame).abs().max() > 1e-3


def test_a_source_is_worked_out_once():
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
    together = model.drive(repeat_avatar(avatars, 2), motion).rendering.image
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


def unreached(module, loss):
    """Names of the weights that the loss does not reach; biases before a norm may rightly have gradient 0."""
    module.zero_grad(set_to_none=True)
    loss.backward()
    names = []
    for name, parameter in module.named_parameters():
        gradient = parameter.grad
        if gradient is None or not gradient.isfinite().all() or (not name.endswith("bias") and not gradient.any()):
            names.append(name)
    return names


def random_loss(*outputs):
    return sum((output * torch.randn_like(output)).sum() for output in outputs)


def is_action_name(name):
    return name.startswith(("actions.", "read_actions."))


@pytest.mark.parametrize("config", [NANO, PAPER_NANO])
def test_one_pass_reaches_every_parameter(config):
    """All but the action encoder and the linear read-out, which pixels do not pass through."""
    model = stirred(BaseModel(config))
    driven = model(some_picture(config, 2), some_picture(config, 2))
    rest = unreached(model, random_loss(driven.rendering.image))
    assert set(rest) == {name for name, _ in model.named_parameters() if is_action_name(name)}


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
    assert not torch.allclose(model.render(volume).image, model.render(volume.flip(2)).image, atol=1e-2)


# --- the detail path -------------------------------------------------------------------------------------------------


def copying_model():
    """No expression, no residual flow (as initialised), mask 1: the model shows the source picture alone."""
    model = without_expression(BaseModel(NANO)).eval()
    nn.init.zeros_(model.render.out.weight)
    with torch.no_grad():
        model.render.out.bias[4 * model.render.shuffle**2 :] = 50
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


def test_depth_weights_choose_one_voxel_of_each_column():
    rendering = drive_itself(stirred(BaseModel(NANO)).eval(), some_picture())
    weights = rendering.detail.depth_weights
    assert_close(weights.sum(1), torch.ones_like(weights[:, 0]))
    assert (0 <= rendering.detail.mask).all() and (rendering.detail.mask <= 1).all()


# --- enhancer, student, discriminator --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_enhancer_doubles_the_picture_of_the_base_model(name):
    config = preset(name, ENHANCERS)
    size = preset(name).image_size
    image = torch.empty(1, 3, size, size, device="meta")
    assert meta(Enhancer, config)(image).shape == (1, 3, 2 * size, 2 * size)


def test_enhancer_runs_and_learns():
    nano = preset("nano", ENHANCERS)
    for config in (nano, dataclasses.replace(nano, weight_standardization=True)):
        enhancer = stirred(Enhancer(config))
        image = enhancer(torch.rand(2, 3, 64, 64))
        assert image.shape == (2, 3, 128, 128) and 0 <= image.min() and image.max() <= 1
        assert not unreached(enhancer, random_loss(image))
    with pytest.raises(ValueError, match="G_enh takes pictures"):
        enhancer(torch.rand(1, 3, 32, 32))


def test_enhancer_config_must_mirror():
    with pytest.raises(ValueError, match="same length"):
        EnhancerConfig(encoder_widths=(64,))


@pytest.fixture
def student():
    return stirred(Student(preset("nano", STUDENTS)))


def test_student_is_the_papers():
    student = meta(Student, preset("base512", STUDENTS))
    assert student(torch.empty(2, 3, 512, 512, device="meta"), [0, 99]).shape == (2, 3, 512, 512)
    assert block_widths(student.blocks) == [192] * 5 + [96, 48, 24]
    assert [len(stage) for stage in student.encoder.stages] == [2, 2, 2, 2]  # ResNet-18
    assert conv_facts(student.out) == (24, 3, 3)
    assert max(max(block.spade1.identity.shape[2:]) for block in student.blocks) == 64
    half_precision = 2 * sum(parameter.numel() for parameter in student.parameters())
    assert half_precision == pytest.approx(800e6, rel=0.05)  # the paper's 800 MB for 100 avatars


@pytest.mark.parametrize("name", PRESETS)
def test_student_sees_and_makes_pictures_of_the_base_models_size(name):
    assert preset(name, STUDENTS).image_size == preset(name).image_size


def test_student_runs_and_learns(student):
    image = student(torch.rand(3, 3, 64, 64), [0, 1, 2])
    assert image.shape == (3, 3, 64, 64) and 0 <= image.min() and image.max() <= 1
    assert not unreached(student, random_loss(image))


def test_student_learns_only_the_avatar_it_shows(student):
    random_loss(student(torch.rand(2, 3, 64, 64), 1)).backward()
    for block in student.blocks:
        used = [slice_.any().item() for slice_ in block.spade1.identity.grad]
        assert used == [False, True, False]


def test_student_shows_another_face_for_another_avatar(student):
    driver = torch.rand(1, 3, 64, 64).expand(3, -1, -1, -1)
    faces = student(driver, torch.arange(3))
    assert (faces[0] - faces[1]).abs().max() > 1e-2 and (faces[1] - faces[2]).abs().max() > 1e-2
    assert_close(student(driver[:1], 2), faces[2:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("avatar", [3, -1, [0, 7]])
def test_student_refuses_an_avatar_it_does_not_know(student, avatar):
    with pytest.raises(IndexError, match="this student knows avatars 0 to 2"):
        student(torch.rand(2, 3, 64, 64), avatar)


def test_student_refuses_a_wrong_count_or_size(student):
    with pytest.raises(ValueError, match="2 driver pictures but 3 avatar numbers"):
        student(torch.rand(2, 3, 64, 64), [0, 1, 2])
    with pytest.raises(ValueError, match="G_DT takes pictures"):
        student(torch.rand(1, 3, 32, 32), 0)


def test_discriminator_judges_patches_at_each_scale():
    config = preset("nano", DISCRIMINATORS)
    judgements = stirred(Discriminator(config))(torch.rand(2, 3, 64, 64))
    assert len(judgements) == config.scales
    sides = [score.shape[-1] for score, _ in judgements]
    assert sides == sorted(sides, reverse=True) and sides[-1] > 1
    for score, features in judgements:
        assert score.shape[:2] == (2, 1)
        assert [feature.shape[1] for feature in features] == list(config.widths)


def test_discriminator_scores_have_no_limits():
    """The hinge loss wants real > 1 and fake < -1: no sigmoid at the end."""
    discriminator = Discriminator(dataclasses.replace(preset("nano", DISCRIMINATORS), spectral_normalization=False))
    scores = []
    for sign in (-10, 10):
        for scale in discriminator.scales:
            nn.init.constant_(scale.score.bias, sign)
        scores.append(discriminator(torch.rand(1, 3, 64, 64))[0].score.mean())
    assert scores[0] < -1 and scores[1] > 1


@pytest.mark.parametrize("spectral", [True, False])
def test_discriminator_gives_the_picture_a_gradient_and_learns(spectral):
    config = dataclasses.replace(preset("nano", DISCRIMINATORS), spectral_normalization=spectral)
    discriminator, image = stirred(Discriminator(config)), torch.rand(1, 3, 64, 64, requires_grad=True)
    loss = random_loss(*(score for score, _ in discriminator(image)))
    assert not unreached(discriminator, loss)
    assert image.grad.any()


def test_spectral_normalisation_bounds_each_convolution():
    discriminator = stirred(Discriminator(preset("nano", DISCRIMINATORS)))
    for _ in range(20):  # the power iteration settles in training mode
        discriminator(torch.rand(1, 3, 64, 64))
    for conv in (module for module in discriminator.modules() if isinstance(module, nn.Conv2d)):
        assert is_parametrized(conv)
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


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
    frame = sum(rows[symbol].gflop for symbol in ("E_mtn", "W_->d", "P + G_2D"))
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
    """E_mtn's two networks end in the same linear layers; the action encoder is three: 54-64-64-32 at nano."""
    row = next(row for row in report("nano") if row.network == "action encoder")
    assert row.parameters == pytest.approx((54 * 64 + 64 + 64 * 64 + 64 + 64 * 32 + 32) / 1e6)
    assert row.gflop == pytest.approx(2 * (54 * 64 + 64 * 64 + 64 * 32) / 1e9)


def test_tiny_fits_two_cores():
    rows = report("tiny")
    frame = next(row for row in rows if row.network == "one driven frame")
    base = {"E_app", "E_mtn", "(ours)", "W_s->", "W_->d", "G_3D", "P + G_2D"}
    assert frame.gflop < 4
    assert 4 * sum(row.parameters for row in rows if row.symbol in base) < 40  # megabytes in single precision
