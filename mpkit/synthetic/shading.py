"""Light on synthetic heads: shadows, ambient occlusion, and the colour of every pixel.

numba's cache on disk does not notice changes in other files: after a change in textures.py or raster.py, delete
mpkit/synthetic/__pycache__.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from mpkit.synthetic.look import FaceLayout, Look
from mpkit.synthetic.raster import fast_njit, rasterize
from mpkit.synthetic.textures import noise, paint_eye, paint_shell, paint_skin, smooth
from mpkit.synthetic.wear import PARTS

SKIN, MOUTH, TONGUE, EYE, TEETH, HAIR, COVER, GLASSES = range(len(PARTS))
MAX_LIGHT = 6.0  # linear light at the end of the film curve; brighter light looks the same
SHADOW_MAP_SIZE = 256  # pixels, for the key light
SKY_MAP_SIZE = 128  # pixels, for each direction of ambient light
SHADOW_MAP_REACH = 1.7  # half side of a shadow map, view units
SHADOW_BIAS = 0.012  # depth by which a lit point may lie behind a shadow map, times SHADOW_MAP_REACH view units


class Mesh(NamedTuple):
    """A posed head: N vertices, T triangles. View coordinates."""

    faces: np.ndarray  # (T, 3) int32 vertex indices
    part: np.ndarray  # (T,) int32 index into wear.PARTS
    vertices: np.ndarray  # (N, 3) float32
    normals: np.ndarray  # (N, 3) float32 unit normals
    texture: np.ndarray  # (N, 3) float32 texture coordinates, see textures.py
    lid_rim: np.ndarray  # (N,) float32, 1 on the rims of the eyelids, 0 elsewhere
    sky: np.ndarray  # (N,) float32 visible share of the sky, see `sky_visibility`


class ShadowMap(NamedTuple):
    """The surfaces that a distant light reaches first."""

    depth: np.ndarray  # (size, size) float32, along the light's rays, +inf where it meets nothing
    basis: np.ndarray  # (3, 3) float32 rotation from view coordinates to the light's: right, down, away from it


class Scene(NamedTuple):
    """All that decides the colour of a surface point."""

    mesh: Mesh
    shadow: ShadowMap
    look: Look
    layout: FaceLayout


def shadow_map(vertices: np.ndarray, faces: np.ndarray, light: np.ndarray, size: int = SHADOW_MAP_SIZE) -> ShadowMap:
    """The shadow map (size, size) of view vertices (N, 3) and triangles (T, 3); light (3,): unit vector towards it."""
    away = -light
    right = np.cross((0.0, 1.0, 0.0), away)
    right /= np.linalg.norm(right)
    basis = np.stack([right, np.cross(away, right), away]).astype(np.float32)
    return ShadowMap(rasterize((vertices @ basis.T) / np.float32(SHADOW_MAP_REACH), faces, size).depth, basis)


def sky_visibility(vertices: np.ndarray, normals: np.ndarray, faces: np.ndarray, directions: int = 16) -> np.ndarray:
    """Ambient occlusion: the share of a distant sky that each vertex sees, weighted by the cosine to its normal.

    vertices and unit normals (N, 3), faces (T, 3); `directions`: number of shadow maps. Returns (N,) float32 in [0, 1].
    """
    seen, total = np.zeros(len(vertices), np.float32), np.full(len(vertices), 1e-3, np.float32)
    for n in range(directions):  # points spread evenly over a sphere (Fibonacci)
        y = 1 - (2 * n + 1) / directions
        angle, radius = n * 2.39996, math.sqrt(1 - y * y)
        direction = np.float32((radius * math.cos(angle), y, radius * math.sin(angle)))
        cosine = np.maximum(normals @ direction, 0)
        seen += cosine * _lit_vertices(vertices + 0.01 * normals, shadow_map(vertices, faces, direction, SKY_MAP_SIZE))
        total += cosine
    return seen / total


@fast_njit
def _lit(x, y, z, shadow):
    """1 where the light reaches a view point, 0 in shadow, between them at the border of a shadow."""
    depth, basis = shadow.depth, shadow.basis
    size = depth.shape[0]
    u = ((basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z) / SHADOW_MAP_REACH + 1) * 0.5 * size - 0.5
    v = ((basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z) / SHADOW_MAP_REACH + 1) * 0.5 * size - 0.5
    w = (basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z) / SHADOW_MAP_REACH - SHADOW_BIAS
    column, row = int(math.floor(u)), int(math.floor(v))
    if column < 0 or row < 0 or column >= size - 1 or row >= size - 1:
        return 1.0
    a, b = u - column, v - row
    top = (1 - a) * (depth[row, column] > w) + a * (depth[row, column + 1] > w)
    bottom = (1 - a) * (depth[row + 1, column] > w) + a * (depth[row + 1, column + 1] > w)
    return (1 - b) * top + b * bottom


@fast_njit
def _lit_vertices(vertices, shadow):
    """`_lit` at view points (N, 3): (N,) float32."""
    lit = np.empty(len(vertices), np.float32)
    for n in range(len(vertices)):
        lit[n] = _lit(vertices[n, 0], vertices[n, 1], vertices[n, 2], shadow)
    return lit


@numba.njit(inline="always")
def _paint_part(colour, place, part, lid, sky, look, layout):
    """Writes the colour of a part at texture coordinates `place` (3,).

    Returns its gloss, the exponent of its highlights, how much pores and folds tilt its normal, how far light wraps
    around it, and its visible share of the sky.
    """
    gloss, power, bump, wrap = 0.3, 18.0, 0.0, 0.15
    if part == SKIN:
        gloss, bump = paint_skin(colour, place, lid, look, layout)
        gloss *= look.gloss
        wrap = 0.3
    elif part == EYE:
        paint_eye(colour, place, look)
        gloss, power, sky = 2.5, 160.0, 0.25 + 0.75 * sky
    elif part == MOUTH:
        colour[0], colour[1], colour[2] = 0.16, 0.03, 0.03
        gloss, sky = 0.0, 0.4 * sky
    elif part == TONGUE:
        colour[0], colour[1], colour[2] = 0.36, 0.11, 0.10
        sky = 0.2 + 0.6 * sky
    elif part == TEETH:
        gap = 0.65 + 0.35 * smooth(0.0, 0.5, abs(math.sin(place[0] * 14.0)))
        gum = smooth(0.28, 0.12, place[1])
        colour[0] = (0.82 * (1 - gum) + 0.4 * gum) * gap
        colour[1] = (0.75 * (1 - gum) + 0.12 * gum) * gap
        colour[2] = (0.62 * (1 - gum) + 0.12 * gum) * gap
        gloss, sky = 0.6, (0.4 + 0.5 * sky) * smooth(1.15, 0.5, abs(place[0]))
    elif part == GLASSES:
        colour[0], colour[1], colour[2] = look.glasses
        gloss, power = 1.5, 40.0
    else:
        gloss = paint_shell(colour, place, part == HAIR, look)
    return gloss, power, bump, wrap, sky


# Inlined, because a call would copy all numbers of the scene.
@numba.njit(inline="always")
def _radiance(light, f, u, v, scene, scratch):
    """Writes to light (3,) the linear colour of triangle f at barycentric (u, v). scratch (4, 3) is overwritten."""
    mesh, shadow, look, layout = scene.mesh, scene.shadow, scene.look, scene.layout
    colour, place, point, normal = scratch[0], scratch[1], scratch[2], scratch[3]
    w = 1 - u - v
    a, b, c = mesh.faces[f, 0], mesh.faces[f, 1], mesh.faces[f, 2]
    for n in range(3):
        place[n] = u * mesh.texture[a, n] + v * mesh.texture[b, n] + w * mesh.texture[c, n]
        point[n] = u * mesh.vertices[a, n] + v * mesh.vertices[b, n] + w * mesh.vertices[c, n]
        normal[n] = u * mesh.normals[a, n] + v * mesh.normals[b, n] + w * mesh.normals[c, n]
    lid = u * mesh.lid_rim[a] + v * mesh.lid_rim[b] + w * mesh.lid_rim[c]
    sky = u * mesh.sky[a] + v * mesh.sky[b] + w * mesh.sky[c]
    part = mesh.part[f]
    gloss, power, bump, wrap, sky = _paint_part(colour, place, part, lid, sky, look, layout)
    if normal[2] > 0.2 and part >= HAIR:  # the inner side of hair or covering
        normal[0], normal[1], normal[2] = -normal[0], -normal[1], -normal[2]
        sky *= 0.5
    if bump > 0:
        normal[0] += 0.07 * bump * noise(place[0] * 60, place[1] * 60, place[2] * 60)
        normal[1] += 0.07 * bump * noise(place[0] * 60 + 31, place[1] * 60, place[2] * 60)
        if look.wrinkles > 0 and place[1] < layout.eye[1] - 0.12:
            fold = place[1] * 75 + 2 * noise(place[0] * 5 + look.noise_offset[0], place[1] * 5, 0.0)
            normal[1] += 0.35 * look.wrinkles * math.sin(fold) * smooth(0.35, 0.1, abs(place[0]))
    length = math.sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]) + 1e-9
    nx, ny, nz = normal[0] / length, normal[1] / length, normal[2] / length
    to_light = look.light_direction
    hx, hy, hz = to_light[0], to_light[1], to_light[2] - 1.0  # halfway between light and viewer
    half = math.sqrt(hx * hx + hy * hy + hz * hz)
    facing = nx * to_light[0] + ny * to_light[1] + nz * to_light[2]
    lit = _lit(point[0] + 0.02 * nx, point[1] + 0.02 * ny, point[2] + 0.02 * nz, shadow)
    if part == TEETH:  # light that enters between the lips is reflected inside the mouth
        lit = max(lit, 0.5)
    diffuse = max((facing + wrap) / (1 + wrap), 0.0) * (lit * 0.9 + 0.1) * (0.4 + 0.6 * sky)
    mirrored = (nx * hx + ny * hy + nz * hz) / half
    highlight = gloss * 0.22 * mirrored**power * lit if mirrored > 0.6 else 0.0  # a power is slow, and 0 below that
    upwards = 0.5 - 0.5 * ny
    for n in range(3):
        ambient = (look.ground_light[n] + (look.sky_light[n] - look.ground_light[n]) * upwards) * sky
        light[n] = colour[n] * (look.key_light[n] * diffuse + ambient) + look.key_light[n] * highlight


def _film_curve() -> np.ndarray:
    """Display colours (4096,) of linear light 0 ... MAX_LIGHT; highlights saturate softly, as on film."""
    light = np.linspace(0, MAX_LIGHT, 4096) + 1e-9
    return np.clip(light * (1 + 0.15 * light) / (1 + 0.45 * light), 0, 1).astype(np.float32) ** np.float32(1 / 2.2)


FILM_CURVE = _film_curve()


@fast_njit
def shade(raster, scene):
    """The picture of a `Scene` whose mesh was rasterized at 2S x 2S pixels (a `Raster`): display colour (S, S, 3),
    premultiplied, and matte (S, S), both float32 in [0, 1]."""
    triangle, barycentric, mesh = raster.triangle, raster.barycentric, scene.mesh
    size = triangle.shape[0] // 2
    image, matte = np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    light, scratch = np.empty(3), np.empty((4, 3))
    scale = (len(FILM_CURVE) - 1) / MAX_LIGHT
    for row in range(size):
        for column in range(size):
            first = triangle[2 * row, 2 * column]
            inside, covered = first >= 0, 0
            for n in range(4):
                f = triangle[2 * row + n // 2, 2 * column + n % 2]
                covered += f >= 0
                inside = inside and f >= 0 and mesh.part[f] == mesh.part[first]
            if covered == 0:
                continue
            matte[row, column] = 0.25 * covered
            # Within one part a diagonal of the 2 x 2 samples is enough, except in eyes and at the rims of eyelids.
            sparse = inside and mesh.part[first] != EYE
            sparse = sparse and mesh.lid_rim[mesh.faces[first, 0]] == 0 and mesh.lid_rim[mesh.faces[first, 1]] == 0
            for n in range(4):
                y, x = 2 * row + n // 2, 2 * column + n % 2
                f = triangle[y, x]
                if f < 0 or (sparse and (n == 1 or n == 2)):
                    continue
                _radiance(light, f, barycentric[y, x, 0], barycentric[y, x, 1], scene, scratch)
                for k in range(3):
                    shown = FILM_CURVE[min(int(max(light[k], 0.0) * scale + 0.5), len(FILM_CURVE) - 1)]
                    image[row, column, k] += shown * (0.5 if sparse else 0.25)
    return image, matte
