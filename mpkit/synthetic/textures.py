"""Procedural textures of synthetic heads. Each function paints one surface point: it writes a linear colour (3,).

A point is given in texture coordinates that stick to the surface: canonical coordinates on the AVERAGE head for skin
and cloth, the direction from the centre of the eyeball for eyes, `wear.texture_coordinates` for what is worn.
"""

import math
from typing import NamedTuple

import numba
import numpy as np

from mpkit.synthetic.raster import fast_njit


@numba.njit(inline="always")
def smooth(low, high, x):
    """The smoothstep of x: 0 at `low` and before, 1 at `high` and beyond. `low` may be the larger one."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@numba.njit(inline="always")
def _lattice_value(x, y, z):
    """A pseudorandom number in [-1, 1] for three integers."""
    n = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    n = (n ^ (n >> 13)) * 1274126177
    return ((n ^ (n >> 16)) & 0xFFFF) / 32767.5 - 1.0


@fast_njit
def noise(x, y, z):
    """Value noise in [-1, 1]: pseudorandom at integer coordinates, smooth between them."""
    i, j, k = int(math.floor(x)), int(math.floor(y)), int(math.floor(z))
    a, b, c = x - i, y - j, z - k
    a, b, c = a * a * (3 - 2 * a), b * b * (3 - 2 * b), c * c * (3 - 2 * c)
    front = (1 - b) * ((1 - a) * _lattice_value(i, j, k) + a * _lattice_value(i + 1, j, k)) + b * (
        (1 - a) * _lattice_value(i, j + 1, k) + a * _lattice_value(i + 1, j + 1, k)
    )
    back = (1 - b) * ((1 - a) * _lattice_value(i, j, k + 1) + a * _lattice_value(i + 1, j, k + 1)) + b * (
        (1 - a) * _lattice_value(i, j + 1, k + 1) + a * _lattice_value(i + 1, j + 1, k + 1)
    )
    return (1 - c) * front + c * back


@fast_njit
def _piecewise_linear(x, xs, ys):
    """ys (n,) at xs (n,), both tuples, interpolated linearly at x; constant beyond the ends."""
    if x <= xs[0]:
        return ys[0]
    for n in range(1, len(xs)):
        if x < xs[n]:
            return ys[n - 1] + (ys[n] - ys[n - 1]) * (x - xs[n - 1]) / (xs[n] - xs[n - 1])
    return ys[-1]


@numba.njit(inline="always")
def mix(colour, other, weight):
    """Moves `colour` towards another (3,) by `weight` in [0, 1]."""
    for n in range(3):
        colour[n] += (other[n] - colour[n]) * weight


@numba.njit(inline="always")
def _darker(colour, factor):
    """A colour (3,) multiplied by `factor`."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


class SkinPoint(NamedTuple):
    """A point of the average head's skin, canonical coordinates, with what several paint functions need there."""

    x: float
    y: float
    z: float
    side: float  # |x|
    front: float  # 1 on the front of the head, 0 behind the ears
    middle: float  # noise of middle frequency
    fine: float  # noise of high frequency


