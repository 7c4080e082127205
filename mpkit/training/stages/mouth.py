"""Stage `mouth` (ours): what parting lips show, from exact labels."""

import torch

from mpkit.batch import Pairs
from mpkit.errors import MpkitError
from mpkit.losses.attention import attention_map, mask_weight
from mpkit.losses.geometric import colour_loss, mask_loss
from mpkit.networks.base import BaseModel, repeat_each
from mpkit.networks.detail import MASK_AT_REST
from mpkit.networks.face_field import align_to_average
from mpkit.networks.motion import HeadMotion
from mpkit.networks.mouth import interior_colours, mouth_disocclusion
from mpkit.training.stages.objective import Losses, Objective

TOOTH = 2.0  # weight of a tooth over the rest of the mouth interior
# Quantiles of the colours that mouth interiors of different people have: of bright teeth, and of the dark around
# tongues, whose place varies. The medians of both would look alike.
TEETH_QUANTILE, DARK_QUANTILE = 0.7, 0.2


class MouthObjective(Objective):
    """`MouthField` alone, on offset fields that are trained already; all terms have weight 1. Stage `base` then leaves
    it as it is (`--freeze mouth`). Raises MpkitError where the preset has no mouth field."""

    def forward(self, model: BaseModel, pairs: Pairs) -> Losses:
        if model.mouth is None:
            raise MpkitError(
                f"the preset {model.config.preset} has no mouth field: its G_2D paints mouths in stage base"
            )
        source, driver = pairs.source, pairs.driver
        count = len(driver.picture) // len(source.picture)
        with torch.no_grad():
            vector = model.appearance.global_vector(source.picture[:, :3])
            motions = [HeadMotion(frames.pose, model.actions(frames.numbers)) for frames in (source, driver)]
            align = align_to_average(source.anchors)
            of_source = repeat_each(model.source_offsets(vector, motions[0], align), count)
            seen, shown = driver.pose.unapply(driver.labels.view), of_source.displace(driver.labels.canonical)
            vector, align = (value.repeat_interleave(count, 0) for value in (vector, align))
            of_driver = model.driver_offsets(vector, motions[1], align)
        source_z = motions[0].expression.repeat_interleave(count, 0)
        of_source = of_source._replace(mouth=model.mouth(source_z + vector))
        of_driver = of_driver._replace(mouth=model.mouth(motions[1].expression + vector))
        turns = driver.pose.rotation, source.pose.rotation.repeat_interleave(count, 0)
        logits = mouth_disocclusion(of_driver, of_source, seen, shown, turns)
        disocclusion, tooth, colours = logits.split([1, 1, 6], dim=1)
        teeth, dark = interior_colours(colours, source.picture.repeat_interleave(count, 0))
        weight = mask_weight(pairs, attention_map(driver.pose, driver.picture.shape[-1]))
        labels = driver.labels
        interior = weight * (labels.mouth & ~pairs.flow_valid)
        picture = driver.picture[:, :3]
        terms = {
            "mask": mask_loss(torch.sigmoid(MASK_AT_REST - disocclusion), pairs.flow_valid, weight),
            "teeth": mask_loss(torch.sigmoid(tooth), labels.teeth, interior * torch.where(labels.teeth, TOOTH, 1)),
            "teeth_colour": colour_loss(teeth, picture, interior * labels.teeth, TEETH_QUANTILE),
            "dark_colour": colour_loss(dark, picture, interior * ~labels.teeth, DARK_QUANTILE),
        }
        return Losses(sum(terms.values()), terms, None)
