"""Training pairs: a source frame and driver frames of the same person, with exact labels where the data have them.

`PairSet[step]` is the batch of a training step. It depends on the seed and the step alone: an interrupted run continues
with the same batches, and so does a run with another number of loader workers.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mpkit.batch import Frames, Labels, Pairs, map_tensors
from mpkit.data.augment import (
    colour_jitter,
    flip_numbers,
    flip_points,
    flip_pose,
    random_knot_offsets,
    recolour,
    spline_warp,
)
from mpkit.data.labels import StoredFrames, Topology, collate, to_frames, true_flow
from mpkit.data.people import REAL, People, RenderedPeople
from mpkit.data.shards import HeadShards
from mpkit.data.tracked import conditioning
from mpkit.data.workers import share_of_batch
from mpkit.errors import MpkitError
from mpkit.faces.anchors import flip_anchors

JITTER, MOTION_JITTER = 0.12, 0.4  # strength of colour jitter: of source and target, of E_mtn's input on top
# Of some people: paintings are darker, yellower and paler than photographs, and their teeth and eyes too (ours).
STRONG_JITTER, STRONG_SHARE = 0.35, 0.3
REAL_TARGET_SHARE = 0.7  # of the batches' lifted stills: the target is the picture itself, not a render
OPEN_MOUTH_TRIES = 50  # people drawn until one opens the mouth
MIN_OPENING = 4e-4  # of the label cells: how much more mouth interior such a driver shows than the source
MOTION_WARP = 0.05  # crop units, standard deviation of the knots of the spline that warps E_mtn's input


class Draw(NamedTuple):
    """What a batch shows of one person."""

    collection: int
    person: int
    frames: list[int]  # the source, then the drivers


class PairSet(Dataset):
    """Batches of `batch_size` people with `drivers` driver frames each, as `batch.Pairs`.

    `shards` maps each collection of people to the relative frequency of its people. A collection is a folder of tracked
    shards (`data.shards`, `data.tracked`) or other `People`. With `parts` > 1, as many processes divide each batch,
    and this one gets share number `part`. Raises MpkitError if the batch cannot be divided, or if nobody has enough
    frames; MediaError for a folder without shards.
    """

    # The share of people, if there are such, whose first driver shows more of the mouth interior than the source; of
    # lifted stills in reliable colours only.
    open_mouths = 0.0

    def __init__(
        self,
        shards: Mapping[str | People, float],
        batch_size: int,
        drivers: int = 2,
        seed: int = 0,
        augment: bool = True,
        part: int = 0,
        parts: int = 1,
    ):
        self.device = torch.device("cpu")
        self._residents: dict[tuple[int, int], StoredFrames] = {}  # of (collection, person)
        self.collections = [shard if isinstance(shard, People) else HeadShards(shard, tracked=True) for shard in shards]
        self.drivers, self.seed, self.augment = drivers, seed, augment
        self.positions = share_of_batch(batch_size, part, parts)  # of its people
        weights = np.array([weight * people.population for people, weight in zip(self.collections, shards.values())])
        self.probabilities = weights / weights.sum()  # of drawing a person from each collection
        if not any(len(_face_frames(p, n)) > 1 for p in self.collections for n in range(len(p))):
            raise MpkitError("nobody has 2 frames with a face, for a source and a driver")
        meshes = [people.field("faces", 0) for people in self.collections]
        self.topology = Topology.of(meshes)
        self.vertices = max(len(people.field("neutral", 0)) for people in self.collections)  # of the largest head
        self.offsets = np.cumsum([0, *map(len, meshes[:-1])])  # of each collection's triangles in the topology

    @classmethod
    def from_people(
        cls, people: list[dict[str, np.ndarray]], batch_size: int, drivers: int = 2, **options
    ) -> "PairSet":
        """Batches of people in memory, each a dict as `synthetic.heads.render_identity` returns it. From disk the same
        people give the same batches. options: `seed`, `augment`, `part` and `parts` of the class."""
        return cls({RenderedPeople(people): 1.0}, batch_size, drivers, **options)

    def to(self, device: str | torch.device) -> "PairSet":
        """Itself, with labels and augmentation computed on a device, where the batches then are."""
        self.device = torch.device(device)
        self.topology = map_tensors(lambda tensor: tensor.to(self.device), self.topology)
        return self

    def __getitem__(self, step: int) -> Pairs:
        rngs = [np.random.default_rng((self.seed, step, n)) for n in self.positions]  # one for each person
        stored = self._read([self._draw(rng) for rng in rngs])
        count, n = len(rngs), self.drivers
        frames = to_frames(stored, self.topology)
        source, driver = _split(frames, count)
        flow, flow_valid = true_flow(*_split(stored.surface, count), self.topology)
        if self.augment:
            source, driver, flow, flow_valid = self._flip_and_recolour(rngs, source, driver, flow, flow_valid)
        motion_input = torch.cat([source.picture[:, :3], driver.picture[:, :3]])
        if self.augment:
            offsets = _sources_first([random_knot_offsets(rng, MOTION_WARP, 1 + n) for rng in rngs])
            jitter = (colour_jitter(rng, MOTION_JITTER, 1 + n) for rng in rngs)
            recolouring = (self._sent(_sources_first(part)) for part in zip(*jitter))
            motion_input = recolour(spline_warp(motion_input, self._sent(offsets)), *recolouring)
        return Pairs(source, driver, flow, flow_valid, motion_input)

    def _draw(self, rng: np.random.Generator) -> Draw:
        """A source frame and `drivers` driver frames of a random person, only frames in which the tracker finds a face.
        A person with few frames gives a driver several times.

        Of a lifted still, the picture itself is the first driver and a render the source, REAL_TARGET_SHARE of the
        times: then no colour of the target is invented. With `open_mouths` only if the picture opens the mouth."""
        tries = OPEN_MOUTH_TRIES if self.open_mouths and rng.random() < self.open_mouths else 0
        while True:
            number = int(rng.choice(len(self.collections), p=self.probabilities))
            people = self.collections[number]
            person = int(rng.integers(len(people)))
            frames = rng.permutation(_face_frames(people, person))
            if len(frames) < 2:
                continue
            real_target = people.is_lifted(person) and REAL in frames and rng.random() < REAL_TARGET_SHARE
            if tries:
                tries -= 1
                frames = _opening_first(people, person, frames, real_target)
                if frames is None:
                    continue
            elif real_target:
                source, *others = frames[frames != REAL]
                frames = np.array([source, REAL, *others])
            return Draw(number, person, [int(frames[0]), *map(int, np.resize(frames[1:], self.drivers))])

    def _read(self, draws: list[Draw]) -> StoredFrames:
        """The frames of the draws: all sources, then all drivers, person by person. On a GPU, people who were drawn
        once stay in its memory."""
        order = [(draw, draw.frames[0]) for draw in draws]
        order += [(draw, frame) for draw in draws for frame in draw.frames[1:]]
        if self.device.type == "cpu":
            return self._collate(order)
        people, numbers = [self._resident(draw) for draw, _ in order], [frame for _, frame in order]
        return map_tensors(lambda *tensors: torch.stack([t[n] for t, n in zip(tensors, numbers)]), *people)

    def _collate(self, order: list[tuple[Draw, int]]) -> StoredFrames:
        """The frames of (draw, frame), on the CPU."""
        samples = [self._sample(draw, frame) for draw, frame in order]
        return collate(samples, [self.offsets[draw.collection] for draw, _ in order], self.vertices)

    def _resident(self, draw: Draw) -> StoredFrames:
        """All frames of the person of a draw, on the device."""
        key = draw.collection, draw.person
        if key not in self._residents:
            count = len(self.collections[draw.collection].found(draw.person))
            stored = self._collate([(draw, frame) for frame in range(count)])
            self._residents[key] = map_tensors(self._sent, stored)
        return self._residents[key]

    def _sample(self, draw: Draw, frame: int) -> dict:
        """A frame with the numbers that condition on it, and `real`: whether it is a picture of the world. All frames
        of clips are; of the frames of a lifted still only the picture itself; none of a synthetic person."""
        sample = self.collections[draw.collection].sample(draw.person, frame)
        real = frame == REAL if "reliable" in sample else "actions" not in sample
        return sample | {"numbers": conditioning(sample), "real": real}

    def _sent(self, tensor: Tensor) -> Tensor:
        """A tensor on the device, without waiting for what a GPU has to do."""
        return tensor if self.device.type == "cpu" else tensor.pin_memory().to(self.device, non_blocking=True)

    def _flip_and_recolour(self, rngs, source: Frames, driver: Frames, flow: Tensor, flow_valid: Tensor):
        """All frames of a person get the same flip and the same colour jitter."""
        flips = torch.tensor([rng.random() < 0.5 for rng in rngs])
        strengths = [STRONG_JITTER if rng.random() < STRONG_SHARE else JITTER for rng in rngs]
        jitter = (colour_jitter(rng, strength, 1) for rng, strength in zip(rngs, strengths))
        matrix, offset = map(torch.cat, zip(*jitter))
        flips, matrix, offset = map(self._sent, (flips, matrix, offset))
        driver_flips, *driver_jitter = (part.repeat_interleave(self.drivers, 0) for part in (flips, matrix, offset))
        source, driver = _flip(source, flips), _flip(driver, driver_flips)
        source = source._replace(picture=recolour(source.picture, matrix, offset))
        driver = driver._replace(picture=recolour(driver.picture, *driver_jitter))
        flow = _where(driver_flips, flip_points(flow), flow)
        return source, driver, flow, _where(driver_flips, flow_valid.flip(2), flow_valid)


def _face_frames(people: People, person: int) -> np.ndarray:
    """The numbers of a person's frames in which the tracker finds a face."""
    return np.flatnonzero(people.found(person))


