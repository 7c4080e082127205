"""Frames of people as shards store them, and the labels of training pairs, computed from them on any device.

A stored frame says which triangle of the head each cell of its label grid shows, and where the triangle's corners are.
So a point of the head that a driver shows can be found on the neutral head and in the source.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.batch import Frames, Labels
from mpkit.faces.anchors import anchors_of
from mpkit.geometry import Pose
from mpkit.synthetic.anatomy import in_mouth, landmarks_on

OCCLUSION_MARGIN = 0.03  # canonical units; a point farther than this behind the visible surface is hidden


class Topology(NamedTuple):
    """The triangles of all heads that may be in one batch."""

    faces: Tensor  # (T, 3) int64 vertex numbers
    mouth: Tensor  # (T,) bool: inside of the mouth

    @staticmethod
    def of(meshes: list[np.ndarray]) -> "Topology":
        """All triangles (T_i, 3) of the meshes, one mesh after the other."""
        faces, mouth = np.concatenate(meshes), np.concatenate([in_mouth(faces) for faces in meshes])
        return Topology(torch.from_numpy(faces).long(), torch.from_numpy(mouth))


class Surface(NamedTuple):
    """What label grids of h x h cells show of M heads with N vertices."""

    triangle: Tensor  # (M, h, h) int, index into the topology's triangles; -1 where no head is seen
    barycentric: Tensor  # (M, h, h, 2) weights of its first two corners
    vertices: Tensor  # (M, N, 3) view points


class StoredFrames(NamedTuple):
    """M frames of S x S pixels."""

    images: Tensor  # (M, S, S, 4) uint8, not premultiplied
    surface: Surface
    neutral: Tensor  # (M, N, 3) the person's neutral head, canonical
    anchors: Tensor  # (M, 3, 3) of the neutral head (`faces.anchors`)
    pose: Pose
    numbers: Tensor  # (M, 54)
    reliable: Tensor  # (M, S, S) bool
    real: Tensor  # (M,) bool


def collate(samples: list[dict[str, np.ndarray]], offsets: list[int], vertices: int) -> StoredFrames:
    """Samples of `People.sample`, each with its `numbers` and `real`, as one batch. offsets: the number of the first
    triangle of each sample's mesh in the topology; vertices: N."""

    def stack(arrays) -> Tensor:
        return torch.from_numpy(np.stack(list(arrays)))

    def padded(array: np.ndarray) -> np.ndarray:
        result = np.zeros((vertices, 3), array.dtype)
        result[: len(array)] = array
        return result

    everywhere = np.ones(samples[0]["images"].shape[:2], bool)
    triangles = (np.where(s["triangle"] < 0, -1, s["triangle"] + first) for s, first in zip(samples, offsets))
    return StoredFrames(
        images=stack(s["images"] for s in samples),
        surface=Surface(
            stack(triangles),
            stack(s["barycentric"] for s in samples),
            stack(padded(s["vertices"]) for s in samples),
        ),
        neutral=stack(padded(s["neutral"].astype(np.float32)) for s in samples),
        anchors=stack(anchors_of(landmarks_on(s["neutral"])) for s in samples),
        pose=Pose(*(stack(s[name] for s in samples) for name in ("rotation", "translation", "scale"))),
        numbers=stack(s["numbers"] for s in samples),
        reliable=stack(s.get("reliable", everywhere) for s in samples),
        real=torch.tensor([bool(s["real"]) for s in samples]),
    )


def to_frames(stored: StoredFrames, topology: Topology) -> Frames:
    """Stored frames as the networks see them, with labels."""
    images, surface = stored.images.movedim(-1, 1).float() / 255, stored.surface
    labels = Labels(
        canonical=visible_points(surface, stored.neutral, topology),
        view=visible_points(surface, surface.vertices, topology),
        valid=surface.triangle >= 0,
        mouth=mouth_inside(surface.triangle, topology),
    )
    return Frames(
        picture=torch.cat([images[:, :3] * images[:, 3:], images[:, 3:]], dim=1),
        pose=stored.pose,
        numbers=stored.numbers,
        labels=labels,
        reliable=stored.reliable[:, None],
        real=stored.real,
        anchors=stored.anchors,
    )


def visible_points(surface: Surface, vertices: Tensor, topology: Topology) -> Tensor:
    """The point of `vertices` (M, N, 3) that each cell of label grids shows, (M, h, h, 3); 0 where it shows none."""
    count, half = surface.triangle.shape[:2]
    frame = torch.arange(count, device=vertices.device).view(-1, 1, 1, 1)
    corners = topology.faces[surface.triangle.long().clamp_min(0)] + frame * vertices.shape[1]
    first, second = surface.barycentric.float().unbind(-1)
    weights = torch.stack([first, second, 1 - first - second], -1) * (surface.triangle >= 0)[..., None]
    table = vertices.float().reshape(-1, 3)
    points = F.embedding_bag(corners.view(-1, 3), table, per_sample_weights=weights.view(-1, 3), mode="sum")
    return points.view(count, half, half, 3)


def mouth_inside(triangle: Tensor, topology: Topology) -> Tensor:
    """Which cells of label grids (M, h, h) show the mouth interior, (M, h, h) bool."""
    return (triangle >= 0) & topology.mouth[triangle.long().clamp_min(0)]


def true_flow(source: Surface, driver: Surface, topology: Topology) -> tuple[Tensor, Tensor]:
    """`Pairs.flow` and `Pairs.flow_valid` of B sources and their B * n drivers, person by person.

    A point is valid unless the source hides it. Points beyond the edge of the source are valid: the detail path
    continues the picture there (`networks.detail.sample_picture`). Teeth and other points of the mouth interior lie too
    close behind closed lips for a test of depth: they are valid only where the source shows the mouth interior in that
    cell or next to it."""
    drivers = len(driver.triangle) // len(source.triangle)
    in_source = visible_points(driver, source.vertices.repeat_interleave(drivers, 0), topology)
    labelled, half = driver.triangle >= 0, driver.triangle.shape[1]
    in_source = torch.where(labelled[..., None], in_source, 2.0)
    depth = visible_points(source, source.vertices, topology)[..., 2]
    depth = torch.where(source.triangle >= 0, depth, -torch.inf)  # where there is no surface, every point is hidden
    open_mouth = F.max_pool2d(mouth_inside(source.triangle, topology)[:, None].float(), 3, stride=1, padding=1) > 0
    column, row = (((in_source[..., axis] + 1) * half / 2).long() for axis in (0, 1))
    outside = (column < 0) | (column >= half) | (row < 0) | (row >= half)
    cell = (row.clamp(0, half - 1) * half + column.clamp(0, half - 1)).flatten(1)
    depth, open_mouth = (
        part.flatten(1).repeat_interleave(drivers, 0).gather(1, cell).view_as(labelled) for part in (depth, open_mouth)
    )
    shown = (in_source[..., 2] < depth + OCCLUSION_MARGIN) & (open_mouth | ~mouth_inside(driver.triangle, topology))
    return in_source[..., :2], labelled & (outside | shown)
