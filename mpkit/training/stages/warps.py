"""Stage `warps` (ours): both warp generators and the fine face fields alone, from exact labels."""

from dataclasses import dataclass

from mpkit.batch import Pairs
from mpkit.losses.attention import attentive
from mpkit.losses.geometric import (
    driver_surface_loss,
    driver_warp_loss,
    smoothness_loss,
    source_surface_loss,
    source_warp_loss,
)
from mpkit.networks.base import BaseModel
from mpkit.networks.face_field import align_to_average
from mpkit.networks.motion import HeadMotion
from mpkit.networks.warp import warp_from_source, warp_to_driver
from mpkit.training.stages.objective import Losses, Objective


@dataclass(frozen=True)
class WarpWeights:
    """Weight of each term."""

    warp: float = 3.0  # both warps at every labelled point, from labels
    surface: float = 3.0  # both, point by point, with the fine offsets of the face
    smoothness: float = 1.0  # second differences of both offset fields


class WarpObjective(Objective):
    """No volume and no rendering, so four times as many samples a second as `base`. Training starts here: W learns what
    each facial action does to a head before G_2D learns to show it."""

    Weights = WarpWeights

    def forward(self, model: BaseModel, pairs: Pairs) -> Losses:
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        vector = model.appearance.global_vector(source.picture[:, :3])
        align = align_to_average(source.anchors)
        of_source = model.source_offsets(vector, HeadMotion(source.pose, model.actions(source.numbers)), align)
        motion = HeadMotion(driver.pose, model.actions(driver.numbers))
        vector, align = (value.repeat_interleave(count, 0) for value in (vector, align))
        of_driver = model.driver_offsets(vector, motion, align)
        warps = warp_to_driver(of_driver.volume, driver.pose), warp_from_source(of_source.volume, source.pose)
        source_labels, driver_labels = attentive(source), attentive(driver)
        terms = {
            "driver_warp": driver_warp_loss(warps[0].grid, driver_labels),
            "source_warp": source_warp_loss(warps[1].grid, source_labels),
            "driver_surface": driver_surface_loss(of_driver, driver.pose, driver_labels),
            "source_surface": source_surface_loss(of_source, source.pose, source_labels),
        }
        smoothness = smoothness_loss(of_driver.volume) + smoothness_loss(of_source.volume)
        weights = self.weights
        total = weights.warp * (terms["driver_warp"] + terms["source_warp"]) + weights.smoothness * smoothness
        total = total + weights.surface * (terms["driver_surface"] + terms["source_surface"])
        return Losses(total, terms | {"smoothness": smoothness}, None)
