"""Procedural textures of synthetic heads, a point at a time. Each writes a linear colour into `colour` (3,).

They live in coordinates that stick to the surface: the AVERAGE head's canonical position for skin and cloth, the
direction from the eye's centre for eyeballs, (sine, cosine of the azimuth, row) for hair and coverings.
"""

import math

import numba
import numpy as np

from mpkit.synthetic.raster import FAST


@numba.njit(inline="always")
def smooth(low, high, x):
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)


@numba.njit(inline="always")
def _hash(x, y, z):
    n = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
    n = (n ^ (n >> 13)) * 1274126177
    return ((n ^ (n >> 16)) & 0xFFFF) / 32767.5 - 1.0


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def noise(x, y, z):
    """Smooth noise in [-1, 1], one lump per unit."""
    i, j, k = int(math.floor(x)), int(math.floor(y)), int(math.floor(z))
    a, b, c = x - i, y - j, z - k
    a, b, c = a * a * (3 - 2 * a), b * b * (3 - 2 * b), c * c * (3 - 2 * c)
    front = (1 - b) * ((1 - a) * _hash(i, j, k) + a * _hash(i + 1, j, k)) + b * (
        (1 - a) * _hash(i, j + 1, k) + a * _hash(i + 1, j + 1, k)
    )
    back = (1 - b) * ((1 - a) * _hash(i, j, k + 1) + a * _hash(i + 1, j, k + 1)) + b * (
        (1 - a) * _hash(i, j + 1, k + 1) + a * _hash(i + 1, j + 1, k + 1)
    )
    return (1 - c) * front + c * back


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _along(x, xs, ys):
    """Piecewise linear interpolation; constant beyond the ends."""
    if x <= xs[0]:
        return ys[0]
    for n in range(1, len(xs)):
        if x < xs[n]:
            return ys[n - 1] + (ys[n] - ys[n - 1]) * (x - xs[n - 1]) / (xs[n] - xs[n - 1])
    return ys[-1]


