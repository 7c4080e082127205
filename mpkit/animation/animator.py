"""The animator: a source picture becomes a portrait once; motion frames then drive it, one by one, as a stream.

from mpkit import Animator
animator = Animator.load()                              # the bundled weights, on the best device
animator.animate("painting.jpg", "driver.mp4", "out.mp4")
"""

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.actions import ACTIONS
from mpkit.animation.driver import Driver, open_driver
from mpkit.animation.options import Options
from mpkit.animation.prefetch import ahead
from mpkit.animation.shoulder_shift import move_shoulders
from mpkit.animation.transfer import FrameMotion, Transfer, with_reference
from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.device import check_precision, choose_device
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.anchors import anchors_in
from mpkit.faces.crop import Crop, cut, paste, pose_in
from mpkit.faces.face import Face, Tracker, central_face, select_face
from mpkit.faces.matte import Matte, fill_background
from mpkit.faces.trackers import make_tracker
from mpkit.geometry import Pose, identity_pose
from mpkit.media.images import check_output, read_image
from mpkit.media.video_writer import VideoWriter
from mpkit.networks.base import Avatar, BaseModel, load_model
from mpkit.networks.detail import render_at
from mpkit.networks.motion import HeadMotion

LARGEST_SIDE = 2048  # of the animated crop, pixels
LOOKS = 3  # at a portrait that is told to face the camera, before its own pose is believed
MAX_DEVIATION = 60.0  # degrees and looks; a face that is farther from it was not drawn, or not read
NO_CORRECTION = FrameMotion(identity_pose(), torch.zeros(1, len(ACTIONS) + 2))
NOTE = "Made with mpkit: an animated still, not a real recording"


@dataclass(frozen=True)
class Portrait:
    """A source made ready: everything that does not change from frame to frame."""

    image: np.ndarray  # the whole picture, (H, W, 3) uint8
    crop: Crop
    size: int  # side of the animated crop in pixels
    picture: Tensor  # (1, 4, size, size) premultiplied RGBA of the crop
    background: Tensor  # (1, 3, size, size) the crop without the person
    avatar: Avatar
    motion: FrameMotion  # the still's own
    correction: FrameMotion  # added to every motion, because the avatar does not quite look where it is told to


@dataclass
class Result:
    """What was written, and what a person may want to know of it."""

    output: Path
    frames: int = 0
    without_face: int = 0  # driver frames that held the last motion
    rate: Fraction = field(default=Fraction(25))


