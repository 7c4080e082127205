"""What a model is evaluated on: the portraits and clips of a set, and the frames of a clip that count."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mpkit.animation.animator import Animator, Portrait
from mpkit.animation.transfer import REFERENCE_SECONDS, FrameMotion
from mpkit.errors import MediaError, NoFaceError
from mpkit.evaluation import metrics
from mpkit.evaluation.mesh_warp import canonical_landmarks
from mpkit.evaluation.metrics import ANGLES, SIGNALS
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face, Tracker, central_face
from mpkit.faces.follow import follow
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still
from mpkit.media.video_reader import VideoReader

SIZE = 256  # pixels of every crop that is measured
CLIP_FRAMES = 240  # so much of a clip is looked at
# Clips with the widest and most different motions, those first that show most; others follow in the manifest's order.
PREFERRED_CLIPS = (
    "metrical_input__wojtek__video.mp4",  # turns by 45 degrees, looks aside
    "eamm_test__video__happy.mp4",  # blinks, smiles, looks down
    "metrical_input__justin__video.mp4",  # nods, leans and smiles
    "spectre_samples__LRS3__0Fi83BHQsMA_00002.mp4",  # turns from one side to the other
    "dreamtalk_mead_data__style_clip__video__W011_front_surprised_level3_001.mp4",  # opens the mouth wide
    "spectre_samples__LRS3__PbgB2TaYhio_00007.mp4",  # nods and talks
    "dreamtalk_mead_data__style_clip__video__M030_front_happy_level3_001.mp4",
    "metrical_input__duda__video.mp4",
)
SPREAD = np.array([15.0] * ANGLES + [0.3] * (len(SIGNALS) - ANGLES))  # how far apart two moments are, in each signal


@dataclass
class Clip:
    """The chosen frames of one driver: `moments` of three consecutive ones, one after the other."""

    name: str
    still: Portrait  # its first frame with a face, ready to be animated; its crop is the crop of all frames
    still_face: Face  # in that frame
    inside: np.ndarray  # (SIZE, SIZE) bool, what of the crop lies in the clip's frames and is not their border repeated
    reference: FrameMotion
    reference_shape: np.ndarray  # (468, 3) landmarks of the reference without their pose
    motions: list[FrameMotion]
    shapes: list[np.ndarray]  # (468, 3), as above
    pictures: list[np.ndarray]  # (SIZE, SIZE, 3) the crop of the frame
    faces: list[Face | None]  # what the tracker finds in it


def read_set(folder: str | Path) -> tuple[list[Path], list[Path]]:
    """The portraits and the clips of a set that are marked `evaluate` and exist. Raises MediaError."""
    folder = Path(folder)
    manifest = folder / "manifest.tsv"
    try:
        with manifest.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            rows = list(table)
            columns = table.fieldnames or []
    except OSError as error:
        raise MediaError(f"cannot read {manifest} ({error.strerror}): it takes a folder with that table") from None
    except (UnicodeDecodeError, csv.Error):
        raise MediaError(f"{manifest} is not a table of UTF-8 text separated by tabs") from None
    if not {"path", "use"} <= set(columns):
        raise MediaError(f"{manifest} needs the columns path and use in its first line")
    listed = [folder / row["path"] for row in rows if row["use"] == "evaluate" and row["path"]]
    present = [path for path in listed if path.resolve().is_relative_to(folder.resolve()) and path.is_file()]
    stills = [path for path in present if is_still(path)]
    videos = [path for path in present if path not in stills]
    if not stills or not videos:
        missing = "portrait (a still)" if not stills else "clip"
        raise MediaError(f"{manifest} lists no {missing} with the use evaluate that exists in {folder}")
    first = {name: rank for rank, name in enumerate(PREFERRED_CLIPS)}
    return stills, sorted(videos, key=lambda path: first.get(path.name, len(first)))


def read_clip(path: Path, animator: Animator, tracker: Tracker, moments: int) -> Clip:
    """Tracks a clip and chooses its frames. Raises NoFaceError when no three frames in a row have a face."""
    still = still_face = None
    pictures, faces, motions = [], [], []
    with make_tracker(video=True) as follower, VideoReader(path, max_frames=CLIP_FRAMES) as reader:
        window = max(1, round(float(reader.rate) * REFERENCE_SECONDS))
        for _, frame, face in follow(reader, follower):
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
    with_face = [i for i in range(min(window, len(faces))) if faces[i]]
    reference = min(with_face, key=lambda i: motions[i].activity)
    centres = choose_moments(np.stack([metrics.signals(face) for face in faces]), moments)
    if not centres:
        raise NoFaceError(f"no three frames in a row with a face in {path}")
    chosen = [i + step for i in centres for step in (-1, 0, 1)]
    return Clip(
        name=path.name,
        still=still,
        still_face=still_face,
        inside=inside_picture(still.crop, reader.width, reader.height),
        reference=motions[reference],
        reference_shape=canonical_landmarks(faces[reference]),
        motions=[motions[i] for i in chosen],
        shapes=[canonical_landmarks(faces[i]) for i in chosen],
        pictures=[pictures[i] for i in chosen],
        faces=[central_face(tracker, pictures[i]) for i in chosen],
    )


def inside_picture(crop: Crop, width: int, height: int) -> np.ndarray:
    """Which pixels of a crop at SIZE lie inside a picture of that size, (SIZE, SIZE) bool."""
    centres = (np.arange(SIZE) * 2 + 1) / SIZE - 1
    x, y = crop.to_picture(np.stack([centres, centres], -1)).T
    return ((y > 0) & (y < height))[:, None] & ((x > 0) & (x < width))


def choose_moments(series: np.ndarray, count: int) -> list[int]:
    """Up to `count` frames of a series (T, 8) that differ most, in order; each has two neighbours with a face, and none
    shares a neighbour with another or with the first frame."""
    known = np.isfinite(series).all(1)
    free = known & np.roll(known, 1) & np.roll(known, -1)
    free[:2] = free[-1:] = False
    scaled = series / SPREAD
    nearest = np.linalg.norm(scaled - scaled[0], axis=1)
    chosen = []
    while free.any() and len(chosen) < count:
        best = int(np.where(free, nearest, -1).argmax())
        chosen.append(best)
        free[max(best - 2, 0) : best + 3] = False
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[best], axis=1))
    return sorted(chosen)
