"""Fine offset fields over the face (ours, beyond the paper), and the face alignment they need.

A cell of delta, the offset field of `networks/warp.py`, is as large as an eye. The detail path moves pixels, not
voxels, so it needs offsets as fine as eyelids and lips: `FaceField`. Mouths lie half a centimetre higher or lower from
face to face, as much as lips part in speech. So the fine fields live on the AVERAGE face, and `align_to_average` maps
a person's face to it.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mpkit.config import ModelConfig
from mpkit.geometry import affine, cell_centres, constant, sample

AVERAGE_ANCHORS = ((-0.176, -0.145), (0.176, -0.145), (0.0, 0.255))  # canonical (x, y) on a neutral average face
MAX_ANCHOR_OFFSET = 0.12  # canonical units from there; an anchor point farther away was misread
EDGE = 0.2  # share of the half window over which a fine field fades to 0, so that no seam shows
FIELD_SCALE = 0.3  # of the fine fields: one optimizer step moves an eyelid by less than its height


class Offsets(NamedTuple):
    """What an expression does to canonical points: delta everywhere, and a finer field over the face."""

    volume: Tensor  # delta (B, 3, D, H, W), order (x, y, z)
    face: Tensor | None = None  # (B, 2, F, F) fine offsets in `face_window`, order (x, y)
    face_window: tuple[float, float, float] = (0.0, 0.0, 1.0)  # a square of canonical x and y: x, y, half side
    align: Tensor | None = None  # (B, 2, 3) affine map from this face to the average face; None: they are the same

    def displace(self, points: Tensor) -> Tensor:
        """Canonical points (B, h, w, 3) moved by the offsets, (B, h, w, 3)."""
        moved = points + sample(self.volume, points[:, None], padding="border")[:, :, 0].movedim(1, -1)
        if self.face is None:
            return moved
        return moved + F.pad(sample(self.face, in_window(points, self.align, self.face_window)).movedim(1, -1), (0, 1))


def in_window(points: Tensor, align: Tensor | None, place: tuple[float, float, float]) -> Tensor:
    """Canonical points (B, h, w, 2 or 3) -> coordinates (B, h, w, 2) in a window of the average face, [-1, 1] over it.

    align (B, 2, 3): see `align_to_average`; None: the face is the average one."""
    x, y, half = place
    points = points[..., :2] if align is None else affine(align, points[..., :2])
    return (points - constant((x, y), points)) / half


class FaceField(nn.Module):
    """condition (B, latent) = z + e -> fine offsets (B, 2, F, F) over the face, canonical units, order (x, y).

    A linear mix of learned fields, like blendshapes: one field for each number of the condition, and `face_extra` more
    whose weights come from a small network, because the same smile differs in place from face to face.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        size, extra = config.latent_size, config.face_extra
        self.mix = nn.Sequential(nn.Linear(size, 2 * size), nn.SiLU(), nn.Linear(2 * size, extra))
        self.fields = nn.Parameter(torch.zeros(size + extra, 2, config.face_size, config.face_size))
        self.register_buffer("fade", edge_fade(config.face_size), persistent=False)

    def forward(self, condition: Tensor) -> Tensor:
        weights = torch.cat([condition, self.mix(condition)], dim=1)  # (B, latent + extra)
        return FIELD_SCALE * self.fade * torch.einsum("bk,kcij->bcij", weights, self.fields)


def edge_fade(size: int) -> Tensor:
    """(size, size): 1 inside, falling linearly to 0 at the border."""
    fade = ((1 - cell_centres(size).abs()) / EDGE).clamp(max=1)
    return fade[:, None] * fade


def align_to_average(anchors: Tensor) -> Tensor:
    """Affine map (B, 2, 3) of canonical x and y that takes a person's anchor points to those of the average face.

    anchors (B, 3, 2 or 3): centres of the eye on the picture's left, of the other eye, and of the lips; canonical.
    """
    average = constant(AVERAGE_ANCHORS, anchors).expand(len(anchors), -1, -1)
    own = average + (anchors[..., :2] - average).clamp(-MAX_ANCHOR_OFFSET, MAX_ANCHOR_OFFSET)
    (ax, ay), (bx, by) = ((own[:, corner] - own[:, 0]).unbind(1) for corner in (1, 2))
    inverse = torch.stack([by, -bx, -ay, ax], dim=1).view(-1, 2, 2) / (ax * by - bx * ay).view(-1, 1, 1)
    sides = (average[:, 1:] - average[:, :1]).mT  # (B, 2, 2), two sides of the triangle as columns
    matrix = (sides[..., None] * inverse[:, None]).sum(2)
    shift = average[:, 0] - (matrix * own[:, :1]).sum(2)
    return torch.cat([matrix, shift[..., None]], dim=2)
