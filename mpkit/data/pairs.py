"""Training pairs: a source frame and driver frames of the same person, with exact labels where the data have them.

`PairSet[step]` is the batch of a training step. It depends on the seed and the step alone: an interrupted run continues
with the same batches, and so does a run with another number of loader workers.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mpkit.batch import Frames, Labels, Pairs
from mpkit.data.augment import (
    colour_jitter,
    flip_numbers,
    flip_points,
    flip_pose,
    random_knot_offsets,
    recolour,
    spline_warp,
)
from mpkit.data.people import REAL, People, RenderedPeople
from mpkit.data.shards import HeadShards
from mpkit.data.tracked import conditioning
from mpkit.data.workers import share_of_batch
from mpkit.errors import MpkitError
from mpkit.faces.anchors import anchors_of, flip_anchors
from mpkit.geometry import Pose
from mpkit.synthetic.anatomy import in_mouth, landmarks_on

OCCLUSION_MARGIN = 0.03  # canonical units; a point farther than this behind the visible surface is hidden
JITTER, MOTION_JITTER = 0.12, 0.4  # strength of colour jitter: of source and target, of E_mtn's input on top
REAL_TARGET_SHARE = 0.7  # of the batches' lifted stills: the target is the picture itself, not a render
OPEN_MOUTH_TRIES = 50  # people drawn until one opens the mouth
MIN_OPENING = 4e-4  # of the label cells: how much more mouth interior such a driver shows than the source
MOTION_WARP = 0.05  # crop units, standard deviation of the knots of the spline that warps E_mtn's input


class PairSet(Dataset):
    """Batches of `batch_size` people with `drivers` driver frames each, as `batch.Pairs`.

    `shards` maps each collection of people to the relative frequency of its people. A collection is a folder of tracked
    shards (`data.shards`, `data.tracked`) or `RenderedPeople`. With `parts` > 1, as many processes divide each batch,
    and this one gets share number `part`. Raises MpkitError if the batch cannot be divided, or if nobody has enough
    frames; MediaError for a folder without shards.
    """

    # The share of people, if there are such, whose first driver shows more of the mouth interior than the source; of
    # lifted stills it is then the picture itself.
    open_mouths = 0.0

    def __init__(
        self,
        shards: Mapping[str | RenderedPeople, float],
        batch_size: int,
        drivers: int = 2,
        seed: int = 0,
        augment: bool = True,
        part: int = 0,
        parts: int = 1,
    ):
        self.collections = [
            shard if isinstance(shard, RenderedPeople) else HeadShards(shard, tracked=True) for shard in shards
        ]
        self.drivers, self.seed, self.augment = drivers, seed, augment
        self.positions = share_of_batch(batch_size, part, parts)  # of its people
        weights = np.array([weight * len(people) for people, weight in zip(self.collections, shards.values())])
        self.probabilities = weights / weights.sum()  # of drawing a person from each collection
        if not any(len(_face_frames(p, n)) > 1 for p in self.collections for n in range(len(p))):
            raise MpkitError("nobody has 2 frames with a face, for a source and a driver")

    @classmethod
    def from_people(
        cls, people: list[dict[str, np.ndarray]], batch_size: int, drivers: int = 2, **options
    ) -> "PairSet":
        """Batches of people in memory, each a dict as `synthetic.heads.render_identity` returns it. From disk the same
        people give the same batches. options: `seed`, `augment`, `part` and `parts` of the class."""
        return cls({RenderedPeople(people): 1.0}, batch_size, drivers, **options)

    def __getitem__(self, step: int) -> Pairs:
        rngs = [np.random.default_rng((self.seed, step, n)) for n in self.positions]  # one for each person
        people = [self._sample_person(rng) for rng in rngs]
        source = _collate([person[0] for person in people])
        driver = _collate([frame for person in people for frame in person[1:]])
        flow, flow_valid = true_flow(people, source.labels.view.shape[1])
        if self.augment:
            source, driver, flow, flow_valid = self._flip_and_recolour(rngs, source, driver, flow, flow_valid)
        motion_input = torch.cat([source.picture[:, :3], driver.picture[:, :3]])
        if self.augment:
            count = 1 + self.drivers
            offsets = _sources_first([random_knot_offsets(rng, MOTION_WARP, count) for rng in rngs])
            jitter = (colour_jitter(rng, MOTION_JITTER, count) for rng in rngs)
            motion_input = recolour(spline_warp(motion_input, offsets), *map(_sources_first, zip(*jitter)))
        return Pairs(source, driver, flow, flow_valid, motion_input)

    def _sample_person(self, rng) -> list[dict[str, np.ndarray]]:
        """One source frame and `drivers` driver frames of a random person, only frames in which the tracker finds a
        face. A person with few frames gives a driver several times.

        Of a lifted still, the picture itself is the first driver and a render the source, REAL_TARGET_SHARE of the
        times: then no colour of the target is invented."""
        tries = OPEN_MOUTH_TRIES if self.open_mouths and rng.random() < self.open_mouths else 0
        while True:
            people = self.collections[rng.choice(len(self.collections), p=self.probabilities)]
            person = int(rng.integers(len(people)))
            frames = rng.permutation(_face_frames(people, person))
            if len(frames) < 2:
                continue
            if tries:
                tries -= 1
                frames = _opening_first(people, person, frames)
                if frames is None:
                    continue
            elif people.is_lifted(person) and REAL in frames and rng.random() < REAL_TARGET_SHARE:
                source, *others = frames[frames != REAL]
                frames = np.array([source, REAL, *others])
            drivers = np.resize(frames[1:], self.drivers)
            return [_with_origin(people.sample(person, int(frame)), frame == REAL) for frame in (frames[0], *drivers)]

    def _flip_and_recolour(self, rngs, source: Frames, driver: Frames, flow: Tensor, flow_valid: Tensor):
        """All frames of a person get the same flip and the same colour jitter."""
        flips = torch.tensor([rng.random() < 0.5 for rng in rngs])
        matrix, offset = map(torch.cat, zip(*(colour_jitter(rng, JITTER, 1) for rng in rngs)))
        driver_flips, *driver_jitter = (part.repeat_interleave(self.drivers, 0) for part in (flips, matrix, offset))
        source, driver = _flip(source, flips), _flip(driver, driver_flips)
        source = source._replace(picture=recolour(source.picture, matrix, offset))
        driver = driver._replace(picture=recolour(driver.picture, *driver_jitter))
        flow = _where(driver_flips, flip_points(flow), flow)
        return source, driver, flow, _where(driver_flips, flow_valid.flip(2), flow_valid)


def _face_frames(people: People, person: int) -> np.ndarray:
    """The numbers of a person's frames in which the tracker finds a face."""
    return np.flatnonzero(people.field("found", person))


