"""A portrait: a still that `Animator.portrait` has prepared for animation."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mpkit.actions import NUMBERS
from mpkit.animation.rest import RestError
from mpkit.animation.still import Still
from mpkit.animation.transfer import FrameMotion
from mpkit.geometry import identity_pose
from mpkit.networks.base import Avatar

NO_CORRECTION = FrameMotion(identity_pose(), torch.zeros(1, NUMBERS), latent=torch.zeros(1, 1))


@dataclass(frozen=True)
class Portrait(Still):
    """A still prepared for animation: everything that does not change from frame to frame."""

    avatar: Avatar
    motion: FrameMotion  # in which the picture shows the head
    correction: FrameMotion  # applied to every motion before it drives the avatar, see `Animator._corrected`
    rest_error: RestError | None = None  # taken off at every motion; None where the model has no detail path


Source = str | Path | Portrait  # a file of a picture, or what `Animator.portrait` made of one
