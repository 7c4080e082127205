"""Lifted stills: one picture of a real or painted person becomes many poses and expressions with its own texture.

The average head is bent until its landmarks meet those of the picture, takes the picture as its texture, and moves as
synthetic heads do. A sheet behind it carries what the head mesh does not cover: hair, hats, neck and shoulders. What
the picture does not show (mouth inside, closed lids, far cheek) is filled in from its surroundings, and marked where
that is no more than a guess. `mpkit prepare` lifts every still of a folder. The frames of a clip keep their own
pictures: there the bent head gives the labels alone.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mpkit.data.tracked import true_actions
from mpkit.errors import NoFaceError
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face
from mpkit.faces.matte import Matte
from mpkit.media.images import read_image
from mpkit.synthetic import wear
from mpkit.synthetic.anatomy import Identity, express, landmarks_on, load_template, make_identity, move
from mpkit.synthetic.poses import SyntheticMotion, gaze_of, rotation_matrix, sample_actions
from mpkit.synthetic.raster import interpolate, rasterize

SHEET = 48  # cells along each side of the sheet behind the head
SHEET_REACH = 1.3  # its half side, crop units
SHEET_DEPTH = 0.12  # where it stands: behind the face, about at the ears
BEND_REACH = 0.35  # canonical units over which a landmark pulls the mesh along
HIDDEN_BEHIND = 0.04
BLURS = (1, 2, 4, 8, 16, 32)  # pixels by which colours flow into what the picture does not show (standard deviations)
BELIEVED = 1 / 64  # of the picture's side: what flows in from farther away is a guess that nobody should learn from
LARGEST_YAW = 30  # degrees; a profile shows too little to lift
TEXTURE_SIDE = 512  # pixels of the crop that serves as texture
INSIDE_COLOURS = {
    "mouth": (0.16, 0.05, 0.05),
    "tongue": (0.45, 0.2, 0.19),
    "teeth": (0.8, 0.76, 0.68),
    "eye": (0.8, 0.77, 0.74),
}


class Lift(NamedTuple):
    """A picture ready to be moved. Canonical coordinates; N vertices: the head mesh, what is worn, the sheet."""

    identity: Identity
    source: SyntheticMotion  # pose and expression of the picture itself
    texture: np.ndarray  # (side, side, 4) float32 premultiplied RGBA
    places: np.ndarray  # (N, 2) where the picture shows each vertex, crop coordinates
    depth: np.ndarray  # (side, side) z of what the picture shows


@functools.lru_cache(maxsize=1)
def mesh() -> tuple[np.ndarray, np.ndarray]:
    """Triangles (T, 3) of head and sheet, and whether each belongs to the mouth, the teeth ... (T,) index into PARTS.
    The mesh's own shoulders are left out: the sheet has the real ones."""
    template = load_template()
    share = np.concatenate([template.head_share, np.ones(wear.VERTICES, np.float32)])
    kept = share[template.faces].min(1) > 0.6
    sheet = wear.grid_triangles(SHEET + 1, SHEET + 1, len(template.kept) + wear.VERTICES, closed=False)
    part = np.concatenate([template.part[kept], np.full(len(sheet), wear.PARTS.index("hair"), np.int32)])
    return np.concatenate([template.faces[kept], sheet]), part


def lift(image: np.ndarray, face: Face, alpha: np.ndarray, crop: Crop) -> Lift:
    """The picture (H, W, 3) uint8 with its tracked face, and the matte (side, side) of its head crop."""
    source = SyntheticMotion(face.rotation, np.zeros(3, np.float32), 1.0, face.rotation, true_actions(face))
    average, (sheet, share) = _average(), _sheet(face.rotation)
    identity = average._replace(
        neutral=np.concatenate([bent_head(face), sheet]),
        head_share=np.concatenate([average.head_share, share]).astype(np.float32),
    )
    side = len(alpha)
    rgb = cut(image, crop, side).astype(np.float32) / 255
    texture = np.concatenate([rgb * alpha[..., None], alpha[..., None]], -1).astype(np.float32)
    vertices = move(identity, source)
    _, _, depth = rasterize(vertices, mesh()[0], side)
    return Lift(identity, source, texture, vertices[:, :2], depth)


@functools.lru_cache(maxsize=1)
def _average() -> Identity:
    """The average head, bald and with nothing on."""
    average = make_identity({"age": 0.67}, {}, np.random.default_rng(0))
    bare, count = average.neutral.copy(), len(load_template().kept)
    bare[count + wear.HAIR.start : count + wear.GLASSES.stop] = wear.HIDDEN
    return average._replace(neutral=bare)


