"""Building blocks shared by every network (Fig. 10 of the supplement)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from mpkit.config import ModelConfig


class Conv3d(nn.Conv3d):
    """nn.Conv3d that computes 3x3x3 kernels on a CPU as one 2D convolution over all depth slices.

    The sum is the same. (B, C, D, H, W) becomes B * D pictures of 3C channels: each slice with the one before and after
    it. Where the output has fewer channels than the input, the pictures have C channels, and three results per slice
    are added to the slice itself and its two neighbours. PyTorch's own 3D convolution of one small volume is five times
    slower (W_->d of the tiny preset on two cores).
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or self.kernel_size != (3, 3, 3):
            return super().forward(x)
        if self.out_channels < self.in_channels:
            return self._add_to_neighbours(x)
        depth = x.shape[2]
        padded = F.pad(x, (0, 0, 0, 0, 1, 1))
        slices = torch.cat([padded[:, :, k : k + depth] for k in range(3)], dim=1)  # (B, 3C, D, H, W)
        weight = rearrange(self.weight, "o c k h w -> o (k c) h w")
        flat = F.conv2d(rearrange(slices, "b c d h w -> (b d) c h w"), weight, self.bias, padding=1)
        return rearrange(flat, "(b d) c h w -> b c d h w", d=depth)

    def _add_to_neighbours(self, x: Tensor) -> Tensor:
        weight = rearrange(self.weight, "o c k h w -> (k o) c h w")
        flat = F.conv2d(rearrange(x, "b c d h w -> (b d) c h w"), weight, padding=1)
        before, own, after = rearrange(flat, "(b d) (k o) h w -> k b o d h w", d=x.shape[2], k=3)
        out = own if self.bias is None else own + self.bias.view(-1, 1, 1, 1)
        return out + F.pad(before, (0, 0, 0, 0, 1, -1)) + F.pad(after, (0, 0, 0, 0, -1, 1))


CONV = {2: nn.Conv2d, 3: Conv3d}


def group_norm(channels: int, groups: int, affine: bool = True) -> nn.GroupNorm:
    """GroupNorm, which the paper uses in place of BatchNorm. `groups` is lowered where it does not divide
    `channels`."""
    return nn.GroupNorm(math.gcd(groups, channels), channels, affine=affine)


class _StandardizedWeight(nn.Module):
    """Weight standardisation (Qiao et al. 2019): each output filter gets mean 0 and variance 1 / fan-in."""

    def forward(self, weight: Tensor) -> Tensor:
        flat = weight.flatten(1)
        flat = (flat - flat.mean(1, keepdim=True)) * torch.rsqrt(flat.var(1, keepdim=True) * flat.shape[1] + 1e-4)
        return flat.view_as(weight)


def standardize_weights(network: nn.Module, *ends: nn.Module) -> nn.Module:
    """Standardises the weight of every convolution of a network except its `ends`, the first and the last one (App.
    B.1). Each forward pass standardises anew; the parameter that is trained stays as it is."""
    for module in network.modules():
        done = nn.utils.parametrize.is_parametrized(module)
        if isinstance(module, (nn.Conv2d, nn.Conv3d)) and module not in ends and not done:
            nn.utils.parametrize.register_parametrization(module, "weight", _StandardizedWeight())
    return network


class AdaptiveGroupNorm(nn.Module):
    """GroupNorm whose scale and shift are a learned matrix times a condition vector (`Res3D*` of Fig. 10)."""

    def __init__(self, channels: int, condition_size: int, groups: int):
        super().__init__()
        self.norm = group_norm(channels, groups, affine=False)
        self.affine = nn.Linear(condition_size, 2 * channels)
        nn.init.normal_(self.affine.weight, std=condition_size**-0.5)  # sd 1 for a condition whose entries have sd 1
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.affine(condition).to(x.dtype).chunk(2, dim=1)  # autocast may leave them in another dtype
        if len(x) == 1:  # one driven frame: norm, scale and shift in one pass over memory
            return F.group_norm(x, self.norm.num_groups, 1 + scale[0], shift[0], self.norm.eps)
        scale, shift = (part.view(*part.shape, *[1] * (x.dim() - 2)) for part in (scale, shift))
        return torch.addcmul(shift, self.norm(x), 1 + scale)


