"""Natural motion for synthetic heads: clips in which a person talks, smiles, blinks, looks around and turns the head.

A clip combines random processes in time: smooth random walks (head), saccades (gaze), short events (blinks),
syllables (mouth) and episodes (smiles, brows).
"""

from collections.abc import Callable

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix

PROCESS_RATE = 25  # steps a second of the random processes
MAX_YAW = 45.0  # degrees, to either side
# Mouth shapes of syllables: action -> its value at full loudness.
VISEMES = (
    {"jawOpen": 0.9, "mouthLowerDown": 0.4, "mouthUpperUp": 0.2},  # a
    {"jawOpen": 0.4, "mouthStretch": 0.5, "mouthLowerDown": 0.3},  # e, i
    {"jawOpen": 0.45, "mouthFunnel": 0.8},  # o
    {"jawOpen": 0.2, "mouthPucker": 0.9},  # u, w
    {"mouthPress": 0.6, "mouthRollLower": 0.4, "mouthRollUpper": 0.3},  # m, b, p
    {"jawOpen": 0.15, "mouthRollLower": 0.5, "mouthUpperUp": 0.4},  # f, v
)


def sample_clip(rng: np.random.Generator, count: int, rate: float = 4.0) -> list[SyntheticMotion]:
    """`count` motions of one clip, `rate` a second."""
    length = max(2, int(np.ceil(count / rate * PROCESS_RATE)) + 1)
    actions = np.zeros((length, 52), np.float32)

    def act(name: str, values: np.ndarray, asymmetry: float = 0.0) -> None:
        """Raises an action, or both sides of it, to values (length,)."""
        names = (name,) if name in ACTIONS else (name + "Left", name + "Right")
        for one in names:
            index = ACTIONS.index(one)
            actions[:, index] = np.maximum(actions[:, index], values * (1 + rng.normal(0, asymmetry)))

    yaw, pitch, roll = _head_angles(rng, length)
    _act_gaze(rng, length, act)
    _act_mouth(rng, length, act)
    for names, probability in ((("browInnerUp", "browOuterUp", "eyeWide"), 0.5), (("browDown", "noseSneer"), 0.3)):
        strength = _episodes(rng, length, probability)
        for share, name in zip((1.0, 0.7, 0.4), names):
            act(name, share * strength, asymmetry=0.1)
    blink = _blinks(rng, length)
    act("eyeBlink", blink)
    for side in ("Left", "Right"):  # a closing eyelid is neither wide open nor squinting
        for name in ("eyeWide", "eyeSquint"):
            actions[:, ACTIONS.index(name + side)] *= 1 - blink
    shift = rng.normal(0, 0.03, 2) + np.stack([_random_walk(rng, length, 1.5, 0.02) for _ in range(2)], 1)
    yaw_share, body_yaw = rng.uniform(0.1, 0.3), rng.normal(0, 2.5)
    scale = float(rng.uniform(0.92, 1.08))
    return [
        SyntheticMotion(
            rotation=rotation_matrix(yaw[step], pitch[step], roll[step]),
            translation=np.array([*shift[step], 0], np.float32),
            scale=scale,
            body_rotation=rotation_matrix(yaw[step] * yaw_share + body_yaw, 0.0, roll[step] * 0.15),
            actions=actions[step].clip(0, 1),
        )
        for step in (np.arange(count) / rate * PROCESS_RATE).round().astype(int)
    ]


def _random_walk(rng: np.random.Generator, length: int, seconds: float, deviation: float) -> np.ndarray:
    """A smooth random walk (length,) about 0 with that standard deviation; it forgets its past within `seconds`."""
    keep = np.exp(-1 / (PROCESS_RATE * seconds / 2))
    walk = np.zeros((2, length + 4 * int(PROCESS_RATE * seconds)))
    noise = rng.normal(0, 1, walk.shape[1])
    for step in range(1, walk.shape[1]):  # two leaky integrators in a row: position and speed are both continuous
        walk[0, step] = keep * walk[0, step - 1] + noise[step]
        walk[1, step] = keep * walk[1, step - 1] + walk[0, step]
    tail = walk[1, -length:]
    return deviation * tail / max(walk[1].std(), 1e-9)