def bent_head(face: Face) -> np.ndarray:
    """The neutral average head so bent that with the face's expression its landmarks are the face's: canonical
    vertices (N, 3) float32, without sheet."""
    average = _average()
    posed = express(average, true_actions(face))
    view = (face.landmarks[:468] - np.append(face.centre, 0)) / face.radius
    view[:, 2] -= (view[:, 2] - (landmarks_on(posed) @ face.rotation.T)[:, 2]).mean()
    return (average.neutral + _bend(landmarks_on(posed), view @ face.rotation, posed)).astype(np.float32)


def _bend(landmarks: np.ndarray, wanted: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Offsets (P, 3) of `points` for a smooth bend that takes landmarks (468, 3) to where they are `wanted`."""
    distance = np.linalg.norm(landmarks[:, None] - landmarks, axis=-1)
    kernel = np.exp(-distance / BEND_REACH)
    weights = np.linalg.solve(kernel + 0.05 * np.eye(len(kernel)), wanted - landmarks)
    reach = np.linalg.norm(points[:, None] - landmarks, axis=-1)
    return np.exp(-reach / BEND_REACH) @ weights


def _sheet(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sheet in canonical coordinates, (cells, 3), and how far each point follows the head: hair, not shoulders."""
    axis = np.linspace(-SHEET_REACH, SHEET_REACH, SHEET + 1)
    x, y = np.meshgrid(axis, axis)
    view = np.stack([x, y, np.full_like(x, SHEET_DEPTH)], -1).reshape(-1, 3)
    fall = np.clip((view[:, 1] - 0.42) / 0.4, 0, 1)
    return view @ rotation, 1 - fall * fall * (3 - 2 * fall)


def render(lifted: Lift, motion: SyntheticMotion, size: int) -> dict[str, np.ndarray]:
    """One frame of a lifted picture: the fields of a frame of data.heads.render_identity."""
    faces, part = mesh()
    vertices = move(lifted.identity, motion)
    triangle, barycentric, _ = rasterize(vertices, faces, size)
    seen = triangle >= 0
    places = interpolate(lifted.places, faces, triangle[seen], barycentric[seen])
    there = interpolate(move(lifted.identity, lifted.source), faces, triangle[seen], barycentric[seen])[:, 2]
    side = len(lifted.texture)
    pixel = np.full((size, size, 2), -side, np.float32)  # far outside: nothing
    pixel[seen] = (places + 1) * side / 2 - 0.5
    picture = cv2.remap(lifted.texture, pixel[..., 0], pixel[..., 1], cv2.INTER_LINEAR, borderValue=0)
    column, row = (pixel[seen][:, axis].round().astype(int).clip(0, side - 1) for axis in (0, 1))
    known = np.ones((size, size), np.float32)
    known[seen] = (there < lifted.depth[row, column] + HIDDEN_BEHIND) & (np.abs(places) < 1).all(1)
    picture, believed = fill(picture, known, np.where(seen, part[triangle], -1))
    half_triangle, half_barycentric, _ = rasterize(vertices, faces, size // 2)
    rgb, alpha = picture[..., :3], picture[..., 3:].clip(0, 1)
    straight = np.where(alpha > 1e-3, rgb / np.maximum(alpha, 1e-3), 0)
    half_alpha = cv2.resize(alpha[..., 0], (size // 2, size // 2), interpolation=cv2.INTER_AREA)
    return {
        "images": (np.concatenate([straight, alpha], -1).clip(0, 1) * 255).round().astype(np.uint8),
        "triangle": np.where(half_alpha > 0.5, half_triangle, -1).astype(np.int32),
        "barycentric": half_barycentric.astype(np.float16),
        "vertices": vertices.astype(np.float16),
        "rotation": motion.rotation.astype(np.float32),
        "translation": motion.translation.astype(np.float32),
        "scale": np.float32(motion.scale),
        "actions": motion.actions.astype(np.float32),
        "gaze": gaze_of(motion.actions),
        "believed": believed,
    }


def label_frames(faces: list[Face], crop: Crop, mattes: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Labels of frames of one person: the fields of data.heads.render_identity that say which point of the head is
    where. Each frame's head is bent onto its own landmarks; the neutral head is the mean of them. Hair, shoulders and
    what the matte (S, S) in [0, 1] leaves out have no label."""
    triangles, part = mesh()
    kept = np.flatnonzero(part != wear.PARTS.index("hair"))  # not the sheet
    average, heads = _average(), [bent_head(face) for face in faces]
    frames = []
    for face, head, matte in zip(faces, heads, mattes):
        half = len(matte) // 2
        place = SyntheticMotion(
            face.rotation,
            np.append(crop.to_crop(face.centre), 0),
            face.radius / crop.radius,
            face.rotation,
            true_actions(face),
        )
        vertices = move(average._replace(neutral=head), place)
        seen, barycentric, _ = rasterize(vertices, triangles[kept], half)
        person = cv2.resize(matte.astype(np.float32), (half, half), interpolation=cv2.INTER_AREA) > 0.5
        triangle = np.where(person & (seen >= 0), kept[seen], -1).astype(np.int32)
        frames.append((triangle, barycentric.astype(np.float16), vertices))
    triangle, barycentric, vertices = map(np.stack, zip(*frames))
    nowhere = np.zeros((len(faces), (SHEET + 1) ** 2, 3))
    vertices = np.concatenate([vertices, nowhere], 1).astype(np.float16)
    neutral = np.concatenate([np.mean(heads, 0), nowhere[0]]).astype(np.float32)
    return {"triangle": triangle, "barycentric": barycentric, "vertices": vertices, "neutral": neutral}


def fill(picture: np.ndarray, known: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colours where the picture (S, S, 4) is not `known`: the insides of mouth and eyes have their own, lit as the face
    is; skin and hair flow in from what is known around. And where they may be believed, (S, S) bool: not in an eye that
    the picture shows closed, for where its iris is nobody knows."""
    skin = (part == wear.PARTS.index("skin")) & (known > 0)
    light = float(np.median(picture[skin][:, :3].mean(1))) / 0.6 if skin.any() else 1.0
    closed_eye = (part == wear.PARTS.index("eye")) & (known == 0)
    picture, known = picture.copy(), known.copy()
    for name, colour in INSIDE_COLOURS.items():
        inside = (part == wear.PARTS.index(name)) & (known == 0)
        picture[inside] = (*np.clip(np.float32(colour) * light, 0, 1), 1.0)
        known[inside] = 1
    spread, weight = picture * known[..., None], known
    filled, left = picture.copy(), known == 0
    believed = ~left & ~closed_eye
    for radius in BLURS:
        blurred, mass = (cv2.GaussianBlur(layer, (0, 0), radius) for layer in (spread, weight))
        near = left & (mass > 0.02)
        filled[near] = blurred[near] / mass[near, None]
        left &= ~near
        if radius <= BELIEVED * len(picture):
            believed |= near
    return filled, believed


def random_motion(rng: np.random.Generator, lifted: Lift) -> SyntheticMotion:
    """A pose near that of the picture, and any expression. The shoulders stay as they are."""
    yaw, pitch, roll = np.clip(rng.normal(0, (13, 8, 6)), -28, 28)
    turn = rotation_matrix(float(yaw), float(pitch), float(roll))
    translation = np.array([*rng.normal(0, 0.03, 2), 0.0], np.float32)
    return SyntheticMotion(
        turn @ lifted.source.rotation,
        translation,
        float(rng.uniform(0.93, 1.07)),
        lifted.source.body_rotation,
        sample_actions(rng),
    )


def lift_person(path: Path, frames: int, size: int, seed: int, tracker, matte: Matte) -> dict[str, np.ndarray]:
    """One picture as a person of a shard: frame 0 as the picture shows it, then random motions. Raises MpkitError."""
    image = read_image(path)
    faces = tracker.detect(image)
    if not faces:
        raise NoFaceError(f"{path}: no face")
    if abs(faces[0].angles[0]) > LARGEST_YAW:
        raise NoFaceError(f"{path}: seen too much from the side")
    crop = Crop.of(faces[0])
    lifted = lift(image, faces[0], matte.in_crop(image, crop, TEXTURE_SIDE), crop)
    rng = np.random.default_rng(seed)
    motions = [lifted.source] + [random_motion(rng, lifted) for _ in range(frames - 1)]
    rendered = [render(lifted, motion, size) for motion in motions]
    fields = {name: np.stack([frame[name] for frame in rendered]) for name in rendered[0]}
    return fields | {"neutral": lifted.identity.neutral, "faces": mesh()[0]}
