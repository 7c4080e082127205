"""G_DT, the student: driver picture and the number of an avatar -> picture, in one small 2D network (section 3.3).

It knows its avatars by heart: each SPADE layer holds a learned identity tensor per avatar. There is no volume and no
warp, so a frame costs a fraction of the teacher's.

What the paper leaves open, and our reading. At 512 px the ResNet-18 ends at 16 x 16, and five of the eight blocks
upsample: the last five (16, 16, 16, 32, 64, 128, 256, 512). Each SPADE has an identity tensor of its own, with the
channels of the features it modulates: for 100 avatars in half precision this comes to the paper's 800 MB. The two
convolutions of a SPADE run at the identity tensor's resolution, before the bilinear enlargement. Output: sigmoid.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import StudentConfig
from mpkit.networks.blocks import ResBlock, group_norm, standardize_weights, to_channels_last, upsample


class Spade(nn.Module):
    """InstanceNorm, then times a weight and plus a bias that differ per avatar and place (SPADE, Park et al. 2019).

    identity (n, C, s, s): one learned tensor per avatar; weight and bias are convolutions of it.
    """

    def __init__(self, channels: int, size: int, avatars: int):
        super().__init__()
        self.identity = nn.Parameter(torch.randn(avatars, channels, size, size))
        self.weight = nn.Conv2d(channels, channels, 3, padding=1)
        self.bias = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.ones_(self.weight.bias)  # at first close to a plain InstanceNorm
        nn.init.normal_(self.weight.weight, std=0.1 / (3 * channels**0.5))
        nn.init.normal_(self.bias.weight, std=0.1 / (3 * channels**0.5))

    def forward(self, x: Tensor, avatars: Tensor) -> Tensor:
        identity = self.identity[avatars]
        weight, bias = self.weight(identity), self.bias(identity)
        if x.shape[-1] != identity.shape[-1]:
            scale = x.shape[-1] // identity.shape[-1]
            weight, bias = upsample(weight, scale), upsample(bias, scale)
        return F.instance_norm(x) * weight + bias


class SpadeBlock(nn.Module):
    """[up] -> conv3, SPADE, ReLU, conv3, SPADE, plus skip (1x1 convolution), ReLU. `size` is the output's side."""

    def __init__(self, inputs: int, outputs: int, size: int, up: bool, config: StudentConfig):
        super().__init__()
        self.scale = 2 if up else 1
        side = min(size, config.identity_size)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.spade1 = Spade(outputs, side, config.avatars)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.spade2 = Spade(outputs, side, config.avatars)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, avatars: Tensor) -> Tensor:
        x = upsample(x, self.scale) if self.scale > 1 else x
        h = F.relu(self.spade1(self.conv1(x), avatars))
        h = self.spade2(self.conv2(h), avatars)
        return F.relu(h + self.skip(x))


class DriverEncoder(nn.Module):
    """A ResNet-18 that keeps its last grid: (B, 3, S, S) -> (B, widths[-1], S / 2^(stages + 1), same)."""

    def __init__(self, config: StudentConfig):
        super().__init__()
        widths = config.encoder_widths
        self.stem = nn.Conv2d(3, widths[0], 7, padding=3, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(ResBlock(2, i, o, config), *(ResBlock(2, o, o, config) for _ in range(count - 1)))
            for i, o, count in zip((widths[0], *widths), widths, config.encoder_blocks)
        )
        self.norm = group_norm(widths[-1], config.normalization_groups)

    def forward(self, driver: Tensor) -> Tensor:
        h = self.stem(driver)
        for stage in self.stages:
            h = stage(F.avg_pool2d(h, 2))
        return F.relu(self.norm(h))


class Student(nn.Module):
    """x_d (B, 3, S, S) in [0, 1] and avatar numbers i -> picture (B, 3, S, S) in [0, 1], foreground on black."""

    Config = StudentConfig

    def __init__(self, config: StudentConfig):
        super().__init__()
        self.config = config
        self.encoder = DriverEncoder(config)
        halvings = 1 + len(config.encoder_widths)
        size, inputs = config.image_size // 2**halvings, config.encoder_widths[-1]
        blocks = []
        for index, width in enumerate(config.widths):
            up = index >= len(config.widths) - halvings
            size = size * 2 if up else size
            blocks.append(SpadeBlock(inputs, width, size, up, config))
            inputs = width
        self.blocks = nn.ModuleList(blocks)
        self.out = nn.Conv2d(inputs, 3, 3, padding=1)
        if config.weight_standardization:
            standardize_weights(self, self.encoder.stem, self.out)
        to_channels_last(self)

    def forward(self, driver: Tensor, avatar: int | Sequence[int] | Tensor) -> Tensor:
        """`avatar`: one number for the whole batch or one per driver picture, each in [0, config.avatars).

        Raises IndexError for an avatar that the student does not know, ValueError for a picture of another size."""
        size = self.config.image_size
        if driver.shape[1:] != (3, size, size):
            raise ValueError(f"G_DT takes pictures (B, 3, {size}, {size}), got {tuple(driver.shape)}")
        avatars = self._checked(avatar, len(driver)).to(driver.device)
        h = self.encoder(driver)
        for block in self.blocks:
            h = block(h, avatars)
        return torch.sigmoid(self.out(F.relu(F.instance_norm(h))))

    def _checked(self, avatar, batch: int) -> Tensor:
        numbers = torch.as_tensor(avatar).flatten().tolist()
        numbers = numbers * batch if len(numbers) == 1 else numbers
        if len(numbers) != batch:
            raise ValueError(f"{batch} driver pictures but {len(numbers)} avatar numbers: give one, or one each")
        for number in numbers:
            if number not in range(self.config.avatars):
                raise IndexError(f"no avatar {number}: this student knows avatars 0 to {self.config.avatars - 1}")
        return torch.tensor(numbers)
