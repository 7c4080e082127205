"""The stages by name."""

from mpkit.training.stages.adapt import AdaptObjective
from mpkit.training.stages.base import BaseObjective
from mpkit.training.stages.enhancer import EnhancerObjective
from mpkit.training.stages.gaze import GazeObjective
from mpkit.training.stages.identity import IdentityObjective
from mpkit.training.stages.motion import MotionObjective
from mpkit.training.stages.mouth import MouthObjective
from mpkit.training.stages.objective import Objective
from mpkit.training.stages.student import StudentObjective
from mpkit.training.stages.warps import WarpObjective

STAGES: dict[str, type[Objective]] = {
    "warps": WarpObjective,
    "mouth": MouthObjective,
    "motion": MotionObjective,
    "gaze": GazeObjective,
    "identity": IdentityObjective,
    "base": BaseObjective,
    "adapt": AdaptObjective,
    "enhancer": EnhancerObjective,
    "student": StudentObjective,
}
