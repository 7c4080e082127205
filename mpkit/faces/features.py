"""Where a person has eyes and mouth. Mouths lie half a centimetre higher or lower from face to face: as much as lips
part in talk. So the fine fields of `networks.warp` are learned on the average face, and this map leads there.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.faces.crop import Crop, pose_in
from mpkit.faces.tracker import Face
from mpkit.geometry import slide

FEATURES = ((33, 133), (263, 362), (13, 14))  # landmarks on both sides of: eye on the picture's left, the other, lips
AVERAGE = ((-0.176, -0.145), (0.176, -0.145), (0.0, 0.255))  # where a neutral face has them, canonical (x, y)
DEPTH = (-0.42, -0.42, -0.53)  # and z
FARTHEST = 0.12  # away from there; what lies farther was misread


def features_of(landmarks: np.ndarray) -> np.ndarray:
    """The middles of eyes and lips, (3, 3), from a face's landmarks (>= 468, 3)."""
    return np.stack([landmarks[list(pair)].mean(0) for pair in FEATURES]).astype(np.float32)


def features_in(face: Face, crop: Crop) -> Tensor:
    """The canonical points (1, 3, 3) of a tracked face's eyes and lips, its expression still in: where the rays that
    show them are as deep as an average face has them. The tracker's depth is a guess, which a turn makes a shift."""
    pose = pose_in(face, crop)
    seen = torch.from_numpy(crop.to_crop(features_of(face.landmarks)[:, :2]))
    return slide(pose.unapply(F.pad(seen, (0, 1))[None]), pose.rotation, torch.tensor(DEPTH)[:, None])


def to_average(features: Tensor) -> Tensor:
    """Canonical features (B, 3, 2 or 3) -> the affine map (B, 2, 3) of x and y that takes them where the average face
    has its own."""
    average = features.new_tensor(AVERAGE).expand(len(features), -1, -1)
    own = average + (features[..., :2] - average).clamp(-FARTHEST, FARTHEST)
    (ax, ay), (bx, by) = ((own[:, corner] - own[:, 0]).unbind(1) for corner in (1, 2))
    inverse = torch.stack([by, -bx, -ay, ax], dim=1).view(-1, 2, 2) / (ax * by - bx * ay).view(-1, 1, 1)
    sides = (average[:, 1:] - average[:, :1]).mT  # (B, 2, 2), two sides of the triangle as columns
    matrix = (sides[..., None] * inverse[:, None]).sum(2)
    shift = average[:, 0] - (matrix * own[:, :1]).sum(2)
    return torch.cat([matrix, shift[..., None]], dim=2)


def flip_features(features: Tensor) -> Tensor:
    """The features (B, 3, 3) of the mirrored face."""
    return features[:, [1, 0, 2]] * features.new_tensor([-1, 1, 1])