@fast_njit
def paint_skin(colour, place, lid, look, layout):
    """Skin, or cloth below the collar; returns gloss and roughness, about 0 ... 1.

    place (3,): canonical coordinates on the average head; lid: 1 on the rims of the eyelids, 0 elsewhere.
    """
    x, y, z = place[0], place[1], place[2]
    ox, oy, oz = look.noise_offset[0], look.noise_offset[1], look.noise_offset[2]
    broad = noise(x * 5 + ox, y * 5 + oy, z * 5 + oz)
    middle = noise(x * 17 + oy, y * 17 + oz, z * 17 + ox)
    fine = noise(x * 70 + oz, y * 70 + ox, z * 70 + oy)
    side = abs(x)
    front = smooth(0.25, -0.1, z)
    eye_x, eye_y = layout.eye[0], layout.eye[1]
    tip_y, base_y = layout.nose[0], layout.nose[1]
    collar = layout.collar + look.neckline + look.neckline_depth * math.exp(-((x / 0.22) ** 2)) * front
    if y > collar:
        _paint_cloth(colour, x, y, z, look)
        if y < collar + 0.045:
            mix(colour, look.cloth_trim, 0.8)
        return 0.12, 0.25
    colour[0], colour[1], colour[2] = look.skin
    shade = 1 + look.mottling * (0.08 * broad + 0.06 * middle + 0.05 * fine)
    # Blood shows on cheeks, tip of the nose and ears; eye sockets are darker.
    cheek = math.exp(-(((side - 0.23) / 0.11) ** 2) - ((y - base_y + 0.03) / 0.13) ** 2) * front
    tip = math.exp(-((x / 0.09) ** 2) - ((y - tip_y) / 0.09) ** 2) * front
    ear = smooth(0.42, 0.5, side) * smooth(0.5, 0.2, y)
    red = look.blush * (0.5 * cheek + 0.45 * tip + 0.4 * ear + 0.05 * broad)
    colour[0] *= shade * (1 + 0.1 * red)
    colour[1] *= shade * (1 - 0.28 * red)
    colour[2] *= shade * (1 - 0.24 * red)
    socket = math.exp(-(((side - eye_x) / 0.11) ** 2) - ((y - eye_y - 0.02) / 0.075) ** 2) * front
    for n in range(3):
        colour[n] *= 1 - (0.16 + 0.04 * n) * socket
    if look.freckles > 0:
        spots = smooth(0.45, 0.7, noise(x * 45 + ox, y * 45 + oz, z * 45)) * (cheek + tip + 0.15 * front)
        colour[0] *= 1 - 0.25 * look.freckles * spots
        colour[1] *= 1 - 0.40 * look.freckles * spots
        colour[2] *= 1 - 0.50 * look.freckles * spots
    gloss = 0.5 + 0.5 * tip + 0.25 * smooth(eye_y - 0.1, eye_y - 0.35, y)
    point = SkinPoint(x, y, z, side, front, middle, fine)
    if front < 1 or y < eye_y:  # none on the front of the face below the eyes
        _paint_hair_roots(colour, point, look, layout)
    if look.beard > 0:
        gloss *= 1 - 0.8 * _paint_beard(colour, point, look, layout)
    if side < layout.lips_x[10] + 0.02 and front > 0.5:
        upper = _piecewise_linear(x, layout.lips_x, layout.upper_lip_y)
        lower = _piecewise_linear(x, layout.lips_x, layout.lower_lip_y)
        inside = smooth(-0.010, 0.012, min(y - upper, lower - y))
        mix(colour, look.lips, 0.9 * inside)
        gloss += 0.5 * inside
    _paint_brow(colour, point, look, layout)
    if lid > 0.02:  # lashes
        lash = smooth(0.1, 0.75, lid) * (0.65 + 0.35 * look.make_up)
        mix(colour, _darker(look.brow, np.float32(0.2)), 0.9 * lash)
    if look.make_up > 0.3:  # eye shadow
        shadow = math.exp(-(((side - eye_x) / 0.09) ** 2) - ((y - eye_y + 0.045) / 0.035) ** 2) * front
        mix(colour, _darker(look.cover_trim, np.float32(0.4)), 0.35 * look.make_up * shadow)
    return gloss, 1.0


@numba.njit(inline="always")
def _paint_hair_roots(colour, point, look, layout):
    """The colour of hair on the scalp, so that no skin shows between the strands."""
    up = layout.skull[0] - point.y
    behind = point.z - layout.skull[1]
    azimuth = abs(math.atan2(point.x, -behind))
    polar = math.acos(up / math.sqrt(point.x * point.x + up * up + behind * behind + 1e-9))
    hairline = _piecewise_linear(azimuth, look.hairline_azimuths, look.hairline)
    roots = smooth(-0.04, 0.07, hairline - polar + 0.05 * point.middle + 0.03 * point.fine)
    mix(colour, look.hair, 0.92 * roots)


@numba.njit(inline="always")
def _paint_beard(colour, point, look, layout):
    """Beard or stubble; returns the density of the beard at the point, 0 ... 1."""
    y, z, side = point.y, point.z, point.side
    base_y, eye_y = layout.nose[1], layout.eye[1]
    corner = layout.lips_x[10]
    mouth_y = layout.upper_lip_y[0]
    top = base_y + 0.02 + (mouth_y - base_y) * smooth(0.05, corner + 0.03, side)
    top -= (mouth_y - eye_y) * 0.9 * smooth(corner + 0.08, 0.42, side)
    density = smooth(top - 0.02, top + 0.03, y + 0.02 * point.middle + 0.012 * point.fine)
    density *= smooth(0.68, 0.5, y) * smooth(0.2, 0.1, z)
    density *= 1 - 0.6 * smooth(0.05, 0.02, side) * smooth(mouth_y + 0.02, mouth_y, y)
    strands = 0.8 + 0.35 * noise(point.x * 120 + look.noise_offset[0], y * 30, z * 120)
    for n in range(3):
        stubble = look.hair[n] * strands if look.beard > 0.5 else 0.5 * look.hair[n] + 0.25 * look.skin[n]
        colour[n] += (stubble - colour[n]) * min(1.0, 0.25 + look.beard) * density
    return density


