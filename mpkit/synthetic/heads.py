"""Renders of synthetic people with exact labels: any number of people, and no picture of a real one. `mpkit heads`."""

import functools
from typing import NamedTuple

import numpy as np

from mpkit.actions import gaze_of
from mpkit.synthetic import wear
from mpkit.synthetic.acting import sample_clip
from mpkit.synthetic.anatomy import Identity, average_identity, landmarks_on, load_template, move, sample_identity
from mpkit.synthetic.look import FaceLayout, Look, carved, floats, sample_look
from mpkit.synthetic.painting import Style, finish, sample_style
from mpkit.synthetic.poses import SyntheticMotion, sample_motion
from mpkit.synthetic.raster import rasterize, vertex_normals
from mpkit.synthetic.shading import Mesh, Scene, shade, shadow_map, sky_visibility

CLIP_SHARE = 0.5  # share of people whose frames are one clip of natural motion; the others take random poses
MIN_CAMERA_DISTANCE = 3.5  # view units from the centre of the head: about 60 cm, an outstretched arm
COLLAR_Y = 0.72  # canonical y of the average head at which clothes begin, before a `Look` moves it


class Person(NamedTuple):
    """What stays the same in all frames of one person. N vertices."""

    identity: Identity
    look: Look
    style: Style
    sky: np.ndarray  # (N,) float32 visible share of the sky, see `sky_visibility`


@functools.lru_cache(maxsize=1)
def surface_layout() -> tuple[np.ndarray, FaceLayout]:
    """Texture coordinates (N, 3) float32 of all vertices, see textures.py, and where a face lies in them."""
    template, average = load_template(), average_identity().neutral
    texture = np.concatenate([average[: len(template.kept)], wear.texture_coordinates()]).astype(np.float32)
    eyes = [average[eye].mean(0) for eye in template.eyes]
    for eye, centre in zip(template.eyes, eyes, strict=True):
        texture[eye] = average[eye] - centre
    face = landmarks_on(average)

    def mean_of_sides(left: list[int], right: list[int]) -> np.ndarray:
        """(|x|, y) of landmarks, made symmetrical."""
        return (face[left, :2] * (-1, 1) + face[right, :2]) / 2

    above = mean_of_sides([107, 66, 105, 63, 70], [336, 296, 334, 293, 300])
    below = mean_of_sides([55, 65, 52, 53, 46], [285, 295, 282, 283, 276])
    upper = face[[61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]]
    lower = face[[61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]]
    lips = np.stack([(upper[:, 0] + lower[:, 0]) / 2, upper[:, 1], lower[:, 1]])
    lips = (lips + lips[:, ::-1] * [[-1], [1], [1]]) / 2
    brow = (above + below) / 2
    layout = FaceLayout(
        brow_x=floats(brow[:, 0]),
        brow_y=floats(brow[:, 1]),
        lips_x=floats(lips[0]),
        upper_lip_y=floats(lips[1]),
        lower_lip_y=floats(lips[2]),
        eye=floats((abs(eyes[1][0]), eyes[1][1])),
        nose=floats((face[4, 1], face[2, 1])),
        skull=floats(wear.skull_centre(average[template.scalp])[1:]),
        collar=np.float32(COLLAR_Y),
    )
    return texture, layout


def sample_person(rng: np.random.Generator, identity: Identity | None = None) -> Person:
    """A person, by default a random one, with a random look that suits age, hair and beard."""
    identity = sample_identity(rng) if identity is None else identity
    worn, azimuths = identity.wear, wear.KNOT_AZIMUTHS
    hairline = np.radians(wear.HAIRCUTS[worn.hair].edges) if worn.hair != "none" else np.zeros(len(azimuths))
    look = sample_look(rng, identity.age, identity.femininity, worn.beard, hairline, azimuths)
    style = sample_style(rng)
    if style.kind == "sculpture":
        look = carved(look, rng)
    faces = load_template().faces
    sky = sky_visibility(identity.neutral, vertex_normals(identity.neutral, faces), faces)
    return Person(identity, look, style, sky)


