"""The frame of the head: how a head motion is shared between the networks and a similarity of the picture.

The networks render a head in the middle of its crop. They were trained on small shifts, sizes near 1 and small rolls
(`synthetic/poses.py`), and nothing beyond the crop exists for them. So a head pose P, in coordinates of the crop, is
divided:

    P = S . Q

Q is within the range of training, and the networks render it: shoulders stay behind, the neck bends. S is a similarity
in the plane of the picture, by which `scene.py` lays the rendered person into the picture. For small motions S is the
identity; a head that goes farther takes the person along, to any place and size (`view_range.py` bounds its roll).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mpkit.faces.crop import Crop
from mpkit.faces.shoulders import FOLLOW_SHIFT
from mpkit.geometry import Pose, angles_from_rotation, identity_flow, sample

# The range of Q: 2.5 standard deviations of the training poses in x and y, the range of their sizes, and 3 of their
# rolls (synthetic/poses.py).
MAX_SHIFT = 0.1  # half sides of the crop
MIN_SCALE, MAX_SCALE = 0.9, 1.1
MAX_ROLL = 20.0  # degrees


class Similarity(NamedTuple):
    """A similarity of the plane: p -> scale * turned by `roll` (p) + (x, y); in the coordinates of a crop."""

    x: float
    y: float
    scale: float
    roll: float  # degrees, clockwise on the screen

    def of_crop(self, crop: Crop) -> Crop:
        """The crop of the moved head."""
        x, y = crop.to_picture((self.x, self.y)).tolist()
        return Crop(x, y, crop.radius * self.scale, crop.angle + self.roll)

    def moved(self, picture: Tensor) -> Tensor:
        """A picture of the crop (1, C, N, N), moved. What leaves the crop is gone, and its border pixels follow."""
        if self == IDENTITY:
            return picture
        place = (identity_flow(*picture.shape[2:]) - torch.tensor([self.x, self.y]).view(1, 2, 1, 1)) / self.scale
        origin = torch.einsum("ij,bjhw->bhwi", _turn(-self.roll), place)
        return sample(picture, origin.to(picture.device), padding="border")

    def after(self, pose: Pose) -> Pose:
        """S . Q: a pose in the coordinates of the moved crop, in those of the crop."""
        rotation = torch.eye(3)[None]
        rotation[:, :2, :2] = _turn(self.roll)
        moved = Pose(rotation, torch.tensor([[self.x, self.y, 0.0]]), torch.tensor([self.scale]))
        return moved.compose(pose)


IDENTITY = Similarity(0.0, 0.0, 1.0, 0.0)


def divide(pose: Pose) -> tuple[Pose, Similarity]:
    """A head pose P (batch 1) as (Q, S), see the module docstring. Within the range of training, Q is P itself."""
    roll = angles_from_rotation(pose.rotation)[2].item()
    excess = math.remainder(roll - min(max(roll, -MAX_ROLL), MAX_ROLL), 360)
    x, y, _ = pose.translation[0].tolist()
    inner_x, inner_y = (min(max(value, -MAX_SHIFT), MAX_SHIFT) for value in (x, y))
    inner_scale = min(max(pose.scale.item(), MIN_SCALE), MAX_SCALE)
    scale = pose.scale.item() / inner_scale
    if (x, y, scale, excess) == (inner_x, inner_y, 1, 0):
        return pose, IDENTITY
    cosine, sine = scale * math.cos(math.radians(excess)), scale * math.sin(math.radians(excess))
    shift = x - cosine * inner_x + sine * inner_y, y - sine * inner_x - cosine * inner_y
    rotation = pose.rotation.clone()
    rotation[:, :2] = _turn(-excess) @ rotation[:, :2]
    inner = Pose(rotation, torch.tensor([[inner_x, inner_y, 0.0]]), torch.tensor([inner_scale]))
    return inner, Similarity(*shift, scale, excess)


def remaining_shoulder_shift(shoulders: Tensor, similarity: Similarity) -> Tensor:
    """The shift (1, 2) of the shoulders, in the coordinates of the crop, that the similarity does not make already.

    `shoulders` (1, 2): their offset from where the head pose predicts them. By the prediction they follow only a share
    of the head's shift (FOLLOW_SHIFT); the similarity moves them by all of its own and so makes part of the offset."""
    ahead = torch.tensor([[similarity.x, similarity.y]]).abs() * (1 - torch.from_numpy(FOLLOW_SHIFT[:2]))
    return shoulders.sign() * (shoulders.abs() - ahead.to(shoulders)).clamp_min(0)


def _turn(degrees: float) -> Tensor:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[cosine, -sine], [sine, cosine]])
