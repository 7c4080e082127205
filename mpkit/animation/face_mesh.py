"""A driver's numbers drawn as a plain face, for drivers that have no picture: motion files and sliders."""

import functools

import numpy as np
import torch
from PIL import Image, ImageDraw

from mpkit.actions import ACTIONS
from mpkit.animation.transfer import FrameMotion
from mpkit.assets import ASSETS
from mpkit.faces.canonical import EYE_LANDMARKS, FACE_TRIANGLES
from mpkit.geometry import Pose

# Landmarks of the tracker around the opening of the mouth and of both eyes.
LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
MIDDLE_LIDS = ((159, 145), (386, 374))  # the middle of the upper and of the lower lid
SKIN, EYE, MOUTH, IRIS = (196, 187, 172), (244, 242, 236), (92, 52, 48), (66, 82, 88)  # RGB
BACKGROUND = (246, 242, 234)
LIGHT = np.float32((-0.3, -0.5, -0.8))  # towards it
AMBIENT = 0.45  # share of the light that comes from everywhere
IRIS_RADIUS, IRIS_SHIFT = 0.033, (0.045, 0.025)  # canonical units; the shift is that of a whole gaze, right and down
SMOOTH = 2  # pictures are drawn this many times larger


@functools.lru_cache(maxsize=1)
def _shapes() -> tuple[np.ndarray, np.ndarray]:
    """`neutral` (468, 3) and `offsets` (52, 468, 3) of the average face, made by `synthetic.face_actions`."""
    with np.load(ASSETS / "face_actions.npz", allow_pickle=False) as file:
        return file["neutral"].astype(np.float32), file["offsets"].astype(np.float32)


def face_vertices(numbers: np.ndarray) -> np.ndarray:
    """The landmarks (468, 3) of the average face, canonical, with the expression that 54 numbers describe."""
    neutral, offsets = _shapes()
    return neutral + np.tensordot(numbers[: len(ACTIONS)].clip(0, 1), offsets, axes=1)


def draw_face(motion: FrameMotion, size: int = 256, zoom: float = 1.5) -> np.ndarray:
    """The average face in a motion, (size, size, 3) uint8: head pose, expression and gaze. The picture is the middle
    of the motion's head crop, enlarged by `zoom`."""
    numbers = motion.numbers[0].numpy()
    canonical = face_vertices(numbers)
    pose = motion.pose._replace(translation=zoom * motion.pose.translation, scale=zoom * motion.pose.scale)
    view = _in_view(canonical, pose)
    corners = view[FACE_TRIANGLES]  # (T, 3, 3)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-9)
    normals *= -np.sign(normals[:, 2:])  # towards the camera
    light = AMBIENT + (1 - AMBIENT) * (normals @ LIGHT / np.linalg.norm(LIGHT)).clip(0, 1)
    pixels = (corners[..., :2] + 1) * (size * SMOOTH / 2)
    canvas = Image.new("RGB", (size * SMOOTH,) * 2, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for index in np.argsort(-corners[..., 2].mean(1)):  # the farthest first
        colour = _colours()[index]
        shade = light[index] if colour is SKIN else 1.0
        draw.polygon([tuple(point) for point in pixels[index].tolist()], tuple(int(shade * part) for part in colour))
    _draw_irises(draw, canonical, numbers[len(ACTIONS) :], pose, size * SMOOTH)
    return np.asarray(canvas.resize((size, size), Image.LANCZOS))


@functools.lru_cache(maxsize=1)
def _colours() -> list[tuple[int, int, int]]:
    """The colour of each triangle: what lies inside the lips or inside the lids is not skin."""
    colours = []
    for triangle in FACE_TRIANGLES.tolist():
        inside_eye = any(set(triangle) <= set(eye) for eye in EYES)
        colours.append(EYE if inside_eye else MOUTH if set(triangle) <= set(LIPS) else SKIN)
    return colours


def _draw_irises(draw: ImageDraw.ImageDraw, canonical: np.ndarray, gaze: np.ndarray, pose: Pose, side: int):
    """An iris in each eye, cut off by the lids: what lies above and below the opening is not drawn."""
    for (outer, inner, _), lids in zip(EYE_LANDMARKS, MIDDLE_LIDS):
        top, bottom = canonical[list(lids), 1]
        centre = canonical[[outer, inner]].mean(0) + (gaze[0] * IRIS_SHIFT[0], gaze[1] * IRIS_SHIFT[1], -0.01)
        centre[1] = np.clip(centre[1], top, bottom)  # some of the iris is always seen in an open eye
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        circle = centre + IRIS_RADIUS * np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
        circle[:, 1] = circle[:, 1].clip(top, bottom)
        if bottom - top > 0.2 * IRIS_RADIUS:
            points = _in_view(circle.astype(np.float32), pose)[:, :2]
            draw.polygon([tuple(point) for point in ((points + 1) * side / 2).tolist()], IRIS)


def _in_view(points: np.ndarray, pose: Pose) -> np.ndarray:
    """Canonical points (N, 3) float32 in the view of a pose."""
    return pose.apply(torch.from_numpy(points)[None])[0].numpy()