def render_identity(
    seed: int, frames: int = 8, size: int = 256, identity: Identity | None = None
) -> dict[str, np.ndarray]:
    """One person, by default a random one, in `frames` poses and expressions, the first nearly frontal and without an
    expression. Only a random person needs Anny.

    The same seed gives the same bytes. ValueError if `size` is odd or not positive. K frames of size S, N vertices, T
    triangles. Coordinates as in mpkit.geometry:
      images (K, S, S, 4) uint8          RGB on a background, and the matte
      triangle (K, S/2, S/2) int32       the triangle that each pixel of the half-size picture shows, -1 background
      barycentric (K, S/2, S/2, 2) float16  weights of its first two corners at the centre of the pixel
      vertices (K, N, 3) float16         view points, in the camera's perspective
      neutral (N, 3) float32             the person's neutral head in canonical coordinates
      faces (T, 3) int32                 the same for all people
      rotation (K, 3, 3), translation (K, 3), scale (K,) float32   pose of the head: view = s R canonical + t,
                                         before the camera's perspective
      actions (K, 52) float32            true values in [0, 1], in the order of mpkit.actions.ACTIONS
      gaze (K, 2) float32                true values in [-1, 1]: x to the picture's right, y down
    """
    if size < 2 or size % 2:
        raise ValueError(f"the size of the pictures must be even and positive, got {size}")
    rng = np.random.default_rng(seed)
    person = sample_person(rng, identity)
    if rng.random() < CLIP_SHARE:
        motions = [sample_motion(rng, neutral=True), *sample_clip(rng, frames - 1)]
    else:
        motions = [sample_motion(rng, neutral=n == 0) for n in range(frames)]
    nearness = rng.uniform(0, 1 / MIN_CAMERA_DISTANCE)
    rendered = [render_person(person, motion, size, nearness, rng.normal(0, 0.3, 2)) for motion in motions]
    fields = {name: np.stack([frame[name] for frame in rendered]) for name in rendered[0]}
    return fields | {"neutral": person.identity.neutral, "faces": load_template().faces}


def in_perspective(vertices: np.ndarray, nearness: float) -> np.ndarray:
    """View points (N, 3) as a perspective camera sees them: x and y are divided by 1 + nearness * z, z stays.

    nearness: 1 / distance of the camera from the plane z = 0, in view units; 0 is orthographic.
    """
    xy = vertices[:, :2] / (1 + np.float32(nearness) * vertices[:, 2:])
    return np.concatenate([xy, vertices[:, 2:]], axis=1)


def render_person(
    person: Person, motion: SyntheticMotion, size: int, nearness: float, background_shift: np.ndarray
) -> dict[str, np.ndarray]:
    """One frame: the fields of `render_identity` without the first axis. background_shift (2,): see `finish`."""
    template, (texture, layout) = load_template(), surface_layout()
    vertices = move(person.identity, motion)
    seen = in_perspective(vertices, nearness)
    normals = vertex_normals(vertices, template.faces)
    mesh = Mesh(template.faces, template.part, vertices, normals, texture, template.lid_rim, person.sky)
    shadow = shadow_map(vertices, template.faces, np.array(person.look.light_direction))
    scene = Scene(mesh, shadow, person.look, layout)
    colour, matte = shade(rasterize(seen, template.faces, 2 * size), scene)
    label = rasterize(seen, template.faces, size // 2)
    return {
        "images": finish(colour, matte, person.style, background_shift),
        "triangle": label.triangle,
        "barycentric": label.barycentric.astype(np.float16),
        "vertices": seen.astype(np.float16),
        "rotation": motion.rotation,
        "translation": motion.translation,
        "scale": np.float32(motion.scale),
        "actions": motion.actions,
        "gaze": gaze_of(motion.actions),
    }