class Animator:
    """Animates pictures with one model on one device. One instance serves many requests, one after another."""

    def __init__(self, model: BaseModel, device: str = "auto", precision: str = "fp32", tracker: str = "mediapipe"):
        self.device = choose_device(device)
        self.precision = check_precision(precision, self.device)
        self.model = model.to(self.device).eval()
        self.tracker = tracker
        self._matte = None

    @staticmethod
    def load(weights: str | Path = DEFAULT_WEIGHTS, **options) -> "Animator":
        """An animator with weights from a safetensors file. Raises WeightsError, DeviceError."""
        device = choose_device(options.get("device", "auto"))  # say so before reading a large file
        check_precision(options.get("precision", "fp32"), device)
        return Animator(load_model(weights), **options)

    @torch.inference_mode()
    def portrait(self, image: np.ndarray, face: str | int = "largest", size: str | int = "native") -> Portrait:
        """Makes a picture (H, W, 3) uint8 ready, its own motion corrected by how it then looks. Raises NoFaceError."""
        with make_tracker(self.tracker) as tracker:
            found = select_face(tracker.detect(image), face)
            crop = Crop.of(found)
            side = crop_side(size, crop, self.model.config.image_size)
            if side == round(2 * crop.radius):
                crop = crop.snapped(side)
            pixels = cut(image, crop, side)
            self._matte = self._matte or Matte()
            alpha = self._matte.in_crop(image, crop, side)
            picture = self._tensor(np.concatenate([pixels * alpha[..., None], alpha[..., None] * 255], axis=2))
            background = self._tensor(fill_background(pixels, alpha))
            motion = FrameMotion.of(found, crop)
            with self._autocast():
                small = F.interpolate(picture, size=(self.model.config.image_size,) * 2, mode="area")
                own = self._head_motion(motion)
                anchors = self.model.neutral_anchors(small, own, anchors_in(found, crop).to(self.device))
                avatar = self.model.source(small, own, anchors)
            portrait = Portrait(image, crop, side, picture, background, avatar, motion, NO_CORRECTION)
            return self._settled(portrait, tracker)

    def _settled(self, portrait: Portrait, tracker: Tracker) -> Portrait:
        """The portrait with its own pose and gaze read anew, from what the model makes of it. Told to look straight
        ahead it should; a turn or a look aside that is seen all the same is the still's own, which was read wrong:
        `lean` takes it out."""
        best, least = portrait, MAX_DEVIATION
        small, own = portrait.avatar.picture, portrait.motion
        size = small.shape[-1]
        ahead = FrameMotion(own.pose._replace(rotation=torch.eye(3)[None]), torch.zeros_like(own.numbers))
        portrait = replace(portrait, picture=small, size=size, background=torch.full_like(small[:, :3], 0.5))
        for _ in range(LOOKS):
            face = central_face(tracker, self.frame(portrait, ahead))
            if face is None or deviation_from_frontal(face) >= least:
                break
            best, least = replace(best, correction=portrait.correction), deviation_from_frontal(face)
            seen = pose_in(face, Crop(size / 2, size / 2, size / 2))
            look = F.pad(torch.from_numpy(face.gaze), (len(ACTIONS), 0))
            lean = portrait.correction
            lean = FrameMotion(seen.inverse().compose(ahead.pose).compose(lean.pose), lean.numbers - look)
            portrait = replace(portrait, correction=lean)
        pose = without_depth_shift(own.pose.compose(best.correction.pose.inverse()))
        return replace(best, motion=FrameMotion(pose, own.numbers - best.correction.numbers))

    @torch.inference_mode()
    def frame(self, portrait: Portrait, motion: FrameMotion) -> np.ndarray:
        """One animated crop, (size, size, 3) uint8: the driven head over the filled background."""
        with self._autocast():
            lean = portrait.correction
            motion = motion._replace(pose=without_depth_shift(motion.pose.compose(lean.pose)), numbers=motion.numbers + lean.numbers)
            rendering = self.model.drive(portrait.avatar, self._head_motion(motion)).rendering
        if rendering.detail is None:
            image = F.interpolate(rendering.image.float(), size=(portrait.size,) * 2, mode="bilinear")
            small = (image[0].movedim(0, -1) * 255).byte().cpu().numpy()
            alpha = self._tensor(self._matte(small)[..., None] * 255)
        else:
            detail = rendering.detail.float()
            if motion.shoulders.any():
                detail = move_shoulders(detail, motion.pose.to(self.device), motion.shoulders.to(self.device))
            image, alpha = render_at(portrait.picture, detail, portrait.size).split([3, 1], dim=1)
        image = torch.addcmul(image, 1 - alpha, portrait.background).mul_(255).round_().clamp_(0, 255)
        return image[0].byte().cpu().movedim(0, -1).contiguous().numpy()

    def animate(
        self,
        source: str | Path,
        driver: str | Path,
        output: str | Path,
        options: Options = Options(),
        progress: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> Result:
        """Source still and driver (clip, still or motion file) to a video file, GIF or folder of PNGs.

        Streams: memory does not grow with the clip. Raises MpkitError; then no output is left behind.
        """
        output = check_output(output)
        try:
            portrait = self.portrait(read_image(source), options.face, options.size)
        except NoFaceError as error:
            raise NoFaceError(f"{source}: {error}") from None
        with contextlib.ExitStack() as stack:
            clip = stack.enter_context(
                open_driver(driver, self.tracker, options.start, options.max_frames, options.fps)
            )
            result = Result(output, rate=clip.rate)
            sound = Path(driver) if options.audio and clip.has_audio else None
            frames = stack.enter_context(contextlib.closing(self._frames(portrait, clip, options, result)))
            first = next(frames)
            size = first.shape[1], first.shape[0]
            with VideoWriter(output, clip.rate, size, sound, options.start, {"comment": NOTE}) as writer:
                for picture in itertools.chain([first], frames):
                    writer.write(picture)
                    result.frames += 1
                    progress(result.frames, clip.frame_count)
                if result.without_face == result.frames:
                    raise NoFaceError(f"no face in any frame of {driver}; use a clip where a face looks at the camera")
        return result

    def _frames(self, portrait: Portrait, clip: Driver, options: Options, result: Result) -> Iterator[np.ndarray]:
        kind = options.motion if clip.moves else "absolute"
        transfer = Transfer(portrait.motion, kind, options.scale_translation)
        still = portrait.image if options.paste_back else cut(portrait.image, portrait.crop, portrait.size)
        driven = self._driven(portrait, ahead(with_reference(clip, transfer, float(clip.rate))))
        before = picture = None
        with contextlib.closing(ahead(driven)) as stream:
            for seen, animated, found in stream:
                result.without_face += not found
                if not found and result.without_face == 1:
                    warnings.warn("some driver frames show no face: they hold the last motion", stacklevel=2)
                if animated is not before:  # a held motion is a held picture
                    before = animated
                    picture = paste(portrait.image, animated, portrait.crop) if options.paste_back else animated
                yield side_by_side(still, seen, picture) if options.side_by_side else picture

    def _driven(self, portrait: Portrait, motions: Iterator) -> Iterator[tuple[np.ndarray | None, np.ndarray, bool]]:
        """(driver's picture, its motion, found) -> (driver's picture, the animated crop, found)."""
        before = animated = None
        with contextlib.closing(motions):
            for seen, motion, found in motions:
                if motion is not before:
                    before, animated = motion, self.frame(portrait, motion)
                yield seen, animated, found

    def _head_motion(self, motion: FrameMotion) -> HeadMotion:
        return HeadMotion(motion.pose.to(self.device), self.model.actions(motion.numbers.to(self.device)))

    def _tensor(self, pixels: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device).movedim(-1, 0)[None].float() / 255

    def _autocast(self):
        if self.precision == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.precision)


