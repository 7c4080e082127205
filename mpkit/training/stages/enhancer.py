"""Stage `enhancer`: G_enh learns to double the resolution of G_base's pictures, from stills alone (Eq. 9-10).

G_base is frozen. It drives each still twice: by its own motion, a self pair, whose target is the still itself (Eq. 9);
and by the motion of another still, a cross pair, which has no target (Eq. 10).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from mpkit.assets import DEFAULT_WEIGHTS, EXAMPLES
from mpkit.config import DISCRIMINATORS, ENHANCERS, preset
from mpkit.data.augment import colour_jitter, flip_numbers, flip_pose, recolour
from mpkit.data.pairs import JITTER
from mpkit.errors import MediaError, MpkitError, WeightsError
from mpkit.faces.anchors import anchors_in, flip_anchors
from mpkit.faces.crop import Crop, cut, pose_in
from mpkit.faces.face import Tracker, select_face
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.geometry import Pose
from mpkit.losses.adversarial import discriminator_loss, generator_loss, matching_loss
from mpkit.losses.high_resolution import low_resolution_cycle_loss
from mpkit.media.images import is_still, read_image
from mpkit.networks.base import BaseModel, load_model
from mpkit.networks.discriminator import Discriminator
from mpkit.networks.enhancer import Enhancer, check_sizes
from mpkit.networks.motion import HeadMotion
from mpkit.training.config import TrainConfig
from mpkit.training.stages.objective import Losses, Objective, frozen, other_person


@dataclass(frozen=True)
class EnhancerWeights:
    """Weight of each term; the ratios are the paper's."""

    l1: float = 1.0  # Eq. 9: L1 of self pairs (paper: 100)
    adversarial: float = 0.01  # Eq. 9: the discriminator's score of self pairs (paper: 1)
    matching: float = 1.0  # Eq. 9: its features of self pairs and of the stills (paper: 100)
    cross_adversarial: float = 0.01  # Eq. 10: its score of cross pairs (paper: 1)
    cycle: float = 0.1  # Eq. 10: L1 of cross pairs at low resolution (paper: 10)


class Stills(NamedTuple):
    """A batch of B stills. S is the side of G_base's picture."""

    picture: Tensor  # (B, 4, 2S, 2S) premultiplied RGBA in [0, 1]; uint8 in [0, 255] until it is in a batch
    pose: Pose
    numbers: Tensor  # (B, 54) facial actions and gaze that the tracker reads
    anchors: Tensor  # (B, 3, 3) eye and lip centres, canonical, with the expression (`faces.anchors.anchors_in`)

    def to(self, device) -> "Stills":
        """The batch with all tensors on `device`."""
        return Stills(*(part.to(device) for part in self))


class Enhanced(NamedTuple):
    """What the networks made of B stills: the B self pairs, then the B cross pairs."""

    low: Tensor  # x^ (2B, 3, S, S) of G_base
    high: Tensor  # G_enh(x^) (2B, 3, 2S, 2S)


