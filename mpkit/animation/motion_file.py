"""MotionTrack: the motion of a clip, frame by frame, as numbers without pictures; and the motion file that holds it.

The file is JSON, with one frame per line:

    {"format": "mpkit-motion", "version": 2, "rate": "30000/1001", "source": "driver.mp4",
     "width": 1920, "height": 1080, "crop": [x, y, radius], "actions": ["browDownLeft", ...], "frames": [
    {"time": 0.0, "found": true, "rotation": [...], "translation": [...], "scale": 1.0, "actions": [...],
     "gaze": [...], "box": [...], "shoulders": [...]},
    ...]}

rate         frames per second as a fraction
source       name of the clip, for the reader
width, height  of the clip in pixels
crop         the head crop that all frames share, centre and half side in pixels; that of the first face
actions      (header) which of the 52 facial actions the frames list, in which order; those left out are 0
time         seconds since the clip's start
found        whether a face was found; if not, the other numbers are those of the frame before, or of the first face
rotation     9 numbers, the rows of R: head pose as mpkit.geometry defines it
translation  x, y of t, in coordinates of the crop
scale        s
actions      in [0, 1], fractions of a whole action
gaze         x right, y down, fractions, about [-1, 1]
shoulders    x, y in coordinates of the crop: how far they are from where the head pose puts them; 0 if left out
box          x0, y0, x1, y1 around the face, in pixels
reference    (header) one more frame, from which a portrait takes the motion's changes. If left out, changes of rotation
             and expression count from the frame that is nearest to neutral, those of place and size from the first

Before version 2, actions and gaze were a tracker's readings; loading converts them. Numbers are rounded to 5
decimals. Loading checks every field, see motion_json.py.
"""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from mpkit.actions import ACTIONS
from mpkit.animation.motion_json import FORMAT, VERSION, read_motion
from mpkit.animation.transfer import FrameMotion, rest_of
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.canonical import CANONICAL_FACE
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face
from mpkit.files import write_bytes
from mpkit.geometry import Pose


