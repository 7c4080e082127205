"""The data of stage `adapt`: one still, and a few synthetic people against forgetting.

The still is lifted (`data.lifted`) and rendered in random poses and expressions. Its frames make three kinds of pairs:
- from a render to the real picture, the head crop cut from the still: no colour of the target is invented;
- from the real picture to itself;
- from the real picture to a render, as in use; no loss counts where the target's colours are unreliable.
The frames are written once, as a shard (`data.shards`): an interrupted run continues with the same ones.
"""

import numpy as np
import torch
from torch.utils.data import Dataset

from mpkit.batch import Pairs, map_tensors
from mpkit.data.lifted import MAX_YAW, TEXTURE_SIDE, lift, mesh, random_motion, render
from mpkit.data.packed import with_true_numbers
from mpkit.data.pairs import Draw, PairSet
from mpkit.data.people import REAL
from mpkit.errors import NoFaceError
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face
from mpkit.faces.matte import Matte
from mpkit.synthetic.heads import render_identity

TRAINING_FRAMES = range(1, 25)  # renders that are trained on
HELD_OUT_FRAMES = range(25, 31)  # renders that are not
SELF_SHARE = 0.2  # of the still's pairs: the real picture and itself. The two other kinds share the rest
SYNTHETIC_SEEDS = range(800_000, 800_012)  # of people that are trained on
HELD_OUT_SEEDS = range(800_012, 800_014)  # of people that are never trained on, to measure forgetting
SYNTHETIC_FRAMES = 4  # of each


def check_yaw(face: Face) -> None:
    """Raises NoFaceError for a face that is seen too much from the side to be lifted."""
    if abs(yaw := face.angles[0]) > MAX_YAW:
        raise NoFaceError(f"the face is turned aside by {abs(yaw):.0f} degrees; more than {MAX_YAW} cannot be lifted")


def still_person(image: np.ndarray, face: Face, matte: Matte, size: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The still (H, W, 3) uint8 as a person with frames of `size` pixels: frame REAL is the head crop of the picture
    itself, with the tracker's numbers; all others are renders. The fields are those of `data.people.People`."""
    crop = Crop.of(face)
    lifted = lift(image, face, matte.in_crop(image, crop, TEXTURE_SIDE), crop)
    rng = np.random.default_rng(seed)
    motions = [lifted.source, *(random_motion(rng, lifted) for _ in (*TRAINING_FRAMES, *HELD_OUT_FRAMES))]
    frames = [render(lifted, motion, size) for motion in motions]
    fields = with_true_numbers({name: np.stack([frame[name] for frame in frames]) for name in frames[0]})
    fields["images"][REAL] = head_crop(image, face, matte, size)
    fields["numbers"][REAL] = np.concatenate([face.actions, face.gaze])
    fields["reliable"][REAL] = True
    del fields["actions"], fields["gaze"]  # else they would count instead of the numbers
    return fields | {"neutral": lifted.identity.neutral, "faces": mesh()[0]}


def head_crop(image: np.ndarray, face: Face, matte: Matte, size: int) -> np.ndarray:
    """The head crop of a face in its picture, with the matte as alpha: (size, size, 4) uint8, not premultiplied."""
    crop = Crop.of(face)
    alpha = matte.in_crop(image, crop, size)
    return np.concatenate([cut(image, crop, size), (alpha * 255).round().astype(np.uint8)[..., None]], axis=2)


def synthetic_people(seeds: range, size: int) -> list[dict[str, np.ndarray]]:
    """Synthetic people with SYNTHETIC_FRAMES frames each, not tracked."""
    return [with_true_numbers(render_identity(seed, SYNTHETIC_FRAMES, size)) for seed in seeds]


class StillPairs(PairSet):
    """Pairs of one still, not augmented: each is one of `pairs`, (source, driver) frame numbers, drawn at random.
    `seed`, `part` and `parts` are those of PairSet."""

    def __init__(
        self, shard: str, batch_size: int, pairs: list[tuple[int, int]], seed: int = 0, part: int = 0, parts: int = 1
    ):
        super().__init__({shard: 1.0}, batch_size, 1, seed, False, part, parts)
        self.pairs = pairs

    def _draw(self, rng: np.random.Generator) -> Draw:
        return Draw(0, 0, list(self.pairs[rng.integers(len(self.pairs))]))


def training_pairs() -> list[tuple[int, int]]:
    """The (source, driver) frame numbers to draw from. Those of the real picture and itself are there several times."""
    pairs = [pair for frame in TRAINING_FRAMES for pair in ((frame, REAL), (REAL, frame))]
    return pairs + [(REAL, REAL)] * round(len(pairs) * SELF_SHARE / (1 - SELF_SHARE))


class OneShotPairs(Dataset):
    """Batches of stage `adapt`: counts[0] pairs of the still and counts[1] pairs of synthetic people, with one driver
    each. `still` and `people` are folders of shards."""

    def __init__(self, still: str, people: str, counts: tuple[int, int], seed: int = 0, part: int = 0, parts: int = 1):
        self.still = StillPairs(still, counts[0], training_pairs(), seed, part, parts)
        self.people = PairSet({people: 1.0}, counts[1], 1, seed, part=part, parts=parts)

    def __getitem__(self, step: int) -> Pairs:
        return join(self.still[step], self.people[step])


def join(first: Pairs, second: Pairs) -> Pairs:
    """The people of two batches as one batch."""
    split = [
        batch.motion_input.split([len(batch.source.picture), len(batch.driver.picture)]) for batch in (first, second)
    ]
    motion_input = torch.cat([part for pair in zip(*split) for part in pair])  # all sources, then all drivers
    return map_tensors(lambda *parts: torch.cat(parts), first, second)._replace(motion_input=motion_input)