def _head_angles(rng: np.random.Generator, length: int) -> tuple[list[float], list[float], list[float]]:
    """Yaw, pitch and roll in degrees, `length` of each: random walks, nods, and turns to one side that are held."""
    yaw = rng.normal(0, 6) + _random_walk(rng, length, 1.2, 5.0)
    pitch = rng.normal(0, 4) + _random_walk(rng, length, 0.8, 3.5)
    roll = rng.normal(0, 3) + _random_walk(rng, length, 1.5, 3.0)
    yaw = yaw + rng.choice((-1, 1)) * rng.uniform(10, 45) * _episodes(rng, length, 0.6)
    nodding = _episodes(rng, length, 0.3)
    pitch = pitch + rng.uniform(4, 10) * nodding * np.sin(np.arange(length) / PROCESS_RATE * rng.uniform(7, 12))
    return yaw.clip(-MAX_YAW, MAX_YAW).tolist(), pitch.tolist(), roll.tolist()


def _act_gaze(rng: np.random.Generator, length: int, act: Callable) -> None:
    """Saccades: the eyes jump and then rest; four in ten rests are near the middle."""
    x, y = np.zeros(length), np.zeros(length)
    start = 0
    while start < length:
        duration = int(PROCESS_RATE * rng.uniform(0.25, 1.8))
        x[start : start + duration], y[start : start + duration] = (
            rng.normal(0, (0.12, 0.1)) if rng.random() < 0.4 else rng.uniform(-0.9, 0.9, 2)
        )
        start += duration
    smooth = np.array([0.25, 0.5, 0.25])
    x, y = (np.convolve(np.pad(axis, 1, mode="edge"), smooth, mode="valid") for axis in (x, y))
    for names, values in ((("eyeLookOutLeft", "eyeLookInRight"), x), (("eyeLookInLeft", "eyeLookOutRight"), -x)):
        for name in names:
            act(name, values.clip(0, 1))
    act("eyeLookDown", y.clip(0, 1))
    act("eyeLookUp", (-y).clip(0, 1))


def _act_mouth(rng: np.random.Generator, length: int, act: Callable) -> None:
    """Sentences of four to six syllables a second with pauses between them, and smiles."""
    loudness = _episodes(rng, length, 0.8) * rng.uniform(0.4, 1.0)
    start = 0
    while start < length:
        duration = max(3, int(PROCESS_RATE / rng.uniform(4, 6)))
        phase = ((np.arange(length) - start) / (1.3 * duration)).clip(0, 1)
        syllable = np.sin(np.pi * phase) ** 2 * loudness * rng.uniform(0.5, 1.2)
        for name, share in VISEMES[rng.integers(len(VISEMES))].items():
            act(name, share * syllable)
        start += duration
    smile = _episodes(rng, length, 0.5) * rng.uniform(0.3, 1.0)
    for name, share in (("mouthSmile", 1.0), ("cheekSquint", 0.6), ("eyeSquint", 0.4)):
        act(name, share * smile, asymmetry=0.1)


def _blinks(rng: np.random.Generator, length: int) -> np.ndarray:
    """Values (length,) in [0, 1] of eyeBlink: blinks of 0.2 to 0.45 seconds, 0.4 to 3 seconds apart."""
    lids, start = np.zeros(length), int(PROCESS_RATE * rng.uniform(0, 3))
    while start < length:
        duration = int(PROCESS_RATE * rng.uniform(0.2, 0.45))
        phase = ((np.arange(length) - start) / duration).clip(0, 1)
        lids = np.maximum(lids, np.sin(np.pi * phase) ** 0.7)
        start += duration + int(PROCESS_RATE * rng.uniform(0.4, 3.0))
    return lids


def _episodes(rng: np.random.Generator, length: int, probability: float) -> np.ndarray:
    """Strength (length,) in [0, 1]: time is cut into pieces of 0.6 to 2 seconds; with that probability a piece is an
    episode, which rises smoothly to a random strength, stays there and falls back to 0."""
    strength = np.zeros(length)
    start = -int(PROCESS_RATE * rng.uniform(0, 1.5))
    while start < length:
        duration = int(PROCESS_RATE * rng.uniform(0.6, 2.0))
        if rng.random() < probability:
            times = np.arange(length)
            phase = (np.minimum(times - start, start + duration - times) / (0.3 * PROCESS_RATE)).clip(0, 1)
            strength = np.maximum(strength, rng.uniform(0.4, 1.0) * phase * phase * (3 - 2 * phase))
        start += duration
    return strength
