"""Anchor points of a face: the centres of both eyes and of the lips, which say where a person has them.

The fine fields of `networks/face_field.py` live on the average face; its `align_to_average` takes these points.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.faces.crop import Crop, pose_in
from mpkit.faces.face import Face
from mpkit.geometry import slide_along_rays

# Pairs of landmarks whose middle is an anchor point: the eye on the picture's left, the other eye, the lips
ANCHOR_LANDMARKS = ((33, 133), (263, 362), (13, 14))
ANCHOR_DEPTHS = (-0.42, -0.42, -0.53)  # canonical z of the average face's anchor points


def anchors_of(landmarks: np.ndarray) -> np.ndarray:
    """The anchor points (3, 3) of a face's landmarks (>= 468, 3), in the same coordinates."""
    return np.stack([landmarks[list(pair)].mean(0) for pair in ANCHOR_LANDMARKS]).astype(np.float32)


def anchors_in(face: Face, crop: Crop) -> Tensor:
    """The canonical anchor points (1, 3, 3) of a tracked face, its expression still in.

    Each lies on the ray through its landmark, as deep as on the average face: the tracker's own depth is a guess, and
    when a head turns, an error in depth becomes a shift."""
    pose = pose_in(face, crop)
    seen = torch.from_numpy(crop.to_crop(anchors_of(face.landmarks)[:, :2]))
    depths = torch.tensor(ANCHOR_DEPTHS)[:, None]
    return slide_along_rays(pose.unapply(F.pad(seen, (0, 1))[None]), pose.rotation, depths)


def flip_anchors(anchors: Tensor) -> Tensor:
    """The anchor points (B, 3, 3) of the mirrored face."""
    return anchors[:, [1, 0, 2]] * anchors.new_tensor([-1, 1, 1])
