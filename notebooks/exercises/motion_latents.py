"""Checks of lesson 2."""

import torch
import torch.nn.functional as F


def check_1(answer):
    """spread(z) -> variance of z (P, K, n) with the person, and with the expression."""
    generator = torch.Generator().manual_seed(3)
    for people, expressions in ((3, 6), (7, 4), (5, 5)):
        person = torch.randn(people, 1, 16, generator=generator)
        expression = 0.3 * torch.randn(1, expressions, 16, generator=generator)
        rest = 0.5 * torch.randn(people, expressions, 16, generator=generator)
        for z in (person.expand(-1, expressions, -1), person + expression, person + expression + rest):
            result = answer(z.clone())
            assert isinstance(result, tuple | list) and len(result) == 2, "return two numbers: person, expression"
            result = torch.stack([torch.as_tensor(value, dtype=torch.float32) for value in result])
            assert result.shape == (2,), "each of the two is one number: add up over the n numbers of z"
            wanted = _spread(z)
            unbiased = wanted * torch.tensor([people / (people - 1), expressions / (expressions - 1)])
            assert not _close(result, wanted.flip(0)), "the two are swapped: the mean over expressions is the person"
            assert not _close(result, wanted / z.shape[2]), "add up over the n numbers of z, do not average"
            assert not _close(result, unbiased), "divide by P and by K: use var(unbiased=False)"
            whole = torch.stack([z.var(dim=dim, unbiased=False).sum(-1).mean() for dim in (0, 1)])
            assert _close(whole, wanted) or not _close(result, whole), (
                "average first, then take the variance: otherwise what person and expression share counts too"
            )
            assert _close(result, wanted), "the numbers differ: first the mean over one axis, then the variance"


def check_2(answer):
    """match(a, b) -> for each row of a the row of b with the same direction."""
    generator = torch.Generator().manual_seed(4)
    for count in (4, 8, 12):
        a = torch.randn(count, 32, generator=generator)
        order = torch.randperm(count, generator=generator)
        strength = 0.2 + 3 * torch.rand(count, 1, generator=generator)
        b = torch.empty_like(a)
        b[order] = strength * (a + 0.2 * torch.randn(count, 32, generator=generator))
        result = answer(a.clone(), b.clone())
        assert result is not None, "it returns nothing yet"
        result = torch.as_tensor(result)
        assert result.shape == (count,), f"return {count} integers, one for each row of a; got {tuple(result.shape)}"
        assert not result.is_floating_point(), "return the indices of rows of b: argmax, not max"
        cosines = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
        assert torch.equal(order, cosines.argmax(1))
        if not torch.equal(result, order):
            inverse = order.argsort()
            assert not torch.equal(result, inverse), "this goes from rows of b to rows of a: take the other axis"
            assert not torch.equal(result, (a @ b.T).argmax(1)), "strong rows of b win: normalise before the product"
            assert not torch.equal(result, torch.cdist(a, b).argmin(1)), "this compares lengths too: use the cosine"
            assert not torch.equal(result, cosines.argmin(1)), "this is the least similar row"
            raise AssertionError("some rows are matched wrongly: compare directions, row by row")


def _spread(z: torch.Tensor) -> torch.Tensor:
    """Variance of z (P, K, n) with the person, and with the expression: (2,)."""
    return torch.stack([z.mean(dim=1).var(dim=0, unbiased=False).sum(), z.mean(dim=0).var(dim=0, unbiased=False).sum()])


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=1e-3, atol=1e-5)
