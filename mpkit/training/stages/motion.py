"""Stage `motion` (ours): E_mtn alone learns to read from pixels what the tracker reads."""

import torch
from torch import Tensor

from mpkit.batch import Pairs
from mpkit.geometry import Pose
from mpkit.losses.expression import actions_loss, latent_loss, pose_loss
from mpkit.networks.base import BaseModel
from mpkit.training.stages.objective import Objective

ACTION_SPREAD = 0.15  # about the standard deviation of a coefficient


class MotionObjective(Objective):
    """E_mtn alone: reads pose and z from pixels as the tracker's numbers say them. It shares no gradient with the rest,
    so it has a stage of its own, many times quicker than `base`."""

    def forward(self, model: BaseModel, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        with torch.no_grad():
            z = model.actions(torch.cat([pairs.source.numbers, pairs.driver.numbers]))
        terms = motion_terms(model, pairs, z)
        return sum(getattr(self.weights, name) * term for name, term in terms.items()), terms, None


def motion_terms(model: BaseModel, pairs: Pairs, z: Tensor) -> dict[str, Tensor]:
    """What E_mtn reads in all pictures of the batch, source first, against the labels and their z (B, latent)."""
    read = model.motion(pairs.motion_input)
    numbers = torch.cat([pairs.source.numbers, pairs.driver.numbers])
    pose = Pose(*(torch.cat(part) for part in zip(pairs.source.pose, pairs.driver.pose)))
    readable = actions_loss(model.read_actions(z), numbers, ACTION_SPREAD)
    return {
        "pose": pose_loss(read.pose, pose),
        "latent": latent_loss(read.expression, z),
        "actions": readable + actions_loss(model.read_actions(read.expression), numbers, ACTION_SPREAD),
    }
