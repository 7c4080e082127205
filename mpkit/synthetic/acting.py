"""Natural motion for synthetic heads: clips in which somebody talks, smiles, blinks, looks about and turns the head.

Everything is made of a few processes on a time axis: wandering (head), jumps that are held (gaze), short events
(blinks), syllables (mouth) and episodes (smiles, brows).
"""

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix

RATE = 25  # frames a second in which the processes are made
LARGEST_TURN = 45.0  # degrees of yaw
# how far a syllable opens and shapes the mouth: action -> share of its loudness
VISEMES = (
    {"jawOpen": 0.9, "mouthLowerDown": 0.4, "mouthUpperUp": 0.2},  # a
    {"jawOpen": 0.4, "mouthStretch": 0.5, "mouthLowerDown": 0.3},  # e, i
    {"jawOpen": 0.45, "mouthFunnel": 0.8},  # o
    {"jawOpen": 0.2, "mouthPucker": 0.9},  # u, w
    {"mouthPress": 0.6, "mouthRollLower": 0.4, "mouthRollUpper": 0.3},  # m, b, p
    {"jawOpen": 0.15, "mouthRollLower": 0.5, "mouthUpperUp": 0.4},  # f, v
)
ALONE = ("jawOpen", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper")  # have no left and right


def sample_clip(rng: np.random.Generator, count: int, rate: float = 4.0) -> list[SyntheticMotion]:
    """`count` motions, `rate` a second, of one performance."""
    length = max(2, int(np.ceil(count / rate * RATE)) + 1)
    actions = np.zeros((length, 52), np.float32)

    def act(name: str, values: np.ndarray, asymmetry: float = 0.0) -> None:
        names = (name,) if name in ACTIONS else (name + "Left", name + "Right")
        for one in names:
            index = ACTIONS.index(one)
            actions[:, index] = np.maximum(actions[:, index], values * (1 + rng.normal(0, asymmetry)))

    yaw, pitch, roll = _head(rng, length)
    _gaze(rng, length, act)
    _mouth(rng, length, act)
    for names, chance in ((("browInnerUp", "browOuterUp", "eyeWide"), 0.5), (("browDown", "noseSneer"), 0.3)):
        shape = _episodes(rng, length, chance)
        for share, name in zip((1.0, 0.7, 0.4), names):
            act(name, share * shape, asymmetry=0.1)
    blink = _blinks(rng, length)
    act("eyeBlink", blink)
    for side in ("Left", "Right"):  # lids that close are neither wide nor squeezed
        for name in ("eyeWide", "eyeSquint"):
            actions[:, ACTIONS.index(name + side)] *= 1 - blink
    offset = rng.normal(0, 0.03, 2) + np.stack([_wander(rng, length, 1.5, 0.02) for _ in range(2)], 1)
    follow, turn = rng.uniform(0.1, 0.3), rng.normal(0, 2.5)
    scale = float(rng.uniform(0.92, 1.08))
    motions = []
    for index in (np.arange(count) / rate * RATE).round().astype(int):
        motions.append(
            SyntheticMotion(
                rotation_matrix(yaw[index], pitch[index], roll[index]),
                np.array([*offset[index], 0], np.float32),
                scale,
                rotation_matrix(yaw[index] * follow + turn, 0.0, roll[index] * 0.15),
                actions[index].clip(0, 1),
            )
        )
    return motions


def _wander(rng, length: int, seconds: float, size: float) -> np.ndarray:
    """A smooth random walk that returns to 0: standard deviation `size`, memory `seconds`."""
    keep = np.exp(-1 / (RATE * seconds / 2))
    walk = np.zeros((2, length + 4 * int(RATE * seconds)))
    noise = rng.normal(0, 1, walk.shape[1])
    for step in range(1, walk.shape[1]):  # two leaky sums in a row: no jerks
        walk[0, step] = keep * walk[0, step - 1] + noise[step]
        walk[1, step] = keep * walk[1, step - 1] + walk[0, step]
    tail = walk[1, -length:]
    return size * tail / max(walk[1].std(), 1e-9)


def _head(rng, length: int) -> tuple[list[float], list[float], list[float]]:
    """Yaw, pitch and roll in degrees: wandering, nods, and turns to a side that are held."""
    yaw = rng.normal(0, 6) + _wander(rng, length, 1.2, 5.0)
    pitch = rng.normal(0, 4) + _wander(rng, length, 0.8, 3.5)
    roll = rng.normal(0, 3) + _wander(rng, length, 1.5, 3.0)
    yaw = yaw + rng.choice((-1, 1)) * rng.uniform(10, 45) * _episodes(rng, length, 0.6)
    nodding = _episodes(rng, length, 0.3)
    pitch = pitch + rng.uniform(4, 10) * nodding * np.sin(np.arange(length) / RATE * rng.uniform(7, 12))
    return yaw.clip(-LARGEST_TURN, LARGEST_TURN).tolist(), pitch.tolist(), roll.tolist()


def _gaze(rng, length: int, act) -> None:
    """Saccades: the eyes jump and stay, most often near the middle."""
    x, y = np.zeros(length), np.zeros(length)
    start = 0
    while start < length:
        hold = int(RATE * rng.uniform(0.25, 1.8))
        x[start : start + hold], y[start : start + hold] = (
            rng.normal(0, (0.12, 0.1)) if rng.random() < 0.4 else rng.uniform(-0.9, 0.9, 2)
        )
        start += hold
    smooth = np.array([0.25, 0.5, 0.25])
    x, y = (np.convolve(np.pad(axis, 1, mode="edge"), smooth, mode="valid") for axis in (x, y))
    for names, values in ((("eyeLookOutLeft", "eyeLookInRight"), x), (("eyeLookInLeft", "eyeLookOutRight"), -x)):
        for name in names:
            act(name, values.clip(0, 1))
    act("eyeLookDown", y.clip(0, 1))
    act("eyeLookUp", (-y).clip(0, 1))


def _mouth(rng, length: int, act) -> None:
    """Sentences of four to six syllables a second with pauses between, and smiles."""
    loudness = _episodes(rng, length, 0.8) * rng.uniform(0.4, 1.0)
    start = 0
    while start < length:
        hold = max(3, int(RATE / rng.uniform(4, 6)))
        times = np.arange(length)
        syllable = np.sin(np.pi * ((times - start) / (1.3 * hold)).clip(0, 1)) ** 2 * loudness * rng.uniform(0.5, 1.2)
        for name, share in VISEMES[rng.integers(len(VISEMES))].items():
            act(name, share * syllable)
        start += hold
    smile = _episodes(rng, length, 0.5) * rng.uniform(0.3, 1.0)
    for name, share in (("mouthSmile", 1.0), ("cheekSquint", 0.6), ("eyeSquint", 0.4)):
        act(name, share * smile, asymmetry=0.1)


def _blinks(rng, length: int) -> np.ndarray:
    """How far the lids are closed: an event of a third of a second every few seconds."""
    lids, start = np.zeros(length), int(RATE * rng.uniform(0, 3))
    while start < length:
        hold = int(RATE * rng.uniform(0.2, 0.45))
        phase = ((np.arange(length) - start) / hold).clip(0, 1)
        lids = np.maximum(lids, np.sin(np.pi * phase) ** 0.7)
        start += hold + int(RATE * rng.uniform(0.4, 3.0))
    return lids


def _episodes(rng, length: int, chance: float) -> np.ndarray:
    """Between 0 and 1: holds of about a second with smooth ramps, there a share `chance` of the time, about."""
    shape = np.zeros(length)
    start = -int(RATE * rng.uniform(0, 1.5))
    while start < length:
        hold = int(RATE * rng.uniform(0.6, 2.0))
        if rng.random() < chance:
            times = np.arange(length)
            phase = (np.minimum(times - start, start + hold - times) / (0.3 * RATE)).clip(0, 1)
            shape = np.maximum(shape, rng.uniform(0.4, 1.0) * phase * phase * (3 - 2 * phase))
        start += hold
    return shape
