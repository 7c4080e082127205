"""Checks of lesson 4, appearance and volumes."""

import torch
import torch.nn.functional as F

from mpkit.geometry import cell_centres, project


def check_1(answer) -> None:
    """answer(volume (B, C, D, H, W), weight (K, C * D, 1, 1)) is the convolution of the folded volume."""
    random = torch.Generator().manual_seed(1)
    for shape, outputs in (((1, 2, 3, 4, 4), 5), ((2, 4, 2, 3, 5), 1), ((1, 3, 3, 2, 2), 4)):
        channels, depth = shape[1:3]
        volume = torch.randn(shape, generator=random)
        weight = torch.randn(outputs, channels * depth, 1, 1, generator=random)
        result = answer(volume, weight)
        assert result is not None, "there is no answer yet"
        wanted = F.conv2d(project(volume), weight)
        assert result.shape == wanted.shape, f"the shape should be {tuple(wanted.shape)}, not {tuple(result.shape)}"
        if torch.allclose(result, wanted, atol=1e-4):
            continue
        per_depth = weight.view(outputs, channels, depth)
        regrouped = weight.view(outputs, depth, channels)
        assert not torch.allclose(result, torch.einsum("bcdhw,kdc->bkhw", volume, regrouped), atol=1e-4), (
            "this takes the first C columns for depth 0. The fold is in the order (channel, depth): input c * D + d"
        )
        shared = (
            torch.einsum("bcdhw,kc->bkhw", volume, per_depth.mean(2)),
            torch.einsum("bcdhw,kc->bkhw", volume, per_depth[:, :, 0]),
        )
        assert not any(torch.allclose(result, one, atol=1e-4) for one in shared), (
            "this gives all depths the same weights. Each depth has its own"
        )
        mean = torch.allclose(result * depth, wanted, atol=1e-4)
        assert not mean, "this is the mean over depths; a convolution adds"
        raise AssertionError("the values differ from F.conv2d(project(volume), weight)")


def check_2(answer) -> None:
    """answer(weights (B, D, h, w)) is the expected z of the surface, (B, h, w)."""
    random = torch.Generator().manual_seed(2)
    for shape in ((1, 4, 2, 3), (2, 12, 5, 5), (3, 7, 1, 2)):
        depth = shape[1]
        weights = torch.randn(shape, generator=random).softmax(dim=1)
        result = answer(weights)
        assert result is not None, "there is no answer yet"
        wanted = torch.einsum("bdhw,d->bhw", weights, cell_centres(depth))
        if result.shape == (shape[0], 1, *shape[2:]):
            raise AssertionError("the depth axis should be gone: (B, h, w), not (B, 1, h, w)")
        assert result.shape == wanted.shape, f"the shape should be {tuple(wanted.shape)}, not {tuple(result.shape)}"
        if torch.allclose(result.float(), wanted, atol=1e-5):
            continue
        edges = torch.einsum("bdhw,d->bhw", weights, torch.linspace(-1, 1, depth))
        assert not torch.allclose(result.float(), edges, atol=1e-5), (
            "this puts the first and last slice at -1 and +1. These are edges; centres are at -1 + (2i + 1) / D"
        )
        assert not torch.allclose(result.float(), -wanted, atol=1e-5), (
            "the sign is wrong: the first slice is the nearest"
        )
        likeliest = cell_centres(depth)[weights.argmax(dim=1)]
        assert not torch.allclose(result.float(), likeliest, atol=1e-5), (
            "this takes the likeliest slice. The expected value averages all slices by their weights"
        )
        index = torch.einsum("bdhw,d->bhw", weights, torch.arange(depth).float())
        assert not torch.allclose(result.float(), index, atol=1e-5), "this is in slices; z is in [-1, 1]"
        mean = torch.allclose(result.float() * depth, wanted, atol=1e-5)
        assert not mean, "the weights sum to 1 already: take the sum over depth, not the mean"
        raise AssertionError("the values differ from the expected z")
