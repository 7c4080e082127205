"""The data of stage `student`: portraits, which become its avatars, and clips, whose heads drive them.

`prepare_distillation` reads them once and writes a folder:

    portraits/001-NAME.jpg ...  copies of the portraits, in the order of the avatars
    pictures.rgb                (F, M, M, 3) uint8: crops of all frames, `MARGIN` times as wide as the head crop
    rotations.npy, numbers.npy  (F, 3, 3) and (F, 54) float32: head rotation, facial actions and gaze of each frame
    inputs.json                 what the folder was made of

`DistillationSet` gives the batches.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mpkit.animation.driver import read_still
from mpkit.animation.motion_file import is_motion_file
from mpkit.animation.transfer import FrameMotion
from mpkit.data.augment import colour_jitter, flip_numbers, flip_pose, recolour
from mpkit.data.shards import NUMBERS_VERSION
from mpkit.data.workers import share_of_batch
from mpkit.errors import MediaError, MpkitError, NoFaceError
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face
from mpkit.faces.follow import follow_clip
from mpkit.files import write_json
from mpkit.geometry import identity_flow, identity_pose, sample
from mpkit.media.paths import temporary_folder
from mpkit.media.video_reader import VideoReader

MARGIN = 1.25  # side of a stored crop over that of a head crop, so that training can move and scale the head in it
MAX_SHIFT, MAX_SCALING = 0.1, 0.1  # of the random crops in training: half sides of the head crop, and relative
JITTER = 0.2  # strength of their colour jitter
MAX_OFFSET = 0.6  # half sides of the crop; a frame whose head is farther from the crop's centre is left out
HELD_OUT_STEP = 5  # every 5th frame of the clips is never trained on


class DriverBatch(NamedTuple):
    """B driver frames and the avatar that each drives. S is the side of the student's pictures."""

    picture: Tensor  # (B, 3, S, S) head crops with their background, in [0, 1]
    avatar: Tensor  # (B,) int64
    rotation: Tensor  # (B, 3, 3) of the driver's head
    numbers: Tensor  # (B, 54) the driver's facial actions and gaze
    frame: Tensor  # (B,) int64, number of the frame in the folder
    mirrored: Tensor  # (B,) bool: picture, rotation and numbers are those of the mirrored frame

    def to(self, device) -> "DriverBatch":
        """The batch with all tensors on `device`."""
        return DriverBatch(*(part.to(device) for part in self))

    def motion(self, index: int) -> FrameMotion:
        """The motion of one frame, on the CPU. Its place and size are those of a head crop: a student cannot know how
        the crop was placed, so it shows every head at the portrait's own place (see `training.stages.student`)."""
        pose = identity_pose()._replace(rotation=self.rotation[index : index + 1].cpu())
        return FrameMotion(pose, self.numbers[index : index + 1].cpu())


