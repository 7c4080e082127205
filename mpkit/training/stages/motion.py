"""Stage `motion` (ours): E_mtn alone learns to read pose and expression from pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mpkit.batch import Pairs
from mpkit.geometry import Pose
from mpkit.losses.expression import actions_loss, latent_loss, pose_loss
from mpkit.networks.base import BaseModel
from mpkit.training.stages.objective import Losses, Objective

ACTION_SPREAD = 0.15  # approximate standard deviation of a facial action


@dataclass(frozen=True)
class MotionWeights:
    """Weight of each term."""

    pose: float = 0.3  # E_mtn's R, t, s against the labels
    latent: float = 0.1  # E_mtn's z against the action encoder's
    actions: float = 0.03  # the 52 actions and gaze that the linear head reads from z


class MotionObjective(Objective):
    """E_mtn shares no gradient with the rest of the base model, so it has a stage of its own, many times faster than
    `base`."""

    Weights = MotionWeights

    def forward(self, model: BaseModel, pairs: Pairs) -> Losses:
        with torch.no_grad():
            z = model.actions(torch.cat([pairs.source.numbers, pairs.driver.numbers]))
        terms = motion_terms(model, pairs, z)
        return Losses(self.weighted(terms), terms, None)


def motion_terms(model: BaseModel, pairs: Pairs, z: Tensor) -> dict[str, Tensor]:
    """What E_mtn reads in all pictures of the batch, sources first, against the labels and their z (B, latent)."""
    read = model.motion(pairs.motion_input)
    numbers = torch.cat([pairs.source.numbers, pairs.driver.numbers])
    pose = Pose(*(torch.cat(part) for part in zip(pairs.source.pose, pairs.driver.pose)))
    readable = actions_loss(model.read_actions(z), numbers, ACTION_SPREAD)
    return {
        "pose": pose_loss(read.pose, pose),
        "latent": latent_loss(read.expression, z),
        "actions": readable + actions_loss(model.read_actions(read.expression), numbers, ACTION_SPREAD),
    }
