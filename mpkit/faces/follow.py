"""Following one face through a clip, smoothed over time without delay, its actions fitted with one shape.

A tracker's numbers jitter from frame to frame. A causal filter removes the jitter but adds a delay: blinks end half
closed. The mean over the frames before and after has no delay: on six clips its numbers agree better with a fresh
detection in each frame than the raw numbers and than the tracker's own filter do (docs/training-log.md, 5.). A blink
lasts one to three frames, so the frames around count less for a landmark, the farther it moves on the face: a bilateral
filter.
"""

import itertools
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TypeVar

import numpy as np

from mpkit.faces.action_fit import SHAPE_FACES, ActionFitter, shape_of
from mpkit.faces.face import Face, Tracker, followed_face, same_shot
from mpkit.faces.shoulders import ShoulderTracker
from mpkit.faces.trackers import make_tracker
from mpkit.media.video_reader import VideoReader

NEIGHBOUR_WEIGHT = 0.25  # of the frame before and of the frame after, each; the frame itself has the rest
MOTION_SPREAD = 0.01  # canonical units; a landmark that moves so far on the face has 0.6 of a neighbour's weight
Stamp = TypeVar("Stamp")


def follow(
    frames: Iterable[tuple[Stamp, np.ndarray]], tracker: Tracker, shape: np.ndarray | None = None
) -> Iterator[tuple[Stamp, np.ndarray, Face | None]]:
    """(stamp, picture) of each frame -> (stamp, picture, its smoothed face or None), read one frame ahead.

    The face is the largest of the first frame that has any; then the same person as long as it is found, see
    `followed_face`. After frames without it, a face that is neither about where it was nor seen again in the next frame
    is none. A stamp is anything, e.g. the frame's time. `tracker` is one for clips (`video=True`). `shape`: that of the
    person, see `shape_of`; if it is None, it is fitted to the first frames with a face, and SHAPE_FACES frames are read
    ahead there."""
    followed = _followed(frames, tracker)
    for stamp, picture, face in followed:
        if face is None:
            yield stamp, picture, None
            continue
        first = [(stamp, picture, face)]
        if shape is None and face.coefficients is not None:
            first += itertools.islice(followed, SHAPE_FACES - 1)
            shape = shape_of(face for _, _, face in first if face)
        fitter = ActionFitter(shape, smooth=True)
        first = iter(first)  # it drops the pictures when it ends
        for stamp, picture, face in itertools.chain(first, followed):
            yield stamp, picture, face and fitter(face)


def _followed(
    frames: Iterable[tuple[Stamp, np.ndarray]], tracker: Tracker
) -> Iterator[tuple[Stamp, np.ndarray, Face | None]]:
    """`follow` with the actions of the tracker."""
    previous = current = last = None  # faces of the frame before and of this one, and the last face that was given
    shoulders = ShoulderTracker()
    pending = None  # (stamp, picture) of the frame whose next frame is not read yet

    def finish(following: Face | None) -> tuple[Stamp, np.ndarray, Face | None]:
        nonlocal current, last
        stamp, picture = pending
        if current and last and not previous and not is_found_again(current, last, following):
            current = None
        last = current or last
        face = smoothed(previous, current, following)
        return stamp, picture, face and shoulders(picture, face)

    for stamp, picture in frames:
        faces = tracker.detect(picture)
        face = followed_face(faces, current or last) if faces else None
        if pending is not None:
            yield finish(face)
        previous, current, pending = current, face, (stamp, picture)
    if pending is not None:
        yield finish(None)


def sampled_faces(pictures: Iterable[np.ndarray], tracker: Tracker) -> Iterator[tuple[np.ndarray, Face]]:
    """(picture, face) for those pictures of a clip that show a face, which is followed as far as that is possible in
    pictures that are far apart."""
    last = None
    for picture in pictures:
        if faces := tracker.detect(picture):
            last = followed_face(faces, last)
            yield picture, last


def follow_clip(reader: VideoReader, tracker: str = "mediapipe") -> Iterator[tuple[Fraction, np.ndarray, Face | None]]:
    """`follow` through a clip, with a tracker of that name. The shape of the person is fitted first, to SHAPE_FACES
    frames that are spread over the whole clip. Where other people are on those, it becomes a mixture."""
    with make_tracker(tracker, video=True) as finder:
        shape = shape_of(face for _, face in sampled_faces(reader.samples(SHAPE_FACES), finder))
    with make_tracker(tracker, video=True) as follower:
        yield from follow(reader, follower, shape)


def is_found_again(face: Face, last: Face, following: Face | None) -> bool:
    """Whether a face after frames without one is the person that was `last` seen, or another one, rather than a pattern
    that looks like a face in one frame: it is about as it was, or about as it is in the frame `following`."""
    return same_shot(face, last) or (following is not None and same_shot(following, face))


def smoothed(previous: Face | None, face: Face | None, following: Face | None) -> Face | None:
    """The weighted mean of the faces of three consecutive frames; None if the middle one is missing.

    A neighbour that is missing, or of another shot, is left out, and the weights are normalised. Landmarks have their
    own weights: those that move on the face beside the others are smoothed less."""
    if face is None:
        return None
    neighbours = [other for other in (previous, following) if other and same_shot(other, face)]
    faces = [face, *neighbours]
    weights = np.float32([1 - 2 * NEIGHBOUR_WEIGHT, *[NEIGHBOUR_WEIGHT] * len(neighbours)])
    weights /= weights.sum()

    def mean(name: str) -> np.ndarray:
        values = [np.asarray(getattr(one, name), np.float32) for one in faces]
        return sum(weight * value for weight, value in zip(weights, values))

    u, _, vt = np.linalg.svd(mean("rotation"))  # u @ vt is the rotation nearest to the mean matrix
    rotation, centre, radius = u @ vt, mean("centre"), float(mean("radius"))
    on_face = np.stack(
        [(one.landmarks - np.append(one.centre, 0)) / max(one.radius, 1e-6) @ one.rotation for one in faces]
    )
    moved = (on_face - on_face[0])[..., :2]
    moved -= np.median(moved, axis=1, keepdims=True)  # the error of the pose
    shares = weights[:, None] * np.exp(-np.square(moved).sum(-1) / (2 * MOTION_SPREAD**2))
    landmarks = (shares[..., None] * on_face).sum(0) / shares.sum(0)[:, None]
    return Face(
        (radius * landmarks @ rotation.T + np.append(centre, 0)).astype(np.float32), tuple(mean("box").tolist()),
        mean("actions"), mean("gaze"), rotation, centre, radius,
        coefficients=None if face.coefficients is None else mean("coefficients"),
    )  # fmt: skip
