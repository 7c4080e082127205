"""The animator: it prepares a source picture once, as a `Portrait`, and renders it in the motion of each driver frame.

from mpkit import Animator
animator = Animator.load()                              # the bundled weights, on the best device
animator.animate("painting.jpg", "driver.mp4", "out.mp4")
"""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.actions import ACTIONS, NUMBERS
from mpkit.animation.driver import Driver, open_driver
from mpkit.animation.head_frame import divide, remaining_shoulder_shift
from mpkit.animation.islands import without_islands
from mpkit.animation.options import Options, Progress, silent
from mpkit.animation.output import Rendered, Result, Steps, finish, write_animation
from mpkit.animation.portrait import NO_CORRECTION, Portrait, Source
from mpkit.animation.prefetch import prefetch
from mpkit.animation.rest import RestError
from mpkit.animation.shoulder_shift import move_shoulders
from mpkit.animation.still import AnimatedHead, Still, over_background, read_source, to_tensor, with_matte
from mpkit.animation.transfer import FrameMotion, Transfer, transfer_frames
from mpkit.animation.view_range import check_view
from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.device import check_precision, choose_device
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.anchors import anchors_in
from mpkit.faces.crop import Crop, cut, pose_in
from mpkit.faces.face import Face, Tracker, central_face, find_face
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import Picture, as_picture
from mpkit.media.paths import check_output
from mpkit.media.transparency import split_alpha
from mpkit.networks.base import BaseModel, Driven, load_model
from mpkit.networks.detail import Rendering, render_at
from mpkit.networks.enhancer import Enhancer, check_sizes
from mpkit.networks.motion import HeadMotion
from mpkit.weights import load_network

CORRECTION_STEPS = 3  # at most so many renderings are read to correct a portrait
MAX_FRONTAL_DEVIATION = 60.0  # see `frontal_deviation`; a face that is read farther from frontal was misread


