"""W_s-> and W_->d, the warp generators: (z, e) -> an offset field delta, and its composition with the head pose (Eq.
1-3).

Both grids compose a rigid part with an expression part; they never sum two flows:
    w_s->(c) = pose_s( c + delta_s(c) )          canonical cell c -> point of the source's view to sample
    w_->d(p) = q + delta_d(q), q = pose_d^-1(p)  driven cell p -> canonical point to sample
delta lives in the canonical frame on both sides, so a neutral face has delta = 0.

The paper's W takes z + e alone. Two additions are ours and can be switched off in the config: `pose_conditioning` and
`warp_basis`.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import Pose, identity_grid, inverse_rigid_grid, rigid_grid, sample
from mpkit.networks.blocks import Conv3d, ResBlock, group_norm, standardize_weights, upsample

BASIS_SCALE = (1, 2, 2)  # how much coarser than delta the basis fields are: depth, height, width
POSE_SPREAD = 0.1  # approximate standard deviation of the numbers of a pose


class Warp(NamedTuple):
    """One warp and its two parts."""

    rigid: Tensor  # (B, D, H, W, 3) the grid of the head pose alone
    expression: Tensor  # delta (B, 3, D, H, W), an offset field in the canonical frame, order (x, y, z)
    grid: Tensor  # (B, D, H, W, 3) both composed: what `geometry.sample` takes


class WarpGenerator(nn.Module):
    """z, e (B, latent each) [and pose] -> delta (B, 3, D, H, W) in (-1, 1), canonical units, order (x, y, z). Fig.
    9b."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        size, width = config.latent_size, config.warp_width
        depth, side = config.warp_start
        self.shape = (width, depth, 1, 1)
        self.start = nn.Linear(size, width * depth)  # the paper's 1x1 convolution to 2048 = 512 channels x depth 4
        self.constant = nn.Parameter(torch.randn(width, depth, side, side))  # differs from cell to cell
        self.pose = nn.Linear(9 + 3 + 1, size) if config.pose_conditioning else None  # ours
        widths = (width, *config.warp_widths)
        self.blocks = nn.ModuleList(ResBlock(3, i, o, config, condition_size=size) for i, o in zip(widths, widths[1:]))
        self.scales = config.warp_scales
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.offset = Conv3d(widths[-1], 3, 3, padding=1)
        nn.init.normal_(self.offset.weight, std=1e-3)
        nn.init.zeros_(self.offset.bias)
        # ours: offset fields that the condition mixes linearly, like blendshapes; they train in a tenth of the steps
        cells = [n // k for n, k in zip((config.volume_depth, *2 * [config.volume_size]), BASIS_SCALE)]
        self.basis = nn.Parameter(torch.zeros(size, 3, *cells)) if config.warp_basis else None
        if config.weight_standardization:
            standardize_weights(self, self.offset)

    def forward(self, expression: Tensor, vector: Tensor, pose: Pose) -> Tensor:
        condition = expression + vector  # (B, latent)
        if self.pose is not None:
            eye = torch.eye(3, device=condition.device)
            numbers = torch.cat([(pose.rotation - eye).flatten(1), pose.translation, pose.scale[:, None] - 1], dim=1)
            condition = condition + self.pose(numbers / POSE_SPREAD)
        h = self.start(condition).view(-1, *self.shape) + self.constant  # (B, C, 4, 4, 4) at paper scale
        for block, scale in zip(self.blocks, self.scales):
            h = upsample(block(h, condition), scale)
        offset = self.offset(F.relu(self.norm(h)))  # (B, 3, D, H, W)
        if self.basis is not None:
            offset = offset + upsample(torch.einsum("bk,kcdhw->bcdhw", condition, self.basis), BASIS_SCALE)
        return torch.tanh(offset)


def warp_from_source(delta: Tensor, pose: Pose) -> Warp:
    """w_s->: for each canonical cell, the point of the source's view to sample. Takes the source's motion OUT.

    delta (B, 3, D, H, W)."""
    grid = identity_grid(*delta.shape[2:], device=delta.device, dtype=delta.dtype)
    return Warp(rigid_grid(pose, *delta.shape[2:]), delta, pose.apply(grid + delta.movedim(1, -1)))


def warp_to_driver(delta: Tensor, pose: Pose) -> Warp:
    """w_->d: for each cell of the driven view, the canonical point to sample. Puts the driver's motion IN.

    delta (B, 3, D, H, W)."""
    rigid = inverse_rigid_grid(pose, *delta.shape[2:])
    return Warp(rigid, delta, rigid + sample(delta, rigid, padding="border").movedim(1, -1))
