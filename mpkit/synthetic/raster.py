"""From triangles to pixels: an orthographic z-buffer and smooth vertex normals, compiled for the CPU by numba.

Vertices are view points (x right, y down, z away from the camera, [-1, 1] over the crop), as in mpkit/geometry.py.
Compiled code releases the GIL and is cached on disk.
"""

from typing import NamedTuple

import numba
import numpy as np

# Compiles a function for speed: the order of sums may change, and so their rounding. Infinities still count as such,
# because depth starts with them.
fast_njit = numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "arcp"})


class Raster(NamedTuple):
    """The visible surface point at each pixel centre of a picture of S x S pixels."""

    triangle: np.ndarray  # (S, S) int32 index of the triangle, -1 on the background
    barycentric: np.ndarray  # (S, S, 2) float32 weights of its first two corners
    depth: np.ndarray  # (S, S) float32 z of the point, +inf on the background


def rasterize(vertices: np.ndarray, faces: np.ndarray, size: int) -> Raster:
    """Draws triangles into a z-buffer of size x size pixels.

    vertices (N, 3) in view coordinates, faces (T, 3) vertex indices; both sides of a triangle are visible.
    """
    triangle = np.full((size, size), -1, np.int32)
    barycentric = np.zeros((size, size, 2), np.float32)
    depth = np.full((size, size), np.inf, np.float32)
    _fill(np.ascontiguousarray(vertices, np.float32), faces, triangle, barycentric, depth)
    return Raster(triangle, barycentric, depth)


@fast_njit
def _fill(vertices, faces, triangle, barycentric, depth):
    """Writes the nearest triangle of each pixel into the three fields of a `Raster`, (S, S, ...)."""
    size = triangle.shape[0]
    half = np.float32(0.5 * size)
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = (vertices[a, 0] + 1) * half - 0.5, (vertices[a, 1] + 1) * half - 0.5, vertices[a, 2]
        bx, by, bz = (vertices[b, 0] + 1) * half - 0.5, (vertices[b, 1] + 1) * half - 0.5, vertices[b, 2]
        cx, cy, cz = (vertices[c, 0] + 1) * half - 0.5, (vertices[c, 1] + 1) * half - 0.5, vertices[c, 2]
        area = (by - cy) * (ax - cx) + (cx - bx) * (ay - cy)
        if abs(area) < 1e-6:
            continue
        inverse = 1 / area
        first_x, last_x = max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), size - 1)
        first_y, last_y = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), size - 1)
        for y in range(first_y, last_y + 1):
            for x in range(first_x, last_x + 1):
                u = ((by - cy) * (x - cx) + (cx - bx) * (y - cy)) * inverse
                v = ((cy - ay) * (x - cx) + (ax - cx) * (y - cy)) * inverse
                if u < -1e-5 or v < -1e-5 or u + v > 1.00001:
                    continue
                z = u * az + v * bz + (1 - u - v) * cz
                if z < depth[y, x]:
                    depth[y, x] = z
                    triangle[y, x] = f
                    barycentric[y, x, 0] = u
                    barycentric[y, x, 1] = v


@numba.njit(cache=True, nogil=True)
def vertex_normals(vertices, faces):
    """Unit normals (N, 3) of vertices (N, 3): area-weighted means over the triangles (T, 3) that meet at a vertex.

    The corners of a triangle are ordered so that its normal points outwards: towards -z where it faces the camera.
    """
    normals = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in range(3):
            row = faces[f, corner]
            normals[row, 0] += nx
            normals[row, 1] += ny
            normals[row, 2] += nz
    for n in range(normals.shape[0]):
        length = np.sqrt(normals[n, 0] ** 2 + normals[n, 1] ** 2 + normals[n, 2] ** 2) + 1e-12
        for axis in range(3):
            normals[n, axis] /= length
    return normals


def interpolate(values: np.ndarray, faces: np.ndarray, triangle: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
    """Values (N, C) of the vertices, interpolated at surface points: (..., C).

    faces (T, 3) vertex indices. triangle (...) >= 0 and barycentric (..., 2) say where the points are, as in `Raster`.
    """
    u, v = barycentric[..., :1].astype(np.float32), barycentric[..., 1:].astype(np.float32)
    a, b, c = (values[faces[triangle, corner]] for corner in range(3))
    return u * a + v * b + (1 - u - v) * c
