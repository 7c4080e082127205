"""Checks of the exercises of 00_tour."""

import torch

from mpkit.config import preset
from mpkit.geometry import Pose, rotation_from_angles, sample
from mpkit.networks.base import BaseModel
from mpkit.networks.motion import HeadMotion


def check_1(drive) -> None:
    """`drive(model, avatar, motion)` is the driven volume of Eq. 3."""
    torch.manual_seed(0)
    model = BaseModel(preset("nano")).eval()
    size, latent = model.config.image_size, model.config.latent_size
    with torch.no_grad():
        for yaw in (-25.0, 20.0):
            source, driver = (_motion(angle, latent) for angle in (yaw / 2, yaw))
            avatar = model.source(torch.rand(1, 4, size, size), source)
            volume = drive(model, avatar, driver)
            assert volume is not None, "the function returns nothing yet"
            assert torch.is_tensor(volume), (
                f"this returns a {type(volume).__name__}: return the canonical volume, sampled at the warp's grid"
            )
            wanted = model.drive(avatar, driver)
            assert volume.shape == wanted.volume.shape, (
                f"the shape is {tuple(volume.shape)}, not {tuple(wanted.volume.shape)}"
            )
            appearance = sample(avatar.appearance, wanted.warp.grid)
            assert not torch.allclose(volume, appearance), "this samples v_s; the source's motion is still in it"
            assert not torch.allclose(volume, sample(avatar.canonical, wanted.warp.rigid)), "the expression is missing"
            assert torch.allclose(volume, wanted.volume, atol=1e-5), "the volume differs from that of model.drive"


def check_2(speedup) -> None:
    """`speedup(once, frame, count)` is the ratio of both ways to compute `count` frames."""
    for once, frame, count in ((1.0, 0.1, 1), (2.0, 0.5, 10), (0.3, 0.05, 200)):
        value = speedup(once, frame, count)
        assert value is not None, "the function returns nothing yet"
        wanted = count * (once + frame) / (once + count * frame)
        assert abs(value - 1 / wanted) > 1e-6 or wanted == 1, "this is the inverse: how many times slower"
        assert abs(value - wanted) < 1e-6, f"for once={once}, frame={frame}, count={count} it should be {wanted:.3f}"


def _motion(yaw: float, latent: int) -> HeadMotion:
    angles = (torch.tensor([angle]) for angle in (yaw, yaw / 3, 0.0))
    return HeadMotion(Pose(rotation_from_angles(*angles), torch.zeros(1, 3), torch.ones(1)), torch.randn(1, latent))
