"""Plain pictures as training data without pairs: head crops of stills with what the tracker reads, in memory."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from mpkit.data.augment import colour_jitter, flip_numbers, flip_pose, recolour
from mpkit.data.pairs import JITTER
from mpkit.data.workers import share_of_batch
from mpkit.errors import MediaError, MpkitError
from mpkit.faces.anchors import anchors_in, flip_anchors
from mpkit.faces.crop import Crop, cut, pose_in
from mpkit.faces.face import Tracker, select_face
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.geometry import Pose
from mpkit.media.images import is_still, read_image


class Stills(NamedTuple):
    """A batch of B stills. S is the side of G_base's picture."""

    picture: Tensor  # (B, 4, 2S, 2S) premultiplied RGBA in [0, 1]; uint8 in [0, 255] until it is in a batch
    pose: Pose
    numbers: Tensor  # (B, 54) facial actions and gaze that the tracker reads
    anchors: Tensor  # (B, 3, 3) eye and lip centres, canonical, with the expression (`faces.anchors.anchors_in`)

    def to(self, device) -> "Stills":
        """The batch with all tensors on `device`."""
        return Stills(*(part.to(device) for part in self))


class StillSet(Dataset):
    """Batches of `batch_size` stills by the number of the step; they depend on the seed and the step alone.

    Neighbours in a batch drive each other in cross pairs, so they are different stills. With `parts` > 1, as many
    processes divide each batch, and this one gets share number `part`. Raises MpkitError if it cannot be divided
    into equal shares of two or more.
    """

    def __init__(self, stills: list[Stills], batch_size: int, seed=0, augment=True, part=0, parts=1):
        """`stills`: two or more, each a batch of one with a uint8 picture, as `read_stills` returns them."""
        self.positions = share_of_batch(batch_size, part, parts)  # of this process's stills
        if len(self.positions) < 2:
            raise MpkitError(f"each process needs two stills or more of a batch: give --batch-size {2 * parts} or more")
        self.stills, self.batch_size, self.seed, self.augment = stills, batch_size, seed, augment

    def __getitem__(self, step: int) -> Stills:
        rng = np.random.default_rng((self.seed, step))
        pairs = [rng.choice(len(self.stills), 2, replace=False) for _ in range(0, self.batch_size, 2)]
        order = np.concatenate(pairs)
        rngs = [np.random.default_rng((self.seed, step, n)) for n in self.positions]
        return _concatenate([self._still(order[n], rng) for n, rng in zip(self.positions, rngs)])

    def _still(self, index: int, rng: np.random.Generator) -> Stills:
        """Still number `index`, in training with a random flip and mild colour jitter."""
        still = self.stills[index]
        still = still._replace(picture=still.picture.float() / 255)
        if not self.augment:
            return still
        picture, pose, numbers, anchors = _mirrored(still) if rng.random() < 0.5 else still
        return Stills(recolour(picture, *colour_jitter(rng, JITTER, 1)), pose, numbers, anchors)


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
