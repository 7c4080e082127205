"""Checks of lesson 7, high resolution."""

import torch
import torch.nn.functional as F

from mpkit.losses.high_resolution import low_resolution_cycle_loss

TERMS = ("l1", "adversarial", "cross_adversarial", "cycle")


def check_1(answer) -> None:
    """answer(image (B, 3, S, S), enhanced (B, 3, 2S, 2S)) is the nearest picture without a cycle loss."""
    random = torch.Generator().manual_seed(1)
    for batch, size in ((1, 8), (2, 16), (3, 4)):
        image = torch.rand(batch, 3, size, size, generator=random)
        enhanced = torch.rand(batch, 3, 2 * size, 2 * size, generator=random)
        result = answer(image, enhanced.clone())
        assert result is not None, "there is no answer yet"
        assert result.shape == enhanced.shape, (
            f"the shape should be {tuple(enhanced.shape)}, not {tuple(result.shape)}"
        )
        before, after = (low_resolution_cycle_loss(image, one).item() for one in (enhanced, result))
        assert not abs(after - 2 * before) < 1e-5, "the sign is wrong: this doubles the error of each square"
        assert after < 1e-5, f"the cycle loss is {after:.4f}, not 0: each square of 8 x 8 pixels needs one correction"
        detail = result - F.interpolate(F.avg_pool2d(result, 8), scale_factor=8)
        wanted = enhanced - F.interpolate(F.avg_pool2d(enhanced, 8), scale_factor=8)
        assert detail.abs().mean() > 1e-3, "this removes all detail. Keep `enhanced`, and shift each square as a whole"
        assert torch.allclose(detail, wanted, atol=1e-5), (
            "the cycle loss is 0, but there is a nearer picture: change all pixels of a square by the same colour"
        )


def check_2(answer) -> None:
    """answer(low, high, target, score) gives the terms of Eq. 9-10 without matching."""
    random = torch.Generator().manual_seed(2)
    weights = torch.randn(3, generator=random)

    def score(pictures):
        return torch.einsum("bchw,c->b", pictures.square(), weights)

    for batch, size in ((1, 8), (3, 16)):
        low = torch.rand(2 * batch, 3, size, size, generator=random)
        high = torch.rand(2 * batch, 3, 2 * size, 2 * size, generator=random).requires_grad_()
        target = torch.rand(batch, 3, 2 * size, 2 * size, generator=random)
        terms = answer(low, high, target, score)
        assert terms is not None, "there is no answer yet"
        assert isinstance(terms, dict) and set(terms) == set(TERMS), f"the keys should be {', '.join(TERMS)}"
        for name in TERMS:
            assert torch.is_tensor(terms[name]) and terms[name].dim() == 0, f"{name} should be a scalar tensor"
            assert terms[name].requires_grad, f"no gradient of {name} reaches `high`: do not detach it"
        _check_values(terms, low, high, target, score)


def _check_values(terms, low, high, target, score) -> None:
    own, crossed = high.chunk(2)
    low_own, low_crossed = low.chunk(2)

    def same(name, value):
        return torch.allclose(terms[name], value, atol=1e-5)

    assert not same("l1", F.l1_loss(crossed, target)), "l1 compares cross pairs with the stills: they have no target"
    assert same("l1", F.l1_loss(own, target)), "l1 should compare the results of self pairs with the stills"
    for name, half in (("adversarial", own), ("cross_adversarial", crossed)):
        wanted = -score(half).mean()
        assert not same(name, -wanted), f"{name} has the wrong sign: G_enh wants a large score, and a loss is minimised"
        other = "the second half" if name == "adversarial" else "the first half"
        swapped = -score(crossed if name == "adversarial" else own).mean()
        assert not same(name, swapped), f"{name} takes {other} of `high`; self pairs are the first"
        assert same(name, wanted), f"{name} should be minus the mean score"
    assert not same("cycle", low_resolution_cycle_loss(low_own, own)), "cycle should take the cross pairs"
    assert not same("cycle", low_resolution_cycle_loss(low_own, crossed)), (
        "cycle compares the results of cross pairs with the pictures of self pairs: take the same half of `low`"
    )
    full = F.l1_loss(F.avg_pool2d(crossed, 2), low_crossed)
    assert not same("cycle", full), "cycle compares at the size of `low`; Eq. 10 compares DS4 and DS8"
    assert same("cycle", low_resolution_cycle_loss(low_crossed, crossed)), "cycle is L1 of DS4(low) and DS8(high)"
