"""W_s-> and W_->d, the warp generators: (z, e) -> an offset field delta, and its composition with the pose (Eq. 1-3).

Both grids are compositions of a rigid part and an expression part, never a sum of the two flows:
    w_s->(c) = pose_s( c + delta_s(c) )          canonical cell c -> point of the source's view to sample
    w_->d(p) = q + delta_d(q), q = pose_d^-1(p)  driven cell p -> canonical point to sample
A neutral face has delta = 0 on both sides, because delta lives in the canonical frame.

The cells of delta are as large as an eye. For the detail path, which moves pixels instead of voxels, `FaceField` (ours)
adds offsets as fine as lids and lips, and `MouthField` (ours) says what lips that part uncover.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import Pose, cell_centres, identity_grid, inverse_rigid_grid, sample, slide
from mpkit.networks.blocks import Conv3d, ResBlock, group_norm, standardize_weights, upsample

BASIS_SCALE = (1, 2, 2)  # how much coarser than delta the basis fields are: depth, height, width
POSE_SPREAD = 0.1  # about the standard deviation of the numbers of a pose
FACE_EDGE = 0.2  # share of the half window along which the fine fields fade to nothing, so that no seam shows
LIPS_DEPTH = -0.5  # canonical z, between the corners of lips and their middle
MOUTH_CHANNELS = 2 + 1 + 2 * 3
FACE_SCALE = 0.3  # of the fine fields: the optimizer moves a lid by less than its height


class Offsets(NamedTuple):
    """What an expression does to points of the canonical frame: delta (B, 3, D, H, W) in all of it, order (x, y, z),
    and `face` (B, 2, F, F), finer, in the window (x, y, half side) of x and y where the face is; None without.
    `mouth` (B, 9, M, M) says what lips that part show: logits of how surely the source hides it where its mouth is
    closed, and where it is open; of how surely it is a tooth; of the colours of a tooth and of what is none. The fine
    fields lie on the average face; `align` (B, 2, 3) leads there (`faces.features`), None: this is its face."""

    volume: Tensor
    face: Tensor | None = None
    face_window: tuple[float, float, float] = (0.0, 0.0, 1.0)
    mouth: Tensor | None = None
    mouth_window: tuple[float, float, float] = (0.0, 0.0, 1.0)
    align: Tensor | None = None

    def displace(self, points: Tensor) -> Tensor:
        """Canonical points (B, h, w, 3) and what the offsets add to them."""
        moved = points + sample(self.volume, points[:, None], padding="border")[:, :, 0].movedim(1, -1)
        if self.face is None:
            return moved
        return moved + F.pad(sample(self.face, self._place(points, self.face_window)).movedim(1, -1), (0, 1))

    def inside(self, points: Tensor, rotation: Tensor) -> Tensor:
        """The logits of `mouth` where canonical points (B, h, w, 3) with the expression still in are seen, by a camera
        before a head turned by R (B, 3, 3): (B, 9, h, w); 0 away from the mouth. However deep in the mouth a point
        lies, it is seen between the lips: what counts is where they let its ray in."""
        if self.mouth is None:
            return points.new_zeros(len(points), MOUTH_CHANNELS, *points.shape[1:3])
        return sample(self.mouth, self._place(slide(points, rotation, LIPS_DEPTH), self.mouth_window))

    def across(self, points: Tensor, rotation: Tensor) -> Tensor:
        """How far across the mouth of the average face such points are seen, canonical x (B, 1, h, w)."""
        return self._place(slide(points, rotation, LIPS_DEPTH), (0.0, 0.0, 1.0))[..., 0][:, None]

    def _place(self, points: Tensor, window: tuple[float, float, float]) -> Tensor:
        x, y, half = window
        points = points[..., :2]
        if self.align is not None:  # a sum, because autocast would turn a product of matrices into half precision
            points = (self.align[:, None, None] * F.pad(points, (0, 1), value=1.0)[..., None, :]).sum(-1)
        return (points - points.new_tensor([x, y])) / half


def hiding(hidden: Tensor) -> Tensor:
    """A logit of how surely something is hidden -> a share in [0, 1), 0 where it is not."""
    return torch.tanh(hidden.clamp_min(0) / 2)


def uncovered(driver: Offsets, source: Offsets, seen: Tensor, shown: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """What lips uncover that the source hides: logits of how surely, of teeth, and of colours, (B, 8, h, w). `seen`
    (B, h, w, 3) are the driver's points and `shown` the source's, both canonical with their own expression still in;
    `turns` are R of both. A smile that shows its teeth shows them when the mouth opens too, but not the tongue."""
    closed, opened, look = driver.inside(seen, turns[0]).split([1, 1, MOUTH_CHANNELS - 2], dim=1)
    open_there = hiding(source.inside(shown, turns[1])[:, :1])
    return torch.cat([torch.lerp(closed, opened, open_there), look], dim=1)


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


class FaceField(nn.Module):
    """condition (B, latent) = z + e -> fine offsets (B, 2, F, F) over the face, canonical units, order (x, y).

    A mix of learned fields, as blendshapes are mixed: one for each number of the condition, and `face_extra` whose
    shares a small network says, because the same smile is not at the same place in every face.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        size, extra = config.latent_size, config.face_extra
        self.mix = nn.Sequential(nn.Linear(size, 2 * size), nn.SiLU(), nn.Linear(2 * size, extra))
        self.fields = nn.Parameter(torch.zeros(size + extra, 2, config.face_size, config.face_size))
        self.register_buffer("fade", _fade(config.face_size), persistent=False)

    def forward(self, condition: Tensor) -> Tensor:
        shares = torch.cat([condition, self.mix(condition)], dim=1)
        return FACE_SCALE * self.fade * torch.einsum("bk,kcij->bcij", shares, self.fields)


