"""The output of an animation: each animated crop is pasted into the still picture and encoded as it comes, one `Step`
after another."""

import contextlib
import itertools
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from mpkit.animation.mark import marked
from mpkit.animation.options import MAX_SIDE, Options, Progress
from mpkit.animation.prefetch import prefetch
from mpkit.animation.still import AnimatedHead, Still
from mpkit.errors import NoFaceError
from mpkit.faces.crop import cut
from mpkit.media.frame_size import frame_size
from mpkit.media.paths import keeps_transparency
from mpkit.media.transparency import with_alpha

COMMENT = "Made with mpkit: an animated still, not a real recording"  # metadata of every video

View = Callable[[AnimatedHead], np.ndarray]  # an animated head -> the picture to show
# driver's picture, animated head, whether the driver shows a face
Rendered = Iterator[tuple[np.ndarray | None, AnimatedHead, bool]]


class Clip(Protocol):
    """What the output takes over from its driver."""

    rate: Fraction  # frames a second
    frame_count: int | None  # about how many frames there are; None if unknown
    has_audio: bool


@dataclass
class Result:
    """What was written, and how much of the driver showed a face."""

    output: Path
    frames: int = 0
    without_face: int = 0  # driver frames that held the motion before them
    rate: Fraction = Fraction(25)  # frames a second


class Step(NamedTuple):
    """What a stream of an animation yields after each frame that it has written."""

    done: int  # number of frames written
    total: int | None  # about how many there will be; None if unknown
    picture: np.ndarray  # the last of them, (H, W, 3) uint8


Steps = Generator[Step, None, Result]  # its return value is the Result


def finish(steps: Steps, progress: Progress) -> Result:
    """Runs a stream to its end, with `progress` after each frame. Returns its Result."""
    with contextlib.closing(steps):
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            progress(step.done, step.total)


def write_animation(
    still: Still, rendered: Rendered, driver: tuple[Path, Clip], output: Path, options: Options
) -> Steps:
    """Writes a video file, a GIF or a folder of PNGs, with the driver's sound, and yields a step per frame.

    driver: its file, and what was opened of it. Raises NoFaceError if no frame shows a face. After an error, or where
    the generator is closed before its end, it leaves no output behind, and no thread runs on."""
    from mpkit.media.video_writer import VideoWriter  # here, because portraits are prepared without av

    path, clip = driver
    result = Result(output, rate=clip.rate)
    transparent = still.alpha is not None and options.paste_back and not options.side_by_side
    transparent = transparent and keeps_transparency(output)
    sound = path if options.audio and clip.has_audio else None
    show = _transparent_view(still) if transparent else _view(still, options)
    with contextlib.closing(_pictures(show, AnimatedHead(still.picture), rendered, (options, result))) as frames:
        first = next(frames)
        size = first.shape[1], first.shape[0]
        with VideoWriter(
            output, clip.rate, size, sound, options.start, {"comment": COMMENT}, transparent=transparent
        ) as writer:
            for picture in itertools.chain([first], frames):
                writer.write(picture)
                result.frames += 1
                yield Step(result.frames, clip.frame_count, picture)
            if result.without_face == result.frames:
                raise NoFaceError(f"no face in any frame of {path}; use a clip where a face looks at the camera")
    return result


def _pictures(show: View, unmoved: AnimatedHead, rendered: Rendered, settings: tuple[Options, Result]):
    """The pictures of the result (H, W, 3), or (H, W, 4) where `show` makes such, uint8. `rendered` runs in a thread of
    its own."""
    options, result = settings
    unchanged = show(unmoved)
    last, picture, seen, noted = None, None, False, False
    with contextlib.closing(prefetch(rendered)) as stream:
        for driver_picture, animated, found in stream:
            result.without_face += not found
            seen = seen or found
            if seen and result.without_face and not noted:
                noted = True
                warnings.warn("some driver frames show no face: they hold the last motion", stacklevel=2)
            if animated is not last:  # the picture of a held motion is not pasted again
                last = animated
                picture = show(animated)
            frame = picture
            if options.side_by_side:
                frame = side_by_side(unchanged, driver_picture, picture, options.largest_side)
            yield marked(frame, options.mark)


def _transparent_view(still: Still) -> View:
    """What makes the whole still, cut out, of an animated head: straight RGBA (H, W, 4) uint8."""
    return lambda animated: with_alpha(still.lay(animated), still.lay_alpha(animated))


def _view(still: Still, options: Options) -> View:
    """What makes the picture to show of an animated head: the whole still, the head crop, or another square."""
    if options.paste_back:
        return still.lay
    x, y, scale = options.view_x, options.view_y, options.view_scale
    if (x, y, scale) == (0, 0, 1):
        return still.lay_in_crop
    crop = still.crop
    view = replace(crop, x=crop.x + x * crop.radius, y=crop.y + y * crop.radius, radius=crop.radius * scale)
    side = min(round(still.size * scale), MAX_SIDE)
    return lambda animated: cut(still.lay(animated), view, side)


def side_by_side(
    still: np.ndarray, driver: np.ndarray | None, picture: np.ndarray, largest_side: int | None = None
) -> np.ndarray:
    """Source, driver (if it has a picture) and result in a row (H, W, 3) uint8, as high as the result, or as high as a
    row of the permitted size can be, see `frame_size`."""
    panels = [panel for panel in (still, driver, picture) if panel is not None]
    ratios = [panel.shape[1] / panel.shape[0] for panel in panels]
    full = picture.shape[0]
    _, height = frame_size(sum(ratios) * full, full, largest_side)
    widths = [max(1, round(ratio * height)) for ratio in ratios]
    return np.concatenate(
        [cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA) for panel, width in zip(panels, widths)],
        axis=1,
    )
