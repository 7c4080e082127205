"""THE conventions: axes, units, poses, sampling grids. Everything geometric in mpkit goes through this file.

Images     (B, 3, H, W), RGB, values in [0, 1].
Volumes    (B, C, D, H, W); depth index 0 is the slice nearest to the camera.
Coordinates  x right, y down, z away from the camera, each in [-1, 1] over the crop, `align_corners=False`:
           -1 and +1 are the outer EDGES of the first and last cell, cell i of n has its centre at -1 + (2i + 1)/n.
           (x right, y down, z away is right-handed.)
Grids      (B, D, H, W, 3), last axis (x, y, z): for each output cell, the coordinates it samples from (backward
           sampling: `out[p] = volume[grid[p]]`). Grids are absolute coordinates, never offsets.
Canonical  the head's own frame: R = I, t = 0, s = 1. A frontal head looks at the camera, i.e. along -z. One unit is the
           half side of the head crop, about 18 cm on an average adult head.
Pose       maps a canonical point c to the view: p = s * R @ c + t.  The camera is orthographic, so t_z moves nothing
           that is seen and is kept at 0.
Angles     degrees. R = R_roll @ R_yaw @ R_pitch: the head nods (pitch about x), turns (yaw about y), then leans (roll
           about z). yaw > 0: the nose moves to the right of the picture; pitch > 0: the nose moves down;
           roll > 0: the head turns clockwise as seen on the screen.
"""

import functools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Pose(NamedTuple):
    """Head pose: rotation (B, 3, 3), translation (B, 3), scale (B,). See the module docstring for what it maps."""

    rotation: Tensor
    translation: Tensor
    scale: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Canonical points (B, ..., 3) -> view points: s R c + t."""
        shape = (-1,) + (1,) * (points.dim() - 2)
        rotated = _rotate(self.rotation, points)
        return self.scale.view(*shape, 1) * rotated + self.translation.view(*shape, 3)

    def unapply(self, points: Tensor) -> Tensor:
        """View points (B, ..., 3) -> canonical points: the inverse of `apply`."""
        shape = (-1,) + (1,) * (points.dim() - 2)
        centred = (points - self.translation.view(*shape, 3)) / self.scale.view(*shape, 1)
        return _rotate(self.rotation.mT, centred)

    def compose(self, inner: "Pose") -> "Pose":
        """This pose after another: `a.compose(b).apply(c)` is `a.apply(b.apply(c))`."""
        place = self.apply(inner.translation[:, None])[:, 0]
        return Pose(self.rotation @ inner.rotation, place, self.scale * inner.scale)

    def inverse(self) -> "Pose":
        """The pose that undoes this one."""
        place = self.unapply(torch.zeros_like(self.translation)[:, None])[:, 0]
        return Pose(self.rotation.mT, place, 1 / self.scale)

    def to(self, *args, **kwargs) -> "Pose":
        return Pose(*(part.to(*args, **kwargs) for part in self))

    def select(self, index) -> "Pose":
        """The poses at `index` (a slice, a mask or integers) along the batch."""
        return Pose(*(part[index] for part in self))


def _rotate(rotation: Tensor, points: Tensor) -> Tensor:
    """R p for points (B, ..., 3). Written as a sum, because autocast would turn a matrix product into half precision,
    and half precision is a pixel at 512."""
    rotation = rotation.view(-1, *[1] * (points.dim() - 2), 3, 3)
    return (rotation * points[..., None, :]).sum(-1)


def constant(values: tuple, like: Tensor) -> Tensor:
    """A tensor of nested tuples of numbers, with the dtype and on the device of another. It is made once: copying it to
    a GPU each time would wait for all that the GPU has to do. Never change it in place."""
    return _constant(values, like.dtype, like.device)


@functools.lru_cache(maxsize=256)
def _constant(values: tuple, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # else it could not take part in training later
        return torch.tensor(values, dtype=dtype, device=device)


def slide_along_rays(points: Tensor, rotation: Tensor, depth: float | Tensor) -> Tensor:
    """Canonical points (B, ..., 3) moved along the rays by which a camera sees them, the head turned by R (B, 3, 3),
    to canonical z = `depth`. A head that turns away moves them no farther than one turned by 72 degrees."""
    ray = rotation[:, 2].view(-1, *[1] * (points.dim() - 2), 3)  # R^T (0, 0, 1)
    return points + ray * ((depth - points[..., 2:]) / ray[..., 2:].clamp_min(0.3))


def affine(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (B, h, w, 2) mapped by affine maps (B, 2, 3). A sum for the same reason as in `_rotate`."""
    return (matrix[:, None, None] * F.pad(points, (0, 1), value=1.0)[..., None, :]).sum(-1)


def invert_affine(matrix: Tensor) -> Tensor:
    """The inverse of affine maps (B, 2, 3), as affine maps."""
    (a, b), (c, d) = matrix[:, 0, :2].unbind(1), matrix[:, 1, :2].unbind(1)
    linear = torch.stack([torch.stack([d, -b], 1), torch.stack([-c, a], 1)], 1) / (a * d - b * c).view(-1, 1, 1)
    shift = -(linear * matrix[:, None, :, 2]).sum(-1, keepdim=True)
    return torch.cat([linear, shift], dim=2)


