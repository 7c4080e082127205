"""Checks of the exercises of lesson 3, warp fields."""

import torch

from mpkit.geometry import Pose, identity_grid, inverse_rigid_grid, rigid_grid, rotation_from_angles, sample
from mpkit.networks.warp import warp_from_source, warp_to_driver

SHAPES = ((4, 6, 8), (5, 7, 6))  # depth, height, width: all different, so that swapped axes show


def check_1(source_grid) -> None:
    for seed, shape in enumerate(SHAPES):
        delta, pose = random_warp(seed, shape)
        cells, offsets = identity_grid(*shape), delta.movedim(1, -1)
        rigid = rigid_grid(pose, *shape)
        mistakes = {
            "this adds the two parts, so delta does not turn with the head; move the cell first, then pose it": (
                rigid + offsets
            ),
            "this reads delta at points of the view; it belongs to the canonical cells": (
                rigid + sample(delta, rigid, padding="border").movedim(1, -1)
            ),
            "this puts the pose in; w_s-> samples where the source shows the head, so it applies the pose": (
                pose.unapply(cells + offsets)
            ),
            "the expression is missing: this is the rigid part alone": rigid,
            "the pose is missing: this is the expression part alone": cells + offsets,
            "the identity grid is in it twice: a posed grid is absolute already": cells + rigid + offsets,
        }
        compare(source_grid(delta, pose), warp_from_source(delta, pose).grid, mistakes)


def check_2(driver_grid) -> None:
    for seed, shape in enumerate(SHAPES):
        delta, pose = random_warp(seed, shape)
        cells, offsets = identity_grid(*shape), delta.movedim(1, -1)
        rigid = inverse_rigid_grid(pose, *shape)
        mistakes = {
            "the identity grid is in the sum twice: the rigid grid is absolute already": rigid + cells + offsets,
            "this is the mean of two grids: the head turns only half as far": (rigid + cells + offsets) / 2,
            "this adds the two parts; compose them: read delta at the points of the rigid grid": rigid + offsets,
            "this is the other order: delta belongs to the canonical head, so unpose first, then read delta there": (
                pose.unapply(cells + offsets)
            ),
            "this applies the pose; w_->d asks which canonical point a cell of the view shows": (
                rigid_grid(pose, *shape) + sample(delta, rigid_grid(pose, *shape), padding="border").movedim(1, -1)
            ),
            "the expression is missing: this is the rigid part alone": rigid,
            "outside the volume delta goes on with its border: sample it with padding='border'": (
                rigid + sample(delta, rigid).movedim(1, -1)
            ),
        }
        compare(driver_grid(delta, pose), warp_to_driver(delta, pose).grid, mistakes)


def random_warp(seed: int, shape: tuple[int, int, int]) -> tuple[torch.Tensor, Pose]:
    """delta (2, 3, D, H, W) and two poses."""
    generator = torch.Generator().manual_seed(seed)
    angles = 40 * torch.rand(3, 2, generator=generator) - 20
    shift = torch.rand(2, 3, generator=generator) * torch.tensor([0.2, 0.2, 0])
    delta = 0.3 * torch.rand(2, 3, *shape, generator=generator) - 0.15
    return delta, Pose(rotation_from_angles(*angles), shift, torch.tensor([0.9, 1.2]))


def compare(answer, wanted: torch.Tensor, mistakes: dict[str, torch.Tensor]) -> None:
    """Raises AssertionError with the name of the mistake that gives this answer."""
    assert answer is not None, "The function returns nothing so far."
    assert isinstance(answer, torch.Tensor), f"Return a tensor, not {type(answer).__name__}."
    shape = tuple(wanted.shape)
    assert tuple(answer.shape) == shape, f"The grid must be (B, D, H, W, 3), here {shape}, not {tuple(answer.shape)}."
    for hint, wrong in mistakes.items():
        assert not torch.allclose(answer, wrong, atol=1e-4), f"{hint[0].upper()}{hint[1:]}."
    error = (answer - wanted).abs().max().item()
    assert torch.allclose(answer, wanted, atol=1e-4), f"The grid is wrong by up to {error:.2f} half sides of the crop."