@numba.njit(inline="always")
def mix(colour, other, weight):
    for n in range(3):
        colour[n] += (other[n] - colour[n]) * weight


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def paint_skin(colour, x, y, z, lid, look, features):
    """Skin, or cloth below the collar, at the average head's point (x, y, z); returns its gloss and how rough it is."""
    ox, oy, oz = look.offset[0], look.offset[1], look.offset[2]
    broad = noise(x * 5 + ox, y * 5 + oy, z * 5 + oz)
    middle = noise(x * 17 + oy, y * 17 + oz, z * 17 + ox)
    fine = noise(x * 70 + oz, y * 70 + ox, z * 70 + oy)
    side = abs(x)
    front = smooth(0.25, -0.1, z)
    eye_x, eye_y = features.eye[0], features.eye[1]
    tip_y, base_y = features.nose[0], features.nose[1]
    # cloth on the body
    collar = features.crown[2] + look.neckline + look.plunge * math.exp(-((x / 0.22) ** 2)) * front
    if y > collar:
        _paint_cloth(colour, x, y, z, look)
        if y < collar + 0.045:
            mix(colour, look.cloth_trim, 0.8)
        return 0.12, 0.25
    colour[:] = look.skin
    shade = 1 + look.mottling * (0.08 * broad + 0.06 * middle + 0.05 * fine)
    # blood near the surface: cheeks, tip of the nose, ears, around the eyes
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
    # hair roots on the scalp; none below the eyes
    if front < 1 or y < eye_y:
        up = features.crown[0] - y
        behind = z - features.crown[1]
        azimuth = abs(math.atan2(x, -behind))
        polar = math.acos(up / math.sqrt(x * x + up * up + behind * behind + 1e-9))
        roots = smooth(-0.04, 0.07, _along(azimuth, look.knots, look.hairline) - polar + 0.05 * middle + 0.03 * fine)
        mix(colour, look.hair, 0.92 * roots)
    # beard
    if look.beard > 0:
        corner = features.lips[10, 0]
        mouth_y = features.lips[0, 1]
        top = base_y + 0.02 + (mouth_y - base_y) * smooth(0.05, corner + 0.03, side)
        top -= (mouth_y - eye_y) * 0.9 * smooth(corner + 0.08, 0.42, side)
        grown = smooth(top - 0.02, top + 0.03, y + 0.02 * middle + 0.012 * fine)
        grown *= smooth(0.68, 0.5, y) * smooth(0.2, 0.1, z)
        grown *= 1 - 0.6 * smooth(0.05, 0.02, side) * smooth(mouth_y + 0.02, mouth_y, y)
        strands = 0.8 + 0.35 * noise(x * 120 + ox, y * 30, z * 120)
        for n in range(3):
            stubble = look.hair[n] * strands if look.beard > 0.5 else 0.5 * look.hair[n] + 0.25 * look.skin[n]
            colour[n] += (stubble - colour[n]) * min(1.0, 0.25 + look.beard) * grown
        gloss *= 1 - 0.8 * grown
    # lips
    if side < features.lips[10, 0] + 0.02 and front > 0.5:
        upper = _along(x, features.lips[:, 0], features.lips[:, 1])
        lower = _along(x, features.lips[:, 0], features.lips[:, 2])
        inside = smooth(-0.010, 0.012, min(y - upper, lower - y))
        mix(colour, look.lips, 0.9 * inside)
        gloss += 0.5 * inside
    # brows
    reach = (side - features.brow[0, 0]) / (features.brow[4, 0] - features.brow[0, 0])
    if -0.25 < reach < 1.2 and front > 0.2:
        middle_y = _along(side, features.brow[:, 0], features.brow[:, 1])
        width = look.brow_thickness * (1.15 - 0.65 * max(reach, 0.0))
        width *= smooth(-0.15, 0.12, reach) * smooth(1.12, 0.9, reach)
        hairs = 0.75 + 0.45 * noise(side * 110 - y * 60 + ox, y * 40 - side * 25, 3.0)
        weight = smooth(1.25, 0.55, abs(y - middle_y + 0.008 * middle) / max(width, 1e-3)) * hairs
        weight *= smooth(-0.12, 0.05, reach) * smooth(1.1, 0.8, reach)
        mix(colour, look.brow, min(1.0, look.brow_strength * weight))
    # lids: shadow, lashes
    if lid > 0.02:
        lash = smooth(0.1, 0.75, lid) * (0.65 + 0.35 * look.make_up)
        mix(colour, look.brow * np.float32(0.2), 0.9 * lash)
    if look.make_up > 0.3:
        shadow = math.exp(-(((side - eye_x) / 0.09) ** 2) - ((y - eye_y + 0.045) / 0.035) ** 2) * front
        mix(colour, look.cover_trim * np.float32(0.4), 0.35 * look.make_up * shadow)
    return gloss, 1.0


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def _paint_cloth(colour, x, y, z, look):
    f = look.frequency
    colour[:] = look.cloth
    if look.pattern == 1:
        weight = smooth(-0.1, 0.1, math.sin(f * x + 0.4 * f * y))
    elif look.pattern == 2:
        weight = 0.5 * smooth(-0.1, 0.1, math.sin(f * x)) + 0.5 * smooth(-0.1, 0.1, math.sin(f * y))
    elif look.pattern == 3:
        weight = smooth(0.0, 0.15, noise(x * f * 0.5, y * f * 0.5, z * f * 0.5))
    else:
        weight = 0.0
    mix(colour, look.cloth_trim, 0.7 * weight)
    weave = 1 + 0.12 * noise(x * 150, y * 150, z * 150) + 0.15 * noise(x * 9 + look.offset[0], y * 9, z * 9)
    for n in range(3):
        colour[n] *= weave


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def paint_eye(colour, x, y, z, look):
    """The eyeball at the direction (x, y, z) from its centre; the rest gaze is along -z."""
    length = math.sqrt(x * x + y * y + z * z) + 1e-9
    angle = math.acos(min(max(-z / length, -1.0), 1.0)) / look.iris_radius
    spoke = math.atan2(y, x)
    white = 0.52 - 0.12 * smooth(1.3, 2.6, angle)
    colour[0], colour[1], colour[2] = white, white * 0.91, white * 0.86
    streaks = 1 + 0.35 * noise(spoke * 5 + look.offset[0], angle * 1.5, 1.0)
    for n in range(3):
        iris = look.iris[n] * streaks * (1.3 - 0.75 * smooth(0.72, 1.0, angle)) + 0.01
        inside = smooth(1.06, 0.97, angle)
        colour[n] += (iris - colour[n]) * inside
        colour[n] *= 1 - 0.97 * smooth(look.pupil + 0.06, look.pupil - 0.04, angle)


@numba.njit(cache=True, nogil=True, fastmath=FAST)
def paint_shell(colour, s, c, row, is_hair, look):
    """Hair or covering at (sine, cosine of the azimuth, row); returns its gloss."""
    azimuth = math.atan2(s, c)
    f = look.offset[1]
    if is_hair:
        streak = 0.5 * noise(s * 26 + f, c * 26, row * 2.5) + 0.5 * noise(s * 70, c * 70 + f, row * 4)
        broad = noise(s * 5 + f, c * 5, row * 3)
        bright = (0.85 + 0.45 * streak + 0.2 * broad) * (0.8 + 0.3 * row)
        for n in range(3):
            colour[n] = look.hair[n] * bright + 0.004
        return 0.5
    colour[:] = look.cover
    if look.pattern == 1:
        mix(colour, look.cover_trim, 0.7 * smooth(-0.1, 0.1, math.sin(row * look.frequency * 0.7)))
    elif look.pattern == 3:
        mix(colour, look.cover_trim, 0.6 * smooth(0.0, 0.15, noise(s * 6 + f, c * 6, row * 8)))
    if 0.72 < row < 0.82 and look.pattern != 1:
        mix(colour, look.cover_trim, 0.8)
    weave = 1 + 0.1 * noise(azimuth * 60, row * 90, f) + 0.2 * noise(s * 7, c * 7 + f, row * 4)
    for n in range(3):
        colour[n] *= weave
    return 0.15
