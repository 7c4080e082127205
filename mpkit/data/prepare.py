"""`mpkit prepare`: a folder of real pictures and clips becomes training data in the layout of `data.shards`.

Pictures are tracked, cropped and matted by the code that animates. A clip becomes people of FRAMES_PER_PERSON frames,
spread over the clip; frames that are small, blurred or cut off are left out, and labels come from a head fitted to the
landmarks of each frame. A still is lifted and becomes a person in FRAMES_PER_PERSON poses and expressions. Both are in
`data.lifted`. Several stills of one person, named NAME_a.jpg, NAME_b.jpg ... in one folder or listed in a table, also
become a person whose frames they are, labelled as those of a clip.
"""

import contextlib
import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mpkit.data.grouping import STILL_SUFFIXES, read_table, same_people
from mpkit.data.lifted import label_frames, lift_person, mesh
from mpkit.data.shards import is_current, save_shard
from mpkit.data.tracked import read_numbers
from mpkit.data.workers import worker_pool
from mpkit.errors import MediaError, MpkitError, NoFaceError
from mpkit.faces.action_fit import ActionFitter, shape_of
from mpkit.faces.crop import Crop, cut, pose_in
from mpkit.faces.face import Face, select_face
from mpkit.faces.follow import follow_clip
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.files import write_json
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


def prepare(
    folder: str | Path,
    output: str | Path,
    size: int = 256,
    workers: int = 1,
    seed: int = 0,
    people: str | Path | None = None,
) -> dict[str, int]:
    """Writes every picture and clip below `folder` as shards to `output`, with frames of `size` pixels. Returns how
    many files, and people with several stills, were "kept", "skipped" and "there already".

    people: a table of who is on which still, see `read_table`; without it, names say so, see `same_people`. A person
    whose shard is there is not made anew when more of their stills come.

    A later call continues: a shard appears only when it is complete, and a skipped file is listed with its reason in
    `skipped.json` and not tried again. No bad file ends the call. Raises MediaError if there is no file to read, the
    table is none, or the output cannot be written.
    """
    folder, output = Path(folder), Path(output)
    if not folder.is_dir():
        raise MediaError(f"there is no folder {folder}")
    suffixes = STILL_SUFFIXES + CLIP_SUFFIXES
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not files:
        raise MediaError(f"{folder} holds no picture and no clip ({', '.join(suffixes)})")
    table = read_table(people) if people else None
    wanted = {str(path.relative_to(folder)): (path,) for path in files}
    wanted |= same_people(wanted, table)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot write into {output}: {error.strerror}") from None
    list_file = output / "skipped.json"
    skipped = json.loads(list_file.read_text()) if list_file.exists() else {}
    jobs = {}
    for name, paths in wanted.items():
        shard = output / shard_name(name)
        if name not in skipped and not is_current(shard):
            jobs[name] = (paths, shard, size, seed)
    counts = {"kept": 0, "skipped": 0, "there already": len(wanted) - len(jobs)}
    with contextlib.closing(_run_jobs(jobs, max(1, workers), output)) as results:
        for name, reason in tqdm(results, total=len(jobs), unit="file", disable=None):
            counts["skipped" if reason else "kept"] += 1
            if reason:
                skipped[name] = reason
                tqdm.write(f"skipped {name}: {reason}")
                write_json(list_file, skipped)
    return counts


