"""G_enh, the enhancer: a picture of G_base -> the same picture at twice the resolution (supplement, Fig. 11).

Same anatomy as the base model without its motion: a picture is lifted to a volume and rendered back. Nothing is warped.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from mpkit.config import EnhancerConfig, ModelConfig
from mpkit.errors import WeightsError
from mpkit.geometry import project
from mpkit.networks.blocks import ResBlock, group_norm, standardize_weights, to_channels_last, upsample


class Enhancer(nn.Module):
    """x^ (B, 3, S, S) in [0, 1] -> (B, 3, 2S, 2S) in [0, 1]. Raises ValueError for pictures of another size.

    `encode` and `decode` are its two halves, with the volume between them. The last activation is the paper's tanh,
    y in (-1, 1); pixels are (y + 1) / 2: pictures are [0, 1] in all of mpkit.

    Ours, where `config.residual` is set: y is a correction of the input, which is enlarged bilinearly; and the last
    blocks also take the features of the first convolution, because the volume is too coarse for edges. The last
    convolution starts as zero, so that training starts from bilinear enlargement.
    """

    Config = EnhancerConfig

    def __init__(self, config: EnhancerConfig):
        super().__init__()
        self.config = config
        groups, pixels = config.normalization_groups, 3 * config.stem_downscale**2
        kernel = 7 if config.stem_downscale == 1 else 3
        channels, folded = config.volume_channels, config.volume_channels * config.volume_depth

        self.stem = nn.Conv2d(pixels, config.stem_width, kernel, padding=kernel // 2)
        self.encoder = _blocks_2d(config.stem_width, config.encoder_widths, config)
        self.encoder_norm = group_norm(config.encoder_widths[-1], groups)
        self.to_volume = nn.Conv2d(config.encoder_widths[-1], folded, 1)
        self.blocks_3d = nn.ModuleList(ResBlock(3, channels, channels, config) for _ in range(config.blocks_3d))

        width, last = config.decoder_width, (*config.decoder_widths, *config.final_widths)[-1]
        self.project = nn.Conv2d(folded, width, 1)
        self.blocks_2d = _blocks_2d(width, (width,) * config.decoder_blocks, config)
        self.up = _blocks_2d(width, config.decoder_widths, config)
        features = config.decoder_widths[-1] + (config.stem_width if config.residual else 0)
        self.final = _blocks_2d(features, config.final_widths, config)
        self.norm = group_norm(last, groups)
        self.out = nn.Conv2d(last, pixels, 3, padding=1)
        if config.residual:
            nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)
        if config.weight_standardization:
            standardize_weights(self, self.stem, self.out)
        to_channels_last(self)

    def forward(self, image: Tensor) -> Tensor:
        size = self.config.image_size
        if image.shape[1:] != (3, size, size):
            raise ValueError(f"G_enh takes pictures (B, 3, {size}, {size}), got {tuple(image.shape)}")
        enlarged = upsample(image, 2)
        features = self.stem(F.pixel_unshuffle(enlarged, self.config.stem_downscale))
        volume = self.encode(features)
        if self.config.residual:
            return (enlarged + self.decode(volume, features)).clamp(0, 1)
        return (self.decode(volume) + 1) / 2

    def encode(self, features: Tensor) -> Tensor:
        """Features of the stem (B, C', H, W) -> volume (B, C, D, h, w); each pooling halves H and W."""
        h = features
        for block in self.encoder:
            h = F.avg_pool2d(block(h), 2)
        volume = self.to_volume(F.relu(self.encoder_norm(h)))
        volume = rearrange(volume, "b (c d) h w -> b c d h w", c=self.config.volume_channels)
        for block in self.blocks_3d:
            volume = block(volume)
        return volume

    def decode(self, volume: Tensor, features: Tensor | None = None) -> Tensor:
        """Volume -> y (B, 3, 2S, 2S) in (-1, 1). features: the stem's, in a residual enhancer."""
        h = self.project(project(volume))
        for block in self.blocks_2d:
            h = block(h)
        for block in self.up:
            h = block(upsample(h, 2))
        if features is not None:
            h = torch.cat([h, features], dim=1)
        for block in self.final:
            h = block(h)
        return torch.tanh(F.pixel_shuffle(self.out(F.relu(self.norm(h))), self.config.stem_downscale))


def check_sizes(enhancer: EnhancerConfig, base: ModelConfig) -> None:
    """Raises WeightsError unless the enhancer takes pictures of the size that the base model makes."""
    if enhancer.image_size != base.image_size:
        raise WeightsError(
            f"an enhancer of preset {enhancer.preset} takes pictures of {enhancer.image_size} pixels, but a base model "
            f"of preset {base.preset} makes them with {base.image_size}: use one preset for both"
        )


def _blocks_2d(inputs: int, widths: tuple[int, ...], config: EnhancerConfig) -> nn.ModuleList:
    return nn.ModuleList(ResBlock(2, i, o, config) for i, o in zip((inputs, *widths), widths))
