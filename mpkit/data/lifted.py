"""Lifted stills: one picture of a real or painted person becomes a moving textured head.

The average head is deformed until its landmarks meet those of the picture. It takes the picture as its texture and
moves as synthetic heads do. A flat sheet behind it carries what the head mesh does not cover: hair, hats, neck and
shoulders. What the picture does not show (mouth interior, see mouth_interior.py, closed eyes, far cheek) is filled in,
and marked unreliable where the colours come from far away. `mpkit prepare` lifts every still of a folder. Frames of a
clip keep their own pictures and take only labels from a deformed head (`label_frames`).
"""

import functools
from typing import NamedTuple

import cv2
import numpy as np

from mpkit.actions import ACTIONS, gaze_of
from mpkit.data.head_crops import HeadCrop
from mpkit.data.mouth_interior import INTERIOR, carried_by_the_skull, shaded_interior
from mpkit.data.people import REAL
from mpkit.faces.canonical import LIPS_APART
from mpkit.faces.crop import Crop, cut, pose_in
from mpkit.faces.face import Face
from mpkit.synthetic import wear
from mpkit.synthetic.anatomy import Identity, average_identity, express, landmarks_on, load_template, move
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix, sample_actions
from mpkit.synthetic.raster import interpolate, rasterize

SHEET_CELLS = 48  # along each side of the sheet behind the head
SHEET_HALF_SIDE = 1.3  # crop units
SHEET_DEPTH = 0.12  # view z of the sheet: behind the face, about at the ears
DEFORMATION_LENGTH = 0.35  # canonical units in which the pull of a landmark on the mesh falls to 1/e
OCCLUSION_MARGIN = 0.04  # canonical units; a point farther than this behind what the picture shows is hidden
FILL_SIGMAS = (1, 2, 4, 8, 16, 32)  # pixels, standard deviations of the blurs that fill in hidden pixels
MAX_RELIABLE_SIGMA = 1 / 64  # of the picture's side; a colour from a wider blur is unreliable
INNER_LIPS = [13, 14]  # landmarks: middle of the upper and the lower inner edge
MAX_YAW = 30  # degrees; a face seen more from the side shows too little to lift
WHITE = 0.99  # quantile of the brightness of a face: a white surface in its light is about as bright
TEXTURE_SIDE = 512  # pixels of the crop that serves as texture
EYE_WHITE = (0.8, 0.77, 0.74)  # RGB in [0, 1] of hidden eyeballs, in the light of skin of brightness 0.6


class Lift(NamedTuple):
    """A picture ready to be moved. N vertices: the head mesh, what it wears, the sheet; the texture has side X."""

    identity: Identity  # the deformed head and the sheet, canonical
    source: SyntheticMotion  # pose and expression of the picture itself
    texture: np.ndarray  # (X, X, 4) float32 premultiplied RGBA
    places: np.ndarray  # (N, 2) where the picture shows each vertex, crop coordinates
    depth: np.ndarray  # (X, X) view z of what the picture shows
    mouth: np.ndarray | None  # (X, X, 4) premultiplied: the inside of the mouth where the picture shows it; None: shut
    white: float  # brightness in [0, 1] of a white surface in the picture's light


@functools.lru_cache(maxsize=1)
def mesh() -> tuple[np.ndarray, np.ndarray]:
    """Triangles (T, 3) of the head and the sheet, and the part of the head that each belongs to, (T,) index into
    wear.PARTS. The mesh has no shoulders: the sheet shows those of the picture."""
    template = load_template()
    share = np.concatenate([template.head_share, np.ones(wear.VERTICES, np.float32)])
    kept = share[template.faces].min(1) > 0.6
    sheet = wear.grid_triangles(SHEET_CELLS + 1, SHEET_CELLS + 1, len(template.kept) + wear.VERTICES, closed=False)
    part = np.concatenate([template.part[kept], np.full(len(sheet), wear.PARTS.index("hair"), np.int32)])
    return np.concatenate([template.faces[kept], sheet]), part


