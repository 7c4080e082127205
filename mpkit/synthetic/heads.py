"""Renders of synthetic people with exact labels: any number of them, and no picture of a real person. `mpkit heads`."""

import functools

import numpy as np

from mpkit.synthetic import wear
from mpkit.synthetic.acting import sample_clip
from mpkit.synthetic.anatomy import Identity, landmarks_on, load_template, make_identity, move, sample_identity
from mpkit.synthetic.look import FeatureLayout, Look, carved, sample_look
from mpkit.synthetic.painting import Style, finish, sample_style
from mpkit.synthetic.poses import SyntheticMotion, gaze_of, sample_motion
from mpkit.synthetic.raster import rasterize, vertex_normals
from mpkit.synthetic.shading import ambient_occlusion, shade, shadow_map

ACTING_SHARE = 0.5  # of people whose frames are a natural clip; the others take random poses
NEAREST_CAMERA = 3.5  # head crops from the head's centre: about 60 cm, an outstretched arm
COLLAR = 0.72  # y of the average head's canonical coordinates where clothes begin, more or less


@functools.lru_cache(maxsize=1)
def _texture() -> tuple[np.ndarray, FeatureLayout]:
    """Texture coordinates (N, 3) that stick to the surface, and where the painted features lie in them."""
    template = load_template()
    average = make_identity({"age": 0.67}, {}, np.random.default_rng(0)).neutral
    face = landmarks_on(average)
    texture = np.concatenate([average[: len(template.kept)], wear.shell_coordinates()]).astype(np.float32)
    eyes = [average[eye].mean(0) for eye in template.eyes]
    for eye, centre in zip(template.eyes, eyes, strict=True):
        texture[eye] = average[eye] - centre

    def middle(left, right):  # landmarks of both sides -> (|x|, y), symmetrical
        return (face[left, :2] * (-1, 1) + face[right, :2]) / 2

    above = middle([107, 66, 105, 63, 70], [336, 296, 334, 293, 300])
    below = middle([55, 65, 52, 53, 46], [285, 295, 282, 283, 276])
    upper = face[[61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]]
    lower = face[[61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]]
    lips = np.stack([(upper[:, 0] + lower[:, 0]) / 2, upper[:, 1], lower[:, 1]], -1)
    lips = (lips + lips[::-1] * (-1, 1, 1)) / 2
    skull = wear.skull_centre(average[template.scalp])
    features = FeatureLayout(
        brow=((above + below) / 2).astype(np.float32),
        lips=lips.astype(np.float32),
        eye=np.float32((abs(eyes[1][0]), eyes[1][1])),
        nose=np.float32((face[4, 1], face[2, 1], abs(face[48, 0]))),
        crown=np.float32((skull[1], skull[2], COLLAR)),
    )
    return texture, features


def _sample_look(rng: np.random.Generator, identity: Identity) -> Look:
    worn, knots = identity.wear, wear.KNOTS
    hairline = np.radians(wear.HAIRCUTS[worn.hair][0]) if worn.hair != "none" else np.zeros(len(knots))
    return sample_look(rng, identity.age, identity.femininity, worn.beard, hairline, knots)


def render_identity(seed: int, frames: int = 8, size: int = 256) -> dict[str, np.ndarray]:
    """One random person in `frames` poses and expressions, the first nearly frontal and at rest. Same seed, same bytes.

    K frames of size S (even), N vertices, T triangles. Coordinates as in mpkit.geometry:
      images (K, S, S, 4) uint8          RGB on a background, and the matte
      triangle (K, S/2, S/2) int32       the triangle seen at the pixel centres of the half-size picture, -1 background
      barycentric (K, S/2, S/2, 2) float16  weights of its first two corners
      vertices (K, N, 3) float16         view points, as the camera sees them
      neutral (N, 3) float32             the person's neutral head in canonical coordinates
      faces (T, 3) int32                 the same for all people
      rotation (K, 3, 3), translation (K, 3), scale (K,) float32   pose of the head: view = s R canonical + t,
                                         but for the perspective of a camera that is near
      actions (K, 52), gaze (K, 2) float32   true values, in the order of mpkit.faces.tracker.ACTIONS; gaze in [-1, 1]
    """
    if size < 2 or size % 2:
        raise ValueError(f"the size of the pictures must be even and positive, got {size}")
    rng = np.random.default_rng(seed)
    identity = sample_identity(rng)
    look, style = _sample_look(rng, identity), sample_style(rng)
    if style.kind == "sculpture":
        look = carved(look, rng)
    if rng.random() < ACTING_SHARE:
        motions = [sample_motion(rng, neutral=True), *sample_clip(rng, frames - 1)]
    else:
        motions = [sample_motion(rng, neutral=n == 0) for n in range(frames)]
    template = load_template()
    normals = vertex_normals(identity.neutral, template.faces)
    occlusion = ambient_occlusion(identity.neutral, normals, template.faces)
    marks = np.zeros((len(identity.neutral), 2), np.float32)
    marks[: len(template.kept), 0] = template.lid_line
    marks[:, 1] = occlusion
    nearness = rng.uniform(0, 1 / NEAREST_CAMERA)
    labels = [
        _render(identity, motion, look, style, marks, size, rng.normal(0, 0.3, 2), nearness) for motion in motions
    ]
    fields = {name: np.stack([label[name] for label in labels]) for name in labels[0]}
    return fields | {"neutral": identity.neutral, "faces": template.faces}


def in_perspective(vertices: np.ndarray, nearness: float) -> np.ndarray:
    """View points (N, 3) as a camera sees them that is 1 / nearness in front of the middle of the crop; what is nearer
    looks larger. Depths stay, and with nearness 0 all of it."""
    across = vertices[:, :2] / (1 + np.float32(nearness) * vertices[:, 2:])
    return np.concatenate([across, vertices[:, 2:]], axis=1)


def _render(
    identity: Identity,
    motion: SyntheticMotion,
    look: Look,
    style: Style,
    marks: np.ndarray,
    size: int,
    shift: np.ndarray,
    nearness: float,
) -> dict[str, np.ndarray]:
    template, (texture, features) = load_template(), _texture()
    vertices = move(identity, motion)
    seen = in_perspective(vertices, nearness)
    normals = vertex_normals(vertices, template.faces)
    fine, weights, _ = rasterize(seen, template.faces, 2 * size)
    shadow, basis = shadow_map(vertices, template.faces, look.light)
    colour, matte = shade(
        fine, weights, template.faces, template.part, vertices, normals, texture, marks, shadow, basis, look, features
    )
    picture = finish(colour, matte, style, shift)
    triangle, barycentric, _ = rasterize(seen, template.faces, size // 2)
    return {
        "images": picture,
        "triangle": triangle,
        "barycentric": barycentric.astype(np.float16),
        "vertices": seen.astype(np.float16),
        "rotation": motion.rotation,
        "translation": motion.translation,
        "scale": np.float32(motion.scale),
        "actions": motion.actions,
        "gaze": gaze_of(motion.actions),
    }
