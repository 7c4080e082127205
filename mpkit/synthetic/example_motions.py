"""The example motion nod.json: a head nods twice, looks to both sides, blinks, smiles and says ah.

It is computed, not recorded, and drives any portrait.

python -m mpkit.synthetic.example_motions nod.json
"""

import sys

import numpy as np
import torch

from mpkit.actions import ACTIONS
from mpkit.animation.motion_file import MotionTrack
from mpkit.faces.crop import Crop
from mpkit.geometry import rotation_from_angles

RATE = 25  # frames a second
SECONDS = 6
SIZE = 512  # pixels along each side of the frames that the motion would have been tracked in


def bump(times: np.ndarray, start: float, end: float) -> np.ndarray:
    """Values (T,) at times (T,) in seconds: 0 outside (start, end), a smooth rise to 1 and back inside."""
    phase = ((times - start) / (end - start)).clip(0, 1)
    return np.sin(np.pi * phase) ** 2


def hold(times: np.ndarray, start: float, end: float, ramp: float = 0.4) -> np.ndarray:
    """Values (T,) at times (T,) in seconds: 0 outside (start, end), 1 inside, with smooth ramps of `ramp` seconds."""
    phase = (np.minimum(times - start, end - times) / ramp).clip(0, 1)
    return phase * phase * (3 - 2 * phase)


def nod() -> MotionTrack:
    """Six seconds that begin and end without an expression and frontal, so that they can loop."""
    times = np.arange(RATE * SECONDS) / RATE
    pitch = 13 * bump(times, 0.4, 1.1) + 10 * bump(times, 1.1, 1.8) - 5 * hold(times, 4.2, 5.6)
    yaw = 18 * hold(times, 1.9, 3.1) - 18 * hold(times, 2.9, 4.2)
    roll = 7 * hold(times, 4.3, 5.7)
    actions = np.zeros((len(times), len(ACTIONS)), np.float32)

    def act(names: str, values: np.ndarray) -> None:
        """Raises actions, given by their names with spaces between, to values (T,)."""
        for name in names.split():
            actions[:, ACTIONS.index(name)] = np.maximum(actions[:, ACTIONS.index(name)], values)

    for start in (0.7, 2.85, 5.5):
        act("eyeBlinkLeft eyeBlinkRight", bump(times, start, start + 0.3))
    act("mouthSmileLeft mouthSmileRight", 0.8 * hold(times, 3.9, 5.8))
    act("cheekSquintLeft cheekSquintRight", 0.3 * hold(times, 3.9, 5.8))
    act("browInnerUp browOuterUpLeft browOuterUpRight", 0.6 * hold(times, 4.3, 5.2))
    act("jawOpen", 0.7 * bump(times, 4.5, 5.2))
    angles = (torch.tensor(angle, dtype=torch.float32) for angle in (yaw, pitch, roll))
    count = len(times)
    return MotionTrack(
        rate=f"{RATE}/1",
        width=SIZE,
        height=SIZE,
        crop=Crop(SIZE / 2, SIZE / 2, SIZE / 2),
        times=times,
        found=np.ones(count, bool),
        rotation=rotation_from_angles(*angles).numpy(),
        translation=np.zeros((count, 2), np.float32),
        scale=np.ones(count, np.float32),
        actions=actions,
        gaze=np.stack([yaw / 30, pitch / 40], 1).astype(np.float32),
        shoulders=np.zeros((count, 2), np.float32),
        box=np.tile(np.float32([0.3, 0.3, 0.7, 0.8]) * SIZE, (count, 1)),
        source="mpkit.synthetic.example_motions",
    )


if __name__ == "__main__":
    nod().save(sys.argv[1])
