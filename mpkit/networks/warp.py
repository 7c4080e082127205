"""W_s-> and W_->d, the warp generators: (z, e) -> an offset field delta, and its composition with the pose (Eq. 1-3).

Both grids are compositions of a rigid part and an expression part, never a sum of the two flows:
    w_s->(c) = pose_s( c + delta_s(c) )          canonical cell c -> point of the source's view to sample
    w_->d(p) = q + delta_d(q), q = pose_d^-1(p)  driven cell p -> canonical point to sample
A neutral face has delta = 0 on both sides, because delta lives in the canonical frame.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import Pose, identity_grid, inverse_rigid_grid, sample
from mpkit.networks.blocks import Conv3d, ResBlock, group_norm, standardize_weights, upsample

BASIS_SCALE = (1, 2, 2)  # how much coarser than delta the basis fields are: depth, height, width
POSE_SPREAD = 0.1  # about the standard deviation of the numbers of a pose


class WarpGenerator(nn.Module):
    """z, e (B, latent each) [and pose] -> delta (B, 3, D, H, W) in (-1, 1), canonical units, order (x, y, z)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        size, width = config.latent_size, config.warp_width
        depth, side = config.warp_start
        self.shape = (width, depth, 1, 1)
        self.start = nn.Linear(size, width * depth)  # the paper's 1x1 convolution to 2048 = 512 x depth 4
        self.constant = nn.Parameter(torch.randn(width, depth, side, side))  # tells the first cells apart
        self.pose = nn.Linear(9 + 3 + 1, size) if config.pose_conditioning else None
        widths = (width, *config.warp_widths)
        self.blocks = nn.ModuleList(ResBlock(3, i, o, config, condition_size=size) for i, o in zip(widths, widths[1:]))
        self.scales = config.warp_scales
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.offset = Conv3d(widths[-1], 3, 3, padding=1)
        nn.init.normal_(self.offset.weight, std=1e-3)
        nn.init.zeros_(self.offset.bias)
        # ours: fields that the condition mixes linearly, as blendshapes are mixed; learned in a tenth of the steps
        cells = [n // k for n, k in zip((config.volume_depth, *2 * [config.volume_size]), BASIS_SCALE)]
        self.basis = nn.Parameter(torch.zeros(size, 3, *cells)) if config.warp_basis else None
        if config.weight_standardization:
            standardize_weights(self, self.offset)

    def forward(self, expression: Tensor, vector: Tensor, pose: Pose) -> Tensor:
        condition = expression + vector
        if self.pose is not None:
            eye = torch.eye(3, device=condition.device)
            numbers = torch.cat([(pose.rotation - eye).flatten(1), pose.translation, pose.scale[:, None] - 1], dim=1)
            condition = condition + self.pose(numbers / POSE_SPREAD)
        h = self.start(condition).view(-1, *self.shape) + self.constant
        for block, scale in zip(self.blocks, self.scales):
            h = upsample(block(h, condition), scale)
        offset = self.offset(F.relu(self.norm(h)))
        if self.basis is not None:
            offset = offset + upsample(torch.einsum("bk,kcdhw->bcdhw", condition, self.basis), BASIS_SCALE)
        return torch.tanh(offset)


def warp_from_source(delta: Tensor, pose: Pose) -> Tensor:
    """w_s->: for each canonical cell the point of the source's view, (B, D, H, W, 3). Takes the motion OUT."""
    grid = identity_grid(*delta.shape[2:], device=delta.device, dtype=delta.dtype)
    return pose.apply(grid + delta.movedim(1, -1))


def warp_to_driver(delta: Tensor, pose: Pose) -> Tensor:
    """w_->d: for each cell of the driven view its canonical point, (B, D, H, W, 3). Puts the motion IN."""
    canonical = inverse_rigid_grid(pose, *delta.shape[2:])
    return canonical + sample(delta, canonical, padding="border").movedim(1, -1)
