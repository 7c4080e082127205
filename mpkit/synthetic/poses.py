"""How synthetic heads move: random poses and random expressions in terms of the 52 facial actions."""

from typing import NamedTuple

import numpy as np
import torch

from mpkit.actions import ACTIONS
from mpkit.geometry import rotation_from_angles


class SyntheticMotion(NamedTuple):
    """How one frame moves."""

    rotation: np.ndarray  # (3, 3) of the head
    translation: np.ndarray  # (3,), the last is 0
    scale: float
    body_rotation: np.ndarray  # (3, 3) of the shoulders
    actions: np.ndarray  # (52,) in [0, 1], in the order of ACTIONS


def rotation_matrix(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Angles in degrees -> (3, 3) float32, as in mpkit.geometry."""
    angles = (torch.tensor([angle], dtype=torch.float32) for angle in (yaw, pitch, roll))
    return rotation_from_angles(*angles)[0].numpy()


def sample_motion(rng: np.random.Generator, neutral: bool = False) -> SyntheticMotion:
    """A random pose and expression; `neutral`: nearly frontal and at rest."""
    calm = 0.15 if neutral else 1.0
    yaw = float(np.clip(rng.normal(0, 18), -45, 45)) * calm
    pitch, roll = float(rng.normal(0, 11)) * calm, float(rng.normal(0, 7)) * calm
    follow = rng.uniform(0.1, 0.3)  # shoulders almost stay: nothing that drives a portrait tells them to move
    turn, nod, lean = rng.normal(0, (2.5, 1.0, 1.0)) * calm
    body = rotation_matrix(yaw * follow + turn, nod, roll * 0.15 + lean)
    translation = np.array([*rng.normal(0, 0.04, 2), 0.0], np.float32)
    scale = float(rng.uniform(0.9, 1.1))
    actions = np.zeros(52, np.float32) if neutral else sample_actions(rng)
    return SyntheticMotion(rotation_matrix(yaw, pitch, roll), translation, scale, body, actions)


def sample_actions(rng: np.random.Generator) -> np.ndarray:
    """A random expression (52,): talking, smiles, blinks, brows, gaze; one in four is nearly neutral."""
    values = dict.fromkeys(ACTIONS, 0.0)

    def both(name, value, asymmetry=0.12):
        for side in ("Left", "Right"):
            values[name + side] = max(values[name + side], value * (1 + rng.normal(0, asymmetry)))

    style = rng.random()
    if style < 0.25:  # nearly neutral
        values["jawOpen"] = rng.uniform(0, 0.06)
        both("mouthSmile", rng.uniform(0, 0.15))
    elif style < 0.8:  # what faces do
        if rng.random() < 0.6:  # talking
            values["jawOpen"] = rng.beta(1.0, 1.6)
            shape = rng.random()
            if shape < 0.2:
                values["mouthFunnel"] = rng.uniform(0.2, 0.9)
            elif shape < 0.4:
                values["mouthPucker"] = rng.uniform(0.2, 1.0)
            elif shape < 0.6:
                both("mouthStretch", rng.uniform(0.1, 0.7))
            if rng.random() < 0.4:
                both("mouthLowerDown", rng.uniform(0.1, 0.9))
            if rng.random() < 0.3:
                both("mouthUpperUp", rng.uniform(0.1, 0.8))
        if rng.random() < 0.4:
            smile = rng.uniform(0.1, 1.0)
            both("mouthSmile", smile)
            both("cheekSquint", smile * rng.uniform(0, 0.8))
            both("eyeSquint", smile * rng.uniform(0, 0.6))
            values["mouthPucker"] *= 0.2
            values["mouthFunnel"] *= 0.3
        elif rng.random() < 0.2:
            both("mouthFrown", rng.uniform(0.2, 1.0))
        brows = rng.random()
        if brows < 0.25:
            values["browInnerUp"] = rng.uniform(0.2, 1.0)
            both("browOuterUp", rng.uniform(0, 1.0))
            both("eyeWide", rng.uniform(0, 0.7))
        elif brows < 0.45:
            both("browDown", rng.uniform(0.2, 1.0))
            both("noseSneer", rng.uniform(0, 0.4))
    else:  # anything
        for name in ACTIONS:
            if rng.random() < 0.12 and not name.startswith(("eye", "tongue", "mouthClose")):
                values[name] = rng.beta(1.2, 2.0)
    _sample_gaze_and_lids(rng, values, both)
    values["mouthClose"] = min(values["mouthClose"], values["jawOpen"])
    return np.clip([values[name] for name in ACTIONS], 0, 1).astype(np.float32)


def _sample_gaze_and_lids(rng, values, both):
    x, y = rng.uniform(-1, 1, 2) if rng.random() < 0.6 else rng.normal(0, 0.12, 2)
    values["eyeLookOutLeft"] = values["eyeLookInRight"] = max(x, 0)  # x to the right of the picture
    values["eyeLookInLeft"] = values["eyeLookOutRight"] = max(-x, 0)
    both("eyeLookDown", max(y, 0), asymmetry=0)
    both("eyeLookUp", max(-y, 0), asymmetry=0)
    lids = rng.random()
    if lids < 0.16:
        both("eyeBlink", 1.0, asymmetry=0)
    elif lids < 0.32:
        both("eyeBlink", rng.uniform(0.1, 1.0), asymmetry=0.03)
    elif lids < 0.36:  # a wink
        values["eyeBlink" + str(rng.choice(("Left", "Right")))] = rng.uniform(0.5, 1.0)
    elif lids < 0.44:
        both("eyeSquint", rng.uniform(0.2, 1.0))
    if values["eyeBlinkLeft"] + values["eyeBlinkRight"] > 0:
        for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
            values[name] = 0.0  # lids that close are neither wide nor squeezed


def with_gaze(actions: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """Actions (52,) whose eyeLook actions mean the gaze (2,) in [-1, 1]: x to the picture's right, y down."""
    x, y = gaze
    looks = {"OutLeft": x, "InRight": x, "InLeft": -x, "OutRight": -x}
    looks |= {"DownLeft": y, "DownRight": y, "UpLeft": -y, "UpRight": -y}
    actions = actions.copy()
    for name, value in looks.items():
        actions[ACTIONS.index("eyeLook" + name)] = max(value, 0)
    return actions


def gaze_of(actions: np.ndarray) -> np.ndarray:
    """Gaze (2,) in [-1, 1] that the eyeLook actions (52,) mean: x to the picture's right, y down."""
    value = dict(zip(ACTIONS, actions.tolist(), strict=True))
    x = value["eyeLookOutLeft"] + value["eyeLookInRight"] - value["eyeLookInLeft"] - value["eyeLookOutRight"]
    y = value["eyeLookDownLeft"] + value["eyeLookDownRight"] - value["eyeLookUpLeft"] - value["eyeLookUpRight"]
    return np.array([x / 2, y / 2], np.float32)
