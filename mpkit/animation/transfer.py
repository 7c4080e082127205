"""Motion transfer: from what the driver does to what the portrait shall do.

absolute   the driver's head pose and expression as they are
relative   the portrait's own pose and expression, plus the driver's change since its reference frame
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mpkit.actions import ACTIONS
from mpkit.faces.crop import Crop, pose_in
from mpkit.faces.face import Face
from mpkit.geometry import Pose, angles_from_rotation

REFERENCE_SECONDS = 1.0  # the most neutral frame of the driver's first second is its reference
LOOKS = [index for index, name in enumerate(ACTIONS) if name.startswith("eyeLook")]


class FrameMotion(NamedTuple):
    """What one head does at one time: pose in crop coordinates (batch 1), 52 coefficients and gaze (1, 54), and how
    far the shoulders are from where the pose tells, crop coordinates (1, 2)."""

    pose: Pose
    numbers: Tensor
    shoulders: Tensor = torch.zeros(1, 2)

    @staticmethod
    def of(face: Face, crop: Crop) -> "FrameMotion":
        numbers = np.concatenate([face.actions, face.gaze]).astype(np.float32)
        return FrameMotion(
            pose_in(face, crop), torch.from_numpy(numbers)[None], torch.tensor([face.shoulders]) / crop.radius
        )

    @property
    def activity(self) -> float:
        """0 for a frontal head with a neutral face; grows with turns and with what the face does."""
        quiet = self.numbers.clone()
        quiet[:, LOOKS] = 0  # a look aside disturbs nothing
        turn = sum(abs(angle.item()) for angle in angles_from_rotation(self.pose.rotation)) / 30
        return turn + quiet[:, :52].sum().item()


class Transfer:
    """Maps driver frames to frames for a portrait whose still has the motion `own`.

    `motion`: "relative" or "absolute". `scale_translation`: "driver" moves and scales head and shoulders as the
    driver does, "source" leaves them where the picture has them. Set `reference` before the first relative frame.
    """

    def __init__(self, own: FrameMotion, motion: str = "relative", scale_translation: str = "driver"):
        if motion not in ("relative", "absolute"):
            raise ValueError(f"motion is relative or absolute, not {motion!r}")
        if scale_translation not in ("source", "driver"):
            raise ValueError(f"scale_translation is source or driver, not {scale_translation!r}")
        self.own, self.relative, self.follow = own, motion == "relative", scale_translation == "driver"
        self.reference: FrameMotion | None = None

    def __call__(self, driver: FrameMotion) -> FrameMotion:
        own, reference = self.own.pose, self.reference or driver
        rotation, numbers = driver.pose.rotation, driver.numbers
        if self.relative:
            rotation = rotation @ reference.pose.rotation.mT @ own.rotation
            numbers = self.own.numbers + driver.numbers - reference.numbers
        numbers = torch.cat([numbers[:, :52].clamp(0, 1), numbers[:, 52:].clamp(-1.5, 1.5)], dim=1)
        if not self.follow:
            return FrameMotion(Pose(rotation, own.translation, own.scale), numbers)
        growth = driver.pose.scale / reference.pose.scale
        size = own.scale / reference.pose.scale
        moved = (driver.pose.translation - reference.pose.translation) * size
        shoulders = (driver.shoulders - reference.shoulders) * size
        return FrameMotion(Pose(rotation, own.translation + moved, own.scale * growth), numbers, shoulders)


def with_reference(
    frames: Iterable[tuple[np.ndarray | None, FrameMotion | None]], transfer: Transfer, rate: float
) -> Iterator[tuple[np.ndarray | None, FrameMotion, bool]]:
    """Driver frames (picture, motion or None) -> (picture, the portrait's motion, whether the driver showed a face).

    Waits for the first second with a face to choose the reference, then streams. Frames without a face hold the last
    motion; before the first face that is the still's own.
    """
    stream, waiting = iter(frames), []
    for frame in stream:
        waiting.append(frame)
        if frame[1] is None and not any(motion for _, motion in waiting):
            yield frame[0], transfer.own, False
            waiting.clear()
        elif len(waiting) >= max(1, round(rate * REFERENCE_SECONDS)):
            break
    seen = [motion for _, motion in waiting if motion is not None]
    if seen:
        transfer.reference = min(seen, key=lambda motion: motion.activity)
    held = transfer.own
    for picture, motion in (frame for part in (waiting, stream) for frame in part):
        held = transfer(motion) if motion is not None else held
        yield picture, held, motion is not None
