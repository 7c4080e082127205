"""P and G_2D, the projection and the renderer of the paper (Fig. 9d): driven volume -> picture. With the detail path,
`networks/detail.py` takes its place."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import project
from mpkit.networks.blocks import ResBlock, group_norm, standardize_weights, upsample


class Renderer(nn.Module):
    """Driven volume (B, C, D, H, W) -> picture (B, 3, S, S) in [0, 1], foreground on black."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        width, widths = config.render_width, config.render_widths
        self.shuffle = config.image_size // (config.volume_size * 2 ** len(widths))  # 1 at paper scale
        self.project = nn.Conv2d(config.volume_channels * config.volume_depth, width, 1)
        self.blocks = nn.ModuleList(ResBlock(2, width, width, config) for _ in range(config.render_blocks))
        self.up = nn.ModuleList(ResBlock(2, i, o, config) for i, o in zip((width, *widths), widths))
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.out = nn.Conv2d(widths[-1], 3 * self.shuffle**2, 3, padding=1)
        if config.weight_standardization:
            standardize_weights(self, self.project, self.out)

    def forward(self, volume: Tensor) -> Tensor:
        h = self.project(project(volume))  # (B, 512, 64, 64) at paper scale
        for block in self.blocks:
            h = block(h)
        for block in self.up:
            h = block(upsample(h, 2))
        return torch.sigmoid(F.pixel_shuffle(self.out(F.relu(self.norm(h))), self.shuffle))  # (B, 3, S, S)
