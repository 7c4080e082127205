"""A folder of real pictures and clips as training data: `mpkit prepare`. Tracked, cropped and matted by the code that
animates; frames that teach nothing (small, blurred, cut off) are left out.

A clip becomes "people" of FRAMES frames, spread over the clip, in the layout of data/shards.py; their labels are those
of a head that is bent onto the landmarks of each frame. A still is lifted: it becomes a person of FRAMES poses and
expressions (both: data/lifted.py).
"""

import hashlib
import json
import os
import re
import warnings
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mpkit.data.lifted import label_frames, lift_person, mesh
from mpkit.data.shards import save_shard
from mpkit.data.tracked import read_numbers
from mpkit.data.workers import worker_pool
from mpkit.errors import MediaError, MpkitError, NoFaceError
from mpkit.faces.crop import Crop, cut, pose_in
from mpkit.faces.face import Face
from mpkit.faces.follow import follow
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still, one_line
from mpkit.media.video_reader import VideoReader

FRAMES = 8  # of a person
EVERY = 3  # frames of a clip between two that are looked at
MOST_FRAMES = 1024  # of a clip; a longer one is used up to there
STILLS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
CLIPS = (".mp4", ".webm", ".mov", ".avi", ".mkv", ".m4v", ".mpg", ".mpeg", ".gif")
SMALLEST = 48  # pixels of the head crop's half side: less is enlarged more than twice at 256
SHARPEST_BLUR = 12.0  # variance of the Laplacian of a face at FACE_SIDE pixels, below which nothing fine is in it
FACE_SIDE = 128
FARTHEST = 0.4  # crop units that a head may leave the middle of its clip's crop, and log2 of its change in size
CUT_OFF = 0.25  # share of a face's box that may lie outside the frame


def prepare(folder: str | Path, output: str | Path, size: int = 256, workers: int = 1, seed: int = 0) -> dict[str, int]:
    """Every picture and clip below `folder` to shards in `output`. Returns how many files were "kept", "skipped" and
    "there already".

    A later call continues: a file's shard appears whole or not at all, and what was skipped is listed with the reason
    in `skipped.json` and not tried again. Bad files are never fatal. Raises MediaError where there is nothing to read.
    """
    folder, output = Path(folder), Path(output)
    if not folder.is_dir():
        raise MediaError(f"there is no folder {folder}")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in STILLS + CLIPS and path.is_file())
    if not files:
        raise MediaError(f"{folder} holds no picture and no clip ({', '.join(STILLS + CLIPS)})")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"cannot write into {output}: {error.strerror}") from None
    list_file = output / "skipped.json"
    skipped = json.loads(list_file.read_text()) if list_file.exists() else {}
    jobs = {}
    for path in files:
        name = str(path.relative_to(folder))
        shard = output / shard_name(name)
        if name not in skipped and not shard.exists():
            jobs[name] = (path, shard, size, seed)
    counts = {"kept": 0, "skipped": 0, "there already": len(files) - len(jobs)}

    def note(name: str, reason: str | None) -> None:
        counts["skipped" if reason else "kept"] += 1
        if reason:
            skipped[name] = reason
            tqdm.write(f"skipped {name}: {reason}")
            temporary = list_file.with_name(".skipped.json")
            temporary.write_text(json.dumps(skipped, indent=1))
            os.replace(temporary, list_file)

    with tqdm(total=len(jobs), unit="file", disable=None) as bar:
        for name, reason in _run(jobs, max(1, workers)):
            note(name, reason)
            bar.update()
    return counts