def deviation_from_frontal(face: Face) -> float:
    """How far a face is from looking straight ahead: degrees of its turn, and 30 for eyes in their corners."""
    return float(np.abs(face.angles).sum() + 30 * np.abs(face.gaze).sum())


def without_depth_shift(pose: Pose) -> Pose:
    """A pose without its shift in depth, which an orthographic camera does not see."""
    return pose._replace(translation=pose.translation * pose.translation.new_tensor([1, 1, 0]))






def crop_side(size: str | int, crop: Crop, smallest: int) -> int:
    """Side of the animated crop in pixels: native is the picture's own, never below what the network makes."""
    if size == "native":
        return int(np.clip(round(2 * crop.radius), smallest, LARGEST_SIDE))
    if not str(size).isdecimal() or not 64 <= int(size) <= LARGEST_SIDE:
        raise MediaError(f"--size is native or a number of pixels from 64 to {LARGEST_SIDE}, not {size}")
    return int(size)


def side_by_side(still: np.ndarray, driver: np.ndarray | None, picture: np.ndarray) -> np.ndarray:
    """Source, driver (if it has pictures) and result in a row, all as high as the result; (H, W, 3) uint8."""
    height = picture.shape[0]
    panels = [panel for panel in (still, driver, picture) if panel is not None]
    widths = [round(panel.shape[1] * height / panel.shape[0]) for panel in panels]
    return np.concatenate(
        [cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA) for panel, width in zip(panels, widths)],
        axis=1,
    )