def _opening_first(people: People, person: int, frames: np.ndarray) -> np.ndarray | None:
    """Numbers of a person's frames, reordered so that the second shows more of the mouth interior than the first, by
    MIN_OPENING or more; of a lifted still it is the picture itself. None where there is no such pair."""
    triangles = people.field("triangle", person)[frames]
    inside = in_mouth(people.field("faces", person))
    area = ((triangles >= 0) & inside[triangles]).mean((1, 2))
    opens = area[None] - area[:, None] >= MIN_OPENING  # (source, driver)
    if people.is_lifted(person):
        opens &= frames == REAL
    if not opens.any():
        return None
    source, driver = np.unravel_index(opens.argmax(), opens.shape)
    return np.array([frames[source], frames[driver], *np.delete(frames, [source, driver])])


def _with_origin(sample: dict[str, np.ndarray], picture_itself: bool) -> dict:
    """A frame with `real`: whether it is a picture of the world. All frames of clips are; of the frames of a lifted
    still only the picture itself; none of a synthetic person."""
    return sample | {"real": "actions" not in sample or "reliable" in sample and picture_itself}


def _sources_first(people: list[Tensor]) -> Tensor:
    """Values of each person's frames, (1 + n, ...) each, in the order of `Pairs.motion_input`: all sources, then all
    drivers."""
    return torch.cat([torch.stack([person[0] for person in people]), *(person[1:] for person in people)])