class ResBlock(nn.Module):
    """Res2D-c or Res3D-c (Fig. 10c): [norm, ReLU, 3^n convolution -> c] twice, plus a skip, which is a 1^n convolution
    where the channels change.

    x (B, inputs, [D,] H, W) -> (B, outputs, [D,] H, W). With `condition_size` > 0 the norms are adaptive (the figure's
    starred blocks) and `forward` takes the condition (B, condition_size).
    """

    def __init__(self, dims: int, inputs: int, outputs: int, config: ModelConfig, condition_size: int = 0):
        super().__init__()
        conv = CONV[dims]

        def norm(channels):
            if condition_size:
                return AdaptiveGroupNorm(channels, condition_size, config.normalization_groups)
            return group_norm(channels, config.normalization_groups)

        self.norm1, self.norm2 = norm(inputs), norm(outputs)
        self.conv1 = conv(inputs, outputs, 3, padding=1)
        self.conv2 = conv(outputs, outputs, 3, padding=1)
        self.skip = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        if not config.weight_standardization:
            nn.init.zeros_(self.conv2.weight)  # the block starts as its skip

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        extra = () if condition is None else (condition,)
        h = self.conv1(F.relu_(self.norm1(x, *extra)))
        h = self.conv2(F.relu_(self.norm2(h, *extra)))
        return h.add_(self.skip(x))


class Bottleneck(nn.Module):
    """The residual block of a ResNet-50: [norm, ReLU, conv] with 1x1 -> c/4, 3x3 -> c/4, 1x1 -> c, plus a skip."""

    def __init__(self, inputs: int, outputs: int, config: ModelConfig):
        super().__init__()
        inner = outputs // 4
        shapes = [(inputs, inner, 1), (inner, inner, 3), (inner, outputs, 1)]
        self.norms = nn.ModuleList(group_norm(i, config.normalization_groups) for i, _, _ in shapes)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, k, padding=k // 2) for i, o, k in shapes)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for norm, conv in zip(self.norms, self.convs):
            h = conv(F.relu(norm(h)))
        return self.skip(x) + h


class ResNet(nn.Module):
    """A residual encoder: picture (B, C, H, W) -> vector (B, outputs). One average pooling before each stage.

    widths, blocks: channels and number of residual blocks of each stage; (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3) with
    `bottleneck` is ResNet-50. `pool` = 0 averages over all positions before the last linear layer, as a ResNet does;
    `pool` > 0 keeps a pool x pool grid, from which a tiny network reads positions better.
    """

    def __init__(self, inputs, widths, blocks, outputs, config, bottleneck=False, pool=0):
        super().__init__()
        kernel = 7 if bottleneck or max(blocks) > 1 else 3
        self.stem = nn.Conv2d(inputs, widths[0], kernel, padding=kernel // 2, stride=2)
        stages, channels = [], widths[0]
        for width, count in zip(widths, blocks):
            stage = nn.ModuleList()
            for _ in range(count):
                stage.append(
                    Bottleneck(channels, width, config) if bottleneck else ResBlock(2, channels, width, config)
                )
                channels = width
            stages.append(stage)
        self.stages = nn.ModuleList(stages)
        self.norm = group_norm(channels, config.normalization_groups)
        self.pool = nn.AdaptiveAvgPool2d(pool or 1)
        self.head = nn.Linear(channels * max(pool, 1) ** 2, outputs)
        if config.weight_standardization:
            standardize_weights(self, self.stem)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)  # (B, widths[0], H / 2, W / 2)
        for stage in self.stages:
            h = F.avg_pool2d(h, 2)
            for block in stage:
                h = block(h)
        return self.head(rearrange(self.pool(F.relu(self.norm(h))), "b c h w -> b (c h w)"))


def upsample(x: Tensor, scale) -> Tensor:
    """Bilinear or trilinear enlargement of (B, C, [D,] H, W) by `scale`, a number or one per axis."""
    mode = {4: "bilinear", 5: "trilinear"}[x.dim()]
    return F.interpolate(x, scale_factor=scale, mode=mode, align_corners=False)


def to_channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolution weights in channels-last memory, in which CPUs compute fastest."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
        elif isinstance(module, nn.Conv3d):
            module.to(memory_format=torch.channels_last_3d)
    return network
