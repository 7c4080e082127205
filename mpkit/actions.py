"""The 52 facial actions, and what a tracker reads of them. A face's numbers are 54: the actions, then gaze x and y."""

from collections.abc import Iterable

import numpy as np

# The 52 facial actions of ARKit in alphabetical order, as synthetic heads name them. Left and right are the subject's.
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
NUMBERS = len(ACTIONS) + 2  # of a face: the actions, and gaze x, y
# What the tracker reads where an action or the gaze is 1. Smile, gaze, jaw and lips were chosen, blink checked, on
# portraits that may train, so that they read as told and part as far as their drivers'; the others say how far
# landmarks of real faces move (docs/training-log.md, 5., 6., 8. and 10.). What is missing is about 1, or not known.
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


def gains(of: dict[str, float], names: Iterable[str]) -> np.ndarray:
    """For each name the gain of the entry that it starts with, 1 without; (N,) float32."""
    return np.float32([next((gain for start, gain in of.items() if name.startswith(start)), 1.0) for name in names])


READING = gains(READINGS, (*ACTIONS, "gaze x", "gaze y"))
