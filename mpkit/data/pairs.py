"""Training pairs: a source frame and driver frames of the same person, with labels where the data know them.

`PairSet[step]` is the batch of training step `step`, a pure function of (seed, step): a run resumes exactly by
continuing to count, and any number of loader workers gives the same batches.
"""


import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mpkit.batch import Frames, Labels, Pairs
from mpkit.data.augment import bend_shape, colour_jitter, flip_numbers, flip_points, flip_pose, random_bends, recolour
from mpkit.data.shards import HeadShards
from mpkit.data.tracked import conditioning
from mpkit.errors import MpkitError
from mpkit.faces.anchors import anchors_of, flip_anchors
from mpkit.geometry import Pose
from mpkit.synthetic.anatomy import in_mouth, landmarks_on

HIDDEN_BEHIND = 0.03  # a point this much (canonical units) behind what the source shows is hidden there








class PairSet(Dataset):
    """Batches of `batch_size` people with `drivers` driver frames each.

    `shards`: folders of renders (tracked: see data/tracked.py) and how often a person of each is drawn. With several
    `parts`, batches are divided among as many processes, and this is number `part` of them.
    """

    def __init__(
        self,
        shards: dict[str, float],
        batch_size: int,
        drivers: int = 2,
        seed: int = 0,
        augment: bool = True,
        part: int = 0,
        parts: int = 1,
    ):
        if batch_size % parts:
            raise MpkitError(f"a batch of {batch_size} people cannot be divided among {parts} processes")
        self.shards = [HeadShards(folder, tracked=True) for folder in shards]
        self.drivers, self.seed, self.augment = drivers, seed, augment
        self.share = range(part * batch_size // parts, (part + 1) * batch_size // parts)
        self.chance = np.array([weight * len(shard) for shard, weight in zip(self.shards, shards.values())])
        self.chance /= self.chance.sum()

    def __getitem__(self, step: int) -> Pairs:
        rngs = [np.random.default_rng((self.seed, step, number)) for number in self.share]  # each person has its own
        people = [self._person(rng) for rng in rngs]
        sources = _collate([person[0] for person in people])
        drivers = _collate([frame for person in people for frame in person[1:]])
        flow, flow_valid = true_flow(people, sources.labels.view.shape[1])
        if self.augment:
            sources, drivers, flow, flow_valid = self._augment(rngs, sources, drivers, flow, flow_valid)
        seen = torch.cat([sources.picture[:, :3], drivers.picture[:, :3]])
        if self.augment:
            bends = _by_frame([random_bends(rng, 0.03, 1 + self.drivers) for rng in rngs])
            matrix, offset = map(_by_frame, zip(*(colour_jitter(rng, 0.4, 1 + self.drivers) for rng in rngs)))
            seen = recolour(bend_shape(seen, bends), matrix, offset)
        return Pairs(sources, drivers, flow, flow_valid, seen)

    def _person(self, rng) -> list[dict]:
        """One source frame and `drivers` driver frames of a random person, all with a face that the tracker finds."""
        while True:
            shard = self.shards[rng.choice(len(self.shards), p=self.chance)]
            person = int(rng.integers(len(shard)))
            frames = np.flatnonzero(shard.field("found", person))
            if len(frames) > self.drivers:
                chosen = rng.choice(frames, 1 + self.drivers, replace=False)
                return [shard.sample(person, int(frame)) for frame in chosen]

    def _augment(self, rngs, sources, drivers, flow, flow_valid):
        flips = torch.tensor([rng.random() < 0.5 for rng in rngs])
        matrix, offset = map(torch.cat, zip(*(colour_jitter(rng, 0.12, 1) for rng in rngs)))
        each = [tensor.repeat_interleave(self.drivers, 0) for tensor in (flips, matrix, offset)]
        sources = _flip(sources, flips)._replace(picture=recolour(_flip(sources, flips).picture, matrix, offset))
        drivers = _flip(drivers, each[0])
        drivers = drivers._replace(picture=recolour(drivers.picture, each[1], each[2]))
        flow = _where(each[0], flip_points(flow), flow)
        return sources, drivers, flow, _where(each[0], flow_valid.flip(2), flow_valid)




def _by_frame(people: list[Tensor]) -> Tensor:
    """Values of each person's frames, (1 + n, ...) each, in the order of `motion_input`: sources, then drivers."""
    return torch.cat([torch.stack([person[0] for person in people]), *(person[1:] for person in people)])


def _collate(samples: list[dict]) -> Frames:
    images = torch.from_numpy(np.stack([s["images"] for s in samples])).movedim(-1, 1).float() / 255
    picture = torch.cat([images[:, :3] * images[:, 3:], images[:, 3:]], dim=1)
    pose = Pose(*(torch.from_numpy(np.stack([s[k] for s in samples])) for k in ("rotation", "translation", "scale")))
    maps = [_label_maps(sample) for sample in samples]
    labels = Labels(*(torch.from_numpy(np.stack(parts)) for parts in zip(*maps)))
    numbers = torch.from_numpy(np.stack([conditioning(s) for s in samples]))
    everywhere = np.ones(images.shape[2:], bool)
    believed = torch.from_numpy(np.stack([sample.get("believed", everywhere) for sample in samples]))[:, None]
    anchors = torch.from_numpy(np.stack([anchors_of(landmarks_on(s["neutral"])) for s in samples]))
    return Frames(picture, pose, numbers, labels, believed, anchors)


def _seen(sample: dict, vertices: np.ndarray, missing: float = 0.0) -> np.ndarray:
    """The point of `vertices` (N, 3) that each pixel of a frame shows, (h, h, 3); `missing` where it shows none."""
    valid = sample["triangle"] >= 0
    corners = sample["faces"][sample["triangle"][valid]]  # (P, 3) vertex numbers
    first, second = sample["barycentric"][valid].astype(np.float32).T[..., None]
    points = np.full((*valid.shape, 3), missing, np.float32)
    a, b, c = (vertices[corners[:, corner]].astype(np.float32) for corner in range(3))
    points[valid] = first * a + second * b + (1 - first - second) * c
    return points


def mouth_inside(sample: dict, teeth: bool = False) -> np.ndarray:
    """Which pixels of a frame show the inside of a mouth, or its `teeth`, (h, h) bool."""
    return (sample["triangle"] >= 0) & in_mouth(sample["faces"], teeth)[sample["triangle"]]


def _label_maps(sample: dict) -> tuple[np.ndarray, ...]:
    """The `Labels` of one frame."""
    points = _seen(sample, sample["neutral"]), _seen(sample, sample["vertices"])
    return *points, sample["triangle"] >= 0, mouth_inside(sample), mouth_inside(sample, teeth=True)


def true_flow(people: list[list[dict]], half: int) -> tuple[Tensor, Tensor]:
    """Where each source shows what its drivers show, and whether it does: it is not hidden. Beyond the edge, where the
    picture is continued (`networks.render.sample_picture`), nothing hides. Teeth lie so close behind closed lips that
    depth does not tell: they are hidden unless the source shows the inside of a mouth there, or beside."""
    flows, valids = [], []
    for source, *drivers in people:
        # where the source shows no surface, nothing of it is visible
        depth = _seen(source, source["vertices"], missing=-np.inf)[..., 2]
        open_mouth = cv2.dilate(mouth_inside(source).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        for driver in drivers:
            there = _seen(driver, source["vertices"], missing=2.0)
            column, row = (((there[..., axis] + 1) * half / 2).astype(int) for axis in (0, 1))
            outside = (column < 0) | (column >= half) | (row < 0) | (row >= half)
            place = row.clip(0, half - 1), column.clip(0, half - 1)
            shown = (there[..., 2] < depth[place] + HIDDEN_BEHIND) & (open_mouth[place] | ~mouth_inside(driver))
            flows.append(there[..., :2])
            valids.append((driver["triangle"] >= 0) & (outside | shown))
    return torch.from_numpy(np.stack(flows)), torch.from_numpy(np.stack(valids))


def _where(flags: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(flags.view(-1, *[1] * (yes.dim() - 1)), yes, no)


def _flip(frames: Frames, flags: Tensor) -> Frames:
    pose = flip_pose(frames.pose)
    labels = frames.labels
    points, marks = labels[:2], labels[2:]
    flipped = Labels(*map(flip_points, points), *(mark.flip(2) for mark in marks))
    return Frames(
        _where(flags, frames.picture.flip(3), frames.picture),
        Pose(*(_where(flags, a, b) for a, b in zip(pose, frames.pose))),
        _where(flags, flip_numbers(frames.numbers), frames.numbers),
        Labels(*(_where(flags, a, b) for a, b in zip(flipped, labels))),
        _where(flags, frames.believed.flip(3), frames.believed),
        _where(flags, flip_anchors(frames.anchors), frames.anchors),
    )
