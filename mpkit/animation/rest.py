"""The correction at rest (ours): a portrait in its own motion is its picture.

The networks do not render a portrait's own motion exactly as the picture shows it: the flow is off by parts of a pixel,
and the mask takes what they cannot know, such as a closed eye that the tracker reads as open, for hidden. Closed lips
that are read as open get a mouth layer. These errors are measured once, with the portrait's own motion, and taken off
at every motion: the flow's and the mask's at the point of the source that is sampled, the layer's where it lies on the
mouth. Teeth move with the skull, lips do not: where the expression has changed, the flow takes the source's teeth along
with the lips. There, and where the source hides the mouth, the layer stays as it is.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mpkit.faces.canonical import LIPS_APART
from mpkit.geometry import identity_flow, resize_flow, sample
from mpkit.networks.detail import Detail
from mpkit.networks.mouth import MouthLayer

INVERSION_STEPS = 5  # the offset's slope is about 0.1, so each step adds a digit
MIN_CHANGE = 1 / 255  # share of a change of expression; less cannot be seen in 8 bits, and rounding makes some at rest


class RestError(NamedTuple):
    """What the networks change at a portrait's own motion."""

    offset: Tensor  # (1, 2, h, w) from each pixel to where the flow samples it
    replaced: Tensor  # (1, 1, S, S) share of each pixel that is not sampled from the source
    mouth: Tensor | None  # (1, 1, M, M) alpha of the mouth layer; None where the model has none
    moved: Tensor  # (1, 3, h, w) `Trace.moved`

    @staticmethod
    def of(detail: Detail) -> "RestError":
        """The error of a rendering in the portrait's own motion."""
        offset = detail.flow - identity_flow(*detail.flow.shape[2:], detail.flow.device)
        alpha = detail.mouth and detail.mouth.texture[:, 3:]
        return RestError(offset, 1 - detail.mask, alpha, _moved(detail))

    def removed_from(self, detail: Detail) -> Detail:
        """The detail path's layers of any motion without this error. At the portrait's own motion the flow then is the
        identity, the mask 1, and the mouth layer transparent."""
        flow, mouth = self._corrected(detail.flow), detail.mouth
        replaced = _at(self.replaced, resize_flow(flow, detail.mask.shape[-1]))
        mask = (detail.mask + replaced).clamp_max(1)
        if mouth is not None:
            changed = (_moved(detail) - _at(self.moved, flow)).norm(dim=1, keepdim=True) / LIPS_APART
            changed = torch.where(changed < MIN_CHANGE, 0, changed.clamp_max(1))
            behind = mouth.over(torch.zeros_like(changed).expand(-1, 4, -1, -1))[:, 3:]
            flow = torch.lerp(flow, detail.flow, changed * behind)
            mouth = self._corrected_mouth(mouth, mask, changed)
        return detail._replace(flow=flow, mask=mask, mouth=mouth)

    def _corrected_mouth(self, mouth: MouthLayer, mask: Tensor, changed: Tensor) -> MouthLayer:
        """The mouth layer over a result of which `mask` (1, 1, S, S) is the share that is sampled from the source.
        changed (1, 1, h, w): how far the expression has moved each point since rest, in LIPS_APART, at most 1."""
        colour, alpha = mouth.texture.split([3, 1], dim=1)
        hidden, changed = (sample(part, mouth.points, padding="border") for part in (1 - mask, changed))
        less = (alpha - self.mouth).clamp_min(0) / (1 - self.mouth).clamp_min(0.01)  # what is opaque stays opaque
        alpha = torch.lerp(less, alpha, hidden + changed - hidden * changed)
        return mouth._replace(texture=torch.cat([colour, alpha], dim=1))

    def _corrected(self, flow: Tensor) -> Tensor:
        """The flow (1, 2, h, w) x that solves x + offset(x) = `flow`, by a fixed-point iteration from the identity,
        which solves it at the portrait's own motion. A step counts only where it comes nearer: where the offset folds
        the picture, as at lips that are read as open, there may be no solution."""
        found = identity_flow(*flow.shape[2:], flow.device)
        missing = found + self.offset - flow
        for _ in range(INVERSION_STEPS):
            step = found - missing
            left = step + _at(self.offset, step) - flow
            nearer = (left * left).sum(1, keepdim=True) < (missing * missing).sum(1, keepdim=True)
            found, missing = torch.where(nearer, step, found), torch.where(nearer, left, missing)
        return found


def _at(values: Tensor, flow: Tensor) -> Tensor:
    """Values (1, C, H, W) at the source coordinates of a flow (1, 2, h, w): (1, C, h, w)."""
    return sample(values, flow.movedim(1, -1), padding="border")


def _moved(detail: Detail) -> Tensor:
    """`Trace.moved` as (1, 3, h, w) in fp32."""
    return detail.trace.moved.movedim(-1, 1).float()
