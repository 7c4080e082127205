"""Checks of lesson 05."""

import math

import torch
import torch.nn.functional as F

from mpkit.config import DISCRIMINATORS
from mpkit.losses.adversarial import generator_loss
from mpkit.losses.cycle import cycle_loss
from mpkit.networks.discriminator import Discriminator


def check_1(generator_step) -> None:
    torch.manual_seed(1)
    judge = Discriminator(DISCRIMINATORS["nano"]).eval()
    for _ in range(2):
        prediction = torch.rand(2, 3, 64, 64, requires_grad=True)
        wanted = torch.autograd.grad(generator_loss(judge(prediction)), prediction)[0]
        loss = generator_step(judge, prediction)
        assert loss is not None, "there is no answer yet"
        assert loss.requires_grad, "no graph was built: the prediction was detached, or torch.no_grad() is on"
        loss.backward()
        assert prediction.grad is not None, "no gradient reaches the prediction: do not detach it"
        assert not torch.allclose(prediction.grad, -wanted, rtol=1e-3, atol=1e-9) or not wanted.any(), (
            "the sign is wrong: a generator wants high scores, so its loss is MINUS their mean"
        )
        assert torch.allclose(prediction.grad, wanted, rtol=1e-3, atol=1e-9), (
            "the loss is not minus the mean score, averaged over the scales"
        )
        grads = [parameter.grad for parameter in judge.parameters()]
        assert all(grad is None for grad in grads), "the gradient reached D's weights: freeze them while D judges"
        assert all(parameter.requires_grad for parameter in judge.parameters()), "D is still frozen afterwards"


def check_2(bounds) -> None:
    for s in (0.5, 1.0, 5.0):
        answer = bounds(s)
        assert answer is not None, "there is no answer yet"
        equal, least = (float(value) for value in answer)
        generator = torch.Generator().manual_seed(round(10 * s))
        z = F.normalize(torch.randn(1, 8, generator=generator), dim=1)
        assert not math.isclose(equal, math.log(3), rel_tol=1e-3), "Eq. 7 sums over both positives: twice as much"
        assert not math.isclose(equal, 2 * math.log(2), rel_tol=1e-3), "there are two negatives in each denominator"
        assert math.isclose(equal, 2 * math.log(3), rel_tol=1e-3), "with equal cosines s and m cancel: what is left?"
        wanted = _loss_at_scale(z, -z, s)
        assert least > 0, "the negatives never vanish from the denominator: the least value is above 0"
        assert not math.isclose(least, 2 * math.log(1 + 2 * math.exp(-s)), rel_tol=1e-3), (
            "negatives may have cosine -1, not only 0"
        )
        assert math.isclose(least, wanted, rel_tol=1e-3), "put cosine 1 for positives and -1 for negatives into Eq. 7"
    assert math.isclose(bounds(5.0)[1], cycle_loss(z, z, z, -z).item(), rel_tol=1e-2)


def _loss_at_scale(driver: torch.Tensor, other: torch.Tensor, s: float) -> float:
    """L_cos by a softmax, when both predictions have the driver's z."""
    scores = s * torch.stack([F.cosine_similarity(driver, z, dim=1) for z in (driver, other, other)], 1)
    return 2 * F.cross_entropy(scores, torch.tensor([0])).item()
