"""The student's network G_DT."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from support import block_widths, conv_facts, meta, random_loss, stirred, unreached
from torch.testing import assert_close

from mpkit.config import PRESETS, STUDENTS, preset
from mpkit.networks import Student
from mpkit.networks.student import instance_norm

NANO = preset("nano", STUDENTS)
PAPER = preset("base512", STUDENTS)


@pytest.fixture
def student():
    return stirred(Student(NANO))


def test_the_network_is_the_papers():
    student = meta(Student, PAPER)
    assert student(torch.empty(2, 3, 512, 512, device="meta"), [0, 99]).shape == (2, 3, 512, 512)
    assert block_widths(student.blocks) == [192] * 5 + [96, 48, 24]
    assert [len(stage) for stage in student.encoder.stages] == [2, 2, 2, 2]  # ResNet-18
    assert conv_facts(student.encoder.stem) == (3, 64, 7) and conv_facts(student.out) == (24, 3, 3)
    assert max(max(spade.identity.shape[2:]) for spade in student.spades()) == 64
    half_precision = 2 * sum(parameter.numel() for parameter in student.parameters())
    assert half_precision == pytest.approx(800e6, rel=0.05)  # the paper's 800 MB for 100 avatars


@pytest.mark.parametrize("name", PRESETS)
def test_its_pictures_have_the_base_models_size(name):
    config = preset(name, STUDENTS)
    size = preset(name).image_size
    picture = meta(Student, config)(torch.empty(1, 3, size, size, device="meta"), 0)
    assert picture.shape == (1, 4 if config.alpha else 3, size, size)


@pytest.mark.parametrize("standardized", [False, True])
def test_every_weight_is_trained(standardized):
    student = stirred(Student(dataclasses.replace(NANO, weight_standardization=standardized)))
    image = student(torch.rand(3, 3, 64, 64), [0, 1, 2])
    assert image.shape == (3, 4, 64, 64) and 0 <= image.min() and image.max() <= 1
    assert not unreached(student, random_loss(image))


@pytest.mark.parametrize("config", [NANO, dataclasses.replace(PAPER, avatars=1, identity_size=16)])
def test_spade_starts_close_to_a_plain_instance_norm(config):
    """Weight standardisation would give the scale a standard deviation of 1."""
    for scale, shift in Student(config).modulations(0):
        assert scale.mean().item() == pytest.approx(1, abs=0.02) and shift.mean().item() == pytest.approx(0, abs=0.02)
        for values in (scale, shift):
            assert 0.05 < values.std().item() < 0.12


def test_group_norm_with_one_channel_per_group_is_instance_norm():
    x = torch.randn(2, 5, 7, 7)
    assert_close(instance_norm(x), F.instance_norm(x))


def test_only_the_avatar_that_is_shown_learns(student):
    random_loss(student(torch.rand(2, 3, 64, 64), 1)).backward()
    for spade in student.spades():
        assert [avatar.any().item() for avatar in spade.identity.grad] == [False, True, False]


def test_another_avatar_gives_another_picture(student):
    driver = torch.rand(1, 3, 64, 64).expand(3, -1, -1, -1)
    faces = student(driver, torch.arange(3))
    assert (faces[0] - faces[1]).abs().max() > 1e-2 and (faces[1] - faces[2]).abs().max() > 1e-2
    assert_close(student(driver[:1], 2), faces[2:], atol=1e-5, rtol=0)


def test_what_depends_on_the_avatar_is_computed_once(student):
    drivers = torch.rand(4, 3, 64, 64)
    assert_close(student.render(drivers, student.modulations(1)), student(drivers, [1, 1, 1, 1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("avatar", [3, -1, [0, 7]])
def test_an_unknown_avatar_is_refused(student, avatar):
    with pytest.raises(IndexError, match="this student knows avatars 0 to 2"):
        student(torch.rand(2, 3, 64, 64), avatar)


def test_a_wrong_count_or_size_is_refused(student):
    with pytest.raises(ValueError, match="2 driver pictures but 3 avatar indices"):
        student(torch.rand(2, 3, 64, 64), [0, 1, 2])
    with pytest.raises(ValueError, match="G_DT takes pictures"):
        student(torch.rand(1, 3, 32, 32), 0)
