"""Augmentation of frames, as the paper's: flip and mild colour jitter on source and target alike; for E_mtn alone a
thin-plate spline that bends the shape of the face, so that it cannot tell who it is, and severe colour jitter."""

import functools

import numpy as np
import torch
from torch import Tensor

from mpkit.actions import ACTIONS
from mpkit.geometry import Pose, cell_centres, identity_flow, sample

KNOTS = 5  # of the thin-plate spline, along each side


def _mirror_order() -> list[int]:
    """For each of the 54 numbers, the one that takes its place in a mirror: Left and Right trade names."""
    swap = {"Left": "Right", "Right": "Left"}

    def mirrored(name: str) -> str:
        for side, other in swap.items():
            if name.endswith(side):
                return name[: -len(side)] + other
        return name

    return [ACTIONS.index(mirrored(name)) for name in ACTIONS] + [52, 53]


MIRROR = _mirror_order()


def flip_pose(pose: Pose) -> Pose:
    """The pose of the mirrored head: x is negated on both sides of R."""
    mirror = pose.rotation.new_tensor([-1, 1, 1])
    return Pose(pose.rotation * mirror[:, None] * mirror, pose.translation * mirror, pose.scale)


def flip_numbers(numbers: Tensor) -> Tensor:
    """The 52 coefficients and gaze of the mirrored face, (B, 54)."""
    flipped = numbers[:, MIRROR].clone()
    flipped[:, 52] = -flipped[:, 52]
    return flipped


def flip_points(points: Tensor) -> Tensor:
    """A map of points (B, h, w, 2 or 3) of the mirrored picture."""
    flipped = points.flip(2).clone()
    flipped[..., 0] = -flipped[..., 0]
    return flipped


def colour_jitter(rng: np.random.Generator, strength: float, count: int) -> tuple[Tensor, Tensor]:
    """`count` random affine maps of RGB: matrix (count, 3, 3) and offset (count, 3). strength 0.1 mild, 0.5 severe."""
    gain = rng.uniform(1 - strength, 1 + strength, (count, 3, 1)) * rng.uniform(
        1 - strength, 1 + strength, (count, 1, 1)
    )
    mix = rng.dirichlet([1, 1, 1], (count, 3)) * strength + np.eye(3) * (1 - strength)
    offset = rng.uniform(-strength / 3, strength / 3, (count, 3))
    return torch.tensor(gain * mix, dtype=torch.float32), torch.tensor(offset, dtype=torch.float32)


def recolour(picture: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Premultiplied RGBA (B, 4, S, S) or RGB with alpha 1: an affine colour map that leaves alpha alone."""
    rgb, alpha = picture[:, :3], picture[:, 3:]
    rgb = torch.einsum("bij,bjhw->bihw", matrix, rgb) + offset[:, :, None, None] * (alpha if alpha.shape[1] else 1)
    return torch.cat([torch.minimum(rgb.clamp_min(0), alpha) if alpha.shape[1] else rgb.clamp(0, 1), alpha], dim=1)


@functools.lru_cache(maxsize=4)
def _spline_basis(size: int) -> Tensor:
    """How far each pixel follows each knot: (size * size, KNOTS * KNOTS). A thin-plate spline is linear in its knots'
    offsets, so for fixed knots it is one matrix; no row of it needs the offsets."""
    axis = cell_centres(KNOTS, dtype=torch.float64)
    knots = torch.cartesian_prod(axis, axis)
    pixels = cell_centres(size, dtype=torch.float64)
    pixels = torch.cartesian_prod(pixels, pixels)

    def terms(points: Tensor) -> tuple[Tensor, Tensor]:
        distance = torch.cdist(points, knots)
        return distance.square() * distance.clamp_min(1e-9).log(), torch.cat([torch.ones(len(points), 1), points], 1)

    (bend, affine), count = terms(knots), len(knots)
    system = torch.cat([torch.cat([bend, affine], 1), torch.cat([affine.T, torch.zeros(3, 3)], 1)])
    weights = torch.linalg.solve(system, torch.eye(count + 3, count, dtype=torch.float64))
    return (torch.cat(terms(pixels), 1) @ weights).float()


def random_bends(rng: np.random.Generator, strength: float, count: int) -> Tensor:
    """Offsets of the knots of `count` thin-plate splines, about `strength` crop units each, (count, KNOTS^2, 2)."""
    return torch.tensor(rng.normal(0, strength, (count, KNOTS**2, 2)), dtype=torch.float32)


def bend_shape(picture: Tensor, bends: Tensor) -> Tensor:
    """Pictures (B, C, S, S) under the thin-plate splines of `random_bends`. What a face does is still seen in them,
    whose face it is hardly."""
    size = picture.shape[-1]
    moved = (_spline_basis(size) @ bends).view(-1, size, size, 2)
    return sample(picture, identity_flow(size, size).movedim(1, -1) + moved, padding="border")