def lift(image: np.ndarray, face: Face, alpha: np.ndarray, crop: Crop) -> Lift:
    """Lifts a picture (H, W, 3) uint8 with its tracked face and the matte (X, X) of its head crop."""
    source = SyntheticMotion(face.rotation, np.zeros(3, np.float32), 1.0, face.rotation, face.actions)
    average, (sheet, share) = _average_head(), _sheet(face.rotation)
    identity = average._replace(
        neutral=np.concatenate([fitted_head(face), sheet]),
        head_share=np.concatenate([average.head_share, share]).astype(np.float32),
    )
    side = len(alpha)
    rgb = cut(image, crop, side).astype(np.float32) / 255
    texture = np.concatenate([rgb * alpha[..., None], alpha[..., None]], -1).astype(np.float32)
    vertices = move(identity, source)
    faces, part = mesh()
    triangle, _, depth = rasterize(vertices, faces, side)
    shown = np.where(triangle >= 0, part[triangle], -1)
    skin = shown == wear.PARTS.index("skin")
    white = float(np.quantile(rgb[skin].mean(1), WHITE)) if skin.any() else 1.0
    upper, lower = face.landmarks[INNER_LIPS]
    opens = np.linalg.norm(lower - upper) > LIPS_APART * face.radius
    inside = np.isin(shown, INTERIOR)[..., None]
    mouth = np.concatenate([rgb * inside, inside], -1).astype(np.float32) if opens else None
    return Lift(identity, source, texture, vertices[:, :2], depth, mouth, white)


@functools.lru_cache(maxsize=1)
def _average_head() -> Identity:
    """The average head, without hair, hats and glasses."""
    average = average_identity()
    bare, count = average.neutral.copy(), len(load_template().kept)
    bare[count + wear.HAIR.start : count + wear.GLASSES.stop] = wear.HIDDEN
    return average._replace(neutral=bare)


def fitted_head(face: Face) -> np.ndarray:
    """The neutral average head, deformed so that with the face's expression its landmarks are those of the face:
    canonical vertices (N, 3) float32, without the sheet."""
    average = _average_head()
    posed = express(average, face.actions)
    view = (face.landmarks[:468] - np.append(face.centre, 0)) / face.radius
    view[:, 2] -= (view[:, 2] - (landmarks_on(posed) @ face.rotation.T)[:, 2]).mean()
    return (average.neutral + _deformation(landmarks_on(posed), view @ face.rotation, posed)).astype(np.float32)


