"""A baseline without learning: the source picture as the texture of a 2.5D mesh of face landmarks, moved and rendered.

The mesh is the tracker's face mesh with two rings around it, in the coordinates of the source's head crop: the outline
of the head, which moves rigidly with it, and the border of the crop, which stays. Disoccluded parts (teeth, eyelids,
the far cheek) are stretched from visible ones; a model should do better there.
"""

from collections import Counter

import cv2
import numpy as np
import torch

from mpkit.faces.canonical import CANONICAL_FACE, FACE_TRIANGLES, fit_pose
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face
from mpkit.geometry import Pose

FACE_POINTS = len(CANONICAL_FACE)
OUTLINE_SCALE = 1.45  # the head's outline is the face's outline times this, about OUTLINE_CENTRE
OUTLINE_CENTRE = np.float32((0.0, -0.05))  # canonical x, y
OUTLINE_DEPTH = 0.1  # canonical z of the head's outline; the ears are at about 0


def _face_boundary() -> np.ndarray:
    """The landmarks on the boundary of the face mesh, in order. Boundary edges belong to one triangle only."""
    edges = [(int(t[i]), int(t[(i + 1) % 3])) for t in FACE_TRIANGLES for i in range(3)]
    count = Counter(frozenset(edge) for edge in edges)
    following = dict(edge for edge in edges if count[frozenset(edge)] == 1)
    loop = [next(iter(following))]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    return np.array(loop)


def _band(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """The triangles (2 N, 3) between two rings of N points each."""
    next_inner, next_outer = np.roll(inner, -1), np.roll(outer, -1)
    return np.concatenate([np.stack([inner, outer, next_outer], 1), np.stack([inner, next_outer, next_inner], 1)])


BOUNDARY = _face_boundary()
_OUTLINE = FACE_POINTS + np.arange(len(BOUNDARY))
_SURROUNDINGS = np.concatenate([_band(BOUNDARY, _OUTLINE), _band(_OUTLINE, _OUTLINE + len(BOUNDARY))])


def canonical_landmarks(face: Face) -> np.ndarray:
    """The landmarks of a face, its head pose taken out, (468, 3) in canonical units: its shape and expression."""
    rotation, centre, radius = fit_pose(face.landmarks)
    return (face.landmarks[:FACE_POINTS] - centre) @ rotation / radius


class MeshWarp:
    """The mesh of one source. `picture` (N, N, 3) uint8 is the crop that shows `face`."""

    def __init__(self, picture: np.ndarray, face: Face, crop: Crop):
        self.picture = picture
        self.shape = canonical_landmarks(face)
        xy = OUTLINE_CENTRE + OUTLINE_SCALE * (self.shape[BOUNDARY, :2] - OUTLINE_CENTRE)
        self.outline = np.concatenate([xy, np.full_like(xy[:, :1], OUTLINE_DEPTH)], 1)
        view = crop.to_crop(face.landmarks[:FACE_POINTS, :2])
        outline = crop.to_crop(face.centre) + (self.outline @ face.rotation.T)[:, :2] * face.radius / crop.radius
        middle = view[BOUNDARY].mean(0)
        ray = outline - middle
        ray = np.where(ray == 0, np.float32(1e-6), ray)
        steps = (np.sign(ray) - middle) / ray  # rays from the middle to the crop's border, in x and in y
        self.border = middle + ray * steps.min(1, keepdims=True)
        self.points = np.concatenate([view, outline, self.border]).astype(np.float32)

    def __call__(self, offsets: np.ndarray, pose: Pose) -> np.ndarray:
        """The source with its landmarks moved by `offsets` (468, 3), canonical units, and then put into `pose` (batch
        1, crop coordinates): (N, N, 3) uint8."""
        moved = torch.from_numpy(np.concatenate([self.shape + offsets, self.outline]).astype(np.float32))
        posed = pose.apply(moved[None])[0].cpu().numpy()
        target = np.concatenate([posed[:, :2], self.border]).astype(np.float32)
        far_first = FACE_TRIANGLES[np.argsort(-posed[FACE_TRIANGLES, 2].mean(1), kind="stable")]
        return draw(self.picture, self.points, target, np.concatenate([_SURROUNDINGS[::-1], far_first]))


def draw(picture: np.ndarray, source: np.ndarray, target: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Piecewise affine warp of a picture (N, N, 3): its triangles (T, 3) at the points `source` (P, 2) are drawn at
    `target` (P, 2), both in [-1, 1]; later triangles cover earlier ones. Pixels outside all triangles stay."""
    size = len(picture)
    source, target = ((points + 1) * size / 2 - 0.5 for points in (source, target))  # pixels, integer at centres
    corners = np.concatenate([target[triangles], np.ones((len(triangles), 3, 1))], 2)  # (T, 3, 3), rows x, y, 1
    drawable = np.abs(np.linalg.det(corners)) > 1e-3
    triangles, corners = triangles[drawable], corners[drawable]
    affine = np.linalg.solve(corners, source[triangles].astype(np.float64))  # (T, 3, 2): target x, y, 1 -> source x, y
    affine = np.concatenate([np.float64([[(1, 0), (0, 1), (0, 0)]]), affine])  # index 0: no triangle, the identity
    index = np.zeros((size, size), np.int32)
    fixed = np.round(target[triangles].clip(-size, 2 * size) * 16).astype(np.int32)  # 4 fractional bits
    for number, triangle in enumerate(fixed, 1):
        cv2.fillConvexPoly(index, triangle, number, shift=4)
    y, x = np.mgrid[:size, :size]
    positions = np.einsum("hwc,hwcd->hwd", np.stack([x, y, np.ones_like(x)], -1), affine[index]).astype(np.float32)
    return cv2.remap(picture, positions[..., 0], positions[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
