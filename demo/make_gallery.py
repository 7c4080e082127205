"""Makes the films and thumbnails of gallery/: a loop of each motion as a plain face, each pair as still, driver and
result, the head of each work.

python demo/make_gallery.py
"""

from fractions import Fraction

import gallery
import numpy as np
import torch
from PIL import Image

from mpkit import Animator, Motion
from mpkit.animation.face_mesh import draw_face
from mpkit.animation.transfer import FrameMotion, Transfer, transfer_frames
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import select_face
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.media.video_writer import VideoWriter

SIDE = 288  # pixels of each picture in the film of a pair
SECONDS = 4.0  # of a pair
THUMBNAIL_SIDE = 160
MOTION_SIDE, MOTION_RATE, MOTION_SECONDS = 128, 10, 5


def frames_of(motion: Motion) -> list[FrameMotion]:
    """A motion's frames, in coordinates of its own head crop."""
    numbers = torch.from_numpy(motion.numbers)
    return [FrameMotion(motion.pose(index), numbers[index : index + 1]) for index in range(len(motion))]


def pair_frames(animator: Animator, pair: gallery.Pair) -> tuple[list[np.ndarray], Fraction]:
    """The frames of a pair, (SIDE, 3 * SIDE, 3) uint8 each, and their rate."""
    motion = Motion.load(gallery.MOTIONS[pair.motion])
    rate, frames = Fraction(motion.rate), frames_of(motion)
    portrait = animator.portrait(read_image(pair.work.file), size=SIDE)
    still = animator.frame(portrait, portrait.motion)
    moved = transfer_frames([(None, frame) for frame in frames], Transfer(portrait.motion), float(rate))
    rows = []
    for frame, (_, own, _) in zip(frames[: round(SECONDS * rate)], moved):
        rows.append(np.concatenate([still, draw_face(frame, SIDE), animator.frame(portrait, own)], axis=1))
    return rows, rate


def write_film(path, frames: list[np.ndarray], rate: Fraction) -> None:
    with VideoWriter(path, rate, (frames[0].shape[1], frames[0].shape[0]), None, 0.0, {}) as writer:
        for frame in frames:
            writer.write(frame)


def write_thumbnails() -> None:
    gallery.WORKS[0].thumbnail.parent.mkdir(exist_ok=True)
    with make_tracker() as tracker:
        for work in gallery.WORKS:
            image = read_image(work.file)
            head = cut(image, Crop.of(select_face(tracker.detect(image))), THUMBNAIL_SIDE)
            Image.fromarray(head).save(work.thumbnail, quality=85, optimize=True)


def main() -> None:
    write_thumbnails()
    for name, path in gallery.MOTIONS.items():
        motion = Motion.load(path)
        step = float(Fraction(motion.rate)) / MOTION_RATE
        indices = [round(step * n) for n in range(MOTION_SECONDS * MOTION_RATE) if step * n < len(motion) - 1]
        frames = frames_of(motion)
        first, *others = [Image.fromarray(draw_face(frames[index], MOTION_SIDE)) for index in indices]
        first.save(
            gallery.motion_film(name), save_all=True, append_images=others, duration=1000 // MOTION_RATE, loop=0,
            quality=70, method=4,
        )  # fmt: skip
    animator, everything = Animator.load(), []
    for pair in gallery.PAIRS:
        frames, rate = pair_frames(animator, pair)
        write_film(pair.film, frames, rate)
        everything += frames[:: max(1, round(rate / 25))]
    write_film(gallery.FIRST, everything, Fraction(25))


if __name__ == "__main__":
    main()