@dataclass
class MotionTrack:
    """The motion of T frames. Arrays are float32 except `times`; see the module docstring for units."""

    rate: str  # frames per second as "num/den"
    width: int
    height: int
    crop: Crop
    times: np.ndarray  # (T,) float64, seconds
    found: np.ndarray  # (T,) bool
    rotation: np.ndarray  # (T, 3, 3)
    translation: np.ndarray  # (T, 2)
    scale: np.ndarray  # (T,)
    actions: np.ndarray  # (T, 52)
    gaze: np.ndarray  # (T, 2)
    box: np.ndarray  # (T, 4)
    shoulders: np.ndarray  # (T, 2)
    source: str = ""
    reference: FrameMotion | None = None  # from which changes count; None: chosen when the track drives a portrait

    def __len__(self) -> int:
        return len(self.times)

    @staticmethod
    def from_faces(
        faces: list[Face | None], times: list[float], rate: str, size: tuple[int, int], source: str = "", crop=None
    ) -> "MotionTrack":
        """The motion of a tracked clip: one face, or None, per frame; `size` is (width, height) in pixels.

        The crop is that of the first face unless given. A frame without a face holds the motion of the frame before it,
        or of the first face. Raises NoFaceError when no frame has a face.
        """
        first = next((face for face in faces if face is not None), None)
        if first is None:
            name = source or "the clip"
            raise NoFaceError(f"no face found in any frame of {name}; use a clip of one person who faces the camera")
        crop = crop or Crop.of(first)
        held, held_faces = first, []
        for face in faces:
            held = face or held
            held_faces.append(held)
        return MotionTrack(
            rate=rate,
            width=size[0],
            height=size[1],
            crop=crop,
            times=np.array(times, np.float64),
            found=np.array([face is not None for face in faces]),
            box=np.array([face.box for face in held_faces], np.float32),
            source=source,
            **_arrays([FrameMotion.of(face, crop) for face in held_faces]),
        )

    @staticmethod
    def from_motions(
        motions: list[FrameMotion],
        crop: Crop,
        rate: str,
        size: tuple[int, int],
        source: str = "",
        reference: FrameMotion | None = None,
    ) -> "MotionTrack":
        """The track of motions, `rate` of them a second, in the head crop of a picture of `size` (width, height).

        `reference`: the motion from which a portrait takes their changes. With `portrait.motion` there, and
        `portrait.crop` and the size of `portrait.image`, the track drives that portrait, motion absolute, through just
        these motions. Actions are limited to [0, 1]; the box is that of the average face. Raises MediaError for no
        motion, and for one that is a latent."""
        if not motions:
            raise MediaError("there is no motion to save; record some first")
        if any(motion.latent is not None for motion in (*motions, reference or motions[0])):
            raise MediaError("a motion file holds facial actions, and a motion read from pixels has none")
        steps_per_second = Fraction(rate)
        return MotionTrack(
            rate=rate_text(steps_per_second),
            width=size[0],
            height=size[1],
            crop=crop,
            times=np.arange(len(motions)) / float(steps_per_second),
            found=np.ones(len(motions), bool),
            box=np.stack([_average_box(motion.pose, crop) for motion in motions]),
            source=source,
            reference=reference,
            **_arrays(motions),
        )

    @property
    def numbers(self) -> np.ndarray:
        """What an action encoder takes, (T, 54) float32: the 52 facial actions, then gaze x and y."""
        return np.concatenate([self.actions, self.gaze], axis=1).astype(np.float32)

    def pose(self, index=slice(None)) -> Pose:
        """Head poses in the coordinates of the crop: of one frame (batch 1) or of a slice of frames."""
        if isinstance(index, int):
            index = [index]
        translation = torch.from_numpy(self.translation[index])
        return Pose(
            torch.from_numpy(self.rotation[index]),
            torch.cat([translation, torch.zeros_like(translation[:, :1])], 1),
            torch.from_numpy(self.scale[index]),
        )

    def motion(self, index: int) -> FrameMotion:
        """The motion of one frame."""
        numbers = np.concatenate([self.actions[index], self.gaze[index]]).astype(np.float32)
        shoulders = torch.from_numpy(self.shoulders[index : index + 1])
        return FrameMotion(self.pose(slice(index, index + 1)), torch.from_numpy(numbers)[None], shoulders)

    def rest(self) -> FrameMotion | None:
        """The reference of relative motion, see `rest_of`; None if no frame shows a face."""
        return rest_of(self.motion(index) for index in range(len(self)) if self.found[index])

    def save(self, path: str | Path) -> None:
        """Writes the file in one step, so that no reader sees a part of it. Raises MediaError."""
        path = Path(path)
        header = {
            "format": FORMAT,
            "version": VERSION,
            "rate": self.rate,
            "source": self.source,
            "width": self.width,
            "height": self.height,
            "crop": [round(float(number), 5) for number in (self.crop.x, self.crop.y, self.crop.radius)],
            "actions": ACTIONS,
        }
        if self.reference:
            size = self.width, self.height
            header["reference"] = MotionTrack.from_motions([self.reference], self.crop, self.rate, size)._frame(0)
        lines = ",\n".join(json.dumps(self._frame(index)) for index in range(len(self)))
        text = json.dumps(header)[:-1] + ', "frames": [\n' + lines + "\n]}\n"
        try:
            write_bytes(path, text.encode())
        except OSError as error:
            raise MediaError(f"cannot write the motion file {path}: {error.strerror}") from None

    def _frame(self, index: int) -> dict:
        frame = {"time": round(float(self.times[index]), 5), "found": bool(self.found[index])}
        for name in ("rotation", "translation", "scale", "actions", "gaze", "box", "shoulders"):
            values = getattr(self, name)[index]
            rounded = [round(float(value), 5) for value in values.ravel()]
            frame[name] = rounded[0] if name == "scale" else rounded
        return frame

    @staticmethod
    def load(path: str | Path) -> "MotionTrack":
        """Reads and checks a motion file. Raises MediaError with what is wrong in it."""
        try:
            header, frames, reference = read_motion(Path(path))
        except MediaError as error:
            raise MediaError(f"{path} is not a motion file that mpkit can read: {error}") from None
        motion = None if reference is None else MotionTrack(**header, **reference).motion(0)
        return MotionTrack(**header, **frames, reference=motion)


def rate_text(rate: Fraction) -> str:
    """Frames per second as the file gives them."""
    return f"{rate.numerator}/{rate.denominator}"


def is_motion_file(path: str | Path) -> bool:
    """Whether a path is a motion file, by its name (.json) or by its first bytes."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        return True
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(64)
    except OSError:
        return False


def _arrays(motions: list[FrameMotion]) -> dict[str, np.ndarray]:
    """The arrays of a track that come from its motions."""
    pose = Pose(*map(torch.cat, zip(*(motion.pose for motion in motions))))
    actions, gaze = torch.cat([motion.numbers for motion in motions]).split([len(ACTIONS), 2], dim=1)
    arrays = {
        "rotation": pose.rotation,
        "translation": pose.translation[:, :2],
        "scale": pose.scale,
        "actions": actions.clamp(0, 1),
        "gaze": gaze,
        "shoulders": torch.cat([motion.shoulders for motion in motions]),
    }
    return {name: np.ascontiguousarray(array.float().cpu().numpy()) for name, array in arrays.items()}


def _average_box(pose: Pose, crop: Crop) -> np.ndarray:
    """x0, y0, x1, y1 (4,) float32 around the average face in a pose, in pixels of the crop's picture."""
    points = crop.to_picture(pose.apply(torch.from_numpy(CANONICAL_FACE)[None].to(pose.scale))[0, :, :2].cpu().numpy())
    return np.concatenate([points.min(0), points.max(0)])