def _opening_first(people: People, person: int, frames: np.ndarray, real_target: bool) -> np.ndarray | None:
    """Numbers of a person's frames, reordered so that the second shows more of the mouth interior than the first, by
    MIN_OPENING or more; with `real_target` it is the frame REAL, if that does. None where there is no such pair."""
    area = people.mouth_area(person)[frames]
    opens = area[None] - area[:, None] >= MIN_OPENING  # (source, driver)
    if real_target and (opens & (frames == REAL)).any():
        opens &= frames == REAL
    if not opens.any():
        return None
    source, driver = np.unravel_index(opens.argmax(), opens.shape)
    return np.array([frames[source], frames[driver], *np.delete(frames, [source, driver])])


def _sources_first(people: list[Tensor]) -> Tensor:
    """Values of each person's frames, (1 + n, ...) each, in the order of `Pairs.motion_input`: all sources, then all
    drivers."""
    return torch.cat([torch.stack([person[0] for person in people]), *(person[1:] for person in people)])


def _split(batch, count: int) -> tuple:
    """The first `count` of a batch, and the others."""
    return map_tensors(lambda tensor: tensor[:count], batch), map_tensors(lambda tensor: tensor[count:], batch)


def _where(flags: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """`yes` for the frames whose flag is set, else `no`; flags (B,), tensors (B, ...)."""
    return torch.where(flags.view(-1, *[1] * (yes.dim() - 1)), yes, no)


def _flip(frames: Frames, flags: Tensor) -> Frames:
    """The frames, those with a flag (B,) mirrored."""
    points, marks = frames.labels[:2], frames.labels[2:]
    mirrored = Frames(
        frames.picture.flip(3),
        flip_pose(frames.pose),
        flip_numbers(frames.numbers),
        Labels(*map(flip_points, points), *(mark.flip(2) for mark in marks)),
        frames.reliable.flip(3),
        frames.real,
        flip_anchors(frames.anchors),
    )

    def choose(yes, no):
        return type(no)(*map(choose, yes, no)) if isinstance(no, tuple) else _where(flags, yes, no)

    return choose(mirrored, frames)
