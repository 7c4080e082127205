"""Motion transfer: from the motion of the driver to the motion of the portrait.

absolute   the driver's head pose and expression as they are
relative   the portrait's own pose and expression, plus the driver's change since its reference frame
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from mpkit.actions import ACTIONS
from mpkit.animation.options import Controls, Part
from mpkit.faces.crop import Crop, pose_in
from mpkit.faces.face import Face
from mpkit.geometry import Pose, angles_from_rotation

REFERENCE_SECONDS = 1.0  # the frame of the driver's first second that is nearest to neutral is its reference
MAX_GAZE = 1.5  # of a driven portrait, in x and in y
EYE_LOOK_ACTIONS = [index for index, name in enumerate(ACTIONS) if name.startswith("eyeLook")]


class FrameMotion(NamedTuple):
    """The motion of one head in one frame. Poses and shoulders are in coordinates of the head crop.

    The expression is in `numbers`. Where E_mtn has read it from pixels it is in `latent`, which then counts alone.
    """

    pose: Pose  # batch 1
    numbers: Tensor  # (1, 54): 52 facial actions, then gaze x and y
    shoulders: Tensor = torch.zeros(1, 2)  # x, y: how far they are from where the head pose puts them
    latent: Tensor | None = None  # (1, latent): z

    @staticmethod
    def of(face: Face, crop: Crop) -> "FrameMotion":
        """The motion that the tracker reads of a face, in the coordinates of a crop of its picture."""
        numbers = np.concatenate([face.actions, face.gaze]).astype(np.float32)
        return FrameMotion(
            pose_in(face, crop), torch.from_numpy(numbers)[None], torch.tensor([face.shoulders]) / crop.radius
        )

    @property
    def deviation_from_neutral(self) -> float:
        """0 for a frontal head with a neutral face. It adds the degrees of turn, divided by 30, and the actions, except
        those that say where the eyes look."""
        actions = self.numbers[:, : len(ACTIONS)].clamp_min(0)
        actions[:, EYE_LOOK_ACTIONS] = 0
        turn = sum(abs(angle.item()) for angle in angles_from_rotation(self.pose.rotation)) / 30
        return turn + actions.sum().item()

    def corrected(self, correction: "FrameMotion") -> "FrameMotion":
        """This motion with a correction applied: its pose before this one, its numbers and latent added."""
        return self._replace(
            pose=without_depth_shift(self.pose.compose(correction.pose)),
            numbers=self.numbers + correction.numbers,
            latent=None if self.latent is None else self.latent + correction.latent,
        )

    def inverse(self) -> "FrameMotion":
        """The correction that undoes this correction."""
        return FrameMotion(self.pose.inverse(), -self.numbers, latent=-self.latent)


def interpolate(start: FrameMotion, end: FrameMotion, pose_share: float, expression_share: float) -> FrameMotion:
    """The motion at a share of the way from `start` (0) to `end` (1); above 1, beyond `end`.

    The rotation turns about one axis, the scale changes by equal factors, all else by equal steps."""
    pose, shoulders, latent = end.pose, end.shoulders, end.latent
    if pose_share != 1:
        first = start.pose
        rotation = _scaled(pose.rotation @ first.rotation.mT, pose_share) @ first.rotation
        translation = torch.lerp(first.translation, pose.translation, pose_share)
        pose = Pose(rotation, translation, first.scale * (pose.scale / first.scale) ** pose_share)
        shoulders = torch.lerp(start.shoulders, shoulders, pose_share)
    if latent is not None:
        latent = torch.lerp(start.latent, latent, expression_share)
    return FrameMotion(pose, torch.lerp(start.numbers, end.numbers, expression_share), shoulders, latent)


def _scaled(rotation: Tensor, factor: float) -> Tensor:
    """A rotation (1, 3, 3) by `factor` times its angle, about the same axis."""
    axis_angle = cv2.Rodrigues(rotation[0].double().numpy())[0]
    return torch.from_numpy(cv2.Rodrigues(axis_angle * factor)[0]).to(rotation)[None]


def part_of(name: str) -> Part:
    """The part of the face, see `Controls.parts`, that an action or the gaze moves."""
    if name.startswith(("eye", "gaze")):
        return "eyes"
    return "brows" if name.startswith("brow") else "mouth"


def without_depth_shift(pose: Pose) -> Pose:
    """A pose without its shift in depth, which an orthographic camera does not see."""
    return pose._replace(translation=pose.translation * pose.translation.new_tensor([1, 1, 0]))


class Transfer:
    """Maps frames of a driver to frames for a portrait whose picture has the motion `own`.

    `motion`: "relative" or "absolute". `scale_translation`: "driver" moves and scales head and shoulders as the
    driver does, "source" leaves them where the picture has them. `reference`: the driver's motion from which changes
    count; it must be set before the first frame, else that frame is taken.
    `controls`: strengths and parts; the rest of the motion is `own`. Its smoothing is applied by `transfer_frames`.
    For drivers with a `latent`, `own` needs one too; then the face is in the latent, and follows the driver if `parts`
    has any of eyes, mouth and brows. Raises ValueError for other values of `motion` and `scale_translation`.
    """

    def __init__(
        self, own: FrameMotion, motion: str = "relative", scale_translation: str = "driver", controls=Controls()
    ):
        if motion not in ("relative", "absolute"):
            raise ValueError(f"motion is relative or absolute, not {motion!r}")
        if scale_translation not in ("source", "driver"):
            raise ValueError(f"scale_translation is source or driver, not {scale_translation!r}")
        self.own, self.relative = own, motion == "relative"
        self.follows_driver = scale_translation == "driver"
        self.controls = controls
        followed = [part_of(name) in controls.parts for name in (*ACTIONS, "gaze x", "gaze y")]
        self.followed_numbers = torch.tensor(followed)  # (54,)
        self.reference: FrameMotion | None = None

    def __call__(self, driver: FrameMotion) -> FrameMotion:
        """The portrait's motion for one frame of the driver."""
        controls = self.controls
        motion = interpolate(
            self.own, self._parts(self._transferred(driver)), controls.pose_strength, controls.expression_strength
        )
        actions, gaze = motion.numbers.split([len(ACTIONS), 2], dim=1)
        numbers = torch.cat([actions.clamp(0, 1), gaze.clamp(-MAX_GAZE, MAX_GAZE)], dim=1)
        return motion._replace(numbers=numbers)

    def _parts(self, motion: FrameMotion) -> FrameMotion:
        """A transferred motion whose parts that do not follow the driver are the portrait's own."""
        pose, shoulders, latent = motion.pose, motion.shoulders, motion.latent
        if "head" not in self.controls.parts:
            pose, shoulders = self.own.pose, self.own.shoulders
        if latent is not None and not self.followed_numbers.any():
            latent = self.own.latent
        numbers = torch.where(self.followed_numbers, motion.numbers, self.own.numbers)
        return FrameMotion(pose, numbers, shoulders, latent)

    def _transferred(self, driver: FrameMotion) -> FrameMotion:
        """The motion at full strength, all parts, its numbers not yet limited to their ranges."""
        own, reference = self.own.pose, self.reference or driver
        rotation, numbers, latent = driver.pose.rotation, driver.numbers, driver.latent
        if self.relative:
            rotation = rotation @ reference.pose.rotation.mT @ own.rotation
            numbers = self.own.numbers + driver.numbers - reference.numbers
            latent = None if latent is None else self.own.latent + latent - reference.latent
        if not self.follows_driver:
            return FrameMotion(Pose(rotation, own.translation, own.scale), numbers, latent=latent)
        size_ratio = own.scale / reference.pose.scale  # of the portrait's head to the driver's
        shift = (driver.pose.translation - reference.pose.translation) * size_ratio
        shoulders = (driver.shoulders - reference.shoulders) * size_ratio
        scale = own.scale * (driver.pose.scale / reference.pose.scale)
        return FrameMotion(Pose(rotation, own.translation + shift, scale), numbers, shoulders, latent)


