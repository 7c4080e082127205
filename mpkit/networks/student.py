"""G_DT, the student: driver picture and avatar index -> picture, in one small 2D network (section 3.3).

It can show only the avatars it was trained on: each SPADE layer holds a learned identity tensor per avatar. It has
neither volume nor warp, and reads the driver's pixels itself, so a frame needs no tracker and little computation.

The paper leaves three points open; this is our reading. At 512 px the ResNet-18 ends at 16 x 16, and five of the eight
blocks upsample: the last five (16, 16, 16, 32, 64, 128, 256, 512). Each SPADE has an identity tensor of its own, with
the channels of the activations that it modulates: for 100 avatars in half precision this comes to the paper's 800 MB.
The two convolutions of a SPADE run at the identity tensor's resolution, before the bilinear enlargement. They are
exempt from weight standardisation: their input is a learned tensor, and a standardised weight would give the scale a
standard deviation of 1 where SPADE starts close to a plain InstanceNorm. The output ends in a sigmoid.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import StudentConfig
from mpkit.networks.blocks import ResBlock, group_norm, standardize_weights, to_channels_last, upsample

MODULATION_DEVIATION = 0.1  # of a SPADE's scale around 1 and of its shift around 0, before training


class Modulation(NamedTuple):
    """What one SPADE layer does to its normalised input, which depends on the avatar alone."""

    scale: Tensor  # (B, C, H, W)
    shift: Tensor  # (B, C, H, W)


class Spade(nn.Module):
    """InstanceNorm, then times a scale and plus a shift that differ per avatar and place (SPADE, Park et al. 2019).

    identity (n, C, s, s): one learned tensor per avatar. The scale and the shift (C, size, size) are a convolution of
    it each, enlarged bilinearly by `enlargement` = size / s.
    """

    def __init__(self, channels: int, size: int, config: StudentConfig):
        super().__init__()
        side = min(size, config.identity_size)
        self.enlargement = size // side
        self.identity = nn.Parameter(torch.randn(config.avatars, channels, side, side))
        self.scale = nn.Conv2d(channels, channels, 3, padding=1)
        self.shift = nn.Conv2d(channels, channels, 3, padding=1)
        for convolution in (self.scale, self.shift):
            nn.init.normal_(convolution.weight, std=MODULATION_DEVIATION / (3 * channels**0.5))
        nn.init.ones_(self.scale.bias)
        nn.init.zeros_(self.shift.bias)

    def modulation(self, avatars: Tensor) -> Modulation:
        """The scale and shift of avatars (B,) int64."""
        identity = self.identity[avatars]
        maps = self.scale(identity), self.shift(identity)
        return Modulation(*(upsample(values, self.enlargement) if self.enlargement > 1 else values for values in maps))

    def forward(self, x: Tensor, modulation: Modulation) -> Tensor:
        return torch.addcmul(modulation.shift, instance_norm(x), modulation.scale)


class SpadeBlock(nn.Module):
    """[up] -> conv3, SPADE, ReLU, conv3, SPADE, plus skip (1x1 convolution), ReLU. `size` is the output's side."""

    def __init__(self, inputs: int, outputs: int, size: int, up: bool, config: StudentConfig):
        super().__init__()
        self.up = up
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.spade1 = Spade(outputs, size, config)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.spade2 = Spade(outputs, size, config)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, first: Modulation, second: Modulation) -> Tensor:
        x = upsample(x, 2) if self.up else x
        h = F.relu(self.spade1(self.conv1(x), first))
        h = self.spade2(self.conv2(h), second)
        return F.relu(h + self.skip(x))


