"""Makes the films and thumbnails of gallery/: a loop of each motion as a plain face, each pair as still, driver and
result, the head of each work.

python demo/make_gallery.py
"""

from fractions import Fraction
from pathlib import Path

import gallery
from PIL import Image

from mpkit import Animator, Motion, Options
from mpkit.animation.face_mesh import draw_face
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import select_face
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.media.video_reader import VideoReader
from mpkit.media.video_writer import VideoWriter

SIDE = 288  # pixels of each picture in the film of a pair
SECONDS = 4  # of a pair
RATE = 25  # frames a second of the film of all pairs
THUMBNAIL_SIDE = 160
MOTION_SIDE, MOTION_RATE, MOTION_SECONDS = 128, 10, 5


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
        first, *others = [Image.fromarray(draw_face(motion.motion(index), MOTION_SIDE)) for index in indices]
        first.save(
            gallery.motion_film(name), save_all=True, append_images=others, duration=1000 // MOTION_RATE, loop=0,
            quality=70, method=4,
        )  # fmt: skip
    animator = Animator.load()
    for pair in gallery.PAIRS:
        driver = gallery.MOTIONS[pair.motion]
        frames = round(SECONDS * Fraction(Motion.load(driver).rate))
        options = Options(side_by_side=True, paste_back=False, size=SIDE, max_frames=frames)
        animator.animate(pair.work.file, driver, pair.film, options)
    join([pair.film for pair in gallery.PAIRS], gallery.FIRST)


def join(films: list[Path], output: Path) -> None:
    """Writes films one after another as one."""
    with VideoWriter(output, RATE, (3 * SIDE, SIDE)) as writer:
        for film in films:
            with VideoReader(film, fps=RATE) as reader:
                for _, picture in reader:
                    writer.write(picture)


if __name__ == "__main__":
    main()
