"""What a model is evaluated on: the portraits and clips of a set, and the chosen frames of each clip."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpkit.animation.animator import Animator
from mpkit.animation.portrait import Portrait
from mpkit.animation.transfer import FrameMotion
from mpkit.errors import MediaError, NoFaceError
from mpkit.evaluation import metrics
from mpkit.evaluation.mesh_warp import canonical_landmarks
from mpkit.evaluation.metrics import ANGLES, SIGNALS
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face, Tracker, central_face
from mpkit.faces.follow import follow_clip
from mpkit.media.images import is_still
from mpkit.media.video_reader import VideoReader

SIZE = 256  # pixels of every crop that is measured
MAX_CLIP_FRAMES = 240  # moments are chosen among the first so many frames of a clip
MOMENT_FRAMES = 3  # of a moment: one frame, between the one before and the one after
# Two moments that differ by this much in one signal are one unit apart.
SIGNAL_UNITS = np.array([15.0] * ANGLES + [0.3] * (len(SIGNALS) - ANGLES))


@dataclass(frozen=True)
class EvaluationSize:
    """How much of a set is measured, at most. Raises MediaError for less than one of each."""

    portraits: int = 12
    clips: int = 6
    frames: int = 24  # of each clip, rounded down to whole moments

    def __post_init__(self):
        if min(self.portraits, self.clips, self.moments) < 1:
            raise MediaError(f"evaluate needs at least 1 portrait, 1 clip and {MOMENT_FRAMES} frames a clip")

    @property
    def moments(self) -> int:
        """Moments of each clip."""
        return self.frames // MOMENT_FRAMES


QUICK = EvaluationSize(portraits=3, clips=2, frames=12)


@dataclass
class Clip:
    """The chosen frames of one driver: moments of three consecutive frames, one moment after the other."""

    name: str
    still: Portrait  # its first frame with a face; all frames have its crop
    still_face: Face  # in that frame
    in_frame: np.ndarray  # (SIZE, SIZE) bool: pixels of the crop that lie inside the clip's frames
    reference: FrameMotion  # of the whole clip, the nearest to neutral
    place: FrameMotion  # of the first frame with a face
    reference_shape: np.ndarray  # (468, 3) landmarks of the reference frame, its pose taken out
    motions: list[FrameMotion]
    shapes: list[np.ndarray]  # (468, 3) each, as above
    pictures: list[np.ndarray]  # (SIZE, SIZE, 3) uint8 each: the crop of the frame
    faces: list[Face | None]  # what the tracker finds in `pictures`


def read_set(folder: str | Path, use: str = "evaluate") -> tuple[list[Path], list[Path]]:
    """The portraits and the clips of a set that have the use and exist, in the manifest's order. Raises MediaError."""
    folder = Path(folder)
    manifest = folder / "manifest.tsv"
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows = list(table)
            columns = table.fieldnames or []
    except OSError as error:
        raise MediaError(f"cannot read {manifest} ({error.strerror}); give a folder with such a table") from None
    except (UnicodeDecodeError, csv.Error):
        raise MediaError(f"{manifest} is not a table of UTF-8 text separated by tabs") from None
    if not {"path", "use"} <= set(columns):
        raise MediaError(f"{manifest} needs the columns path and use in its first line")
    listed = [folder / row["path"] for row in rows if row["use"] == use and row["path"]]
    present = [path for path in listed if path.resolve().is_relative_to(folder.resolve()) and path.is_file()]
    stills = [path for path in present if is_still(path)]
    videos = [path for path in present if path not in stills]
    if not stills or not videos:
        missing = "portrait (a still)" if not stills else "clip"
        raise MediaError(f"{manifest} lists no {missing} with the use {use} that exists in {folder}")
    return stills, videos


def read_clip(path: Path, animator: Animator, tracker: Tracker, moments: int) -> Clip:
    """Tracks a clip and chooses its frames. Raises NoFaceError when no three frames in a row have a face."""
    still = still_face = None
    pictures, faces, motions = [], [], []
    with VideoReader(path, max_frames=MAX_CLIP_FRAMES) as reader:
        for _, frame, face in follow_clip(reader):
            if still is None and face is not None:
                try:
                    still, still_face = animator.portrait(frame, size=SIZE), face
                except NoFaceError:
                    continue
            if still is not None:
                pictures.append(cut(frame, still.crop, SIZE))
                faces.append(face)
                motions.append(face and FrameMotion.of(face, still.crop))
    if still is None:
        raise NoFaceError(f"no face in {path}")
    with_face = [index for index, face in enumerate(faces) if face]
    reference = min(with_face, key=lambda i: motions[i].deviation_from_neutral)
    centres = choose_moments(np.stack([metrics.signals(face) for face in faces]), moments)
    if not centres:
        raise NoFaceError(f"no three frames in a row with a face in {path}")
    chosen = [i + step for i in centres for step in (-1, 0, 1)]
    return Clip(
        name=path.name,
        still=still,
        still_face=still_face,
        in_frame=pixels_in_frame(still.crop, reader.width, reader.height),
        reference=motions[reference],
        place=motions[with_face[0]],
        reference_shape=canonical_landmarks(faces[reference]),
        motions=[motions[i] for i in chosen],
        shapes=[canonical_landmarks(faces[i]) for i in chosen],
        pictures=[pictures[i] for i in chosen],
        faces=[central_face(tracker, pictures[i]) for i in chosen],
    )


def pixels_in_frame(crop: Crop, width: int, height: int) -> np.ndarray:
    """Which pixels of a crop, SIZE x SIZE, lie inside a frame of that width and height, (SIZE, SIZE) bool. The others
    repeat its border."""
    centres = (np.arange(SIZE) * 2 + 1) / SIZE - 1
    x, y = np.moveaxis(crop.to_picture(np.stack(np.meshgrid(centres, centres), -1)), -1, 0)
    return (x > 0) & (x < width) & (y > 0) & (y < height)


def choose_moments(series: np.ndarray, count: int) -> list[int]:
    """Up to `count` frames of a series of signals (T, 8) that differ most, by farthest point sampling from the first
    frame; in order. The frame before and the one after each have a face (no NaN) and belong to no other moment."""
    known = np.isfinite(series).all(1)
    free = known & np.roll(known, 1) & np.roll(known, -1)
    free[:2] = free[-1:] = False
    scaled = series / SIGNAL_UNITS
    distance = np.linalg.norm(scaled - scaled[0], axis=1)  # to the nearest chosen frame
    chosen = []
    while free.any() and len(chosen) < count:
        best = int(np.where(free, distance, -1).argmax())
        chosen.append(best)
        free[max(best - 2, 0) : best + 3] = False
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[best], axis=1))
    return sorted(chosen)
