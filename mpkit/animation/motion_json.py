"""The JSON of a motion file, read and checked, because a file may come from a stranger. motion_file.py describes it."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpkit.actions import ACTIONS, gains
from mpkit.errors import MediaError
from mpkit.faces.crop import Crop

FORMAT, VERSION = "mpkit-motion", 2
# What the numbers of version 1 were where an action, or the gaze, was whole; 1 for those that are not listed.
READINGS_OF_VERSION_1 = {
    "jawOpen": 0.5,
    "eyeBlink": 0.5,
    "mouthSmile": 0.55,
    "mouthUpperUp": 0.6,
    "mouthLowerDown": 0.5,
    "mouthShrugLower": 0.7,
    "mouthPucker": 1.6,
    "gaze x": 0.42,
    "gaze y": 0.28,
}
MAX_FRAMES = 1_000_000
MAX_BYTES = 256 << 20
# How many numbers each field of a frame has, besides the actions, and the largest absolute value of each field.
_FIELDS = {"rotation": 9, "translation": 2, "scale": 1, "gaze": 2, "box": 4, "shoulders": 2}
_LIMITS = {"rotation": 1.001, "translation": 100, "scale": 100, "gaze": 10, "box": 1e6, "shoulders": 100, "crop": 1e6}


class Content(NamedTuple):
    """What a motion file holds, as arguments of `MotionTrack`."""

    header: dict  # rate, width, height, crop, source
    frames: dict[str, np.ndarray]  # the arrays of all T frames
    reference: dict[str, np.ndarray] | None  # the arrays of the reference, one frame; None if the file has none


def read_motion(path: Path) -> Content:
    """The checked content of a motion file. Raises MediaError with what is wrong in it."""
    content = _read_json(path)
    header = _header(content)
    names, frames, reference = (content.get(name) for name in ("actions", "frames", "reference"))
    if not isinstance(names, list) or not all(isinstance(name, str) and name in ACTIONS for name in names):
        raise MediaError("its actions are not names of facial actions")
    if len(set(names)) != len(names):
        raise MediaError("its actions name one action twice")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise MediaError("its frames are not a list of objects")
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise MediaError(f"it has {len(frames)} frames; from 1 to {MAX_FRAMES} are possible")
    if reference is not None and not isinstance(reference, dict):
        raise MediaError("its reference is not an object")
    arrays = _frames(frames, names)
    reference = None if reference is None else _frames([reference], names, "its reference")
    if content["version"] == 1:
        arrays, reference = _fractions(arrays), reference and _fractions(reference)
    return Content(header, arrays, reference)


def _fractions(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of version 1 with actions and gaze as fractions of whole ones."""
    actions = (arrays["actions"] / gains(READINGS_OF_VERSION_1, ACTIONS)).clip(0, 1)
    gaze = arrays["gaze"] / gains(READINGS_OF_VERSION_1, ("gaze x", "gaze y"))
    return arrays | {"actions": actions, "gaze": gaze.clip(-_LIMITS["gaze"], _LIMITS["gaze"])}


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


def _header(content: dict) -> dict:
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
    return {"rate": rate, "width": width, "height": height, "crop": Crop(*crop), "source": source}


def _frames(frames: list[dict], names: list[str], label: str = "") -> dict[str, np.ndarray]:
    """The arrays of frames that list the actions `names`. `label`: the name of a frame in an error; else its number."""
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
            raise MediaError(f"{label or f'frame {number}'}: {error}") from None
    arrays = {name: np.array(column, np.float64) for name, column in columns.items()}
    times, rotation, listed = (arrays.pop(name) for name in ("time", "rotation", "actions"))
    if times[0] < 0 or (np.diff(times) < 0).any():
        raise MediaError("its times do not increase")
    if arrays["scale"].min() <= 0 or (listed.size and listed.min() < 0):
        raise MediaError("its scales must be positive and its actions between 0 and 1")
    actions = np.zeros((len(frames), len(ACTIONS)), np.float32)
    actions[:, [ACTIONS.index(name) for name in names]] = listed
    arrays["scale"] = arrays["scale"][:, 0]
    return {name: array.astype(np.float32) for name, array in arrays.items()} | {
        "times": times,
        "found": np.array([frame["found"] for frame in frames]),
        "rotation": _rotations(rotation),
        "actions": actions,
    }


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
