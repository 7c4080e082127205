"""MotionTrack: the motion of a clip, frame by frame, as numbers without pictures; and the motion file that holds it.

The file is JSON, with one frame per line:

    {"format": "mpkit-motion", "version": 1, "rate": "30000/1001", "source": "driver.mp4",
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
actions      in [0, 1]
gaze         x right, y down, about [-1, 1]
shoulders    x, y in coordinates of the crop: how far they are from where the head pose puts them; 0 if left out
box          x0, y0, x1, y1 around the face, in pixels

Numbers are rounded to 5 decimals. Loading checks every field, because a motion file may come from a stranger.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mpkit.actions import ACTIONS
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.crop import Crop, pose_in
from mpkit.faces.face import Face
from mpkit.geometry import Pose

FORMAT, VERSION = "mpkit-motion", 1
MAX_FRAMES = 1_000_000
MAX_BYTES = 256 << 20
# How many numbers each field of a frame has, besides the actions, and the largest absolute value of each field.
_FIELDS = {"rotation": 9, "translation": 2, "scale": 1, "gaze": 2, "box": 4, "shoulders": 2}
_LIMITS = {"rotation": 1.001, "translation": 100, "scale": 100, "gaze": 10, "box": 1e6, "shoulders": 100, "crop": 1e6}


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
        poses = [pose_in(face, crop) for face in held_faces]
        return MotionTrack(
            rate=rate,
            width=size[0],
            height=size[1],
            crop=crop,
            times=np.array(times, np.float64),
            found=np.array([face is not None for face in faces]),
            rotation=np.stack([face.rotation for face in held_faces]),
            translation=torch.cat([pose.translation[:, :2] for pose in poses]).numpy(),
            scale=torch.cat([pose.scale for pose in poses]).numpy(),
            actions=np.stack([face.actions for face in held_faces]),
            gaze=np.stack([face.gaze for face in held_faces]),
            box=np.array([face.box for face in held_faces], np.float32),
            shoulders=np.array([face.shoulders for face in held_faces], np.float32) / crop.radius,
            source=source,
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
        lines = ",\n".join(json.dumps(self._frame(index)) for index in range(len(self)))
        partial = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            try:
                partial.write_text(json.dumps(header)[:-1] + ', "frames": [\n' + lines + "\n]}\n", "utf-8")
                os.replace(partial, path)
            finally:
                if partial.exists():
                    partial.unlink()
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
            return _parse(_read_json(Path(path)))
        except MediaError as error:
            raise MediaError(f"{path} is not a motion file that mpkit can read: {error}") from None


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


def _read_json(path: Path) -> dict:
    def refuse(constant):
        raise MediaError(f"it has a number that is {constant}")

    try:
        if path.stat().st_size > MAX_BYTES:
            raise MediaError(f"it is larger than {MAX_BYTES >> 20} MiB")
        content = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    except OSError as error:
        raise MediaError(error.strerror) from None
    except MediaError:
        raise
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested too deeply
        raise MediaError("it is not JSON") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise MediaError(f'it does not say "format": "{FORMAT}"')
    return content


def _parse(content: dict) -> MotionTrack:
    version = content.get("version")
    if type(version) is not int or version < 1:
        raise MediaError("its version is not a number")
    if version > VERSION:
        raise MediaError(f"its version is {version}, this mpkit reads versions up to {VERSION}; update mpkit")
    rate = content.get("rate")
    if not isinstance(rate, str) or not re.fullmatch(r"[1-9][0-9]{0,8}/[1-9][0-9]{0,8}", rate, re.ASCII):
        raise MediaError('its rate is not a fraction like "30000/1001"')
    source = content.get("source", "")
    if not isinstance(source, str) or len(source) > 1000:
        raise MediaError("its source is not a name")
    width, height = (int(_numbers(content, name, 1, 1e5)[0]) for name in ("width", "height"))
    crop = _numbers(content, "crop", 3, _LIMITS["crop"])
    if min(width, height) < 1 or crop[2] <= 0:
        raise MediaError("its width, height and crop radius must be positive")
    names, frames = content.get("actions"), content.get("frames")
    if not isinstance(names, list) or not all(isinstance(name, str) and name in ACTIONS for name in names):
        raise MediaError("its actions are not names of facial actions")
    if len(set(names)) != len(names):
        raise MediaError("its actions name one action twice")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise MediaError("its frames are not a list of objects")
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise MediaError(f"it has {len(frames)} frames; from 1 to {MAX_FRAMES} are possible")
    columns = {name: [] for name in ("time", "actions", *_FIELDS)}
    for number, frame in enumerate(frames, 1):
        frame.setdefault("shoulders", [0.0, 0.0])
        try:
            columns["time"].append(_numbers(frame, "time", 1, 1e7)[0])
            columns["actions"].append(_numbers(frame, "actions", len(names), 1))
            for name, count in _FIELDS.items():
                columns[name].append(_numbers(frame, name, count, _LIMITS[name]))
            if type(frame.get("found")) is not bool:
                raise MediaError("its found is not true or false")
        except MediaError as error:
            raise MediaError(f"frame {number}: {error}") from None
    arrays = {name: np.array(column, np.float64) for name, column in columns.items()}
    if arrays["time"][0] < 0 or (np.diff(arrays["time"]) < 0).any():
        raise MediaError("its times do not increase")
    if arrays["scale"].min() <= 0 or (arrays["actions"].size and arrays["actions"].min() < 0):
        raise MediaError("its scales must be positive and its actions between 0 and 1")
    actions = np.zeros((len(frames), len(ACTIONS)), np.float32)
    actions[:, [ACTIONS.index(name) for name in names]] = arrays["actions"]
    return MotionTrack(
        rate=rate,
        width=width,
        height=height,
        crop=Crop(*crop),
        times=arrays["time"],
        found=np.array([frame["found"] for frame in frames]),
        rotation=_rotations(arrays["rotation"]),
        translation=arrays["translation"].astype(np.float32),
        scale=arrays["scale"][:, 0].astype(np.float32),
        actions=actions,
        gaze=arrays["gaze"].astype(np.float32),
        box=arrays["box"].astype(np.float32),
        shoulders=arrays["shoulders"].astype(np.float32),
        source=source,
    )


def _numbers(fields: dict, name: str, count: int, limit: float) -> list[float]:
    """The `count` numbers of a field, all finite and within ±limit. A single number may be given without a list."""
    values = fields.get(name)
    if count == 1 and not isinstance(values, list):
        values = [values]
    if not isinstance(values, list) or len(values) != count or not all(type(v) in (int, float) for v in values):
        raise MediaError(f"its {name} is not {count} number{'s' if count > 1 else ''}")
    if not all(-limit <= value <= limit for value in values):  # false for NaN too
        raise MediaError(f"its {name} is out of range")
    return [float(value) for value in values]


def _rotations(rows: np.ndarray) -> np.ndarray:
    """(T, 9) -> (T, 3, 3) float32, made orthonormal again, because numbers in the file are rounded."""
    matrices = rows.reshape(-1, 3, 3)
    error = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max((1, 2))
    wrong = np.flatnonzero((error > 1e-3) | (np.linalg.det(matrices) < 0))
    if len(wrong):
        raise MediaError(f"frame {wrong[0] + 1}: its rotation is not a rotation matrix")
    u, _, vt = np.linalg.svd(matrices)
    return (u @ vt).astype(np.float32)
