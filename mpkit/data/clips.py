"""Real clips as training data: tracked, cropped and matted by the same code that animates.

    python -m mpkit.data.clips CLIP [CLIP ...] --output runs/clips

Each clip becomes a few "people" of FRAMES frames each, spread over the clip, in the layout of data/shards.py without
the fields that only a mesh has.
"""

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mpkit.errors import NoFaceError
from mpkit.faces.crop import Crop, cut, pose_in
from mpkit.faces.matte import Matte
from mpkit.faces.tracker import make_tracker
from mpkit.video import VideoReader

FRAMES = 8  # of a "person"


def prepare_clip(path: Path, size: int = 256, every: int = 3) -> dict[str, np.ndarray]:
    """Fields of a shard from one clip, every `every`-th frame with a face. Raises NoFaceError, MediaError.

    The crop is fixed by the first face. Frame n goes to person n mod (number of people), so that a person's frames lie
    far apart in time.
    """
    fields = {name: [] for name in ("images", "rotation", "translation", "scale", "numbers")}
    crop = None
    with VideoReader(path) as reader, make_tracker(video=True) as tracker, Matte() as matte:
        for index, (_, frame) in enumerate(
            tqdm(reader, desc=path.name, total=reader.frame_count_estimate, disable=None)
        ):
            faces = tracker.detect(frame)  # every frame: the tracker follows the face
            if index % every or not faces:
                continue
            face = faces[0]
            crop = crop or Crop.of(face)
            pose = pose_in(face, crop)
            alpha = (matte.in_crop(frame, crop, size) * 255).round().astype(np.uint8)
            fields["images"].append(np.concatenate([cut(frame, crop, size), alpha[..., None]], axis=2))
            for name, value in zip(("rotation", "translation", "scale"), pose):
                fields[name].append(value[0].numpy())
            fields["numbers"].append(np.concatenate([face.actions, face.gaze]).astype(np.float32))
    people = len(fields["images"]) // FRAMES
    if not people:
        raise NoFaceError(f"{path}: fewer than {FRAMES * every} frames with a face")
    arrays = {name: np.stack(values[: people * FRAMES]) for name, values in fields.items()}
    arrays = {name: a.reshape(FRAMES, people, *a.shape[1:]).swapaxes(0, 1) for name, a in arrays.items()}
    return arrays | {"found": np.ones((people, FRAMES), bool)}


def write_clips(paths: list[Path], directory: Path, size: int = 256) -> None:
    """One shard per clip. Clips that are there already are kept."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in paths:
        shard = directory / f"shard-{path.stem}"
        if shard.exists():
            continue
        temporary = shard.with_name(f".{shard.name}-{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for name, array in prepare_clip(path, size).items():
            np.save(temporary / f"{name}.npy", array)
        os.replace(temporary, shard)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    write_clips(options.clips, options.output)
