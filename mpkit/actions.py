"""The 52 facial actions, and what a tracker reads of them. A face has 54 numbers: the actions, then gaze x and y."""

from collections.abc import Iterable

import numpy as np

# The 52 facial actions of ARKit in alphabetical order. Left and right are the subject's.
# fmt: off
ACTIONS = (
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight", "tongueOut",
)
# fmt: on
NUMBERS = len(ACTIONS) + 2  # numbers of a face: the actions, then gaze x and y

# What the tracker reads, on average, where an action or the gaze is 1. Smile, gaze, jaw and lips were chosen, and blink
# checked, on portraits of the training set, so that results move as far as their drivers; the others come from how far
# landmarks of real faces move (docs/training-log.md, 5., 6., 8. and 10.). An action that is not listed has 1: its
# reading is about 1 or not known.
READINGS = {
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
SHORT_NAMES = {"blink": "eyeBlink", "smile": "mouthSmile", "frown": "mouthFrown", "pucker": "mouthPucker"}
DIRECTIONS = ("jaw", "mouth")  # jawLeft and jawRight are directions, not the two sides of one action


def gains(of: dict[str, float], names: Iterable[str]) -> np.ndarray:
    """For each name the value of the first key in `of` that the name starts with, 1 if there is none; (N,) float32."""
    return np.float32([next((gain for start, gain in of.items() if name.startswith(start)), 1.0) for name in names])


READING = gains(READINGS, (*ACTIONS, "gaze x", "gaze y"))  # (54,) what the tracker reads where a number is 1


def vector(**fractions: float) -> np.ndarray:
    """A face's 54 numbers by name, (54,) float32: `vector(jawOpen=0.5, smile=0.3, gaze_x=-1)`. The rest is 0, at rest.

    A name is one of the 52 actions; an action without Left or Right, which sets both sides (`eyeBlink`); a key of
    SHORT_NAMES; `gaze_x` (to the picture's right) or `gaze_y` (down). A value is a fraction of the whole action, in
    [0, 1], or [-1, 1] for gaze: 1 gives the READING of that action. Where two names set one number, the later counts.
    Raises ValueError for an unknown name or a value out of range.
    """
    numbers = np.zeros(NUMBERS, np.float32)
    for name, fraction in fractions.items():
        indices = _indices(name)
        lowest = -1 if name.startswith("gaze") else 0
        if not lowest <= fraction <= 1:
            raise ValueError(f"{name} must be from {lowest} to 1, got {fraction}")
        numbers[indices] = np.float32(fraction) * READING[indices]
    return numbers


def with_gaze(actions: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """A copy of `actions` (52,) whose eyeLook actions express the gaze (2,) in [-1, 1]: x to the picture's right, y
    down. Inverse of `gaze_of`."""
    x, y = gaze
    looks = {"OutLeft": x, "InRight": x, "InLeft": -x, "OutRight": -x}
    looks |= {"DownLeft": y, "DownRight": y, "UpLeft": -y, "UpRight": -y}
    actions = actions.copy()
    for name, value in looks.items():
        actions[ACTIONS.index("eyeLook" + name)] = max(value, 0)
    return actions


def gaze_of(actions: np.ndarray) -> np.ndarray:
    """The gaze (2,) float32 in [-1, 1] that the eyeLook actions among `actions` (52,) express: x to the picture's
    right, y down. It is the mean of both eyes."""
    value = dict(zip(ACTIONS, actions.tolist(), strict=True))
    x = value["eyeLookOutLeft"] + value["eyeLookInRight"] - value["eyeLookInLeft"] - value["eyeLookOutRight"]
    y = value["eyeLookDownLeft"] + value["eyeLookDownRight"] - value["eyeLookUpLeft"] - value["eyeLookUpRight"]
    return np.array([x / 2, y / 2], np.float32)


def _indices(name: str) -> list[int]:
    """The places in the 54 numbers that a name of `vector` sets."""
    if name in ("gaze_x", "gaze_y"):
        return [len(ACTIONS) + ("gaze_x", "gaze_y").index(name)]
    full = SHORT_NAMES.get(name, name)
    names = {full} if full in DIRECTIONS else {full, full + "Left", full + "Right"}
    indices = [index for index, action in enumerate(ACTIONS) if action in names]
    if not indices:
        choices = ", ".join(("gaze_x", "gaze_y", *SHORT_NAMES, *ACTIONS))
        raise ValueError(f"there is no action {name!r}; choose one of {choices}, or one of these without Left or Right")
    return indices
