"""Light on synthetic heads: shadows, ambient occlusion, and the colour of every pixel that the z-buffer saw.

numba's cache on disk does not see changes in other files: whoever edits textures.py deletes mpkit/data/__pycache__.
"""

import math

import numba
import numpy as np

from mpkit.synthetic.raster import FAST, rasterize
from mpkit.synthetic.textures import noise, paint_eye, paint_shell, paint_skin, smooth

SKIN, MOUTH, TONGUE, EYE, TEETH, HAIR, COVER, GLASSES = range(8)  # as wear.PARTS
FILM_RANGE = 6.0  # linear light that is told apart
SHADOW_SIZE = 256  # of the shadow map
SKY_SIZE = 128  # of those that tell how much of the sky is seen
SHADOW_REACH = 1.7  # half side of it, in view units


def shadow_map(
    vertices: np.ndarray, faces: np.ndarray, light: np.ndarray, size: int = SHADOW_SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """What the light sees of view vertices (N, 3): depth (size, size), and its rotation (3, 3)."""
    away = -light
    right = np.cross((0.0, 1.0, 0.0), away)
    right /= np.linalg.norm(right)
    basis = np.stack([right, np.cross(away, right), away]).astype(np.float32)
    depth = rasterize((vertices @ basis.T) / np.float32(SHADOW_REACH), faces, size)[2]
    return depth, basis


def ambient_occlusion(vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray, directions: int = 16) -> np.ndarray:
    """How much of a distant sky each vertex sees, (N,) in [0, 1], from that many shadow maps."""
    seen, total = np.zeros(len(vertices), np.float32), np.full(len(vertices), 1e-3, np.float32)
    for n in range(directions):  # points spread evenly over a sphere (Fibonacci)
        y = 1 - (2 * n + 1) / directions
        angle, across = n * 2.39996, math.sqrt(1 - y * y)
        direction = np.float32((across * math.cos(angle), y, across * math.sin(angle)))
        facing = normals @ direction
        depth, basis = shadow_map(vertices, faces, direction, SKY_SIZE)
        seen += np.maximum(facing, 0) * _lit_vertices(vertices + 0.01 * normals, basis, depth)
        total += np.maximum(facing, 0)
    return seen / total


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _lit(x, y, z, basis, depth, bias):
    """1 where the light reaches a view point, 0 in shadow, between at the shadow's border."""
    size = depth.shape[0]
    u = ((basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z) / SHADOW_REACH + 1) * 0.5 * size - 0.5
    v = ((basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z) / SHADOW_REACH + 1) * 0.5 * size - 0.5
    w = (basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z) / SHADOW_REACH - bias
    column, row = int(math.floor(u)), int(math.floor(v))
    if column < 0 or row < 0 or column >= size - 1 or row >= size - 1:
        return 1.0
    a, b = u - column, v - row
    top = (1 - a) * (depth[row, column] > w) + a * (depth[row, column + 1] > w)
    bottom = (1 - a) * (depth[row + 1, column] > w) + a * (depth[row + 1, column + 1] > w)
    return (1 - b) * top + b * bottom


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _lit_vertices(vertices, basis, depth):
    lit = np.empty(len(vertices), np.float32)
    for n in range(len(vertices)):
        lit[n] = _lit(vertices[n, 0], vertices[n, 1], vertices[n, 2], basis, depth, 0.012)
    return lit


@numba.njit(inline="always")  # a call would hand over all of `look`, and take a sixth of the time
def _radiance(light, f, u, v, faces, part, vertices, normals, texture, marks, shadow, basis, look, features, scratch):
    """Writes to light (3,) the linear colour of triangle f at barycentric (u, v). scratch (4, 3) is overwritten."""
    colour, t, p, m = scratch[0], scratch[1], scratch[2], scratch[3]
    w = 1 - u - v
    a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
    for n in range(3):
        t[n] = u * texture[a, n] + v * texture[b, n] + w * texture[c, n]
        p[n] = u * vertices[a, n] + v * vertices[b, n] + w * vertices[c, n]
        m[n] = u * normals[a, n] + v * normals[b, n] + w * normals[c, n]
    lid = u * marks[a, 0] + v * marks[b, 0] + w * marks[c, 0]
    open_sky = u * marks[a, 1] + v * marks[b, 1] + w * marks[c, 1]
    kind = part[f]
    gloss, power, bump, wrap = 0.3, 18.0, 0.0, 0.15
    if kind == SKIN:
        gloss, bump = paint_skin(colour, t[0], t[1], t[2], lid, look, features)
        gloss *= look.gloss
        wrap = 0.3
    elif kind == EYE:
        paint_eye(colour, t[0], t[1], t[2], look)
        gloss, power, open_sky = 2.5, 160.0, 0.25 + 0.75 * open_sky
    elif kind == MOUTH:
        colour[0], colour[1], colour[2] = 0.16, 0.03, 0.03
        gloss, open_sky = 0.0, 0.4 * open_sky
    elif kind == TONGUE:
        colour[0], colour[1], colour[2] = 0.36, 0.11, 0.10
        open_sky = 0.2 + 0.6 * open_sky
    elif kind == TEETH:
        gap = smooth(0.0, 0.12, abs(math.sin(t[0] * 14.0))) * 0.3 + 0.7
        gum = smooth(0.28, 0.12, t[1])
        colour[0] = (0.82 * (1 - gum) + 0.4 * gum) * gap
        colour[1] = (0.75 * (1 - gum) + 0.12 * gum) * gap
        colour[2] = (0.62 * (1 - gum) + 0.12 * gum) * gap
        gloss, open_sky = 0.6, (0.4 + 0.5 * open_sky) * smooth(1.15, 0.5, abs(t[0]))
    elif kind == GLASSES:
        colour[:] = look.frame
        gloss, power = 1.5, 40.0
    else:
        gloss = paint_shell(colour, t[0], t[1], t[2], kind == HAIR, look)
    if m[2] > 0.2 and kind >= HAIR:  # the inside of a shell
        m[0], m[1], m[2] = -m[0], -m[1], -m[2]
        open_sky *= 0.5
    if bump > 0:  # pores and folds tilt the normal
        m[0] += 0.07 * bump * noise(t[0] * 60, t[1] * 60, t[2] * 60)
        m[1] += 0.07 * bump * noise(t[0] * 60 + 31, t[1] * 60, t[2] * 60)
        if look.wrinkles > 0 and t[1] < features.eye[1] - 0.12:
            bend = t[1] * 75 + 2 * noise(t[0] * 5 + look.offset[0], t[1] * 5, 0.0)
            m[1] += 0.35 * look.wrinkles * math.sin(bend) * smooth(0.35, 0.1, abs(t[0]))
    length = math.sqrt(m[0] * m[0] + m[1] * m[1] + m[2] * m[2]) + 1e-9
    nx, ny, nz = m[0] / length, m[1] / length, m[2] / length
    hx, hy, hz = look.light[0], look.light[1], look.light[2] - 1.0  # halfway between light and viewer
    half = math.sqrt(hx * hx + hy * hy + hz * hz)
    facing = nx * look.light[0] + ny * look.light[1] + nz * look.light[2]
    lit = _lit(p[0] + 0.02 * nx, p[1] + 0.02 * ny, p[2] + 0.02 * nz, basis, shadow, 0.012)
    if kind == TEETH:  # what the lips let in is thrown to and fro in a mouth
        lit = max(lit, 0.5)
    diffuse = max((facing + wrap) / (1 + wrap), 0.0) * (lit * 0.9 + 0.1) * (0.4 + 0.6 * open_sky)
    mirrored = (nx * hx + ny * hy + nz * hz) / half
    shine = gloss * 0.22 * mirrored**power * lit if mirrored > 0.6 else 0.0  # below it is nothing, and slow
    blend = 0.5 - 0.5 * ny
    for n in range(3):
        around = (look.ground[n] + (look.sky[n] - look.ground[n]) * blend) * open_sky
        light[n] = colour[n] * (look.key[n] * diffuse + around) + look.key[n] * shine


def _film_curve() -> np.ndarray:
    """Display colour for linear light 0 ... FILM_RANGE; highlights roll off softly, as on film."""
    light = np.linspace(0, FILM_RANGE, 4096) + 1e-9
    return np.clip(light * (1 + 0.15 * light) / (1 + 0.45 * light), 0, 1).astype(np.float32) ** np.float32(1 / 2.2)


_FILM = _film_curve()


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def shade(
    triangle, barycentric, faces, part, vertices, normals, texture, marks, shadow, basis, look, features, film=_FILM
):
    """Display colour (S, S, 3), premultiplied, and matte (S, S) of what `rasterize` saw at 2S x 2S pixels; float32.

    vertices and normals (N, 3) in view coordinates; texture (N, 3): see textures.py; marks (N, 2): rims of the
    lids, ambient occlusion; shadow, basis: of `shadow_map`.
    """
    size = triangle.shape[0] // 2
    image, matte = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    light, scratch = np.empty(3), np.empty((4, 3))
    scale = (len(film) - 1) / FILM_RANGE
    for row in range(size):
        for column in range(size):
            first = triangle[2 * row, 2 * column]
            inside, covered = first >= 0, 0
            for n in range(4):
                f = triangle[2 * row + n // 2, 2 * column + n % 2]
                covered += f >= 0
                inside = inside and f >= 0 and part[f] == part[first]
            if covered == 0:
                continue
            matte[row, column] = 0.25 * covered
            # Inside a surface one diagonal of the 2 x 2 samples is enough; eyes and lids need all.
            sparse = inside and part[first] != EYE and marks[faces[first, 0], 0] == 0 and marks[faces[first, 1], 0] == 0
            for n in range(4):
                y, x = 2 * row + n // 2, 2 * column + n % 2
                f = triangle[y, x]
                if f < 0 or (sparse and (n == 1 or n == 2)):
                    continue
                u, v = barycentric[y, x, 0], barycentric[y, x, 1]
                _radiance(
                    light, f, u, v, faces, part, vertices, normals, texture, marks,
                    shadow, basis, look, features, scratch,
                )  # fmt: skip
                for k in range(3):
                    shown = film[min(int(max(light[k], 0.0) * scale + 0.5), len(film) - 1)]
                    image[row, column, k] += shown * (0.5 if sparse else 0.25)
    return image, matte
