"""Anchor points of a face: the centres of both eyes and of the lips, which differ from person to person.

The fine fields of `networks/face_field.py` lie on the average face; by these points, its `align_to_average` maps a
person's face to it.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.faces.canonical import EYE_LANDMARKS
from mpkit.faces.crop import Crop, pose_in
from mpkit.faces.face import Face
from mpkit.geometry import constant, slide_along_rays

# Pairs of landmarks with an anchor point in their middle: the corners of the eye on the picture's left, those of the
# other eye, the inner edges of upper and lower lip.
ANCHOR_LANDMARKS = (EYE_LANDMARKS[0][:2], EYE_LANDMARKS[1][:2], (13, 14))
ANCHOR_DEPTHS = (-0.42, -0.42, -0.53)  # canonical z of the anchor points on the average face


def anchors_of(landmarks: np.ndarray) -> np.ndarray:
    """The anchor points (3, 3) float32 of landmarks (>= 468, 3), in the same coordinates."""
    return np.stack([landmarks[list(pair)].mean(0) for pair in ANCHOR_LANDMARKS]).astype(np.float32)


def anchors_in(face: Face, crop: Crop) -> Tensor:
    """The canonical anchor points (1, 3, 3) of a tracked face, with its expression; `crop` is any crop of its picture.

    x and y come from the landmarks, z from the average face: the tracker estimates depth badly, and when a head turns,
    an error in depth becomes a shift."""
    pose = pose_in(face, crop)
    in_crop = torch.from_numpy(crop.to_crop(anchors_of(face.landmarks)[:, :2]))
    depths = torch.tensor(ANCHOR_DEPTHS)[:, None]
    return slide_along_rays(pose.unapply(F.pad(in_crop, (0, 1))[None]), pose.rotation, depths)


def flip_anchors(anchors: Tensor) -> Tensor:
    """The anchor points (B, 3, 3) of the mirrored face."""
    return torch.stack([anchors[:, 1], anchors[:, 0], anchors[:, 2]], dim=1) * constant((-1, 1, 1), anchors)
