"""The canonical face: an average face mesh in the canonical frame, and the fit of a head pose to landmarks.

The mesh (468 vertices, 898 triangles, centimetres) is part of the face landmarker's model file, as a protocol buffer.
In the canonical frame (see `geometry`) 18 cm are one unit. Its origin is the centre of the HEAD, not of the face: a
little below the eyes and far behind the nose. So the square [-1, 1] around it holds the hair and the top of the
shoulders in every pose.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor

from mpkit.geometry import Pose, constant

LANDMARKER_FILE = Path(__file__).parents[1] / "assets" / "face_landmarker.task"
MESH_MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"  # of that file, a zip archive
CENTIMETRES_PER_UNIT = 18.0
HEAD_CENTRE_CM = (0.0, 0.3, -3.7)  # the canonical origin in the mesh's own frame: x right, y up, z towards the camera

# Outer corner, inner corner and iris of the eye on the picture's left, then of the other eye.
EYE_LANDMARKS = ((33, 133, 468), (263, 362, 473))
CHIN_LANDMARK = 152
LIPS_APART = 0.02  # canonical units; lips that are farther apart show teeth
# (weight, landmarks) in the fit of the head pose: landmarks on bone, which no jaw, lip, lid or brow moves.
STABLE_LANDMARKS = (
    (1.0, (10, 109, 67, 103, 54, 338, 297, 332, 284, 151, 108, 337, 69, 299, 104, 333)),  # forehead
    (1.0, (21, 162, 127, 234, 251, 389, 356, 454, 139, 368, 34, 264)),  # temples, to the front of the ears
    (1.5, (168, 6, 197, 195, 5, 122, 351, 196, 419, 193, 417, 8)),  # bridge and ridge of the nose
    (1.0, (4, 1, 45, 275, 2)),  # tip of the nose
    (2.0, (33, 133, 362, 263)),  # corners of the eyes
    (0.7, (116, 345, 117, 346, 111, 340, 143, 372, 227, 447)),  # cheekbones
)


def _protobuf_fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of one level of a protocol buffer as (field number, value): an int for varints, else the raw bytes."""

    def varint(position):
        value = shift = 0
        while True:
            byte = data[position]
            value |= (byte & 127) << shift
            position, shift = position + 1, shift + 7
            if byte < 128:
                return value, position

    position = 0
    while position < len(data):
        key, position = varint(position)
        if key & 7 == 0:
            value, position = varint(position)
        else:  # wire type 2: length-delimited, 5: four bytes
            length, position = varint(position) if key & 7 == 2 else (4, position)
            value, position = data[position : position + length], position + length
        yield key >> 3, value


def _read_mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (468, 3) float32 in canonical units, and triangles (898, 3) int32."""
    with zipfile.ZipFile(LANDMARKER_FILE) as archive:
        metadata = archive.read(MESH_MEMBER)
    mesh = list(_protobuf_fields(dict(_protobuf_fields(metadata))[1]))
    vertices = np.frombuffer(b"".join(value for field, value in mesh if field == 3), "<f4").reshape(-1, 5)  # x y z u v
    triangles = np.array([value for field, value in mesh if field == 4], np.int32).reshape(-1, 3)
    points = (vertices[:, :3] - np.float32(HEAD_CENTRE_CM)) / CENTIMETRES_PER_UNIT
    return points * np.float32((1, -1, -1)), triangles


def _stable_weights() -> np.ndarray:
    weights = np.zeros(len(CANONICAL_FACE), np.float32)
    for weight, landmarks in STABLE_LANDMARKS:
        weights[list(landmarks)] = weight
    return weights


CANONICAL_FACE, FACE_TRIANGLES = _read_mesh()  # (468, 3) float32 in canonical units; (898, 3) indices into it
KEYPOINTS = tuple(map(tuple, CANONICAL_FACE[::8].tolist()))
CHIN = CANONICAL_FACE[CHIN_LANDMARK]
STABLE_WEIGHTS = _stable_weights()  # (468,) weight of each landmark in `fit_pose`; 0 where an expression moves it


def keypoints(pose: Pose) -> Tensor:
    """Every eighth vertex of the canonical face in a view of the head, (B, 59, 2) in [-1, 1]: an input of the gaze
    network (App. B.5). pose: R, t, s of that view, batch B."""
    face = constant(KEYPOINTS, pose.scale)
    return pose.apply(face.expand(len(pose.scale), -1, -1))[..., :2]


def fit_pose(
    landmarks: np.ndarray, weights: np.ndarray = STABLE_WEIGHTS, model: np.ndarray = CANONICAL_FACE
) -> tuple[np.ndarray, np.ndarray, float]:
    """The similarity that maps `model` to `landmarks` with the least weighted squared error (Umeyama 1991):
    landmark = radius * rotation @ point + centre.

    landmarks (>= N, 3) in pixels, z away from the camera; those after the N-th (the irises) are ignored.
    weights (N,); model (N, 3) in canonical units. Returns rotation (3, 3), centre (3,), which is the canonical origin
    in pixels, and radius, the pixels per canonical unit.
    """
    target = landmarks[: len(model)].astype(np.float64)
    share = (weights / weights.sum())[:, None].astype(np.float64)
    target_mean, model_mean = (share * target).sum(0), (share * model).sum(0)
    target, centred_model = target - target_mean, model - model_mean
    u, singular, vt = np.linalg.svd((share * target).T @ centred_model)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])  # a rotation, never a reflection
    rotation = (u * signs) @ vt
    radius = float((singular * signs).sum() / (share * centred_model**2).sum())
    centre = target_mean - radius * rotation @ model_mean
    return rotation.astype(np.float32), centre.astype(np.float32), radius
