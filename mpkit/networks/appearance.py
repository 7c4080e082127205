"""E_app, the appearance encoder: a source picture -> an appearance volume v_s and a global vector e_s (Fig. 9a)."""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.networks.blocks import ResBlock, ResNet, group_norm, standardize_weights


class AppearanceEncoder(nn.Module):
    """x_s (B, 3, S, S) in [0, 1] -> v_s (B, C, D, H, W) in the SOURCE's view, e_s (B, latent).

    Raises ValueError for a picture of another size."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        first = 64 if config.stem_downscale == 1 else config.appearance_widths[0]
        kernel = 7 if config.stem_downscale == 1 else 3
        self.stem = nn.Conv2d(3 * config.stem_downscale**2, first, kernel, padding=kernel // 2)
        widths = (first, *config.appearance_widths)
        self.blocks_2d = nn.ModuleList(ResBlock(2, i, o, config) for i, o in zip(widths, widths[1:]))
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.to_volume = nn.Conv2d(widths[-1], config.volume_channels * config.volume_depth, 1)
        channels = config.volume_channels
        self.blocks_3d = nn.ModuleList(
            ResBlock(3, channels, channels, config) for _ in range(config.appearance_blocks_3d)
        )
        self.vector = ResNet(
            3 * config.vector_downscale**2,
            config.vector_widths,
            config.vector_blocks,
            config.latent_size,
            config,
            bottleneck=config.vector_bottleneck,
        )
        if config.weight_standardization:
            standardize_weights(self, self.stem, self.vector.stem, self.blocks_3d[-1].conv2)

    def forward(self, source: Tensor) -> tuple[Tensor, Tensor]:
        size = self.config.image_size
        if source.shape[1:] != (3, size, size):
            raise ValueError(f"E_app takes pictures (B, 3, {size}, {size}), got {tuple(source.shape)}")
        h = self.stem(F.pixel_unshuffle(source, self.config.stem_downscale))  # (B, 64, 512, 512) at paper scale
        for block in self.blocks_2d:
            h = block(h)
            if h.shape[-1] > self.config.volume_size:
                h = F.avg_pool2d(h, 2)
        volume = self.to_volume(F.relu(self.norm(h)))  # (B, C * D, 64, 64)
        volume = rearrange(volume, "b (c d) h w -> b c d h w", c=self.config.volume_channels)
        for block in self.blocks_3d:
            volume = block(volume)
        return volume, self.global_vector(source)

    def global_vector(self, source: Tensor) -> Tensor:
        """e_s alone, (B, latent)."""
        return self.vector(F.pixel_unshuffle(source, self.config.vector_downscale))
