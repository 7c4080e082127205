"""Following one face through a clip, smoothed over time without delay.

A tracker's numbers jitter from frame to frame. A causal filter removes the jitter but adds a delay: blinks end half
closed. The mean over the frames before and after has no delay: on six clips its numbers agree better with a fresh
detection in each frame than the raw numbers and than the tracker's own filter do (docs/training-log.md, 5.).
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

from mpkit.faces.face import Face, Tracker, followed_face, same_shot
from mpkit.faces.shoulders import ShoulderTracker

NEIGHBOUR_WEIGHT = 0.25  # of the frame before and of the frame after, each; the frame itself has the rest
Stamp = TypeVar("Stamp")


def follow(
    frames: Iterable[tuple[Stamp, np.ndarray]], tracker: Tracker
) -> Iterator[tuple[Stamp, np.ndarray, Face | None]]:
    """(stamp, picture) of each frame -> (stamp, picture, its smoothed face or None), read one frame ahead.

    The face is the largest of the first frame that has any; then the same person as long as it is found, see
    `followed_face`. After frames without it, a face that is neither about where it was nor seen again in the next frame
    is none. A stamp is anything, e.g. the frame's time. `tracker` is one for clips (`video=True`)."""
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


def is_found_again(face: Face, last: Face, following: Face | None) -> bool:
    """Whether a face after frames without one is the person that was `last` seen, or another one, rather than a pattern
    that looks like a face in one frame: it is about as it was, or about as it is in the frame `following`."""
    return same_shot(face, last) or (following is not None and same_shot(following, face))


def smoothed(previous: Face | None, face: Face | None, following: Face | None) -> Face | None:
    """The weighted mean of the faces of three consecutive frames; None if the middle one is missing.

    A neighbour that is missing, or of another shot, is left out, and the weights are normalised."""
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
    return Face(
        mean("landmarks"), tuple(mean("box").tolist()), mean("actions"), mean("gaze"), u @ vt, mean("centre"),
        float(mean("radius")),
    )  # fmt: skip