class MouthField(nn.Module):
    """condition (B, latent) = z + e -> logits (B, 9, M, M), `Offsets.mouth`.

    Whether lips part at a point is no linear matter, as an offset is: a small decoder draws it, from learned first
    cells and the condition in the norms of its blocks.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        widths, size = config.mouth_widths, config.latent_size
        self.constant = nn.Parameter(torch.randn(1, widths[0], config.mouth_start, config.mouth_start))
        self.blocks = nn.ModuleList(ResBlock(2, i, o, config, size) for i, o in zip((widths[0], *widths), widths))
        self.norm = group_norm(widths[-1], config.normalization_groups)
        self.out = nn.Conv2d(widths[-1], MOUTH_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.out.weight), nn.init.zeros_(self.out.bias)
        side = config.mouth_start * 2 ** (len(widths) - 1)
        self.register_buffer("fade", _fade(side), persistent=False)

    def forward(self, condition: Tensor) -> Tensor:
        h = self.constant.repeat(len(condition), 1, 1, 1)
        for index, block in enumerate(self.blocks):
            h = block(upsample(h, 2) if index else h, condition)
        return self.fade * self.out(F.relu(self.norm(h)))


def _fade(size: int) -> Tensor:
    """1, falling to 0 at the border of a field (size, size)."""
    fade = ((1 - cell_centres(size).abs()) / FACE_EDGE).clamp(max=1)
    return fade[:, None] * fade


def warp_from_source(delta: Tensor, pose: Pose) -> Tensor:
    """w_s->: for each canonical cell the point of the source's view, (B, D, H, W, 3). Takes the motion OUT."""
    grid = identity_grid(*delta.shape[2:], device=delta.device, dtype=delta.dtype)
    return pose.apply(grid + delta.movedim(1, -1))


def warp_to_driver(delta: Tensor, pose: Pose) -> Tensor:
    """w_->d: for each cell of the driven view its canonical point, (B, D, H, W, 3). Puts the motion IN."""
    canonical = inverse_rigid_grid(pose, *delta.shape[2:])
    return canonical + sample(delta, canonical, padding="border").movedim(1, -1)
