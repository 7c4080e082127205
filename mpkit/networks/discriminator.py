"""The multi-scale patch discriminator of the GAN losses (Eq. 5 and 9; the design of pix2pixHD, Wang et al. 2018)."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from mpkit.config import DiscriminatorConfig
from mpkit.geometry import Pose
from mpkit.networks.blocks import group_norm
from mpkit.networks.crops import eyes_and_mouths


class Judgement(NamedTuple):
    """The output of one scale."""

    score: Tensor  # (B, 1, h, w) a number per patch, unbounded; the hinge loss wants real > 1 and fake < -1
    features: list[Tensor]  # activations of its layers (B, C, h, w), from fine to coarse, for feature matching


class PatchDiscriminator(nn.Module):
    """(B, C, H, W) in [-1, 1] -> Judgement. 4x4 convolutions, all but the last two of stride 2; the first layer has no
    norm."""

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        widths = config.widths

        def conv(inputs, outputs, stride):
            layer = nn.Conv2d(inputs, outputs, 4, stride=stride, padding=2)
            return spectral_norm(layer) if config.spectral_normalization else layer

        layers = []
        for index, (inputs, outputs) in enumerate(zip((config.channels, *widths), widths)):
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
    """(B, C, H, W) in [0, 1] -> one Judgement per scale, the full resolution first. H and W must divide by
    2^(scales - 1). Callers pass foregrounds on black.

    Colours are moved to [-1, 1] first. With colours in [0, 1] it hardly learned to tell blurred mouths from sharp ones
    (docs/training-log.md, 14.).
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(config) for _ in range(config.scales))

    def forward(self, image: Tensor) -> list[Judgement]:
        judgements, image = [], 2 * image - 1
        for index, scale in enumerate(self.scales):
            judgements.append(scale(F.avg_pool2d(image, 2**index) if index else image))
        return judgements


class HeadDiscriminator(nn.Module):
    """Judges heads (B, 3, S, S) as a whole, and their eyes and mouths enlarged, where people look first (ours)."""

    def __init__(self, heads: DiscriminatorConfig, crops: DiscriminatorConfig):
        super().__init__()
        self.heads, self.crops = Discriminator(heads), Discriminator(crops)

    def forward(self, image: Tensor, pose: Pose) -> list[Judgement]:
        """pose: that of each head, which places the crops."""
        return self.heads(image) + self.crops(eyes_and_mouths(image, pose))
