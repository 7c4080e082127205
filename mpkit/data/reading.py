"""Tracked head crops of stills and clips, as `data.head_crops.CroppedPerson`: read, tracked and matted by the code that
animates. Frames that are small, blurred or cut off are left out.
"""

import warnings
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from mpkit.data.grouping import STILL_SUFFIXES, read_table, same_people
from mpkit.data.head_crops import CroppedPerson, HeadCrop, face_in
from mpkit.data.lifted import MAX_YAW
from mpkit.errors import MediaError, MpkitError, NoFaceError
from mpkit.faces.action_fit import ActionFitter, shape_of
from mpkit.faces.crop import Crop, cut
from mpkit.faces.face import Face, select_face
from mpkit.faces.follow import follow_clip
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still, read_image
from mpkit.media.paths import one_line
from mpkit.media.video_reader import VideoReader

CLIP_SUFFIXES = (".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v", ".mpg", ".mpeg", ".gif")
FRAMES_PER_PERSON = 8
FRAME_STEP = 3  # of a clip, every third frame is used
MAX_FRAMES = 1024  # frames used of a clip; the rest of a longer one is left out
MIN_HEAD_RADIUS = 48  # pixels, half side of the head crop; a smaller one is enlarged more than 2.6 times at 256
FACE_SIDE = 128  # pixels at which the sharpness of a face is measured
MIN_SHARPNESS = 12.0  # variance of the Laplacian there
MAX_CROP_OFFSET = 0.4  # crop units from the crop's middle to the head's centre; also log2 of the change of its size
MAX_CUT_OFF_SHARE = 0.25  # share of a face's box outside the frame


def files_in(folder: Path, people: str | Path | None = None) -> dict[str, tuple[Path, ...]]:
    """Every picture and clip below a folder by its path there, and the stills of each person who has several.

    people: a table of who is on which still, see `read_table`; without it, names say so, see `same_people`. Raises
    MediaError if there is no file to read, or the table is none."""
    if not folder.is_dir():
        raise MediaError(f"there is no folder {folder}")
    suffixes = STILL_SUFFIXES + CLIP_SUFFIXES
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not files:
        raise MediaError(f"{folder} holds no picture and no clip ({', '.join(suffixes)})")
    table = read_table(people) if people else None
    named = {str(path.relative_to(folder)): (path,) for path in files}
    return named | same_people(named, table)


def read_people(paths: tuple[Path, ...], side: int, still_side: int) -> list[CroppedPerson] | str:
    """The people of one file, or of several stills of one person; or the reason if they cannot be used. Real frames
    have `side` pixels, a still that will be lifted has `still_side`."""
    warnings.simplefilter("ignore")  # a damaged clip is used up to the damage
    try:
        if len(paths) > 1:
            return [read_stills(paths, side)]
        return [read_still(paths[0], still_side)] if is_still(paths[0]) else read_clip(paths[0], side)
    except MpkitError as error:
        return str(error)
    except Exception as error:  # whatever a library raises for a strange file: the other files go on
        return f"{type(error).__name__}: {one_line(error)}"


def read_still(path: Path, side: int) -> CroppedPerson:
    """A still that can be lifted, cropped to `side` pixels. Raises NoFaceError if there is no face or one seen from the
    side, MediaError for a picture that cannot be read."""
    image = read_image(path)
    with make_tracker() as tracker, Matte() as matte:
        faces = tracker.detect(image)
        if not faces:
            raise NoFaceError(f"{path}: no face")
        if abs(faces[0].angles[0]) > MAX_YAW:
            raise NoFaceError(f"{path}: seen too much from the side")
        return CroppedPerson([cut_head(image, faces[0], Crop.of(faces[0]), matte, side)], lifted=True)


def read_stills(paths: tuple[Path, ...], side: int) -> CroppedPerson:
    """Stills of one person, each in its own head crop, their actions fitted with one shape. Raises NoFaceError for a
    still without a usable face, MediaError."""
    crops = []
    with make_tracker() as tracker, Matte() as matte:
        for path in paths:
            picture = read_image(path)
            try:
                face = select_face(tracker.detect(picture))
            except NoFaceError as error:
                raise NoFaceError(f"{path.name}: {error}") from None
            if reason := flaw(picture, face, None):
                raise NoFaceError(f"{path.name}: the face is {reason}")
            crops.append(cut_head(picture, face, Crop.of(face), matte, side))
    fit = ActionFitter(shape_of([crop.face for crop in crops]))
    return CroppedPerson([crop._replace(face=fit(crop.face)) for crop in crops], lifted=False)


def read_clip(path: Path, side: int) -> list[CroppedPerson]:
    """A clip as people of FRAMES_PER_PERSON frames. Raises NoFaceError if too few frames are good, MediaError.

    The first good face fixes the crop. Frame n goes to person n mod (number of people), so that a person's frames lie
    far apart in time.
    """
    crops, crop, reasons = [], None, Counter()
    with VideoReader(path) as reader, Matte() as matte:
        for index, (_, picture, face) in enumerate(follow_clip(reader)):
            if index % FRAME_STEP:
                continue
            reason = "no face" if face is None else flaw(picture, face, crop)
            if reason:
                reasons[reason] += 1
                continue
            crop = crop or Crop.of(face)
            crops.append(cut_head(picture, face, crop, matte, side))
            if len(crops) == MAX_FRAMES:
                break
    people = len(crops) // FRAMES_PER_PERSON
    if not people:
        found = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "it is short"
        needed = f"{FRAMES_PER_PERSON} are needed"
        raise NoFaceError(f"{len(crops)} good frames of every {FRAME_STEP}rd, {needed} ({found})")
    used = crops[: people * FRAMES_PER_PERSON]
    return [CroppedPerson(used[person::people], lifted=False) for person in range(people)]


def cut_head(picture: np.ndarray, face: Face, crop: Crop, matte: Matte, side: int) -> HeadCrop:
    """The upright `crop` of a picture (H, W, 3), with its face, at `side` pixels."""
    alpha = (matte.in_crop(picture, crop, side) * 255).round().astype(np.uint8)
    return HeadCrop(cut(picture, crop, side), alpha, face_in(face, crop, side))


def flaw(picture: np.ndarray, face: Face, crop: Crop | None) -> str | None:
    """Why a frame (H, W, 3) with its face cannot be used, or None. `crop` is that of the clip; None before its first
    good frame."""
    if face.radius < MIN_HEAD_RADIUS:
        return "too small"
    if crop is not None:
        offset = np.abs(crop.to_crop(face.centre)).max()
        if max(offset, abs(np.log2(face.radius / crop.radius))) > MAX_CROP_OFFSET:
            return "far from where the clip began"
    left, top, right, bottom = face.box
    height, width = picture.shape[:2]
    visible = max(0, min(right, width) - max(left, 0)) * max(0, min(bottom, height) - max(top, 0))
    if visible < (1 - MAX_CUT_OFF_SHARE) * (right - left) * (bottom - top):
        return "cut off"
    crop_of_face = Crop(float(face.centre[0]), float(face.centre[1]), 0.5 * float(face.radius))
    close_up = cv2.cvtColor(cut(picture, crop_of_face, FACE_SIDE), cv2.COLOR_RGB2GRAY)
    if cv2.Laplacian(close_up, cv2.CV_32F).var() < MIN_SHARPNESS:
        return "blurred"
    return None
