"""Animation with a student (section 3.3): no tracker and no matting network per frame, but only for its own avatars."""

import functools
import itertools
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from mpkit.animation.driver import STILL_FRAMES, STILL_RATE
from mpkit.animation.motion_file import is_motion_file
from mpkit.animation.options import Options, Progress, silent
from mpkit.animation.output import Rendered, Result, Steps, finish, write_animation
from mpkit.animation.prefetch import prefetch
from mpkit.animation.still import AnimatedHead, Still, read_source, to_tensor, with_matte
from mpkit.device import check_precision, choose_device
from mpkit.errors import MediaError, MpkitError, NoFaceError
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import find_face, select_face
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still, read_image
from mpkit.media.paths import check_output
from mpkit.media.transparency import split_alpha
from mpkit.media.video_reader import VideoReader
from mpkit.networks.student import Student
from mpkit.weights import load_network


@dataclass
class PictureClip:
    """The pictures of a driver, untracked."""

    pictures: Iterable[np.ndarray]  # (H, W, 3) uint8
    rate: Fraction  # frames a second
    frame_count: int | None  # about how many there are; None if unknown
    has_audio: bool = False


class StudentAnimator:
    """Animates one portrait that a student was trained on, one of its avatars, by the pictures of drivers."""

    def __init__(self, student: Student, avatar: int, device="auto", precision="fp32", tracker="mediapipe"):
        """`avatar` counts from 0. Raises IndexError for one that the student does not know."""
        self.device = choose_device(device)
        self.precision = check_precision(precision, self.device)
        self.student, self.tracker = student.to(self.device).eval(), tracker
        self.portrait_name = ""  # file name of the avatar's portrait, where it is known
        with torch.inference_mode():
            self.modulations = self.student.modulations(avatar)  # all that depends on the avatar alone

    @staticmethod
    def load(weights: str | Path, avatar: int = 1, **options) -> "StudentAnimator":
        """An animator with weights that `mpkit distil` has written; `avatar` counts from 1, in the order of its
        portraits. Raises WeightsError, DeviceError, and MpkitError for an avatar that the student does not know."""
        device = choose_device(options.get("device", "auto"))  # raises before a large file is read
        check_precision(options.get("precision", "fp32"), device)
        student = load_network(weights, Student)
        with safe_open(weights, framework="pt") as file:
            names = json.loads(file.metadata().get("portraits", "[]")) or [""] * student.config.avatars
        if not 1 <= avatar <= len(names):
            known = ", ".join(f"{number} {name}".strip() for number, name in enumerate(names, 1))
            raise MpkitError(f"{weights} has no --avatar {avatar}; it has {known}")
        animator = StudentAnimator(student, avatar - 1, **options)
        animator.portrait_name = names[avatar - 1]
        return animator

    @functools.cached_property
    def _matte(self) -> Matte:
        return Matte()

    @torch.inference_mode()
    def draw(self, pixels: np.ndarray) -> Tensor:
        """The student's picture (1, 3 or 4, S, S) of a driver's head crop (S, S, 3) uint8, S the student's size."""
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.student.render(to_tensor(pixels).to(self.device), self.modulations)

    def frame(self, still: Still, pixels: np.ndarray) -> np.ndarray:
        """One animated crop, (size, size, 3) uint8, of a driver's head crop: the student's picture, enlarged, over the
        filled background."""
        return still.lay_in_crop(self.head(still, pixels))

    @torch.inference_mode()
    def head(self, still: Still, pixels: np.ndarray) -> AnimatedHead:
        """The student's picture of a driver's head crop, enlarged to the size of the still's crop."""
        made = F.interpolate(self.draw(pixels).float(), size=(still.size,) * 2, mode="bilinear")
        return AnimatedHead((made if self.student.config.alpha else with_matte(made, self._matte)).cpu())

    def still(self, source: str | Path, options=Options()) -> Still:
        """Prepares the avatar's portrait, which gives the picture around the head, with `face`, `size` and what limits
        the frames of the options. It warns if the student has learned from a file of another name. Raises MediaError,
        NoFaceError."""
        if self.portrait_name not in ("", Path(source).name):
            warnings.warn(f"the avatar was learned from {self.portrait_name}; {source} is another file", stacklevel=2)
        picture = read_source(source, options)
        with make_tracker(self.tracker) as tracker:
            try:
                found = find_face(tracker, split_alpha(picture)[0], options.face)
            except NoFaceError as error:
                raise NoFaceError(f"{source}: {error}") from None
        return Still.of(picture, found, options.size, self.student.config.image_size, self._matte)

    def animate(
        self,
        source: str | Path | Still,
        driver: str | Path,
        output: str | Path,
        options=Options(),
        progress: Progress = silent,
    ) -> Result:
        """Runs `stream` to its end. `progress` is called with the number of frames done and about how many there are.
        Raises MpkitError, and then leaves no output behind."""
        return finish(self.stream(source, driver, output, options), progress)

    def stream(self, source: str | Path | Still, driver: str | Path, output: str | Path, options=Options()) -> Steps:
        """Animates the avatar by a clip or a still, and writes a video file, a GIF or a folder of PNGs. A generator, as
        `Animator.stream` is.

        `source` is the avatar's portrait, as a file or prepared by `still`. Options that change how the driver's motion
        is read or transferred have no effect. Raises MpkitError, and then leaves no output behind."""
        output, clip = check_output(output), open_pictures(driver, options)
        still = source if isinstance(source, Still) else self.still(source, options)
        rendered = self._rendered(still, clip.pictures)
        return (yield from write_animation(still, rendered, (Path(driver), clip), output, options))

    def _rendered(self, still: Still, pictures: Iterable[np.ndarray]) -> Rendered:
        crop = None
        for picture in prefetch(iter(pictures)):
            crop = crop or self._driver_crop(picture)
            yield picture, self.head(still, cut(picture, crop, self.student.config.image_size)), True

    def _driver_crop(self, picture: np.ndarray) -> Crop:
        """The head crop of the driver's first picture, for all of them; without a face, its largest central square."""
        with make_tracker(self.tracker) as tracker:
            faces = tracker.detect(picture)
        height, width = picture.shape[:2]
        return Crop.of(select_face(faces)) if faces else Crop(width / 2, height / 2, min(width, height) / 2)


def open_pictures(path: str | Path, options: Options) -> PictureClip:
    """Opens a clip, or a still, which is held for a second. Raises MediaError, also for a motion file."""
    if is_motion_file(path):
        raise MediaError(f"{path} is a motion file: a student needs the driver's pictures; give a video or a still")
    if is_still(path):
        count = min(STILL_FRAMES, options.max_frames or STILL_FRAMES)
        return PictureClip(itertools.repeat(read_image(path), count), STILL_RATE, count)
    reader = VideoReader(path, options.start, options.max_frames, options.fps)
    return PictureClip((picture for _, picture in reader), reader.rate, reader.frame_count_estimate, reader.has_audio)
