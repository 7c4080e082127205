"""Motion transfer: from the motion of the driver to the motion of the portrait.

absolute   the driver's head pose and expression as they are
relative   the portrait's own pose and expression, plus the driver's change since its rest: of rotation and expression
           since the frame of the whole clip that is nearest to a neutral face, of place and size since the first frame
           of the shot
"""

import itertools
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from mpkit.actions import ACTIONS
from mpkit.animation.options import Controls, Part
from mpkit.animation.view_range import MAX_ROLL, limited, limited_roll
from mpkit.faces.crop import Crop, pose_in
from mpkit.faces.face import Face, continues
from mpkit.geometry import Pose, angles_from_rotation, rotation_from_angles

STREAM_REST_SECONDS = 1.0  # of a driver that cannot be read ahead, rest is looked for in its first second
MAX_REST_JAW, MAX_REST_ANGLE = 0.15, 10.0  # jawOpen, degrees; a mouth more open, a head turned farther is not at rest
MIN_GROWTH = 0.5  # of a driven portrait's head: smaller, it would leave a gap in its clothes
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
        numbers = np.concatenate([closed_over_jaw(face.actions), face.gaze]).astype(np.float32)
        return FrameMotion(
            pose_in(face, crop), torch.from_numpy(numbers)[None], torch.tensor([face.shoulders]) / crop.radius
        )

    @property
    def deviation_from_neutral(self) -> float:
        """0 for a frontal head with a neutral face. It adds the degrees of turn, divided by 30, the actions, except
        those that say where the eyes look, and the gaze."""
        actions, gaze = self.numbers.split([len(ACTIONS), 2], dim=1)
        actions = actions.clamp_min(0)
        actions[:, EYE_LOOK_ACTIONS] = 0
        turn = sum(abs(angle.item()) for angle in angles_from_rotation(self.pose.rotation)) / 30
        return turn + actions.sum().item() + gaze.abs().sum().item()

    def bounded(self) -> "FrameMotion":
        """This motion, its mouth no wider open and its head turned no farther than at rest."""
        numbers, jaw = self.numbers.clone(), ACTIONS.index("jawOpen")
        numbers[:, jaw].clamp_(max=MAX_REST_JAW)
        angles = angles_from_rotation(self.pose.rotation)
        rotation = rotation_from_angles(*(angle.clamp(-MAX_REST_ANGLE, MAX_REST_ANGLE) for angle in angles))
        return self._replace(pose=self.pose._replace(rotation=rotation), numbers=numbers)

    def follows(self, last: "FrameMotion") -> bool:
        """Whether this motion can be the next frame after `last` in one shot."""
        step = (self.pose.translation - last.pose.translation).norm() / last.pose.scale
        return continues(step, self.pose.scale / last.pose.scale, (self.pose.rotation, last.pose.rotation))

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


def closed_over_jaw(actions: np.ndarray) -> np.ndarray:
    """Facial actions (52,) with the jaw open only as far as the lips are apart: mouthClose closes them over jawOpen.

    The tracker reads both in some faces with closed lips, and the networks, which saw that rarely, would open them."""
    jaw, close = ACTIONS.index("jawOpen"), ACTIONS.index("mouthClose")
    actions = actions.copy()
    actions[jaw] = max(actions[jaw] - actions[close], 0)
    actions[close] = min(actions[close], actions[jaw])
    return actions


def rest_of(motions: Iterable[FrameMotion]) -> FrameMotion | None:
    """The reference of relative motion: that of the driver's motions which is nearest to neutral, bounded, since a
    driver may speak or look aside all the time. None without motions."""
    nearest = min(motions, key=lambda motion: motion.deviation_from_neutral, default=None)
    return nearest and nearest.bounded()