class Animator:
    """Animates pictures with one model on one device. One instance serves many requests, one after another.

    With an enhancer (G_enh), its picture takes the place of the detail path's at the resolution of the source."""

    def __init__(
        self,
        model: BaseModel,
        device: str = "auto",
        precision: str = "fp32",
        tracker: str = "mediapipe",
        enhancer: Enhancer | None = None,
    ):
        """Raises DeviceError; WeightsError for an enhancer of another size than the model."""
        self.device = choose_device(device)
        self.precision = check_precision(precision, self.device)
        self.model = model.to(self.device).eval()
        self.enhancer = enhancer
        if enhancer is not None:
            check_sizes(enhancer.config, model.config)
            self.enhancer = enhancer.to(self.device).eval()
        self.tracker = tracker

    @staticmethod
    def load(weights: str | Path = DEFAULT_WEIGHTS, enhancer: str | Path | None = None, **options) -> "Animator":
        """An animator with weights from a safetensors file, and those of an enhancer from another. Raises WeightsError,
        DeviceError."""
        device = choose_device(options.get("device", "auto"))  # raises before a large file is read
        check_precision(options.get("precision", "fp32"), device)
        enhancer = load_network(enhancer, Enhancer) if enhancer else None
        return Animator(load_model(weights), enhancer=enhancer, **options)

    @functools.cached_property
    def _matte(self) -> Matte:
        return Matte()

    @torch.inference_mode()
    def portrait(
        self, image: Picture, face: str | int = "largest", size: str | int = "native", motion_from: str = "tracker"
    ) -> Portrait:
        """Prepares a picture, and corrects how the tracker reads its pose and gaze. Raises NoFaceError; MediaError and
        TypeError for what is no picture.

        `motion_from`: "tracker" for drivers that the tracker reads, "pixels" for drivers that E_mtn reads; E_mtn then
        reads the picture's own expression too. Raises ValueError for another value.
        """
        if motion_from not in ("tracker", "pixels"):
            raise ValueError(f"motion_from is tracker or pixels, not {motion_from!r}")
        picture = as_picture(image)
        image, alpha = split_alpha(picture)
        with make_tracker(self.tracker) as tracker:
            found = find_face(tracker, image, face)
            check_view(found)
            still = Still.of(picture, found, size, self.model.config.image_size, self._matte)
            wide, background = still.wide.to(self.device), still.background.to(self.device)
            small, motion = self._network_size(still.masked.to(self.device)), FrameMotion.of(found, still.crop)
            if motion_from == "pixels":
                motion = motion._replace(latent=self._read_foreground(small[:, :3]).latent)
            head_motion = self._head_motion(motion)
            with self._autocast():
                anchors = self.model.neutral_anchors(small, head_motion, anchors_in(found, still.crop).to(self.device))
                avatar = self.model.source(small, head_motion, anchors)
            layers = image, still.crop, still.size, wide, background
            portrait = Portrait(*layers, avatar, motion, NO_CORRECTION, alpha=alpha, cut_out=still.cut_out)
            portrait = self._corrected(portrait, tracker)
        at_rest = self.drive(portrait, portrait.motion).rendering.detail
        return portrait if at_rest is None else replace(portrait, rest_error=RestError.of(at_rest.float()))

    @torch.inference_mode()
    def _corrected(self, portrait: Portrait, tracker: Tracker) -> Portrait:
        """The portrait with a correction of its pose and gaze, which the tracker may have misread in the picture.

        Driven to face the camera and to look straight ahead, the avatar is rendered and tracked. If the tracker misread
        the picture, the rendering is turned or looks aside by the same error: the correction takes that out. Of at most
        CORRECTION_STEPS renderings the most frontal one counts.
        """
        best, least_deviation = portrait, MAX_FRONTAL_DEVIATION
        picture, own = portrait.avatar.picture, portrait.motion
        size = picture.shape[-1]
        frontal = FrameMotion(own.pose._replace(rotation=torch.eye(3)[None]), torch.zeros_like(own.numbers))
        portrait = replace(portrait, wide=picture, size=size)
        grey = torch.full_like(picture[:, :3], 0.5)
        for _ in range(CORRECTION_STEPS):
            motion = frontal.corrected(portrait.correction)
            rendered = self._render(portrait, motion, self._drive(portrait, motion).rendering)
            face = central_face(tracker, over_background(rendered, grey))
            deviation = MAX_FRONTAL_DEVIATION if face is None else frontal_deviation(face)
            if deviation >= MAX_FRONTAL_DEVIATION:
                break
            if deviation < least_deviation:
                best, least_deviation = replace(best, correction=portrait.correction), deviation
            rendered_pose, last = pose_in(face, Crop(size / 2, size / 2, size / 2)), portrait.correction
            pose = rendered_pose.inverse().compose(frontal.pose).compose(last.pose)
            numbers = last.numbers - F.pad(torch.from_numpy(face.gaze), (len(ACTIONS), 0))
            correction = FrameMotion(pose, numbers, latent=self.model.actions(numbers.to(self.device)).cpu())
            portrait = replace(portrait, correction=correction)
        return replace(best, motion=own.corrected(best.correction.inverse()))

    @torch.inference_mode()
    def read_pixels(self, picture: np.ndarray, crop: Crop, tracked: FrameMotion) -> FrameMotion:
        """The motion that E_mtn reads in a head crop of a picture (H, W, 3) uint8, with the shoulders of `tracked`."""
        size = self.model.config.image_size
        motion = self.read_crop(cut(picture, crop, size), self._matte.in_crop(picture, crop, size))
        return motion._replace(shoulders=tracked.shoulders)

    @torch.inference_mode()
    def read_crop(self, pixels: np.ndarray, alpha: np.ndarray) -> FrameMotion:
        """The motion that E_mtn reads in a head crop (N, N, 3) uint8 with matte (N, N): z, and the numbers that a
        linear head predicts from z. E_mtn sees the foreground on black, as in training."""
        return self._read_foreground(to_tensor(pixels * alpha[..., None]).to(self.device))

    def _read_foreground(self, picture: Tensor) -> FrameMotion:
        pose, z = self.model.motion(self._network_size(picture))
        return FrameMotion(pose.to("cpu"), self.model.read_actions(z).cpu(), latent=z.cpu())

    @torch.inference_mode()
    def drive(self, portrait: Portrait, motion: FrameMotion) -> Driven:
        """The networks' output for one frame, at their own size: rendering, offsets, warp and driven volume."""
        return self._drive(portrait, motion.corrected(portrait.correction))

    def _drive(self, portrait: Portrait, motion: FrameMotion) -> Driven:
        with self._autocast():
            return self.model.drive(portrait.avatar, self._head_motion(motion))

    @torch.inference_mode()
    def frame(self, portrait: Portrait, motion: FrameMotion) -> np.ndarray:
        """One animated head crop, (size, size, 3) uint8: the driven head over the filled background."""
        return portrait.lay_in_crop(self.head(portrait, motion))

    @torch.inference_mode()
    def foreground(self, portrait: Portrait, motion: FrameMotion) -> Tensor:
        """The driven head of one frame in the head crop, premultiplied RGBA (1, 4, size, size), on black."""
        return self.head(portrait, motion).in_crop

    @torch.inference_mode()
    def head(self, portrait: Portrait, motion: FrameMotion) -> AnimatedHead:
        """The driven head of one frame, and how it is laid into the picture, see `head_frame.py`."""
        motion = motion.corrected(portrait.correction)
        pose, similarity = divide(motion.pose)
        motion = motion._replace(pose=pose, shoulders=remaining_shoulder_shift(motion.shoulders, similarity))
        driven = self._drive(portrait, motion)
        return AnimatedHead(self._render(portrait, motion, driven.rendering), similarity, driven)

    def _render(self, portrait: Portrait, motion: FrameMotion, rendering: Rendering) -> Tensor:
        """A rendering at the portrait's size, premultiplied RGBA (1, 4, size, size), on black. `motion`: corrected."""
        if rendering.detail is None:
            return with_matte(self._enlarged(rendering.image, portrait.size), self._matte)
        detail = without_islands(rendering.detail.float())
        if portrait.rest_error is not None:
            detail = portrait.rest_error.removed_from(detail)
        if motion.shoulders.any():
            detail = move_shoulders(detail, motion.pose.to(self.device), motion.shoulders.to(self.device))
        if self.enhancer is None:
            return render_at(portrait.wide, detail, portrait.size)
        picture = portrait.avatar.picture
        image, alpha = render_at(picture, detail, picture.shape[-1]).split([3, 1], dim=1)
        alpha = F.interpolate(alpha, size=(portrait.size,) * 2, mode="bilinear")
        return torch.cat([self._enlarged(image, portrait.size), alpha], dim=1)

    def _enlarged(self, image: Tensor, size: int) -> Tensor:
        """G_base's picture (1, 3, S, S), or G_enh's of it, as (1, 3, size, size)."""
        if self.enhancer is not None:
            with self._autocast():
                image = self.enhancer(image)
        return F.interpolate(image.float(), size=(size, size), mode="bilinear", antialias=self.enhancer is not None)

    def animate(
        self, source: Source, driver: str | Path, output: str | Path, options=Options(), progress: Progress = silent
    ) -> Result:
        """Runs `stream` to its end. `progress` is called with the number of frames done and about how many there are.
        Raises MpkitError, and then leaves no output behind."""
        return finish(self.stream(source, driver, output, options), progress)

    def stream(self, source: Source, driver: str | Path, output: str | Path, options=Options()) -> Steps:
        """Animates a still by a driver (clip, still or motion file) and writes a video file, a GIF or a folder of PNGs.

        A generator: it yields a `Step` after each frame that it has written, and returns the Result. Memory does not
        grow with the clip. Closed before its end, it stops within one frame and leaves no output behind. A portrait
        that is prepared already is animated as it is: `face` and `size` of the options have no effect. Raises
        MpkitError, and then leaves no output behind.
        """
        output, portrait = check_output(output), self._prepared(source, options)
        read_pixels = self.read_pixels if options.motion_from == "pixels" else None
        part = options.start, options.max_frames, options.fps
        with open_driver(driver, self.tracker, *part, read_pixels, draw=options.side_by_side) as clip:
            transfer = self._transfer(portrait, clip, options)
            rendered = self._rendered(portrait, prefetch(transfer_frames(clip, transfer, float(clip.rate))))
            return (yield from write_animation(portrait, rendered, (Path(driver), clip), output, options))

    def _transfer(self, portrait: Portrait, clip: Driver, options: Options) -> Transfer:
        """The transfer from a driver to a portrait, with its reference."""
        kind = options.motion if clip.moves else "absolute"
        transfer = Transfer(portrait.motion, kind, options.scale_translation, options.controls, portrait.max_growth)
        transfer.reference = transfer.place = clip.reference
        if kind == "absolute":
            transfer.reference = portrait.motion  # of its place alone changes are counted, from `transfer.place` on
        elif clip.reference is None:
            transfer.reference = clip.rest()
            if transfer.reference and options.rest == "neutral":
                numbers = torch.zeros(1, NUMBERS)
                latent = None if transfer.reference.latent is None else self.model.latents(numbers).cpu()
                transfer.reference = transfer.reference._replace(numbers=numbers, latent=latent)
        return transfer

    def _prepared(self, source: Source, options: Options) -> Portrait:
        """The portrait of a picture; a portrait itself. Raises MediaError for one that lacks what the options need."""
        if isinstance(source, Portrait):
            if options.motion_from == "pixels" and source.motion.latent is None:
                raise MediaError("this portrait was prepared without motion_from='pixels'; prepare it with that")
            return source
        try:
            return self.portrait(read_source(source, options), options.face, options.size, options.motion_from)
        except NoFaceError as error:
            raise NoFaceError(f"{source}: {error}") from None

    def _rendered(self, portrait: Portrait, motions: Iterator) -> Rendered:
        """(driver's picture, motion, found) -> (that picture, head, found). A held motion is rendered once."""
        last = animated = None
        with contextlib.closing(motions):
            for driver_picture, motion, found in motions:
                if motion is not last:
                    last, animated = motion, self.head(portrait, motion)
                yield driver_picture, animated, found

    def _head_motion(self, motion: FrameMotion) -> HeadMotion:
        """What the networks take: z as E_mtn has read it, or else as the action encoder makes it of the numbers."""
        if motion.latent is None:
            return HeadMotion(motion.pose.to(self.device), self.model.actions(motion.numbers.to(self.device)))
        return HeadMotion(motion.pose.to(self.device), motion.latent.to(self.device))

    def _network_size(self, picture: Tensor) -> Tensor:
        """A head crop (1, C, N, N) at the size that the networks take."""
        return F.interpolate(picture, size=(self.model.config.image_size,) * 2, mode="area")

    def _autocast(self):
        if self.precision == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.precision)


def frontal_deviation(face: Face) -> float:
    """How far a face is from looking straight ahead: its angles in degrees, added, plus 30 times its gaze."""
    return float(np.abs(face.angles).sum() + 30 * np.abs(face.gaze).sum())
