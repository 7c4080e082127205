"""Augmentation of frames, as in the paper. Source and target get the same flip and mild colour jitter. The input of
E_mtn also gets severe colour jitter and a thin-plate spline warp, which hides the identity of the face from E_mtn."""

import functools

import numpy as np
import torch
from torch import Tensor

from mpkit.actions import ACTIONS
from mpkit.geometry import Pose, cell_centres, constant, identity_flow, sample

SPLINE_KNOTS = 5  # knots of the thin-plate spline along each side of the picture


def _mirror_order() -> list[int]:
    """For each of the 54 numbers, the index of the number that takes its place in a mirrored face."""
    swap = {"Left": "Right", "Right": "Left"}

    def mirrored(name: str) -> str:
        for side, other in swap.items():
            if name.endswith(side):
                return name[: -len(side)] + other
        return name

    return [ACTIONS.index(mirrored(name)) for name in ACTIONS] + [52, 53]


MIRROR_ORDER = tuple(_mirror_order())
MIRROR_SIGNS = (1,) * 52 + (-1, 1)


def flip_pose(pose: Pose) -> Pose:
    """The pose of the mirrored head: M R M, M t and s, where M negates x."""
    mirror = constant((-1, 1, 1), pose.rotation)
    return Pose(pose.rotation * mirror[:, None] * mirror, pose.translation * mirror, pose.scale)


def flip_numbers(numbers: Tensor) -> Tensor:
    """The 52 facial actions and the gaze of the mirrored face, (B, 54)."""
    return numbers.index_select(1, constant(MIRROR_ORDER, numbers).long()) * constant(MIRROR_SIGNS, numbers)


def flip_points(points: Tensor) -> Tensor:
    """A map of points (B, h, w, 2 or 3) for the mirrored picture: columns reversed, x negated."""
    flipped = points.flip(2).clone()
    flipped[..., 0] = -flipped[..., 0]
    return flipped


def colour_jitter(rng: np.random.Generator, strength: float, count: int) -> tuple[Tensor, Tensor]:
    """`count` random affine maps of RGB: matrices (count, 3, 3) and offsets (count, 3). A strength of 0.1 is mild, 0.5
    severe."""
    gain = rng.uniform(1 - strength, 1 + strength, (count, 3, 1)) * rng.uniform(
        1 - strength, 1 + strength, (count, 1, 1)
    )
    mix = rng.dirichlet([1, 1, 1], (count, 3)) * strength + np.eye(3) * (1 - strength)
    offset = rng.uniform(-strength / 3, strength / 3, (count, 3))
    return torch.tensor(gain * mix, dtype=torch.float32), torch.tensor(offset, dtype=torch.float32)


def recolour(picture: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) RGB or (B, 4, S, S) premultiplied RGBA under affine colour maps (B, 3, 3) and (B, 3),
    clipped to [0, 1]. Alpha stays as it is."""
    rgb, alpha = picture[:, :3], picture[:, 3:]
    rgb = torch.einsum("bij,bjhw->bihw", matrix, rgb) + offset[:, :, None, None] * (alpha if alpha.shape[1] else 1)
    return torch.cat([torch.minimum(rgb.clamp_min(0), alpha) if alpha.shape[1] else rgb.clamp(0, 1), alpha], dim=1)


@functools.lru_cache(maxsize=4)
def _spline_basis(size: int, device: torch.device) -> Tensor:
    """Weights (size * size, SPLINE_KNOTS^2) of the knots at each pixel. With fixed knots a thin-plate spline is linear
    in the offsets of its knots, so these weights serve every spline."""
    axis = cell_centres(SPLINE_KNOTS, dtype=torch.float64)
    knots = torch.cartesian_prod(axis, axis)
    pixels = cell_centres(size, dtype=torch.float64)
    pixels = torch.cartesian_prod(pixels, pixels)

    def terms(points: Tensor) -> tuple[Tensor, Tensor]:
        distance = torch.cdist(points, knots)
        return distance.square() * distance.clamp_min(1e-9).log(), torch.cat([torch.ones(len(points), 1), points], 1)

    (radial, affine), count = terms(knots), len(knots)
    system = torch.cat([torch.cat([radial, affine], 1), torch.cat([affine.T, torch.zeros(3, 3)], 1)])
    weights = torch.linalg.solve(system, torch.eye(count + 3, count, dtype=torch.float64))
    return (torch.cat(terms(pixels), 1) @ weights).float().to(device)


def random_knot_offsets(rng: np.random.Generator, deviation: float, count: int) -> Tensor:
    """Offsets of the knots of `count` thin-plate splines, (count, SPLINE_KNOTS^2, 2), with this standard deviation in
    crop units."""
    return torch.tensor(rng.normal(0, deviation, (count, SPLINE_KNOTS**2, 2)), dtype=torch.float32)


def spline_warp(picture: Tensor, knot_offsets: Tensor) -> Tensor:
    """Pictures (B, C, S, S) under thin-plate splines, see `random_knot_offsets`. The expression stays visible, the
    identity hardly does."""
    size = picture.shape[-1]
    offsets = (_spline_basis(size, picture.device) @ knot_offsets).view(-1, size, size, 2)
    return sample(picture, identity_flow(size, size, device=picture.device).movedim(1, -1) + offsets, padding="border")
