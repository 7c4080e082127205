"""The multi-scale patch discriminator of the GAN losses (Eq. 5 and 9; the design of pix2pixHD, Wang et al. 2018)."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from mpkit.config import DiscriminatorConfig
from mpkit.networks.blocks import group_norm


class Judgement(NamedTuple):
    """What one scale says: `score` (B, 1, h, w), a number per patch, unbounded (hinge: real > 1, fake < -1), and
    `features`, the activations of its layers from fine to coarse, for feature matching."""

    score: Tensor
    features: list[Tensor]


class PatchDiscriminator(nn.Module):
    """(B, 3, H, W) -> Judgement. 4x4 convolutions, all but the last two of stride 2; the first layer has no norm."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        widths = config.widths

        def conv(inputs, outputs, stride):
            layer = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=2)
            return spectral_norm(layer) if config.spectral_normalization else layer

        layers = []
        for index, (inputs, outputs) in enumerate(zip((3, *widths), widths)):
            stride = 1 if index == len(widths) - 1 else 2
            norm = group_norm(outputs, config.normalization_groups) if index else nn.Identity()
            layers.append(nn.Sequential(conv(inputs, outputs, stride), norm, nn.LeakyReLU(0.2)))
        self.layers = nn.ModuleList(layers)
        self.score = conv(widths[-1], 1, stride=1)

    def forward(self, image: Tensor) -> Judgement:
        features, h = [], image
        for layer in self.layers:
            h = layer(h)
            features.append(h)
        return Judgement(self.score(h), features)


class Discriminator(nn.Module):
    """(B, 3, H, W) in [0, 1] -> one Judgement per scale, the full resolution first. H and W must divide by
    2^(scales - 1). The foreground is cut out by the caller."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(config) for _ in range(config.scales))

    def forward(self, image: Tensor) -> list[Judgement]:
        judgements = []
        for index, scale in enumerate(self.scales):
            judgements.append(scale(F.avg_pool2d(image, 2**index) if index else image))
        return judgements