class Transfer:
    """Maps frames of a driver to frames for a portrait whose picture has the motion `own`.

    `motion`: "relative" or "absolute". `scale_translation`: "driver" moves and scales head and shoulders as the
    driver does, "source" leaves them where the picture has them. `max_growth`: of the head, as a ratio to its size in
    the picture; a head that would become larger stays that large.
    `reference`: the driver's motion from which changes count; if it is not set before the first frame, that frame is
    taken. `place`: where it is set, changes of place and size count from it instead.
    `controls`: strengths and parts; the rest of the motion is `own`. Its smoothing is applied by `transfer_frames`.
    For drivers with a `latent`, `own` needs one too; then the face is in the latent, and follows the driver if `parts`
    has any of eyes, mouth and brows. Raises ValueError for other values of `motion` and `scale_translation`.
    """

    def __init__(
        self,
        own: FrameMotion,
        motion: str = "relative",
        scale_translation: str = "driver",
        controls=Controls(),
        max_growth: float = math.inf,
    ):
        if motion not in ("relative", "absolute"):
            raise ValueError(f"motion is relative or absolute, not {motion!r}")
        if scale_translation not in ("source", "driver"):
            raise ValueError(f"scale_translation is source or driver, not {scale_translation!r}")
        self.own, self.relative = own, motion == "relative"
        self.follows_driver = scale_translation == "driver"
        self.controls, self.max_growth = controls, max_growth
        followed = [part_of(name) in controls.parts for name in (*ACTIONS, "gaze x", "gaze y")]
        self.followed_numbers = torch.tensor(followed)  # (54,)
        self.reference: FrameMotion | None = None
        self.place: FrameMotion | None = None
        self.limited = False  # whether `max_growth` has been reached

    def __call__(self, driver: FrameMotion) -> FrameMotion:
        """The portrait's motion for one frame of the driver."""
        controls, own_rotation = self.controls, self.own.pose.rotation
        motion = self._parts(self._transferred(driver))
        max_roll = MAX_ROLL / max(controls.pose_strength, 1)  # so that the strength does not carry it farther
        rotation = limited_roll(motion.pose.rotation, own_rotation, max_roll)
        motion = motion._replace(pose=motion.pose._replace(rotation=rotation))
        motion = interpolate(self.own, motion, controls.pose_strength, controls.expression_strength)
        actions, gaze = motion.numbers.split([len(ACTIONS), 2], dim=1)
        numbers = torch.cat([actions.clamp(0, 1), gaze.clamp(-MAX_GAZE, MAX_GAZE)], dim=1)
        pose = motion.pose._replace(rotation=limited(motion.pose.rotation, own_rotation))
        return motion._replace(pose=pose, numbers=numbers)

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
        self.reference = self.reference or driver
        own, place = self.own.pose, self.place or self.reference
        rotation, numbers, latent = driver.pose.rotation, driver.numbers, driver.latent
        if self.relative:
            rotation = rotation @ self.reference.pose.rotation.mT @ own.rotation
            numbers = self.own.numbers + driver.numbers - self.reference.numbers
            latent = None if latent is None else self.own.latent + latent - self.reference.latent
        if not self.follows_driver:
            return FrameMotion(Pose(rotation, own.translation, own.scale), numbers, latent=latent)
        size_ratio = own.scale / place.pose.scale  # of the portrait's head to the driver's
        shift = (driver.pose.translation - place.pose.translation) * size_ratio
        shoulders = (driver.shoulders - place.shoulders) * size_ratio
        growth = driver.pose.scale / place.pose.scale
        if growth > self.max_growth and not self.limited:
            self.limited = True
            times = f"{self.max_growth:.2g} times its size"
            warnings.warn(f"the driver comes closer than the picture bears: the head grows to {times}", stacklevel=2)
        scale = own.scale * growth.clamp(MIN_GROWTH, self.max_growth)
        return FrameMotion(Pose(rotation, own.translation + shift, scale), numbers, shoulders, latent)


def transfer_frames(
    frames: Iterable[tuple[np.ndarray | None, FrameMotion | None]], transfer: Transfer, rate: float
) -> Iterator[tuple[np.ndarray | None, FrameMotion, bool]]:
    """Driver frames (picture, motion or None) -> (picture, the portrait's motion, whether the driver shows a face).

    Without a `reference`, it reads the first second with a face, takes `rest_of` it, and then streams. Unless `place`
    is set, the first frame with a face is the place, and so is the first of each further shot, see
    `FrameMotion.follows`: there the portrait's head starts from its own place again. A frame without a face holds the
    motion before it; before the first face that is the portrait's own. With smoothing, a motion is the mean of the
    transferred one and of the motion before it, weighted by 1 - smoothing and smoothing.
    """
    frames = iter(frames)
    if transfer.reference is None:
        frames = _with_reference(frames, transfer, max(1, round(rate * STREAM_REST_SECONDS)))
    last = held = None
    finds_place, new_share = transfer.place is None, 1 - transfer.controls.smoothing
    for picture, motion in frames:
        if motion is not None:
            cut = last is not None and not motion.follows(last)
            if finds_place and (cut or transfer.place is None):
                transfer.place, held = motion, None
            new = transfer(motion)
            held = interpolate(held, new, new_share, new_share) if held else new
        last = motion
        yield picture, held or transfer.own, motion is not None


def _with_reference(frames: Iterator, transfer: Transfer, count: int) -> Iterator:
    """The same frames; the reference of `transfer` is set before the first frame with a face is given on. It is looked
    for in that frame and those after it, `count` in all."""
    for frame in frames:
        if frame[1] is None:
            yield frame
            continue
        first = [frame, *itertools.islice(frames, count - 1)]
        transfer.reference = rest_of(motion for _, motion in first if motion is not None)
        yield from first
        break
    yield from frames
