"""Enhancer, student and discriminator: the networks of later stages."""

import dataclasses

import pytest
import torch
from support import (
    block_widths,
    conv_facts,
    meta,
    random_loss,
    stirred,
    unreached,
)
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.testing import assert_close

from mpkit.config import DISCRIMINATORS, ENHANCERS, PRESETS, STUDENTS, EnhancerConfig, preset
from mpkit.networks import Discriminator, Enhancer, Student

# --- enhancer, student, discriminator --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_enhancer_doubles_the_picture_of_the_base_model(name):
    config = preset(name, ENHANCERS)
    size = preset(name).image_size
    image = torch.empty(1, 3, size, size, device="meta")
    assert meta(Enhancer, config)(image).shape == (1, 3, 2 * size, 2 * size)


def test_enhancer_runs_and_learns():
    nano = preset("nano", ENHANCERS)
    for config in (nano, dataclasses.replace(nano, weight_standardization=True)):
        enhancer = stirred(Enhancer(config))
        image = enhancer(torch.rand(2, 3, 64, 64))
        assert image.shape == (2, 3, 128, 128) and 0 <= image.min() and image.max() <= 1
        assert not unreached(enhancer, random_loss(image))
    with pytest.raises(ValueError, match="G_enh takes pictures"):
        enhancer(torch.rand(1, 3, 32, 32))


def test_enhancer_config_must_mirror():
    with pytest.raises(ValueError, match="same length"):
        EnhancerConfig(encoder_widths=(64,))


@pytest.fixture
def student():
    return stirred(Student(preset("nano", STUDENTS)))


def test_student_is_the_papers():
    student = meta(Student, preset("base512", STUDENTS))
    assert student(torch.empty(2, 3, 512, 512, device="meta"), [0, 99]).shape == (2, 3, 512, 512)
    assert block_widths(student.blocks) == [192] * 5 + [96, 48, 24]
    assert [len(stage) for stage in student.encoder.stages] == [2, 2, 2, 2]  # ResNet-18
    assert conv_facts(student.out) == (24, 3, 3)
    assert max(max(block.spade1.identity.shape[2:]) for block in student.blocks) == 64
    half_precision = 2 * sum(parameter.numel() for parameter in student.parameters())
    assert half_precision == pytest.approx(800e6, rel=0.05)  # the paper's 800 MB for 100 avatars


@pytest.mark.parametrize("name", PRESETS)
def test_student_sees_and_makes_pictures_of_the_base_models_size(name):
    assert preset(name, STUDENTS).image_size == preset(name).image_size


def test_student_runs_and_learns(student):
    image = student(torch.rand(3, 3, 64, 64), [0, 1, 2])
    assert image.shape == (3, 3, 64, 64) and 0 <= image.min() and image.max() <= 1
    assert not unreached(student, random_loss(image))


def test_student_learns_only_the_avatar_it_shows(student):
    random_loss(student(torch.rand(2, 3, 64, 64), 1)).backward()
    for block in student.blocks:
        used = [slice_.any().item() for slice_ in block.spade1.identity.grad]
        assert used == [False, True, False]


def test_student_shows_another_face_for_another_avatar(student):
    driver = torch.rand(1, 3, 64, 64).expand(3, -1, -1, -1)
    faces = student(driver, torch.arange(3))
    assert (faces[0] - faces[1]).abs().max() > 1e-2 and (faces[1] - faces[2]).abs().max() > 1e-2
    assert_close(student(driver[:1], 2), faces[2:], atol=1e-5, rtol=0)


@pytest.mark.parametrize("avatar", [3, -1, [0, 7]])
def test_student_refuses_an_avatar_it_does_not_know(student, avatar):
    with pytest.raises(IndexError, match="this student knows avatars 0 to 2"):
        student(torch.rand(2, 3, 64, 64), avatar)


def test_student_refuses_a_wrong_count_or_size(student):
    with pytest.raises(ValueError, match="2 driver pictures but 3 avatar numbers"):
        student(torch.rand(2, 3, 64, 64), [0, 1, 2])
    with pytest.raises(ValueError, match="G_DT takes pictures"):
        student(torch.rand(1, 3, 32, 32), 0)


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