class StillSet(Dataset):
    """Batches of `batch_size` stills by the number of the step; they depend on the seed and the step alone.

    Neighbours in a batch drive each other in cross pairs, so they are different stills. With `parts` > 1, as many
    processes divide each batch, and this one gets share number `part`. Raises MpkitError if it cannot be divided.
    """

    def __init__(self, stills: list[Stills], batch_size: int, seed=0, augment=True, part=0, parts=1):
        """`stills`: two or more, each a batch of one with a uint8 picture, as `read_stills` returns them."""
        if batch_size % parts or batch_size < 2 * parts:
            raise MpkitError(
                f"a batch of {batch_size} stills cannot be divided among {parts} processes: each needs as many as the "
                "others, and two or more"
            )
        self.stills, self.batch_size, self.seed, self.augment = stills, batch_size, seed, augment
        self.numbers = range(part * batch_size // parts, (part + 1) * batch_size // parts)  # of this process's stills

    def __getitem__(self, step: int) -> Stills:
        rng = np.random.default_rng((self.seed, step))
        pairs = [rng.choice(len(self.stills), 2, replace=False) for _ in range(0, self.batch_size, 2)]
        order = np.concatenate(pairs)
        return _concatenate([self._still(order[n], np.random.default_rng((self.seed, step, n))) for n in self.numbers])

    def _still(self, index: int, rng: np.random.Generator) -> Stills:
        """Still number `index`, in training with a random flip and mild colour jitter."""
        still = self.stills[index]
        still = still._replace(picture=still.picture.float() / 255)
        if not self.augment:
            return still
        picture, pose, numbers, anchors = _mirrored(still) if rng.random() < 0.5 else still
        return Stills(recolour(picture, *colour_jitter(rng, JITTER, 1)), pose, numbers, anchors)


class EnhancerObjective(Objective):
    """`--data` are folders of plain pictures; without any, the example portraits that come with mpkit."""

    Weights = EnhancerWeights
    equations = {
        "l1": "Eq. 9", "adversarial": "Eq. 9", "matching": "Eq. 9", "cross_adversarial": "Eq. 10", "cycle": "Eq. 10",
        "discriminator": "Eq. 9-10",
    }  # fmt: skip

    def __init__(self, config: TrainConfig):
        """Raises WeightsError, see `load_base` and `check_sizes`."""
        super().__init__(config)
        self.base = load_base(config).requires_grad_(False)
        check_sizes(preset(config.preset, ENHANCERS), self.base.config)
        self.size = self.base.config.image_size
        self.discriminator = Discriminator(preset(config.preset, DISCRIMINATORS))

    def build(self) -> Enhancer:
        return Enhancer(preset(self.config.preset, ENHANCERS))

    def batches(self, part: int = 0, parts: int = 1) -> StillSet:
        stills = read_stills(self.config.data or (EXAMPLES,), 2 * self.size)
        return StillSet(stills, self.config.batch_size, self.config.seed, part=part, parts=parts)

    def validation(self) -> StillSet | None:
        folders = self.config.validation
        return StillSet(read_stills(folders, 2 * self.size), 4, augment=False) if folders else None

    def forward(self, enhancer: Enhancer, stills: Stills) -> Losses:
        low, target = self.drive(stills), stills.picture[:, :3]
        high = enhancer(low)
        own, crossed = high.chunk(2)
        with frozen(self.discriminator):
            real, fake, fake_crossed = (self.discriminator(picture) for picture in (target, own, crossed))
        terms = {
            "l1": F.l1_loss(own, target),
            "adversarial": generator_loss(fake),
            "matching": matching_loss(real, fake),
            "cross_adversarial": generator_loss(fake_crossed),
            "cycle": low_resolution_cycle_loss(low.chunk(2)[1], crossed),
        }
        return Losses(self.weighted(terms), terms, Enhanced(low, high))

    @torch.no_grad()
    def drive(self, stills: Stills) -> Tensor:
        """G_base's pictures x^ (2B, 3, S, S), foreground on black: each still in its own motion, then each in that of
        its neighbour. The source is the still at half its resolution."""
        source = F.avg_pool2d(stills.picture, 2)
        motion = HeadMotion(stills.pose, self.base.actions(stills.numbers))
        avatar = self.base.source(source, motion, self.base.neutral_anchors(source, motion, stills.anchors))
        other = other_person(len(source))
        others = HeadMotion(stills.pose.select(other), motion.expression[other])
        return torch.cat([self.base.drive(avatar, driver).rendering.image for driver in (motion, others)])

    def discriminator_loss(self, stills: Stills, made: Enhanced) -> Tensor:
        real, fake = stills.picture[:, :3], made.high.detach()
        return discriminator_loss(self.discriminator(real), self.discriminator(fake))

    def pictures(self, stills: Stills, made: Enhanced) -> list[Tensor]:
        """Rows: still; G_base's picture and G_enh's of the self pair, then of the cross pair."""
        pairs = zip(made.low.chunk(2), made.high.chunk(2))
        return [stills.picture[:, :3], *(row for pair in pairs for row in pair)]


def load_base(config: TrainConfig) -> BaseModel:
    """The base model of `config.base`; without it, the one that comes with mpkit. Raises WeightsError where that is of
    another preset than the config's."""
    if not config.base and config.preset != "tiny":
        raise WeightsError(
            f"no base model of preset {config.preset} comes with mpkit: give one with --base, such as the "
            f"weights.safetensors in the run of mpkit train base --preset {config.preset}"
        )
    return load_model(config.base or DEFAULT_WEIGHTS)


def read_stills(folders: Iterable[str | Path], size: int) -> list[Stills]:
    """The head crops of all pictures below the folders, each a batch of one with a uint8 picture of `size` pixels.

    A picture that cannot be used is left out, and a line says why. Raises MediaError for a folder that does not exist,
    and where fewer than two pictures remain."""
    folders = [Path(folder) for folder in folders]
    for folder in folders:
        if not folder.is_dir():
            raise MediaError(f"there is no folder {folder}")
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    stills = []
    with make_tracker() as tracker, Matte() as matte:
        for path in tqdm(files, desc="stills", unit="file", disable=None):
            try:
                if is_still(path):
                    stills.append(_read_still(path, size, tracker, matte))
            except MpkitError as error:
                tqdm.write(f"skipped {path}: {error}")
    if len(stills) < 2:
        names = ", ".join(map(str, folders))
        raise MediaError(f"{names}: {len(stills)} pictures can be used; two or more are needed, to drive each other")
    return stills


def _read_still(path: Path, size: int, tracker: Tracker, matte: Matte) -> Stills:
    """One picture. Raises MediaError, also where its head crop has fewer pixels than G_base's picture, and so no detail
    to learn; NoFaceError."""
    image = read_image(path)
    face = select_face(tracker.detect(image))
    crop = Crop.of(face)
    if 2 * crop.radius < size / 2:
        raise MediaError(f"the head crop is {2 * crop.radius:.0f} pixels wide; {size // 2} are the least")
    alpha = matte.in_crop(image, crop, size)[..., None]
    picture = np.concatenate([cut(image, crop, size) * alpha, 255 * alpha], axis=2).round().astype(np.uint8)
    numbers = torch.from_numpy(np.concatenate([face.actions, face.gaze]))[None]
    return Stills(torch.from_numpy(picture).movedim(-1, 0)[None], pose_in(face, crop), numbers, anchors_in(face, crop))


def _mirrored(stills: Stills) -> Stills:
    picture, pose, numbers, anchors = stills
    return Stills(picture.flip(3), flip_pose(pose), flip_numbers(numbers), flip_anchors(anchors))


def _concatenate(stills: list[Stills]) -> Stills:
    pictures, poses, numbers, anchors = zip(*stills)
    return Stills(torch.cat(pictures), Pose(*map(torch.cat, zip(*poses))), torch.cat(numbers), torch.cat(anchors))
