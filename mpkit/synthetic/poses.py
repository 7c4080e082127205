"""Poses and expressions of synthetic heads: random ones for single frames."""

from typing import NamedTuple

import numpy as np
import torch

from mpkit.actions import ACTIONS
from mpkit.geometry import rotation_from_angles


class SyntheticMotion(NamedTuple):
    """Pose and expression of a synthetic person in one frame. The pose maps canonical points c to s R c + t."""

    rotation: np.ndarray  # (3, 3) float32, R of the head
    translation: np.ndarray  # (3,) float32, t of the head in view units; t_z is 0
    scale: float  # s of head and shoulders
    body_rotation: np.ndarray  # (3, 3) float32, of the shoulders about the neck joint
    actions: np.ndarray  # (52,) float32 in [0, 1], in the order of ACTIONS


def rotation_matrix(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """R (3, 3) float32 for angles in degrees, as `geometry.rotation_from_angles`."""
    angles = (torch.tensor([angle], dtype=torch.float32) for angle in (yaw, pitch, roll))
    return rotation_from_angles(*angles)[0].numpy()


def sample_motion(rng: np.random.Generator, neutral: bool = False) -> SyntheticMotion:
    """A random pose and expression; with `neutral`, nearly frontal and without an expression."""
    amount = 0.15 if neutral else 1.0
    yaw = float(np.clip(rng.normal(0, 18), -45, 45)) * amount
    pitch, roll = float(rng.normal(0, 11)) * amount, float(rng.normal(0, 7)) * amount
    # Shoulders turn little, because what drives a portrait says nothing about how they turn.
    yaw_share = rng.uniform(0.1, 0.3)
    body_yaw, body_pitch, body_roll = rng.normal(0, (2.5, 1.0, 1.0)) * amount
    body = rotation_matrix(yaw * yaw_share + body_yaw, body_pitch, roll * 0.15 + body_roll)
    translation = np.array([*rng.normal(0, 0.04, 2), 0.0], np.float32)
    scale = float(rng.uniform(0.9, 1.1))
    actions = np.zeros(52, np.float32) if neutral else sample_actions(rng)
    return SyntheticMotion(rotation_matrix(yaw, pitch, roll), translation, scale, body, actions)


class _ActionValues(dict):
    """Values of the 52 facial actions by name, 0 at first."""

    def __init__(self, rng: np.random.Generator):
        super().__init__(dict.fromkeys(ACTIONS, 0.0))
        self._rng = rng

    def raise_both(self, name: str, value: float, asymmetry: float = 0.12) -> None:
        """Raises an action to about `value` on both sides; asymmetry: standard deviation of a side's relative error."""
        for side in ("Left", "Right"):
            self[name + side] = max(self[name + side], value * (1 + self._rng.normal(0, asymmetry)))


def sample_actions(rng: np.random.Generator) -> np.ndarray:
    """A random expression: actions (52,) float32 in [0, 1].

    A quarter is nearly neutral, about half combines speech, smiles and brows, a fifth sets any actions at random. Gaze
    and eyelids are drawn for all of them.
    """
    values = _ActionValues(rng)
    kind = rng.random()
    if kind < 0.25:  # nearly neutral
        values["jawOpen"] = rng.uniform(0, 0.06)
        values.raise_both("mouthSmile", rng.uniform(0, 0.15))
    elif kind < 0.8:  # combinations that faces often show
        _sample_speech_smile_and_brows(rng, values)
    else:  # any actions
        for name in ACTIONS:
            if rng.random() < 0.12 and not name.startswith(("eye", "tongue", "mouthClose")):
                values[name] = rng.beta(1.2, 2.0)
    _sample_gaze_and_lids(rng, values)
    values["mouthClose"] = min(values["mouthClose"], values["jawOpen"])
    return np.clip([values[name] for name in ACTIONS], 0, 1).astype(np.float32)


def _sample_speech_smile_and_brows(rng: np.random.Generator, values: _ActionValues) -> None:
    """Sets actions of jaw, mouth, cheeks and brows in `values`, as they occur together on faces."""
    if rng.random() < 0.6:  # speech
        values["jawOpen"] = rng.beta(1.0, 1.6)
        shape = rng.random()
        if shape < 0.2:
            values["mouthFunnel"] = rng.uniform(0.2, 0.9)
        elif shape < 0.4:
            values["mouthPucker"] = rng.uniform(0.2, 1.0)
        elif shape < 0.6:
            values.raise_both("mouthStretch", rng.uniform(0.1, 0.7))
        if rng.random() < 0.4:
            values.raise_both("mouthLowerDown", rng.uniform(0.1, 0.9))
        if rng.random() < 0.3:
            values.raise_both("mouthUpperUp", rng.uniform(0.1, 0.8))
    if rng.random() < 0.4:
        smile = rng.uniform(0.1, 1.0)
        values.raise_both("mouthSmile", smile)
        values.raise_both("cheekSquint", smile * rng.uniform(0, 0.8))
        values.raise_both("eyeSquint", smile * rng.uniform(0, 0.6))
        values["mouthPucker"] *= 0.2
        values["mouthFunnel"] *= 0.3
    elif rng.random() < 0.2:
        values.raise_both("mouthFrown", rng.uniform(0.2, 1.0))
    brows = rng.random()
    if brows < 0.25:
        values["browInnerUp"] = rng.uniform(0.2, 1.0)
        values.raise_both("browOuterUp", rng.uniform(0, 1.0))
        values.raise_both("eyeWide", rng.uniform(0, 0.7))
    elif brows < 0.45:
        values.raise_both("browDown", rng.uniform(0.2, 1.0))
        values.raise_both("noseSneer", rng.uniform(0, 0.4))


def _sample_gaze_and_lids(rng: np.random.Generator, values: _ActionValues) -> None:
    """Sets the eyeLook, eyeBlink, eyeSquint and eyeWide actions in `values`."""
    x, y = rng.uniform(-1, 1, 2) if rng.random() < 0.6 else rng.normal(0, 0.12, 2)
    values["eyeLookOutLeft"] = values["eyeLookInRight"] = max(x, 0)  # x > 0: to the picture's right
    values["eyeLookInLeft"] = values["eyeLookOutRight"] = max(-x, 0)
    values.raise_both("eyeLookDown", max(y, 0), asymmetry=0)
    values.raise_both("eyeLookUp", max(-y, 0), asymmetry=0)
    lids = rng.random()
    if lids < 0.16:
        values.raise_both("eyeBlink", 1.0, asymmetry=0)
    elif lids < 0.32:
        values.raise_both("eyeBlink", rng.uniform(0.1, 1.0), asymmetry=0.03)
    elif lids < 0.36:  # a wink
        values["eyeBlink" + str(rng.choice(("Left", "Right")))] = rng.uniform(0.5, 1.0)
    elif lids < 0.44:
        values.raise_both("eyeSquint", rng.uniform(0.2, 1.0))
    if values["eyeBlinkLeft"] + values["eyeBlinkRight"] > 0:
        for name in ("eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight"):
            values[name] = 0.0  # a closing eyelid is neither wide open nor squinting
