"""The multi-scale patch discriminator: its scores, its gradients, its spectral normalisation."""

import dataclasses

import pytest
import torch
from support import random_loss, stirred, unreached
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from mpkit.config import DISCRIMINATORS, DiscriminatorConfig, preset
from mpkit.losses.adversarial import discriminator_loss
from mpkit.networks import Discriminator


def test_discriminator_judges_patches_at_each_scale():
    config = preset("nano", DISCRIMINATORS)
    judgements = stirred(Discriminator(config))(torch.rand(2, 3, 64, 64))
    assert len(judgements) == config.scales
    sides = [score.shape[-1] for score, _ in judgements]
    assert sides == sorted(sides, reverse=True) and sides[-1] > 1
    for score, features in judgements:
        assert score.shape[:2] == (2, 1)
        assert [feature.shape[1] for feature in features] == list(config.widths)


def test_discriminator_scores_have_no_limits():
    """The hinge loss wants real > 1 and fake < -1: no sigmoid at the end."""
    discriminator = Discriminator(dataclasses.replace(preset("nano", DISCRIMINATORS), spectral_normalization=False))
    scores = []
    for sign in (-10, 10):
        for scale in discriminator.scales:
            nn.init.constant_(scale.score.bias, sign)
        scores.append(discriminator(torch.rand(1, 3, 64, 64))[0].score.mean())
    assert scores[0] < -1 and scores[1] > 1


@pytest.mark.parametrize("spectral", [True, False])
def test_discriminator_gives_the_picture_a_gradient_and_learns(spectral):
    config = dataclasses.replace(preset("nano", DISCRIMINATORS), spectral_normalization=spectral)
    discriminator, image = stirred(Discriminator(config)), torch.rand(1, 3, 64, 64, requires_grad=True)
    loss = random_loss(*(score for score, _ in discriminator(image)))
    assert not unreached(discriminator, loss)
    assert image.grad.any()


def test_spectral_normalisation_bounds_each_convolution():
    discriminator = stirred(Discriminator(preset("nano", DISCRIMINATORS)))
    for _ in range(20):  # the power iteration settles in training mode
        discriminator(torch.rand(1, 3, 64, 64))
    for conv in (module for module in discriminator.modules() if isinstance(module, nn.Conv2d)):
        assert is_parametrized(conv)
        assert torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.05)


def test_it_learns_to_tell_blurred_pictures_from_sharp_ones():
    """Within 60 steps, on bright pictures of one mean colour. Fed with colours from 0 to 1 that are not centred, its
    loss stays at 2, which is that of a discriminator that tells nothing apart."""
    torch.manual_seed(0)
    network = Discriminator(DiscriminatorConfig(preset="small", scales=1, widths=(16, 32), normalization_groups=8))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, (0.5, 0.999))
    for _ in range(60):
        sharp = 0.6 + 0.1 * torch.randn(8, 3, 32, 32)
        blurred = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
        blurred = 0.6 + 3 * (blurred - 0.6)  # with the same contrast
        loss = discriminator_loss(network(sharp), network(blurred))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.2