def transfer_frames(
    frames: Iterable[tuple[np.ndarray | None, FrameMotion | None]], transfer: Transfer, rate: float
) -> Iterator[tuple[np.ndarray | None, FrameMotion, bool]]:
    """Driver frames (picture, motion or None) -> (picture, the portrait's motion, whether the driver shows a face).

    Reads the first second with a face, chooses the reference in it unless there is one, and then streams. A frame
    without a face holds the motion before it; before the first face that is the portrait's own. With smoothing, a
    motion is the mean of the transferred one and of the motion before it, weighted by 1 - smoothing and smoothing.
    """
    stream, buffered = iter(frames), []
    for frame in stream:
        buffered.append(frame)
        if frame[1] is None and not any(motion for _, motion in buffered):
            yield frame[0], transfer.own, False
            buffered.clear()
        elif len(buffered) >= max(1, round(rate * REFERENCE_SECONDS)):
            break
    candidates = [motion for _, motion in buffered if motion is not None]
    if candidates and transfer.reference is None:
        transfer.reference = min(candidates, key=lambda motion: motion.deviation_from_neutral)
    held, new_share = None, 1 - transfer.controls.smoothing
    for picture, motion in (frame for part in (buffered, stream) for frame in part):
        if motion is not None:
            new = transfer(motion)
            held = interpolate(held, new, new_share, new_share) if held else new
        yield picture, held or transfer.own, motion is not None
