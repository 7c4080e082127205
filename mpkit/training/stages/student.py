"""Stage `student` (section 3.3): G_DT learns to make, of a driver's picture alone, what a frozen teacher makes of it.

The teacher is a base model with its tracker. It drives a fixed set of portraits, the avatars, by the frames of clips
that show other people: cross-driving only. Its pictures, foreground on black, are the targets; no real picture is one.

The teacher takes the driver's head rotation and expression as they are (`--motion absolute`), because relative motion
depends on a reference frame that the student does not see. The head keeps the portrait's place and size
(`--scale-translation source`), because the student cannot know how the driver's crop was placed; so training may move
and scale that crop at random, and the student then needs no tracker to follow the driver.
"""

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mpkit.animation.animator import Animator
from mpkit.animation.transfer import Transfer
from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.config import STUDENTS, preset
from mpkit.data.distillation import DistillationSet, DriverBatch, portrait_files
from mpkit.errors import MpkitError
from mpkit.geometry import Pose
from mpkit.losses.attention import attention_map
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.media.images import read_image
from mpkit.networks.base import load_model
from mpkit.networks.student import Student
from mpkit.training.config import TrainConfig
from mpkit.training.stages.objective import Losses
from mpkit.training.stages.picture_objective import PictureObjective

MAX_STORED_BYTES = 2 << 30  # of the teacher's pictures that are kept in memory


@dataclass(frozen=True)
class StudentWeights:
    """Weight of each term; 0 leaves the term out."""

    reconstruction: float = 1.0  # multi-scale L1, in which eyes and mouth count more
    perceptual: float = 0.5  # section 3.3, on the middle of the crop, the face (paper: 20, VGG19, everywhere)
    perceptual_backbone: str = "efficientnet-lite0"
    identity: float = 0.0  # section 3.3: the identity network's features (paper: 4, VGGFace)
    gaze: float = 0.0  # section 3.3: the gaze network's features around the eyes (paper: 5)
    adversarial: float = 0.02  # section 3.3: the discriminator's score (paper: 1)
    matching: float = 0.2  # section 3.3: its features of student's and teacher's picture (paper: 40)


class Pictures(NamedTuple):
    """What student and teacher made of a batch, both (B, 3, S, S), foreground on black, and the poses of the heads."""

    student: Tensor
    teacher: Tensor
    pose: Pose


class Teacher:
    """A frozen base model and the portraits that it drives. It keeps its last pictures, rounded to 8 bits, because a
    small set of avatars and frames comes again and again."""

    def __init__(self, weights: str | Path, portraits: list[Path], size: int, device: str):
        """`size`: side of its pictures in pixels, which are averaged down from the model's where that is larger."""
        self.animator, self.size = Animator(load_model(weights), device), size
        side = max(size, self.animator.model.config.image_size)
        made = (self.animator.portrait(read_image(path), size=side) for path in portraits)
        self.portraits = [
            dataclasses.replace(portrait, wide=portrait.masked) for portrait in made
        ]  # colours within [0, alpha]
        self.transfers = [Transfer(portrait.motion, "absolute", "source") for portrait in self.portraits]
        self.stored: dict[tuple, Tensor] = {}

    def __call__(self, batch: DriverBatch) -> Tensor:
        """The avatars driven by a batch: premultiplied RGBA (B, 4, size, size) in [0, 1], on black."""
        keys = zip(batch.avatar.tolist(), batch.frame.tolist(), batch.mirrored.tolist())
        pictures = [self._picture(key, batch, index) for index, key in enumerate(keys)]
        return torch.cat(pictures).to(batch.picture.device).float() / 255

    def poses(self, batch: DriverBatch) -> Pose:
        """The head poses in these pictures, which show each portrait at its own place."""
        poses = [self.transfers[avatar](batch.motion(index)).pose for index, avatar in enumerate(batch.avatar.tolist())]
        return Pose(*map(torch.cat, zip(*poses))).to(batch.picture.device)

    def _picture(self, key: tuple[int, int, bool], batch: DriverBatch, index: int) -> Tensor:
        """One picture (1, 4, size, size) uint8 on the CPU. Frames are rendered one by one, because a network's results
        differ in the last bit with the size of its batch."""
        if key not in self.stored:
            portrait, motion = self.portraits[key[0]], self.transfers[key[0]](batch.motion(index))
            rgba = F.interpolate(self.animator.foreground(portrait, motion), size=(self.size,) * 2, mode="area")
            self.stored[key] = (rgba.clamp(0, 1) * 255).round().byte().cpu()
            if len(self.stored) * self.stored[key].numel() > MAX_STORED_BYTES:
                del self.stored[next(iter(self.stored))]  # the oldest
        return self.stored[key]


def teacher_of(config: TrainConfig, device: torch.device) -> Teacher:
    """The teacher of a run, prepared at the first call. Raises WeightsError."""
    size = preset(config.preset, STUDENTS).image_size
    return _load_teacher(config.base or str(DEFAULT_WEIGHTS), config.data[0], size, str(device))


@functools.lru_cache(maxsize=1)  # a run, and what measures it before and after, share portraits and pictures
def _load_teacher(weights: str, folder: str, size: int, device: str) -> Teacher:
    with torch.random.fork_rng():  # loading draws random numbers; a run must not depend on when it happened
        return Teacher(weights, portrait_files(folder), size, device)


class StudentObjective(PictureObjective):
    """`--data` is the one folder that `mpkit distil` prepares, `--base` the teacher's weights."""

    Weights = StudentWeights
    equations = dict.fromkeys(
        ("perceptual", "identity", "gaze", "adversarial", "matching", "discriminator"), "section 3.3"
    )

    def build(self) -> Student:
        """One avatar per portrait; without data as many as the preset has."""
        config = preset(self.config.preset, STUDENTS)
        portraits = [path for folder in self.config.data for path in portrait_files(folder)]
        return Student(dataclasses.replace(config, avatars=len(portraits) or config.avatars))

    def batches(self, part: int = 0, parts: int = 1) -> DistillationSet:
        if len(self.config.data) != 1:
            raise MpkitError("stage student learns from the one folder that `mpkit distil` prepares")
        return DistillationSet(self.config.data[0], self.config.batch_size, self.config.seed, part=part, parts=parts)

    @property
    def samples(self) -> int:
        """How many driver frames a batch has, of all processes together."""
        return self.config.batch_size

    def validation(self) -> None:
        """None: `training.distil.held_out_error` measures the finished student."""

    def forward(self, student: Student, batch: DriverBatch) -> Losses:
        teacher = teacher_of(self.config, batch.picture.device)
        made = student(batch.picture, batch.avatar)
        target, pose = teacher(batch)[:, : made.shape[1]], teacher.poses(batch)
        image, wanted = made[:, :3], target[:, :3]
        terms = {"reconstruction": multiscale_l1(made, target, attention_map(pose, made.shape[-1]))}
        if self.perceptual:
            terms["perceptual"] = self.perceptual_of_face(image, wanted)
        if self.gaze:
            terms["gaze"] = self.gaze(image, wanted, pose)
        if self.identity:
            terms["identity"] = self.identity(image, wanted)
        terms |= self.gan_terms(wanted, image, pose)
        return Losses(self.weighted(terms), terms, Pictures(image, wanted, pose))

    def discriminator_loss(self, batch: DriverBatch, made: Pictures) -> Tensor:
        return self.hinge_loss(made.teacher, made.student, made.pose)

    def pictures(self, batch: DriverBatch, made: Pictures) -> list[Tensor]:
        """Rows: driver, teacher, student."""
        return [batch.picture, made.teacher, made.student]
