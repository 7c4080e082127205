"""Checks of lesson 1."""

import torch

from mpkit.faces.crop import Crop
from mpkit.geometry import Pose, rotation_from_angles


def check_1(answer):
    """change_crop(pose, old, new) -> the pose of the same head in another crop."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(5):
        pose = _pose(generator)
        old, new = (
            Crop(
                *(400 * torch.rand(2, generator=generator)).tolist(),
                60 + 200 * float(torch.rand(1, generator=generator)),
            )
            for _ in range(2)
        )
        result = answer(pose, old, new)
        assert isinstance(result, Pose), "return a Pose: Pose(rotation, translation, scale)"
        centre = pose.translation[0, :2] * old.radius + torch.tensor([old.x, old.y])
        translation = (centre - torch.tensor([new.x, new.y])) / new.radius
        scale, inverse = pose.scale * old.radius / new.radius, pose.scale * new.radius / old.radius
        assert torch.allclose(result.rotation, pose.rotation), "the rotation does not depend on the crop: keep it"
        assert not _close(result.scale, inverse), "the scale is upside down: in a larger crop the head is smaller"
        assert _close(result.scale, scale), "the scale is wrong: a canonical unit is pose.scale * old.radius pixels"
        assert result.translation.shape == (1, 3), "translation has the shape (1, 3)"
        assert not _close(result.translation[0, :2], centre), "this translation is in pixels: map it to the new crop"
        assert _close(result.translation[0, :2], translation), (
            "the translation is wrong: go from the old crop to pixels of the picture, and from there to the new crop"
        )
        assert result.translation[0, 2] == 0, "the third number of the translation stays 0"


def check_2(answer):
    """correction(show) -> C with show(told.compose(C)) = told, where show(told) is told.compose(E)."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(5):
        error = _pose(generator)
        found = answer(error_after(error))
        assert isinstance(found, Pose), "return a Pose"
        assert not _same(found, error), "this is the error itself; it would count twice: take its inverse"
        for told in (_pose(generator), _pose(generator)):
            shown = told.compose(found).compose(error)
            if _close(shown.rotation, told.rotation):
                assert _same(shown, told), "the rotation is right, translation or scale is not: use Pose.inverse"
            assert _same(shown, told), "told.compose(C) still does not show told: what does show(identity_pose()) give?"


def error_after(error: Pose):
    """A stand-in for an avatar whose source was misread, and the tracker that reads its rendering."""
    return lambda told: told.compose(error)


def _pose(generator: torch.Generator) -> Pose:
    """A random pose without a shift in depth."""
    angles = (60 * torch.rand(3, 1, generator=generator) - 30).unbind()
    place = torch.cat([torch.rand(1, 2, generator=generator) - 0.5, torch.zeros(1, 1)], dim=1)
    return Pose(rotation_from_angles(*angles), place, 0.7 + 0.6 * torch.rand(1, generator=generator))


def _close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-3)


def _same(a: Pose, b: Pose) -> bool:
    return all(map(_close, a, b))
