"""Finds the landmarks of the tracker on the mesh of synthetic heads, and the vertices inside the mouth.

It tracks a plain frontal render of the average head and reads the triangle at each landmark. The file that it writes,
`mpkit/assets/anny_landmarks.npz`, makes both known without the body model.

python -m mpkit.synthetic.find_landmarks OUTPUT.npz
"""

import sys

import numpy as np
import torch

from mpkit.faces.canonical import CENTIMETRES_PER_UNIT
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
from mpkit.synthetic.anatomy import AVERAGE_PHENOTYPE, from_anny_axes, load_anny
from mpkit.synthetic.find_template import bust
from mpkit.synthetic.raster import interpolate, rasterize, vertex_normals
from mpkit.synthetic.wear import PARTS, TRIANGLE_PARTS, TRIANGLES

METRES_PER_UNIT = CENTIMETRES_PER_UNIT / 100
SIZE = 768  # pixels of the render
LIGHT = np.float32((-0.25, -0.45, -0.86))  # direction to it, view coordinates


def find_landmarks() -> dict[str, np.ndarray]:
    """The arrays of the file: `vertices` (468, 3) int32 of the triangle at each landmark, their weights `barycentric`
    (468, 3) float32; `mouth` (K,) int32, the vertices inside the mouth."""
    head = bust()
    faces = head["faces"]
    with torch.no_grad():
        average = load_anny()(phenotype_kwargs=AVERAGE_PHENOTYPE)
    metric = from_anny_axes(average["vertices"][0].numpy()[head["kept"]])
    eye_level = metric[head["eye_left"], 1].mean()
    view = (metric - np.float32((0, eye_level + 0.02, 0))) / METRES_PER_UNIT
    triangle, barycentric, _ = rasterize(view, faces, SIZE)
    with MediaPipeTracker() as tracker:
        face = tracker.detect(_picture(head, view, triangle, barycentric))[0]
    column, row = face.landmarks[:468, :2].astype(int).clip(0, SIZE - 1).T
    on_head = np.argwhere(triangle >= 0)
    for n in np.flatnonzero(triangle[row, column] < 0):  # just outside the outline: take the nearest pixel of the head
        row[n], column[n] = on_head[((on_head - (row[n], column[n])) ** 2).sum(1).argmin()]
    weights = barycentric[row, column]
    all_faces = np.concatenate([faces, TRIANGLES + np.int32(len(metric))])
    part = np.concatenate([head["part"], TRIANGLE_PARTS])
    inner = np.isin(part, [PARTS.index(name) for name in ("mouth", "tongue", "teeth")])
    return {
        "vertices": faces[triangle[row, column]].astype(np.int32),
        "barycentric": np.concatenate([weights, 1 - weights.sum(1, keepdims=True)], 1).astype(np.float32),
        "mouth": np.unique(all_faces[inner]).astype(np.int32),
    }


def _picture(
    head: dict[str, np.ndarray], view: np.ndarray, triangle: np.ndarray, barycentric: np.ndarray
) -> np.ndarray:
    """A render (S, S, 3) uint8 of view vertices (M, 3) that a tracker can read: shaded skin, and eyes with irises.

    head: see `bust`; triangle (S, S) and barycentric (S, S, 2): see `Raster`.
    """
    hit = np.maximum(triangle, 0)
    normals = interpolate(vertex_normals(view, head["faces"]), head["faces"], hit, barycentric)
    colours = np.full((len(PARTS), 3), 0.4)
    colours[[PARTS.index("skin"), PARTS.index("eye")]] = (0.85, 0.66, 0.56), (0.9, 0.9, 0.9)
    picture = colours[head["part"][hit]] * (0.35 + 0.65 * (normals @ LIGHT).clip(0, 1))[..., None]
    position = interpolate(view, head["faces"], hit, barycentric)
    for eye in (head["eye_left"], head["eye_right"]):
        distance = np.linalg.norm((position - view[eye].mean(0))[..., :2], axis=-1)
        eyeball = head["part"][hit] == PARTS.index("eye")
        picture[eyeball & (distance < 0.027)] = (0.3, 0.2, 0.12)  # iris
        picture[eyeball & (distance < 0.011)] = 0.03  # pupil
    picture[triangle < 0] = 0.6
    return (picture * 255).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    np.savez(sys.argv[1], **find_landmarks())
