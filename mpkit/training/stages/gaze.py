"""Stage `gaze`: the gaze network (App. B.5), whose features are a loss of the base stage."""

import torch

from mpkit.batch import Pairs
from mpkit.config import GAZE, preset
from mpkit.faces.canonical import keypoints
from mpkit.geometry import Pose
from mpkit.losses.gaze import gaze_terms
from mpkit.networks.gaze import GazeNetwork
from mpkit.training.stages.objective import Losses, Objective


class GazeObjective(Objective):
    """All frames of a batch, sources and drivers. The term `degrees` is the mean angular error where eyes are open."""

    equations = {"loss": "App. B.5"}

    def build(self) -> GazeNetwork:
        return GazeNetwork(preset(self.config.preset, GAZE))

    def forward(self, model: GazeNetwork, pairs: Pairs) -> Losses:
        pose = Pose(*(torch.cat(part) for part in zip(pairs.source.pose, pairs.driver.pose)))
        read = model(torch.cat([pairs.source.picture, pairs.driver.picture])[:, :3], pose, keypoints(pose))
        return Losses(*gaze_terms(read, torch.cat([pairs.source.numbers, pairs.driver.numbers])), None)
