"""What the tests of the networks share: small models, motions and pictures.

Real computation uses the nano preset and, as PAPER_NANO, the paper's variant of it (no detail path, no pose
conditioning, weight standardisation).
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn

from mpkit.batch import Frames, Labels, Pairs
from mpkit.config import preset
from mpkit.geometry import identity_flow, identity_pose, rotation_from_angles
from mpkit.networks import HeadMotion
from mpkit.networks.blocks import ResBlock
from mpkit.networks.face_field import AVERAGE_ANCHORS

NANO = preset("nano")
PAPER_NANO = dataclasses.replace(
    NANO, stem_downscale=1, appearance_widths=(16, 24), vector_downscale=1, vector_bottleneck=True, motion_pool=0,
    motion_blocks=(2, 2), pose_conditioning=False, detail=False, face_size=0, render_widths=(24, 16),
    weight_standardization=True,
)  # fmt: skip
CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)


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


def block_widths(blocks):
    return [block.conv2.out_channels for block in blocks]


def conv_facts(conv):
    return conv.in_channels, conv.out_channels, conv.kernel_size[0]


def inner_convolutions(network):
    """The 3^n convolutions of residual blocks."""
    blocks = [module for module in network.modules() if isinstance(module, ResBlock)]
    return [conv for block in blocks for conv in (block.conv1, block.conv2)]


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


def labels_at(points: torch.Tensor) -> Labels:
    return Labels(points, points, *torch.ones(2, *points.shape[:-1], dtype=torch.bool))


def some_pairs(count: int = 2, drivers: int = 2, size: int = 64) -> Pairs:
    """A batch of smooth colours whose labels show no motion between source and driver."""
    torch.manual_seed(0)

    def frames(n):
        flat = identity_flow(size // 2, size // 2).movedim(1, -1).expand(n, -1, -1, -1)
        points = torch.cat([flat, torch.zeros_like(flat[..., :1])], dim=-1)
        rgba = F.interpolate(torch.rand(n, 4, 4, 4), size=(size, size), mode="bilinear")
        reliable = torch.ones(n, 1, *rgba.shape[2:], dtype=torch.bool)
        anchors = torch.tensor([[*place, -0.4] for place in AVERAGE_ANCHORS]).expand(n, -1, -1)
        real = torch.zeros(n, dtype=torch.bool)
        return Frames(rgba, identity_pose(n), torch.rand(n, 54), labels_at(points), reliable, real, anchors), flat

    (source, _), (driver, flat) = frames(count), frames(count * drivers)
    seen = torch.cat([source.picture, driver.picture])[:, :3]
    return Pairs(source, driver, flat, torch.ones(flat.shape[:-1], dtype=torch.bool), seen)
