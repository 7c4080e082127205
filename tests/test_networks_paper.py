"""The networks at the paper's size: shapes, layers, normalisation. On the meta device, where nothing is allocated."""

import pytest
import torch
from support import (
    CONVOLUTIONS,
    NANO,
    block_widths,
    conv_facts,
    inner_convolutions,
    meta,
)
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

from mpkit.config import ENHANCERS, preset
from mpkit.networks import BaseModel, Enhancer
from mpkit.networks.blocks import AdaptiveGroupNorm, Conv3d, standardize_weights

# --- the paper's shapes and layers -----------------------------------------------------------------------------------


def test_paper_shapes(paper_model):
    source, driver = (torch.empty(1, 4, 512, 512, device="meta") for _ in range(2))
    avatar = paper_model.source(source, paper_model.motion(source[:, :3]))
    driven = paper_model.drive(avatar, paper_model.motion(driver[:, :3]))
    assert avatar.appearance.shape == avatar.canonical.shape == driven.volume.shape == (1, 96, 16, 64, 64)
    assert avatar.warp.grid.shape == driven.warp.grid.shape == (1, 16, 64, 64, 3)
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
        assert kinds == {nn.GroupNorm, AdaptiveGroupNorm, nn.LayerNorm}  # the last gives z one scale on both routes
        assert model.state_dict().keys() == dict(model.named_parameters()).keys()


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


@pytest.mark.parametrize("inputs, outputs", [(4, 8), (8, 8), (8, 3)])
def test_3d_convolutions_on_a_cpu_are_the_same_sum(inputs, outputs):
    conv, volume = Conv3d(inputs, outputs, 3, padding=1), torch.randn(2, inputs, 5, 6, 7)
    assert_close(conv(volume), nn.Conv3d.forward(conv, volume), atol=1e-5, rtol=1e-5)
