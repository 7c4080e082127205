"""The inside of the mouth of a lifted still: what the picture shows of it, and for the rest teeth, tongue and cavity of
the head mesh, shaded as those of synthetic heads are."""

import functools

import cv2
import numpy as np

from mpkit.synthetic import wear
from mpkit.synthetic.anatomy import average_identity, load_template
from mpkit.synthetic.heads import surface_layout
from mpkit.synthetic.look import Look, sample_look
from mpkit.synthetic.poses import SyntheticMotion
from mpkit.synthetic.raster import Raster, rasterize, vertex_normals
from mpkit.synthetic.shading import Mesh, Scene, shade, shadow_map, sky_visibility

INTERIOR = [wear.PARTS.index(name) for name in ("mouth", "tongue", "teeth")]
TOWARDS_LIGHT = (0.0, -0.26, -0.966)  # unit vector, view coordinates: from the front, 15 degrees above


@functools.lru_cache(maxsize=1)
def _look_and_sky() -> tuple[Look, np.ndarray]:
    """White light from the front; all else is at random, since none of it is seen in a mouth. And the share of the sky
    that each vertex of the average head sees, (N,), as of a synthetic person: with a closed mouth."""
    average, faces = average_identity(), load_template().faces
    look = sample_look(np.random.default_rng(0), average.age, average.femininity, 0.0, np.zeros(8), wear.KNOT_AZIMUTHS)
    light = {"light_direction": TOWARDS_LIGHT, "key_light": [1] * 3, "sky_light": [0.4] * 3, "ground_light": [0.4] * 3}
    look = look._replace(**{name: tuple(map(np.float32, value)) for name, value in light.items()})
    return look, sky_visibility(average.neutral, vertex_normals(average.neutral, faces), faces)


def shaded_interior(vertices: np.ndarray, size: int, white: float) -> np.ndarray:
    """Picture (size, size, 4) float32 in [0, 1], premultiplied, with smooth edges: the visible inside of the mouth of a
    head with view vertices (>= N, 3). white: brightness in [0, 1] of a white surface in the light there."""
    template, (texture, layout), (look, sky) = load_template(), surface_layout(), _look_and_sky()
    vertices = np.ascontiguousarray(vertices[: len(texture)], np.float32)
    faces, normals = template.faces, vertex_normals(vertices, template.faces)
    seen = rasterize(vertices, faces, 2 * size)
    inside = (seen.triangle >= 0) & np.isin(template.part[seen.triangle], INTERIOR)
    if not inside.any():
        return np.zeros((size, size, 4), np.float32)
    seen = Raster(np.where(inside, seen.triangle, -1).astype(np.int32), seen.barycentric, seen.depth)
    mesh = Mesh(faces, template.part, vertices, normals, texture, template.lid_rim, sky)
    shadow = shadow_map(vertices, faces, np.array(look.light_direction))
    colour, alpha = shade(seen, Scene(mesh, shadow, look, layout))
    return np.concatenate([colour * np.float32(white), alpha[..., None]], axis=-1)


def carried_by_the_skull(
    picture: np.ndarray, source: SyntheticMotion, motion: SyntheticMotion, point: np.ndarray, size: int
) -> np.ndarray:
    """A picture (X, X, C) of a plane that moves with the skull, as upper teeth do, (size, size, C): seen in the motion
    `source`, wanted in `motion`. The plane is parallel to the face, through a canonical point (3,)."""

    def to_crop(of: SyntheticMotion) -> np.ndarray:
        """(3, 3): canonical x and y in the plane -> crop coordinates."""
        rotation = of.scale * of.rotation
        matrix = np.eye(3)
        matrix[:2, :2], matrix[:2, 2] = rotation[:2, :2], rotation[:2, 2] * point[2] + of.translation[:2]
        return matrix

    def to_pixels(side: int) -> np.ndarray:
        """(3, 3): crop coordinates -> pixels of a picture of that side."""
        return np.array([[side / 2, 0, side / 2 - 0.5], [0, side / 2, side / 2 - 0.5], [0, 0, 1]])

    matrix = to_pixels(len(picture)) @ to_crop(source) @ np.linalg.inv(to_pixels(size) @ to_crop(motion))
    return cv2.warpAffine(picture, matrix[:2], (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
