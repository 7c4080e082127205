"""Which pixels and labels count more than others: eyes and mouth, and what an expression moves (ours)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.batch import Frames, Labels, Pairs
from mpkit.faces.anchors import ANCHOR_LANDMARKS
from mpkit.faces.canonical import CANONICAL_FACE
from mpkit.geometry import Pose, cell_centres, constant

LIP_CORNERS = (61, 291)  # landmark numbers of the face mesh
WARP_ATTENTION = 40.0  # weight of labels on eyes and mouth: they are 3 % of a head's pixels, shoulders are 20 %
MOVING_ATTENTION = 5.0  # factor on top of it where the expression moves a point by FAR_MOVED or more
# Eyes and mouth of the canonical face: centres x, y, z and radii x, y.
BUMP_CENTRES = tuple(
    tuple(CANONICAL_FACE[list(pair)].mean(0).tolist()) for pair in (*ANCHOR_LANDMARKS[:2], LIP_CORNERS)
)
BUMP_RADII = ((0.11, 0.075), (0.11, 0.075), (0.17, 0.13))
FAR_MOVED = 0.02  # canonical units
NEAR = 4.0  # `attention_map` values above this lie within the eyes and an open mouth
DISOCCLUDED = 4.0  # weight there of labels that the source hides, over those that it shows


def attention_map(pose: Pose, size: int, weight: float = 10.0) -> Tensor:
    """1 everywhere, rising to `weight` over eyes and mouth, which a pose places: (B, 1, size, size)."""
    radii = constant(BUMP_RADII, pose.scale) * pose.scale[:, None, None]  # (B, 3, 2)
    centres = constant(BUMP_CENTRES, pose.scale)
    centres = pose.apply(centres.expand(len(pose.scale), -1, -1))[..., :2]
    axis = cell_centres(size, pose.scale.device)
    across = (axis - centres[..., :1]) / radii[..., :1]  # (B, 3, size)
    down = (axis - centres[..., 1:]) / radii[..., 1:]
    bumps = torch.exp(-0.5 * (across[:, :, None, :] ** 2 + down[:, :, :, None] ** 2))
    return 1 + (weight - 1) * bumps.amax(1, keepdim=True)


def attentive(frames: Frames) -> Labels:
    """The labels of frames with `valid` as weights: more on eyes and mouth, and most where an expression moves a point.
    An L1 loss settles at the median, and the median point of an eye does not move."""
    labels = frames.labels
    extra = attention_map(frames.pose, labels.valid.shape[-1], WARP_ATTENTION)[:, 0] - 1
    moved = (frames.pose.unapply(labels.view) - labels.canonical).norm(dim=-1)
    moving = 1 + (MOVING_ATTENTION - 1) * (moved / FAR_MOVED).clamp(max=1)
    return labels._replace(valid=labels.valid * (1 + extra * moving))


def mask_weight(pairs: Pairs, attention: Tensor) -> Tensor:
    """Weight of the labels `Pairs.kept`, (B * n, h, h), from the drivers' `attention_map` (B * n, 1, S, S). Near
    eyes and mouth what is not kept must be painted, and counts DISOCCLUDED times, because lips that part by two pixels
    show little of it. Elsewhere a point is hidden by skin or hair in front of it, which may serve as well: such
    labels weigh 0, and the loss on the result decides."""
    attention = F.adaptive_avg_pool2d(attention, pairs.flow_valid.shape[-1])[:, 0]
    return pairs.driver.labels.valid * attention * torch.where(pairs.kept, 1, DISOCCLUDED * (attention > NEAR))