@numba.njit(inline="always")
def _paint_brow(colour, point, look, layout):
    """The hairs of an eyebrow."""
    y, side = point.y, point.side
    reach = (side - layout.brow_x[0]) / (layout.brow_x[4] - layout.brow_x[0])  # 0 at its inner end, 1 at its outer
    if -0.25 < reach < 1.2 and point.front > 0.2:
        middle_y = _piecewise_linear(side, layout.brow_x, layout.brow_y)
        width = look.brow_thickness * (1.15 - 0.65 * max(reach, 0.0))
        width *= smooth(-0.15, 0.12, reach) * smooth(1.12, 0.9, reach)
        hairs = 0.75 + 0.45 * noise(side * 110 - y * 60 + look.noise_offset[0], y * 40 - side * 25, 3.0)
        weight = smooth(1.25, 0.55, abs(y - middle_y + 0.008 * point.middle) / max(width, 1e-3)) * hairs
        weight *= smooth(-0.12, 0.05, reach) * smooth(1.1, 0.8, reach)
        mix(colour, look.brow, min(1.0, look.brow_strength * weight))


@fast_njit
def _paint_cloth(colour, x, y, z, look):
    """Cloth at a point of the average head, canonical coordinates."""
    f = look.pattern_frequency
    colour[0], colour[1], colour[2] = look.cloth
    if look.pattern == 1:
        weight = smooth(-0.1, 0.1, math.sin(f * x + 0.4 * f * y))
    elif look.pattern == 2:
        weight = 0.5 * smooth(-0.1, 0.1, math.sin(f * x)) + 0.5 * smooth(-0.1, 0.1, math.sin(f * y))
    elif look.pattern == 3:
        weight = smooth(0.0, 0.15, noise(x * f * 0.5, y * f * 0.5, z * f * 0.5))
    else:
        weight = 0.0
    mix(colour, look.cloth_trim, 0.7 * weight)
    weave = 1 + 0.12 * noise(x * 150, y * 150, z * 150) + 0.15 * noise(x * 9 + look.noise_offset[0], y * 9, z * 9)
    for n in range(3):
        colour[n] *= weave


@fast_njit
def paint_eye(colour, direction, look):
    """The eyeball in a direction (3,) of any length from its centre; an eye at rest looks along -z."""
    x, y, z = direction[0], direction[1], direction[2]
    length = math.sqrt(x * x + y * y + z * z) + 1e-9
    angle = math.acos(min(max(-z / length, -1.0), 1.0)) / look.iris_radius  # from the axis of the eye; 1 is the rim
    spoke = math.atan2(y, x)
    white = 0.52 - 0.12 * smooth(1.3, 2.6, angle)
    colour[0], colour[1], colour[2] = white, white * 0.91, white * 0.86
    streaks = 1 + 0.35 * noise(spoke * 5 + look.noise_offset[0], angle * 1.5, 1.0)
    for n in range(3):
        iris = look.iris[n] * streaks * (1.3 - 0.75 * smooth(0.72, 1.0, angle)) + 0.01
        inside = smooth(1.06, 0.97, angle)
        colour[n] += (iris - colour[n]) * inside
        colour[n] *= 1 - 0.97 * smooth(look.pupil_radius + 0.06, look.pupil_radius - 0.04, angle)


@fast_njit
def paint_shell(colour, place, is_hair, look):
    """Hair or head covering; returns its gloss. place (3,): sine and cosine of the azimuth, row in [0, 1]."""
    sine, cosine, row = place[0], place[1], place[2]
    azimuth = math.atan2(sine, cosine)
    offset = look.noise_offset[1]
    if is_hair:
        streak = 0.5 * noise(sine * 26 + offset, cosine * 26, row * 2.5)
        streak = streak + 0.5 * noise(sine * 70, cosine * 70 + offset, row * 4)
        broad = noise(sine * 5 + offset, cosine * 5, row * 3)
        brightness = (0.85 + 0.45 * streak + 0.2 * broad) * (0.8 + 0.3 * row)
        for n in range(3):
            colour[n] = look.hair[n] * brightness + 0.004
        return 0.5
    colour[0], colour[1], colour[2] = look.cover
    if look.pattern == 1:
        mix(colour, look.cover_trim, 0.7 * smooth(-0.1, 0.1, math.sin(row * look.pattern_frequency * 0.7)))
    elif look.pattern == 3:
        mix(colour, look.cover_trim, 0.6 * smooth(0.0, 0.15, noise(sine * 6 + offset, cosine * 6, row * 8)))
    if 0.72 < row < 0.82 and look.pattern != 1:
        mix(colour, look.cover_trim, 0.8)
    weave = 1 + 0.1 * noise(azimuth * 60, row * 90, offset) + 0.2 * noise(sine * 7, cosine * 7 + offset, row * 4)
    for n in range(3):
        colour[n] *= weave
    return 0.15