def _collate(samples: list[dict[str, np.ndarray]]) -> Frames:
    def stack(arrays) -> Tensor:
        return torch.from_numpy(np.stack(list(arrays)))

    images = stack(s["images"] for s in samples).movedim(-1, 1).float() / 255  # (B, 4, S, S), not premultiplied
    everywhere = np.ones(images.shape[2:], bool)
    return Frames(
        picture=torch.cat([images[:, :3] * images[:, 3:], images[:, 3:]], dim=1),
        pose=Pose(*(stack(s[name] for s in samples) for name in ("rotation", "translation", "scale"))),
        numbers=stack(conditioning(s) for s in samples),
        labels=Labels(*map(stack, zip(*(_label_maps(s) for s in samples)))),
        reliable=stack(s.get("reliable", everywhere) for s in samples)[:, None],
        real=torch.tensor([s["real"] for s in samples]),
        anchors=stack(anchors_of(landmarks_on(s["neutral"])) for s in samples),
    )


def _visible_points(sample: dict, vertices: np.ndarray, missing: float = 0.0) -> np.ndarray:
    """The point of `vertices` (N, 3) that each cell of a frame's label grid shows, (h, h, 3); `missing` where it shows
    none."""
    valid = sample["triangle"] >= 0
    corners = sample["faces"][sample["triangle"][valid]]  # (P, 3) vertex numbers
    first, second = sample["barycentric"][valid].astype(np.float32).T[..., None]
    points = np.full((*valid.shape, 3), missing, np.float32)
    a, b, c = (vertices[corners[:, corner]].astype(np.float32) for corner in range(3))
    points[valid] = first * a + second * b + (1 - first - second) * c
    return points


def mouth_inside(sample: dict) -> np.ndarray:
    """Which cells of a frame's label grid show the mouth interior, (h, h) bool."""
    return (sample["triangle"] >= 0) & in_mouth(sample["faces"])[sample["triangle"]]


def _label_maps(sample: dict) -> tuple[np.ndarray, ...]:
    """The `Labels` of one frame."""
    points = _visible_points(sample, sample["neutral"]), _visible_points(sample, sample["vertices"])
    return *points, sample["triangle"] >= 0, mouth_inside(sample)


def true_flow(people: list[list[dict]], half: int) -> tuple[Tensor, Tensor]:
    """`Pairs.flow` and `Pairs.flow_valid` of people (source frame, *driver frames) with label grids of `half` cells a
    side.

    A point is valid unless the source hides it. Points beyond the edge of the source are valid: the detail path
    continues the picture there (`networks.detail.sample_picture`). Teeth and other points of the mouth interior lie too
    close behind closed lips for a test of depth: they are valid only where the source shows the mouth interior in that
    cell or next to it."""
    flows, valids = [], []
    for source, *drivers in people:
        # -inf: where the source shows no surface, every point counts as hidden
        depth = _visible_points(source, source["vertices"], missing=-np.inf)[..., 2]
        open_mouth = cv2.dilate(mouth_inside(source).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        for driver in drivers:
            in_source = _visible_points(driver, source["vertices"], missing=2.0)
            column, row = (((in_source[..., axis] + 1) * half / 2).astype(int) for axis in (0, 1))
            outside = (column < 0) | (column >= half) | (row < 0) | (row >= half)
            cell = row.clip(0, half - 1), column.clip(0, half - 1)
            shown = (in_source[..., 2] < depth[cell] + OCCLUSION_MARGIN) & (open_mouth[cell] | ~mouth_inside(driver))
            flows.append(in_source[..., :2])
            valids.append((driver["triangle"] >= 0) & (outside | shown))
    return torch.from_numpy(np.stack(flows)), torch.from_numpy(np.stack(valids))


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