def shard_name(name: str) -> str:
    """The shard of a file, from its path below the folder: readable, and never that of another file."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name)[-60:].strip("-")
    return f"shard-{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _run(jobs: dict[str, tuple], workers: int):
    """(name, reason or None) of each job as it ends. A file that kills its process (a decoder's crash) kills the pool:
    what was not done is then done again one by one, so that only that file is lost."""
    done = set()
    try:
        with worker_pool(workers) as pool:
            futures = {pool.submit(_prepare, *job): name for name, job in jobs.items()}
            for future in as_completed(futures):
                reason = future.result()
                done.add(futures[future])
                yield futures[future], reason
        return
    except BrokenProcessPool:
        pass
    for name in [name for name in jobs if name not in done]:
        try:
            with worker_pool(1) as pool:
                yield name, pool.submit(_prepare, *jobs[name]).result()
        except BrokenProcessPool:
            yield name, "reading it ended the process"


def _prepare(path: Path, shard: Path, size: int, seed: int) -> str | None:
    """Writes one file's shard. Returns why there is none, or None."""
    warnings.simplefilter("ignore")  # a clip that breaks off is used up to there
    try:
        people = lift_still(path, size, seed) if is_still(path) else read_clip(path, size)
    except MpkitError as error:
        return str(error)
    except Exception as error:  # whatever a library says of a strange file: it is one of many, and never fatal
        return f"{type(error).__name__}: {one_line(error)}"
    save_shard(shard, people)
    return None


def lift_still(path: Path, size: int, seed: int) -> list[dict[str, np.ndarray]]:
    """A still as one lifted, tracked person. Raises NoFaceError, MediaError."""
    number = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4], "little")
    with make_tracker() as tracker, Matte() as matte:
        person = lift_person(path, FRAMES, size, seed + number, tracker, matte)
        numbers, found = read_numbers(person["images"], tracker)
    return [person | {"numbers": numbers, "found": found}]


def read_clip(path: Path, size: int) -> list[dict[str, np.ndarray]]:
    """A clip as people of FRAMES frames. Raises NoFaceError where too few frames are good, MediaError.

    The crop is fixed by the first good face. Frame n goes to person n mod (number of people), so that a person's frames
    lie far apart in time.
    """
    frames, faces, crop, reasons = [], [], None, {}
    with VideoReader(path) as reader, make_tracker(video=True) as tracker, Matte() as matte:
        for index, (_, picture, face) in enumerate(follow(reader, tracker)):
            if index % EVERY:
                continue
            reason = "no face" if face is None else flaw(picture, face, crop)
            if reason:
                reasons[reason] = reasons.get(reason, 0) + 1
                continue
            crop = crop or Crop.of(face)
            alpha = (matte.in_crop(picture, crop, size) * 255).round().astype(np.uint8)
            pose = dict(zip(("rotation", "translation", "scale"), (part[0].numpy() for part in pose_in(face, crop))))
            image = np.concatenate([cut(picture, crop, size), alpha[..., None]], axis=2)
            frames.append({"images": image, "numbers": np.concatenate([face.actions, face.gaze]), **pose})
            faces.append(face)
            if len(faces) == MOST_FRAMES:
                break
    people = len(frames) // FRAMES
    if not people:
        found = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "it is short"
        raise NoFaceError(f"{len(frames)} good frames of every {EVERY}rd, {FRAMES} are needed ({found})")
    fields = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
    fields |= label_frames(faces, crop, list(fields["images"][..., 3] / 255)) | {"found": np.ones(len(frames), bool)}
    shared = {"neutral": fields.pop("neutral"), "faces": mesh()[0]}
    return [
        {name: values[person : people * FRAMES : people] for name, values in fields.items()} | shared
        for person in range(people)
    ]


def flaw(picture: np.ndarray, face: Face, crop: Crop | None) -> str | None:
    """Why a frame teaches nothing, or None. `crop` is that of its clip, if there is one already."""
    if face.radius < SMALLEST:
        return "too small"
    if crop is not None:
        away = np.abs(crop.to_crop(face.centre)).max()
        if max(away, abs(np.log2(face.radius / crop.radius))) > FARTHEST:
            return "far from where the clip began"
    left, top, right, bottom = face.box
    height, width = picture.shape[:2]
    inside = max(0, min(right, width) - max(left, 0)) * max(0, min(bottom, height) - max(top, 0))
    if inside < (1 - CUT_OFF) * (right - left) * (bottom - top):
        return "cut off"
    own = cut(picture, Crop(float(face.centre[0]), float(face.centre[1]), 0.5 * float(face.radius)), FACE_SIDE)
    if cv2.Laplacian(cv2.cvtColor(own, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var() < SHARPEST_BLUR:
        return "blurred"
    return None