def shard_name(name: str) -> str:
    """The folder name of a file's shard, from its path below the folder: readable, and different for every path."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name)[-60:].strip("-")
    return f"shard-{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _run_jobs(jobs: dict[str, tuple], workers: int, output: Path) -> Iterator[tuple[str, str | None]]:
    """(name, reason or None) of each job when it ends. A file that crashes its process, say in a decoder, breaks the
    whole pool: all unfinished jobs then run again one by one, so that only that file is lost."""
    done = set()
    try:
        with worker_pool(workers, output) as pool:
            futures = {pool.submit(_prepare_file, *job): name for name, job in jobs.items()}
            for future in as_completed(futures):
                reason = future.result()
                done.add(futures[future])
                yield futures[future], reason
        return
    except BrokenProcessPool:
        pass
    for name in [name for name in jobs if name not in done]:
        try:
            with worker_pool(1, output) as pool:
                yield name, pool.submit(_prepare_file, *jobs[name]).result()
        except BrokenProcessPool:
            yield name, "reading it ended the process"


def _prepare_file(paths: tuple[Path, ...], shard: Path, size: int, seed: int) -> str | None:
    """Writes the shard of one file, or of several stills of one person. Returns the reason if they cannot be used, else
    None."""
    warnings.simplefilter("ignore")  # a damaged clip is used up to the damage
    try:
        if len(paths) > 1:
            people = read_stills(paths, size)
        else:
            people = lift_still(paths[0], size, seed) if is_still(paths[0]) else read_clip(paths[0], size)
    except MpkitError as error:
        return str(error)
    except Exception as error:  # whatever a library raises for a strange file: the other files go on
        return f"{type(error).__name__}: {one_line(error)}"
    save_shard(shard, people)
    return None


def lift_still(path: Path, size: int, seed: int) -> list[dict[str, np.ndarray]]:
    """A still as one lifted and tracked person. Raises NoFaceError, MediaError."""
    number = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4], "little")
    with make_tracker() as tracker, Matte() as matte:
        person = lift_person(path, FRAMES_PER_PERSON, size, seed + number, tracker, matte)
        numbers, found = read_numbers(person["images"], tracker)
    return [person | {"numbers": numbers, "found": found}]


def read_clip(path: Path, size: int) -> list[dict[str, np.ndarray]]:
    """A clip as people of FRAMES_PER_PERSON frames. Raises NoFaceError if too few frames are good, MediaError.

    The first good face fixes the crop. Frame n goes to person n mod (number of people), so that a person's frames lie
    far apart in time.
    """
    frames, faces, crop, reasons = [], [], None, Counter()
    with VideoReader(path) as reader, Matte() as matte:
        for index, (_, picture, face) in enumerate(follow_clip(reader)):
            if index % FRAME_STEP:
                continue
            reason = "no face" if face is None else flaw(picture, face, crop)
            if reason:
                reasons[reason] += 1
                continue
            crop = crop or Crop.of(face)
            frames.append(_read_frame(picture, face, crop, matte, size))
            faces.append(face)
            if len(faces) == MAX_FRAMES:
                break
    people = len(frames) // FRAMES_PER_PERSON
    if not people:
        found = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "it is short"
        needed = f"{FRAMES_PER_PERSON} are needed"
        raise NoFaceError(f"{len(frames)} good frames of every {FRAME_STEP}rd, {needed} ({found})")
    fields = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
    fields |= _labels(faces, [crop] * len(faces), fields["images"])
    shared = {"neutral": fields.pop("neutral"), "faces": mesh()[0]}
    return [
        {name: values[person : people * FRAMES_PER_PERSON : people] for name, values in fields.items()} | shared
        for person in range(people)
    ]


def read_stills(paths: tuple[Path, ...], size: int) -> list[dict[str, np.ndarray]]:
    """Stills of one person as a person whose frames they are, each in its own head crop, their actions fitted with one
    shape. Raises NoFaceError for a still without a usable face, MediaError."""
    frames, faces, crops = [], [], []
    with make_tracker() as tracker, Matte() as matte:
        for path in paths:
            picture = read_image(path)
            try:
                face = select_face(tracker.detect(picture))
            except NoFaceError as error:
                raise NoFaceError(f"{path.name}: {error}") from None
            if reason := flaw(picture, face, None):
                raise NoFaceError(f"{path.name}: the face is {reason}")
            faces.append(face)
            crops.append(Crop.of(face))
            frames.append(_read_frame(picture, face, crops[-1], matte, size))
    faces = list(map(ActionFitter(shape_of(faces)), faces))
    fields = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
    fields["numbers"] = np.stack([np.concatenate([face.actions, face.gaze]) for face in faces])
    return [fields | _labels(faces, crops, fields["images"]) | {"faces": mesh()[0]}]


def _read_frame(picture: np.ndarray, face: Face, crop: Crop, matte: Matte, size: int) -> dict[str, np.ndarray]:
    """The fields of one real frame but for its labels."""
    alpha = (matte.in_crop(picture, crop, size) * 255).round().astype(np.uint8)
    pose = dict(zip(("rotation", "translation", "scale"), (part[0].numpy() for part in pose_in(face, crop))))
    image = np.concatenate([cut(picture, crop, size), alpha[..., None]], axis=2)
    return {"images": image, "numbers": np.concatenate([face.actions, face.gaze]), **pose}


def _labels(faces: list[Face], crops: list[Crop], images: np.ndarray) -> dict[str, np.ndarray]:
    """The labels of real frames (K, S, S, 4) uint8."""
    return label_frames(faces, crops, list(images[..., 3] / 255)) | {"found": np.ones(len(images), bool)}


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