def identity_pose(batch: int = 1, device=None, dtype=torch.float32) -> Pose:
    """The canonical pose: R = I, t = 0, s = 1."""
    return Pose(
        torch.eye(3, device=device, dtype=dtype).repeat(batch, 1, 1),
        torch.zeros(batch, 3, device=device, dtype=dtype),
        torch.ones(batch, device=device, dtype=dtype),
    )


def rotation_from_angles(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Angles in degrees, each (B,) -> rotation matrices (B, 3, 3) = R_roll @ R_yaw @ R_pitch."""
    y, p, r = (angle * (math.pi / 180) for angle in (yaw, pitch, roll))
    zero, one = torch.zeros_like(y), torch.ones_like(y)

    def matrix(*rows):
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    r_pitch = matrix((one, zero, zero), (zero, p.cos(), -p.sin()), (zero, p.sin(), p.cos()))
    r_yaw = matrix((y.cos(), zero, -y.sin()), (zero, one, zero), (y.sin(), zero, y.cos()))
    r_roll = matrix((r.cos(), -r.sin(), zero), (r.sin(), r.cos(), zero), (zero, zero, one))
    return r_roll @ r_yaw @ r_pitch


def angles_from_rotation(rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rotation matrices (B, 3, 3) -> yaw, pitch, roll in degrees, each (B,). Inverse of `rotation_from_angles`."""
    yaw = torch.asin(rotation[..., 2, 0].clamp(-1, 1))
    pitch = torch.atan2(rotation[..., 2, 1], rotation[..., 2, 2])
    roll = torch.atan2(rotation[..., 1, 0], rotation[..., 0, 0])
    return tuple(angle * (180 / math.pi) for angle in (yaw, pitch, roll))


def cell_centres(size: int, device=None, dtype=torch.float32) -> Tensor:
    """Coordinates of the `size` cell centres along one axis, (size,)."""
    return (torch.arange(size, device=device, dtype=dtype) * 2 + 1) / size - 1


def identity_grid(depth: int, height: int, width: int, device=None, dtype=torch.float32) -> Tensor:
    """The grid that samples every cell at itself, (1, D, H, W, 3)."""
    axes = [cell_centres(n, device, dtype) for n in (depth, height, width)]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], -1)[None]


def rigid_grid(pose: Pose, depth: int, height: int, width: int) -> Tensor:
    """Grid that puts the pose OUT: for canonical cells, the view point to sample. (B, D, H, W, 3)."""
    grid = identity_grid(depth, height, width, pose.rotation.device, pose.rotation.dtype)
    return pose.apply(grid.expand(len(pose.scale), -1, -1, -1, -1))


def inverse_rigid_grid(pose: Pose, depth: int, height: int, width: int) -> Tensor:
    """Grid that puts the pose IN: for view cells, the canonical point to sample. (B, D, H, W, 3)."""
    grid = identity_grid(depth, height, width, pose.rotation.device, pose.rotation.dtype)
    return pose.unapply(grid.expand(len(pose.scale), -1, -1, -1, -1))


def sample(values: Tensor, grid: Tensor, padding: str = "zeros") -> Tensor:
    """Backward sampling `out[p] = values[grid[p]]`, bi- or trilinear.

    Volume (B, C, D, H, W) with grid (B, D', H', W', 3), or image (B, C, H, W) with grid (B, H', W', 2).
    `padding`: what lies outside [-1, 1]: "zeros" or "border".
    """
    return F.grid_sample(values.to(grid.dtype), grid, mode="bilinear", padding_mode=padding, align_corners=False)


def window(image: Tensor, place: tuple[float, float, float], size: int) -> Tensor:
    """A square part of pictures (B, C, S, S), `place` = (x, y, half side): (B, C, size, size), without aliasing."""
    x, y, radius = place
    axis = cell_centres(size, image.device, image.dtype) * radius
    grid = torch.stack(torch.meshgrid(axis + x, axis + y, indexing="xy"), -1)
    shrink = max(1, round(image.shape[-1] * radius / size))
    image = F.avg_pool2d(image, shrink) if shrink > 1 else image
    return sample(image, grid.expand(len(image), -1, -1, -1), padding="border")


def identity_flow(height: int, width: int, device=None, dtype=torch.float32) -> Tensor:
    """The 2D flow that samples every pixel at itself, (1, 2, H, W), order (x, y)."""
    y, x = torch.meshgrid(cell_centres(height, device, dtype), cell_centres(width, device, dtype), indexing="ij")
    return torch.stack([x, y])[None]


def resize_flow(flow: Tensor, size: int) -> Tensor:
    """A 2D flow (B, 2, h, w) at another resolution, (B, 2, size, size). What is interpolated is its offset from the
    identity, which goes on unchanged beyond the outer cell centres."""
    offset = flow - identity_flow(*flow.shape[2:], flow.device, flow.dtype)
    offset = F.interpolate(offset, size=(size, size), mode="bilinear", align_corners=False)
    return offset + identity_flow(size, size, flow.device, flow.dtype)


def project(volume: Tensor) -> Tensor:
    """P, orthographic projection: folds depth into channels, (B, C, D, H, W) -> (B, C*D, H, W). Nothing is summed."""
    return volume.flatten(1, 2)
