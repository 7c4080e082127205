"""Stage `gaze`: the gaze network (App. B.5), whose features are a loss of the base stage."""

import torch
from torch import Tensor

from mpkit.batch import Pairs
from mpkit.config import GAZE, preset
from mpkit.faces.canonical import keypoints
from mpkit.geometry import Pose
from mpkit.losses.gaze import gaze_terms
from mpkit.networks.gaze import GazeNetwork
from mpkit.training.stages.objective import Objective


class GazeObjective(Objective):
    """Trains the gaze network on all frames of a batch. `degrees` is its mean angular error where eyes are open."""

    build = staticmethod(lambda preset_name: GazeNetwork(preset(preset_name, GAZE)))

    def forward(self, model: GazeNetwork, pairs: Pairs) -> tuple[Tensor, dict[str, Tensor], None]:
        pose = Pose(*(torch.cat(part) for part in zip(pairs.source.pose, pairs.driver.pose)))
        read = model(torch.cat([pairs.source.picture, pairs.driver.picture])[:, :3], pose, keypoints(pose))
        return gaze_terms(read, torch.cat([pairs.source.numbers, pairs.driver.numbers]))
