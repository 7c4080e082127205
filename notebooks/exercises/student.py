"""Checks of the exercises of lesson 8, the student."""

import dataclasses

import torch

from mpkit.config import StudentConfig
from mpkit.networks.student import Student

SMALL = StudentConfig(
    image_size=32, avatars=2, encoder_widths=(8, 8), encoder_blocks=(1, 1), widths=(8, 8, 8), identity_size=8,
    normalization_groups=4, weight_standardization=False,
)  # fmt: skip


def check_1(identity_megabytes) -> None:
    cases = [
        ((192, 192, 192, 192, 192, 96, 48, 24), (16, 16, 16, 32, 64, 128, 256, 512), 100, 64),
        ((24, 24, 16, 16), (8, 16, 32, 64), 3, 16),
        ((64, 32), (64, 128), 7, 128),
    ]
    for widths, sizes, avatars, largest in cases:
        answer = identity_megabytes(widths, sizes, avatars, largest)
        assert answer is not None, "The function returns nothing so far."
        wanted = 4e-6 * avatars * sum(width * min(size, largest) ** 2 for width, size in zip(widths, sizes))
        unlimited = 4e-6 * avatars * sum(width * size**2 for width, size in zip(widths, sizes))
        mistakes = {
            wanted / 2: "This is half: each block has two SPADE layers, and a number in fp16 has two bytes.",
            wanted * 2: "This is twice as much: in fp16 a number has two bytes, not four.",
            wanted / 4: "This is a quarter: two SPADE layers in each block, two bytes for each number.",
            wanted / avatars: "This is for one avatar; each avatar has tensors of its own.",
            wanted * 1e6: "These are bytes; a megabyte is a million of them.",
        }
        if unlimited != wanted:
            mistakes[unlimited] = "No identity tensor is larger than largest x largest; it is enlarged afterwards."
        for wrong, hint in mistakes.items():
            assert not close(answer, wrong), hint
        assert close(answer, wanted), f"With widths {widths}, sizes {sizes} it is not {answer:.4g} MB."


def check_2(add_avatar) -> None:
    for seed, avatars in enumerate((2, 3)):
        torch.manual_seed(seed)
        student = Student(dataclasses.replace(SMALL, avatars=avatars)).eval()
        before = {name: value.clone() for name, value in student.state_dict().items()}
        larger = add_avatar(student)
        assert larger is not None, "The function returns nothing so far."
        assert isinstance(larger, Student), f"Return a Student, not {type(larger).__name__}."
        assert larger is not student and student.config.avatars == avatars, "Return a new Student; leave the old one."
        known = larger.config.avatars
        assert known == avatars + 1, f"The new student must know {avatars + 1} avatars; its config says {known}."
        same = all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
        assert same, "The old student's weights have changed; make a copy."
        pictures = torch.rand(avatars, 3, 32, 32)
        with torch.no_grad():
            old, new = student(pictures, range(avatars)), larger.eval()(pictures, range(avatars))
            assert not torch.equal(new, student(pictures.flip(0), range(avatars))), "The driver has no influence."
            assert torch.equal(old, new), (
                "The pictures of the old avatars differ: take over all old weights, and keep the old avatars' rows of "
                "the identity tensors in front."
            )
            larger(pictures, avatars)  # the new avatar


def close(first: float, second: float) -> bool:
    return abs(first - second) <= 1e-6 * abs(second)
