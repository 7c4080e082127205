"""G_3D: refines the canonical volume, once per source. A 3D U-Net (Fig. 9c)."""

import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.networks.blocks import Conv3d, ResBlock, group_norm, standardize_weights, upsample


class VolumeRefiner(nn.Module):
    """Canonical volume (B, C, D, H, W) -> refined canonical volume (B, C, D, H, W).

    Downsamples by `volume_scales` and upsamples by the same in reverse; each skip passes through a residual block of
    its own. We read the figure's odd 192/196 and its half-depth step as one mirrored design."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        channels, widths = config.volume_channels, config.volume_widths
        self.scales = config.volume_scales
        inputs = (channels, *widths[:-2])
        self.down = nn.ModuleList(ResBlock(3, i, o, config) for i, o in zip(inputs, widths[:-1]))
        self.skips = nn.ModuleList(ResBlock(3, w, w, config) for w in widths[:-1])
        self.middle = nn.ModuleList(
            [ResBlock(3, widths[-2], widths[-1], config), ResBlock(3, widths[-1], widths[-1], config)]
        )
        self.up = nn.ModuleList(ResBlock(3, i, o, config) for i, o in zip(widths[:0:-1], widths[-2::-1]))
        self.last = ResBlock(3, widths[0], channels, config)
        self.norm = group_norm(channels, config.normalization_groups)
        self.out = Conv3d(channels, channels, 3, padding=1)
        if config.weight_standardization:
            standardize_weights(self, self.down[0].conv1, self.out)

    def forward(self, volume: Tensor) -> Tensor:
        h, skips = volume, []
        for block, skip, scale in zip(self.down, self.skips, self.scales):
            h = block(h)
            skips.append(skip(h))
            h = F.avg_pool3d(h, scale)  # (B, 384, D / 2, H / 4, W / 4) at the end
        for block in self.middle:
            h = block(h)
        for block, skip, scale in zip(self.up, reversed(skips), reversed(self.scales)):
            h = block(upsample(h, scale)) + skip
        return self.out(F.relu(self.norm(self.last(h))))