def _deformation(landmarks: np.ndarray, targets: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Offsets (P, 3) of `points` by a smooth deformation that takes landmarks (468, 3) close to their `targets`: the
    kernel matrix is regularised, so that single misread landmarks make no dents."""
    distance = np.linalg.norm(landmarks[:, None] - landmarks, axis=-1)
    kernel = np.exp(-distance / DEFORMATION_LENGTH)
    weights = np.linalg.solve(kernel + 0.05 * np.eye(len(kernel)), targets - landmarks)
    distance = np.linalg.norm(points[:, None] - landmarks, axis=-1)
    return np.exp(-distance / DEFORMATION_LENGTH) @ weights


def _sheet(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sheet's points in canonical coordinates, (P, 3), and the share by which each follows the head, (P,): 1 at the
    height of the hair, 0 at the shoulders."""
    axis = np.linspace(-SHEET_HALF_SIDE, SHEET_HALF_SIDE, SHEET_CELLS + 1)
    x, y = np.meshgrid(axis, axis)
    view = np.stack([x, y, np.full_like(x, SHEET_DEPTH)], -1).reshape(-1, 3)
    fall = np.clip((view[:, 1] - 0.42) / 0.4, 0, 1)
    return view @ rotation, 1 - fall * fall * (3 - 2 * fall)


def render(lifted: Lift, motion: SyntheticMotion, size: int) -> dict[str, np.ndarray]:
    """One frame of a lifted picture: the fields of a frame of `synthetic.heads.render_identity`, and `reliable`
    (size, size) bool, False where the colour is invented. Of the inside of the mouth, colours are reliable if the
    picture shows upper teeth: below them it is dark."""
    faces, part = mesh()
    vertices = move(lifted.identity, motion)
    triangle, barycentric, _ = rasterize(vertices, faces, size)
    covered = triangle >= 0
    visible = faces, triangle[covered], barycentric[covered]
    places = interpolate(lifted.places, *visible)
    shown_part = np.where(covered, part[triangle], -1)
    source_z = interpolate(move(lifted.identity, lifted.source), *visible)[:, 2]
    side = len(lifted.texture)
    pixel = np.full((size, size, 2), -side, np.float32)  # of the texture; far outside of it where no mesh is
    pixel[covered] = (places + 1) * side / 2 - 0.5
    picture = cv2.remap(lifted.texture, pixel[..., 0], pixel[..., 1], cv2.INTER_LINEAR, borderValue=0)
    column, row = (pixel[covered][:, axis].round().astype(int).clip(0, side - 1) for axis in (0, 1))
    known = np.ones((size, size), np.float32)
    known[covered] = (source_z < lifted.depth[row, column] + OCCLUSION_MARGIN) & (np.abs(places) < 1).all(1)
    known[np.isin(shown_part, INTERIOR)] = 0
    picture, reliable = fill(picture, known, shown_part)
    interior = shaded_interior(vertices, size, lifted.white)
    inside = interior[..., 3:]
    if lifted.mouth is not None:
        lips = landmarks_on(lifted.identity.neutral)[INNER_LIPS].mean(0)
        shown = carried_by_the_skull(lifted.mouth, lifted.source, motion, lips, size)
        interior = interior * (1 - shown[..., 3:]) + shown * inside
    picture = picture * (1 - inside) + interior
    reliable = np.where(inside[..., 0] > 0, lifted.mouth is not None, reliable)
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
        "reliable": reliable,
    }


