"""The 52 facial actions. A face has 54 numbers: the actions, as fractions of a whole one, then gaze x and y.

A whole action is a known offset: that of the synthetic heads (`synthetic.anatomy`). The tracker fits fractions of it
(`faces.action_fit`), so 0.5 is the same in a driver, a still and a render."""

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

SHORT_NAMES = {"blink": "eyeBlink", "smile": "mouthSmile", "frown": "mouthFrown", "pucker": "mouthPucker"}
DIRECTIONS = ("jaw", "mouth")  # jawLeft and jawRight are directions, not the two sides of one action


def gains(of: dict[str, float], names: Iterable[str]) -> np.ndarray:
    """For each name the value of the first key in `of` that the name starts with, 1 if there is none; (N,) float32."""
    return np.float32([next((gain for start, gain in of.items() if name.startswith(start)), 1.0) for name in names])


def vector(**fractions: float) -> np.ndarray:
    """A face's 54 numbers by name, (54,) float32: `vector(jawOpen=0.5, smile=0.3, gaze_x=-1)`. The rest is 0, at rest.

    A name is one of the 52 actions; an action without Left or Right, which sets both sides (`eyeBlink`); a key of
    SHORT_NAMES; `gaze_x` (to the picture's right) or `gaze_y` (down). A value is a fraction of the whole action, in
    [0, 1], or [-1, 1] for gaze. Where two names set one number, the later counts.
    Raises ValueError for an unknown name or a value out of range.
    """
    numbers = np.zeros(NUMBERS, np.float32)
    for name, fraction in fractions.items():
        indices = _indices(name)
        lowest = -1 if name.startswith("gaze") else 0
        if not lowest <= fraction <= 1:
            raise ValueError(f"{name} must be from {lowest} to 1, got {fraction}")
        numbers[indices] = fraction
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
