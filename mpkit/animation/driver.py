"""Drivers: clips, stills and motion files, each read as one stream of frame motions."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from mpkit.animation.face_mesh import draw_face
from mpkit.animation.head_frame import divide
from mpkit.animation.motion_file import MotionTrack, is_motion_file
from mpkit.animation.transfer import FrameMotion, rest_of
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.action_fit import SHAPE_FACES, ActionFitter, shape_of
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face, find_face
from mpkit.faces.follow import follow, sampled_faces
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still, read_image
from mpkit.media.limits import check_range
from mpkit.media.video_reader import VideoReader

STILL_RATE = Fraction(25)
STILL_FRAMES = 25  # a still drives one second
REST_FRAMES = 48  # of a clip in which its rest is looked for

PixelReader = Callable[[np.ndarray, Crop, FrameMotion], FrameMotion]  # picture, head crop, what the tracker reads


class Driver(ABC):
    """Iterates over (picture or None, FrameMotion or None). Use it as a context manager.

    All frames of a clip have the head crop of its first face, so that the crop never jitters.
    """

    rate: Fraction  # frames a second
    frame_count: int | None  # about how many frames there are; None if unknown
    has_audio = False
    moves = True  # False for a still, which has no change that a portrait could follow
    reference: FrameMotion | None = None  # from which all changes count, where the driver says so itself

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[np.ndarray | None, FrameMotion | None]]: ...

    @abstractmethod
    def rest(self) -> FrameMotion | None:
        """The reference of relative motion in the whole file, whatever part of it is read; see `rest_of`. None if there
        is no face."""

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *error) -> None:
        return None


class ClipDriver(Driver):
    """A video or an animation, decoded and tracked as it streams. It follows the face that is largest at first."""

    def __init__(self, reader: VideoReader, tracker: str, read_pixels: PixelReader | None):
        self.reader, self.tracker, self.read_pixels = reader, tracker, read_pixels
        self.rate, self.frame_count, self.has_audio = reader.rate, reader.frame_count_estimate, reader.has_audio

    def __iter__(self):
        crop, shape = None, self._sampled[1]
        with make_tracker(self.tracker, video=True) as tracker, self.reader as reader:
            for _, picture, face in follow(reader, tracker, shape):
                if face is not None:
                    crop = crop or Crop.of(face)
                yield picture, face and frame_motion(picture, face, crop, self.read_pixels)

    def rest(self):
        """See `Driver.rest`. It is found in REST_FRAMES frames."""
        return self._sampled[0]

    @functools.cached_property
    def _sampled(self) -> tuple[FrameMotion | None, np.ndarray | None]:
        """The rest and the shape of the person. They are looked for in REST_FRAMES frames of the clip, so that this
        takes seconds for a clip of any length."""
        best, faces = None, []
        with make_tracker(self.tracker, video=True) as tracker:  # it looks first where the face was: much faster
            for picture, face in sampled_faces(self.reader.samples(REST_FRAMES), tracker):
                faces.append(face)
                motion = FrameMotion.of(face, Crop.of(face))
                if best is None or motion.deviation_from_neutral < best[0].deviation_from_neutral:
                    best = motion, picture, face
        if best is None:
            return None, None
        _, picture, face = best
        shape = shape_of(faces[:: -(-len(faces) // SHAPE_FACES)])
        crop = Crop.of(face)
        motion = FrameMotion.of(ActionFitter(shape)(face), crop)
        return rest_of([motion if self.read_pixels is None else self.read_pixels(picture, crop, motion)]), shape


class StillDriver(Driver):
    """One picture, held for a second."""

    moves = False

    def __init__(self, path: str | Path, tracker: str, max_frames: int | None, read_pixels: PixelReader | None):
        self.picture, face = read_still(path, tracker)
        self.motion = frame_motion(self.picture, face, Crop.of(face), read_pixels)
        self.rate, self.frame_count = STILL_RATE, min(STILL_FRAMES, max_frames or STILL_FRAMES)

    def __iter__(self):
        for _ in range(self.frame_count):
            yield self.picture, self.motion

    def rest(self):
        return self.motion


class FileDriver(Driver):
    """A motion file: numbers without pictures. `draw`: a plain face with this motion takes the picture's place."""

    def __init__(self, path: str | Path, start: float, max_frames: int | None, fps: float | None, draw: bool = False):
        self.track, self.draw = MotionTrack.load(path), draw
        self.reference = self.track.reference
        file_rate = Fraction(self.track.rate)
        self.rate = Fraction(fps).limit_denominator(1001) if fps else file_rate
        first = Fraction(start).limit_denominator(1_000_000)
        seconds = len(self.track) / file_rate
        count = max(1, int((seconds - first) * self.rate))
        if first >= seconds:
            raise MediaError(f"{path} lasts {float(seconds):.2f} s: nothing is left after --start {start:g}")
        self.frame_count = min(count, max_frames or count)
        self.indices = [int((first + index / self.rate) * file_rate) for index in range(self.frame_count)]

    def __iter__(self):
        for index in self.indices:
            motion = self.track.motion(index)
            yield draw_face(motion) if self.draw else None, motion if self.track.found[index] else None

    def rest(self):
        return self.track.rest()


def open_driver(
    path: str | Path,
    tracker: str = "mediapipe",
    start: float = 0.0,
    max_frames: int | None = None,
    fps: float | None = None,
    read_pixels: PixelReader | None = None,
    draw: bool = False,
) -> Driver:
    """Opens a clip, a still or a motion file, told apart by its content. `start` in seconds, `fps` a new rate.

    `read_pixels`: where given, reads the motion in the head crop of each picture (`Animator.read_pixels`), in place of
    the tracker. `draw`: see `FileDriver`. Raises MediaError, and NoFaceError for a still.
    """
    check_range(start, max_frames, fps)
    if is_motion_file(path):
        if read_pixels is not None:
            raise MediaError(f"{path} is a motion file and has no pixels to read motion from; give a video or a still")
        return FileDriver(path, start, max_frames, fps, draw)
    if is_still(path):
        return StillDriver(path, tracker, max_frames, read_pixels)
    return ClipDriver(VideoReader(path, start, max_frames, fps), tracker, read_pixels)


def read_still(path: str | Path, tracker: str = "mediapipe", which: int | str = "largest") -> tuple[np.ndarray, Face]:
    """A picture (H, W, 3) uint8 and its face that `which` names, see `select_face`. Raises MediaError, NoFaceError."""
    picture = read_image(path)
    with make_tracker(tracker) as still_tracker:
        try:
            return picture, find_face(still_tracker, picture, which)
        except NoFaceError as error:
            raise NoFaceError(f"{path}: {error}") from None


def frame_motion(picture: np.ndarray, face: Face, crop: Crop, read_pixels: PixelReader | None) -> FrameMotion:
    """The motion of a tracked face, read by the tracker, or from the pixels of its crop.

    A head that leaves the crop takes the crop along: E_mtn knows heads near the middle."""
    tracked = FrameMotion.of(face, crop)
    if read_pixels is None:
        return tracked
    similarity = divide(tracked.pose)[1]
    motion = read_pixels(picture, similarity.of_crop(crop), tracked)
    return motion._replace(pose=similarity.after(motion.pose))