def label_frames(faces: list[Face], crops: list[Crop], mattes: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The label fields of `synthetic.heads.render_identity` for K frames of one person, each with its crop: triangle,
    barycentric, vertices, neutral. Each frame's head is fitted to its own landmarks; the neutral head is their mean.
    Hair, shoulders and what the mattes (S, S) in [0, 1] leave out get no label."""
    triangles, part = mesh()
    kept = np.flatnonzero(part != wear.PARTS.index("hair"))  # without the sheet
    average, heads = _average_head(), [fitted_head(face) for face in faces]
    frames = []
    for face, crop, head, matte in zip(faces, crops, heads, mattes):
        half = len(matte) // 2
        motion = SyntheticMotion(
            face.rotation,
            np.append(crop.to_crop(face.centre), 0),
            face.radius / crop.radius,
            face.rotation,
            face.actions,
        )
        vertices = move(average._replace(neutral=head), motion)
        visible, barycentric, _ = rasterize(vertices, triangles[kept], half)
        person = cv2.resize(matte.astype(np.float32), (half, half), interpolation=cv2.INTER_AREA) > 0.5
        triangle = np.where(person & (visible >= 0), kept[visible], -1).astype(np.int32)
        frames.append((triangle, barycentric.astype(np.float16), vertices))
    triangle, barycentric, vertices = map(np.stack, zip(*frames))
    sheet = np.zeros((len(faces), (SHEET_CELLS + 1) ** 2, 3))  # anywhere: no label lies on it
    vertices = np.concatenate([vertices, sheet], 1).astype(np.float16)
    neutral = np.concatenate([np.mean(heads, 0), sheet[0]]).astype(np.float32)
    return {"triangle": triangle, "barycentric": barycentric, "vertices": vertices, "neutral": neutral}


def fill(picture: np.ndarray, known: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fills in the picture (S, S, 4) where it is not `known` (S, S): eyes get EYE_WHITE in the light of the face,
    all else the blurred colours around it. `part` (S, S) is an index into wear.PARTS, -1 where there is no mesh.

    Returns the picture, and (S, S) bool which colours are reliable: not those of eyes, nor those from far away."""
    skin = (part == wear.PARTS.index("skin")) & (known > 0)
    light = float(np.median(picture[skin][:, :3].mean(1))) / 0.6 if skin.any() else 1.0
    hidden = (part == wear.PARTS.index("eye")) & (known == 0)
    picture, known = picture.copy(), known.copy()
    picture[hidden] = (*np.clip(np.float32(EYE_WHITE) * light, 0, 1), 1.0)
    known[hidden] = 1
    weighted, filled, missing = picture * known[..., None], picture.copy(), known == 0
    reliable = ~missing & ~hidden
    for sigma in FILL_SIGMAS:
        colours, weight = (cv2.GaussianBlur(layer, (0, 0), sigma) for layer in (weighted, known))
        reached = missing & (weight > 0.02)
        filled[reached] = colours[reached] / weight[reached, None]
        missing &= ~reached
        if sigma <= MAX_RELIABLE_SIGMA * len(picture):
            reliable |= reached
    return filled, reliable


def random_motion(rng: np.random.Generator, lifted: Lift, mouth_closed: bool = False) -> SyntheticMotion:
    """A pose near that of the picture, and any expression; with `mouth_closed`, see `with_closed_mouth`: lips hide the
    teeth that the picture may show. The shoulders do not turn."""
    yaw, pitch, roll = np.clip(rng.normal(0, (13, 8, 6)), -28, 28)
    turn = rotation_matrix(float(yaw), float(pitch), float(roll))
    translation = np.array([*rng.normal(0, 0.03, 2), 0.0], np.float32)
    actions = sample_actions(rng)
    if mouth_closed:
        actions = with_closed_mouth(actions, rng)
    return SyntheticMotion(
        turn @ lifted.source.rotation,
        translation,
        float(rng.uniform(0.93, 1.07)),
        lifted.source.body_rotation,
        actions,
    )


def with_closed_mouth(actions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy of actions (52,) with jaw, mouth and tongue at rest but for a faint smile."""
    closed, smile = actions.copy(), rng.uniform(0, 0.2)
    for index, name in enumerate(ACTIONS):
        if name.startswith(("jaw", "mouth", "tongue")):
            closed[index] = smile if name.startswith("mouthSmile") else 0
    return closed


def lift_person(crop: HeadCrop, frames: int, size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A still as a person of a shard: frame REAL as the picture shows it, then random motions, half of them with a
    closed mouth."""
    lifted = lift(crop.picture, crop.face, crop.alpha.astype(np.float32) / 255, crop.square)
    motions = [lifted.source] + [random_motion(rng, lifted, mouth_closed=n % 2 == 0) for n in range(frames - 1)]
    rendered = [render(lifted, motion, size) for motion in motions]
    fields = {name: np.stack([frame[name] for frame in rendered]) for name in rendered[0]}
    fields["images"][REAL], fields["reliable"][REAL] = crop_frame(crop, size), True
    return fields | {"neutral": lifted.identity.neutral.astype(np.float32), "faces": mesh()[0]}


def crop_frame(crop: HeadCrop, size: int) -> np.ndarray:
    """A head crop and its matte as a frame, (size, size, 4) uint8."""
    return cut(np.concatenate([crop.picture, crop.alpha[..., None]], axis=2), crop.square, size)


def real_person(crops: list[HeadCrop], size: int) -> dict[str, np.ndarray]:
    """Real frames of one person as a person of a shard."""
    frames = []
    for crop in crops:
        pose = dict(
            zip(("rotation", "translation", "scale"), (part[0].numpy() for part in pose_in(crop.face, crop.square)))
        )
        numbers = np.concatenate([crop.face.actions, crop.face.gaze])
        frames.append({"images": crop_frame(crop, size), "numbers": numbers, **pose})
    fields = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
    mattes = list(fields["images"][..., 3] / 255)
    labels = label_frames([crop.face for crop in crops], [crop.square for crop in crops], mattes)
    return fields | labels | {"faces": mesh()[0], "found": np.ones(len(crops), bool)}
