"""A batch of training pairs as named tensors. `data.pairs` builds it; `training.stages` and `losses` read it."""

from typing import NamedTuple

from torch import Tensor

from mpkit.geometry import Pose


def map_tensors(function, *batches):
    """`function` of the tensors that stand at the same place in nested named tuples, as such a named tuple. What is
    neither a tensor nor a named tuple comes from the first."""
    if isinstance(batches[0], Tensor):
        return function(*batches)
    if hasattr(batches[0], "_fields"):
        return type(batches[0])(*(map_tensors(function, *values) for values in zip(*batches)))
    return batches[0]


class Labels(NamedTuple):
    """The surface point that each cell of an h x h grid over a frame shows. Exact for synthetic heads."""

    canonical: Tensor  # (B, h, h, 3) the visible point on the person's neutral head, canonical
    view: Tensor  # (B, h, h, 3) the same point in the frame's view, with pose and expression
    valid: Tensor  # (B, h, h) whether the cell shows the head: bool, or a weight
    mouth: Tensor  # (B, h, h) bool, the mouth interior


class Frames(NamedTuple):
    """B frames of S x S pixels."""

    picture: Tensor  # (B, 4, S, S) premultiplied RGBA, foreground on black, in [0, 1]
    pose: Pose
    numbers: Tensor  # (B, 54) facial actions and gaze, as `data.tracked.conditioning` gives them
    labels: Labels
    reliable: Tensor  # (B, 1, S, S) bool: False where a lifted still has an invented colour; no loss counts there
    real: Tensor  # (B,) bool: a photograph, a painting or a frame of a clip, not a render
    anchors: Tensor  # (B, 3, 3) eye and lip centres of the person's neutral face, canonical (`faces.anchors`)


class Pairs(NamedTuple):
    """A batch of B people: `source` holds one frame of each, `driver` n other frames of each, person by person."""

    source: Frames  # B frames
    driver: Frames  # B * n frames
    flow: Tensor  # (B * n, h, h, 2) where the source shows what the driver's cell shows, (x, y) in [-1, 1]
    flow_valid: Tensor  # (B * n, h, h) bool: both frames show it, or it lies beyond the edge of the source
    motion_input: Tensor  # (B + B * n, 3, S, S) input of E_mtn: all pictures, sources first, warped and recoloured

    @property
    def kept(self) -> Tensor:
        """What a result takes from the source picture by the flow, (B * n, h, h) bool: what the source shows, but for
        the mouth interior. The mouth layer draws that, because the flow takes teeth along with the lips."""
        return self.flow_valid & ~self.driver.labels.mouth

    def to(self, device) -> "Pairs":
        """The batch with all tensors on `device`."""

        return map_tensors(lambda tensor: tensor.to(device, non_blocking=True), self)