class DistillationSet(Dataset):
    """Batches of frames and avatars by the number of the step; they depend on the seed and the step alone.

    In training, avatar, frame, a mirror, the crop's place and size, and its colours are random. With `held_out`, batch
    number n holds the n-th of all pairs of an avatar and a held-out frame, in a fixed order and unchanged. With
    `parts` > 1, as many processes divide each batch, and this one gets share number `part`. Raises MpkitError if the
    batch cannot be divided, MediaError where the folder does not exist or is of an earlier mpkit.
    """

    def __init__(self, folder: str | Path, batch_size: int, seed=0, held_out=False, part=0, parts=1):
        folder = Path(folder)
        if not (folder / "inputs.json").exists():
            raise MediaError(f"{folder} is no folder that `mpkit distil` has prepared")
        inputs = json.loads((folder / "inputs.json").read_text())
        if inputs.get("numbers") != NUMBERS_VERSION:
            raise MediaError(f"an earlier mpkit prepared {folder}, in other units; prepare it again")
        self.size = inputs["size"]
        self.rotations, self.numbers = (np.load(folder / f"{name}.npy") for name in ("rotations", "numbers"))
        self.pictures = np.memmap(folder / "pictures.rgb", np.uint8, "r")
        self.pictures = self.pictures.reshape(-1, *[stored_side(self.size)] * 2, 3)
        self.avatars = len(portrait_files(folder))
        frames = np.arange(len(self.numbers))
        self.frames = frames[(frames % HELD_OUT_STEP == HELD_OUT_STEP - 1) == held_out]
        self.batch_size, self.seed, self.held_out = batch_size, seed, held_out
        self.positions = share_of_batch(batch_size, part, parts)  # of this process's samples

    def __len__(self) -> int:
        """How many batches hold each pair of an avatar and a frame once."""
        return -(-self.avatars * len(self.frames) // self.batch_size)

    def __getitem__(self, step: int) -> DriverBatch:
        if self.held_out:
            pairs = range(step * self.batch_size, min((step + 1) * self.batch_size, self.avatars * len(self.frames)))
            samples = [self._sample(pair % self.avatars, self.frames[pair // self.avatars]) for pair in pairs]
        else:
            samples = [self._random_sample(step, number) for number in self.positions]
        return DriverBatch(*map(torch.cat, zip(*samples)))

    def _random_sample(self, step: int, number: int) -> DriverBatch:
        rng = np.random.default_rng((self.seed, step, number))
        target = rng.integers(self.avatars), rng.choice(self.frames), rng.random() < 0.5
        shift, scaling = rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2), 1 + rng.uniform(-MAX_SCALING, MAX_SCALING)
        sample = self._sample(*target, shift, scaling)
        return sample._replace(picture=recolour(sample.picture, *colour_jitter(rng, JITTER, 1)))

    def _sample(self, avatar: int, frame: int, mirrored=False, shift=(0.0, 0.0), scaling=1.0) -> DriverBatch:
        """A batch of one. `shift` of the crop in half sides, and its size, relative to the head crop."""
        stored = torch.from_numpy(self.pictures[frame].copy()).movedim(-1, 0)[None].float() / 255
        grid = identity_flow(self.size, self.size).movedim(1, -1) * scaling
        grid = (grid + torch.tensor(shift, dtype=torch.float32)) / (stored.shape[-1] / self.size)
        picture = sample(stored, grid, padding="border")
        rotation, numbers = (torch.from_numpy(values[frame : frame + 1]) for values in (self.rotations, self.numbers))
        if mirrored:
            picture, numbers = picture.flip(3), flip_numbers(numbers)
            rotation = flip_pose(identity_pose()._replace(rotation=rotation)).rotation
        return DriverBatch(
            picture, torch.tensor([avatar]), rotation, numbers, torch.tensor([frame]), torch.tensor([bool(mirrored)])
        )


def prepare_distillation(
    portraits: Sequence[Path],
    clips: Sequence[Path],
    folder: Path,
    size: int,
    progress: Callable[[str], None] = lambda line: None,
) -> None:
    """Tracks the clips and writes the folder; `size` is the side of the student's pictures. A folder made of the same
    files is left as it is. `progress` is called with a line before each clip.

    Raises MpkitError where there is no portrait, no clip, or a folder of other files; MediaError for a file that cannot
    be read, and for clips with too few faces; NoFaceError, with its name, for a portrait or a clip without a face."""
    if not portraits or not clips:
        raise MpkitError("a student needs --portraits, its avatars, and --clips that drive them: one or more of each")
    inputs = {"portraits": [str(path) for path in portraits], "clips": [str(path) for path in clips]}
    inputs |= {"size": size, "numbers": NUMBERS_VERSION}
    if folder.exists():
        if json.loads((folder / "inputs.json").read_text()) != inputs:
            raise MpkitError(
                f"{folder} is of other portraits or clips, for another preset or of an earlier mpkit; give another "
                "--output or --run"
            )
        return
    for path in clips:
        if is_motion_file(path):
            raise MediaError(f"{path} is a motion file: it has no pictures that a student could see; give the clip")
    with temporary_folder(next(parent for parent in folder.resolve().parents if parent.is_dir())) as temporary:
        made = Path(temporary) / folder.name
        (made / "portraits").mkdir(parents=True)
        for number, path in enumerate(portraits, 1):
            read_still(path)  # raises if it shows no face
            shutil.copyfile(path, made / "portraits" / f"{number:03d}-{path.name}")
        motions = []
        with (made / "pictures.rgb").open("wb") as file:
            for path in clips:
                progress(f"tracking {path}")
                for picture, face in _head_crops(path, stored_side(size)):
                    file.write(picture.tobytes())
                    motions.append((face.rotation, np.concatenate([face.actions, face.gaze])))
        if len(motions) < HELD_OUT_STEP:
            raise MediaError(f"{len(motions)} frames of the clips show a face; {HELD_OUT_STEP} are the least")
        for name, values in zip(("rotations", "numbers"), zip(*motions)):
            np.save(made / f"{name}.npy", np.stack(values).astype(np.float32))
        write_json(made / "inputs.json", inputs)
        folder.parent.mkdir(parents=True, exist_ok=True)
        made.rename(folder)


def portrait_files(folder: str | Path) -> list[Path]:
    """The portraits of a prepared folder, in the order of the avatars."""
    return sorted((Path(folder) / "portraits").iterdir())


def portrait_names(folder: str | Path) -> list[str]:
    """Their names as they were given, e.g. "grace_hopper.jpg"."""
    return [path.name.partition("-")[2] for path in portrait_files(folder)]


def stored_side(size: int) -> int:
    """Side in pixels of the stored crop around a head crop of `size` pixels."""
    return round(size * MARGIN)


def _head_crops(path: Path, side: int) -> Iterator[tuple[np.ndarray, Face]]:
    """The stored crop (side, side, 3) uint8 and the face of each frame of a clip. All frames have the crop of the first
    face; frames without a face, or with one far from the crop's centre, are left out."""
    crop = None
    with VideoReader(path) as reader:
        for _, picture, face in follow_clip(reader):
            if face is None:
                continue
            crop = crop or Crop.of(face, MARGIN)
            if np.abs(crop.to_crop(face.centre)).max() * MARGIN < MAX_OFFSET:
                yield cut(picture, crop, side), face
    if crop is None:
        raise NoFaceError(f"no face in any frame of {path}; use a clip where a face looks at the camera")