class DriverEncoder(nn.Module):
    """A ResNet-18 that keeps its last grid: (B, 3, S, S) -> (B, widths[-1], s, s), s = S / (stem_downscale *
    2^(stages + 1))."""

    def __init__(self, config: StudentConfig):
        super().__init__()
        widths = config.encoder_widths
        self.stem_downscale = config.stem_downscale
        kernel = 7 if config.stem_downscale == 1 else 3
        self.stem = nn.Conv2d(3 * config.stem_downscale**2, widths[0], kernel, padding=kernel // 2, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(ResBlock(2, i, o, config), *(ResBlock(2, o, o, config) for _ in range(count - 1)))
            for i, o, count in zip((widths[0], *widths), widths, config.encoder_blocks)
        )
        self.norm = group_norm(widths[-1], config.normalization_groups)

    def forward(self, driver: Tensor) -> Tensor:
        h = self.stem(F.pixel_unshuffle(driver, self.stem_downscale))
        for stage in self.stages:
            h = stage(F.avg_pool2d(h, 2))
        return F.relu(self.norm(h))


class Student(nn.Module):
    """x_d (B, 3, S, S) in [0, 1] and avatar indices i -> picture (B, 3, S, S) in [0, 1], foreground on black; with
    `config.alpha` premultiplied RGBA (B, 4, S, S)."""

    Config = StudentConfig

    def __init__(self, config: StudentConfig):
        super().__init__()
        self.config = config
        self.encoder = DriverEncoder(config)
        halvings = 1 + len(config.encoder_widths)
        size, inputs = config.image_size // config.stem_downscale // 2**halvings, config.encoder_widths[-1]
        blocks = []
        for index, width in enumerate(config.widths):
            up = index >= len(config.widths) - halvings
            size = size * 2 if up else size
            blocks.append(SpadeBlock(inputs, width, size, up, config))
            inputs = width
        self.blocks = nn.ModuleList(blocks)
        self.out = nn.Conv2d(inputs, (4 if config.alpha else 3) * config.stem_downscale**2, 3, padding=1)
        if config.weight_standardization:
            modulating = [layer for spade in self.spades() for layer in (spade.scale, spade.shift)]
            standardize_weights(self, self.encoder.stem, self.out, *modulating)
        to_channels_last(self)

    def spades(self) -> list[Spade]:
        """All SPADE layers, in the order in which a picture passes them."""
        return [spade for block in self.blocks for spade in (block.spade1, block.spade2)]

    def forward(self, driver: Tensor, avatar: int | Sequence[int] | Tensor) -> Tensor:
        """`avatar`: one index for the whole batch or one per driver picture, each in [0, config.avatars).

        Raises IndexError for an avatar that the student does not know, ValueError for a picture of another size."""
        return self.render(driver, self.modulations(avatar))

    def modulations(self, avatar: int | Sequence[int] | Tensor) -> list[Modulation]:
        """The modulation of each SPADE layer: all that depends on the avatars, computed once for many drivers."""
        indices = torch.as_tensor(avatar).flatten()
        for index in indices.tolist():
            if index not in range(self.config.avatars):
                raise IndexError(f"no avatar {index}: this student knows avatars 0 to {self.config.avatars - 1}")
        known, places = (part.to(self.out.weight.device) for part in indices.unique(return_inverse=True))
        modulations = [spade.modulation(known) for spade in self.spades()]  # once per avatar, not per driver picture
        return [Modulation(scale[places], shift[places]) for scale, shift in modulations]

    def render(self, driver: Tensor, modulations: list[Modulation]) -> Tensor:
        """Driver pictures (B, 3, S, S) and the modulations of one avatar, or of one per picture -> pictures."""
        size, known = self.config.image_size, len(modulations[0].scale)
        if driver.shape[1:] != (3, size, size):
            raise ValueError(f"G_DT takes pictures (B, 3, {size}, {size}), got {tuple(driver.shape)}")
        if known not in (1, len(driver)):
            raise ValueError(f"{len(driver)} driver pictures but {known} avatar indices: give one, or one each")
        h = self.encoder(driver)
        for block, first, second in zip(self.blocks, modulations[::2], modulations[1::2]):
            h = block(h, first, second)
        return torch.sigmoid(F.pixel_shuffle(self.out(F.relu(instance_norm(h))), self.config.stem_downscale))


def instance_norm(x: Tensor) -> Tensor:
    """InstanceNorm of (B, C, H, W), as a GroupNorm of one channel per group: in channels-last memory that takes a third
    of the time of `F.instance_norm` on a CPU."""
    return F.group_norm(x, x.shape[1])
