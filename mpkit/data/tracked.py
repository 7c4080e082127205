"""The numbers that condition training on a frame: what the tracker would read in it, on average.

A network trained on the true coefficients of synthetic heads would meet other numbers in real life: a tracker has its
own gain for each. A network trained on what the tracker reads frame by frame learns to do too little: readings are
noisy, and the mean face behind a noisy 0.6 is that of a 0.3. So a render's numbers are its true ones times READING, the
expected reading (faces/tracker.py); frames in which the tracker finds no face are left out; real frames have only its
readings.
"""

import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mpkit.actions import READING
from mpkit.data.workers import worker_pool
from mpkit.faces.face import Face, Tracker
from mpkit.faces.trackers import make_tracker
from mpkit.synthetic.poses import with_gaze


def conditioning(sample: dict[str, np.ndarray]) -> np.ndarray:
    """The 54 numbers that condition the network on a frame (fields of a tracked shard); real frames have no truth."""
    if "actions" not in sample:
        return sample["numbers"]
    return READING * np.concatenate([sample["actions"], sample["gaze"]]).astype(np.float32)


def true_actions(face: Face) -> np.ndarray:
    """The inverse: what a synthetic head must do (52,) to be read as a face that was tracked in a real picture."""
    actions, gaze = face.actions / READING[:52], (face.gaze / READING[52:]).clip(-1, 1)
    return with_gaze(actions.clip(0, 1), gaze)


def track_shards(directory: str | Path, workers: int = 1) -> None:
    """Adds to every shard of `directory` that lacks them: numbers.npy (N, K, 54) float32, coefficients and gaze;
    found.npy (N, K) bool. A later call continues."""
    jobs = [shard for shard in sorted(Path(directory).glob("shard-*")) if not (shard / "numbers.npy").exists()]
    with worker_pool(workers) as pool:
        for _ in tqdm(pool.map(_track_shard, jobs), total=len(jobs), desc="shards", disable=None):
            pass


def _track_shard(shard: Path) -> None:
    images = np.load(shard / "images.npy", mmap_mode="r", allow_pickle=False)
    with make_tracker() as tracker:
        numbers, found = (np.stack(part) for part in zip(*(read_numbers(frames, tracker) for frames in images)))
    for name, array in (("found", found), ("numbers", numbers)):  # numbers last: they say that the shard is done
        temporary = shard / f".{name}-{os.getpid()}.npy"
        np.save(temporary, array)
        os.replace(temporary, shard / f"{name}.npy")


def read_numbers(images: np.ndarray, tracker: Tracker) -> tuple[np.ndarray, np.ndarray]:
    """What the tracker reads in frames (K, S, S, 3 or 4) uint8: coefficients and gaze (K, 54), and whether it found a
    face (K,)."""
    numbers, found = np.zeros((len(images), 54), np.float32), np.zeros(len(images), bool)
    for index, image in enumerate(images):
        faces = tracker.detect(np.ascontiguousarray(image[..., :3]))
        if faces:
            numbers[index], found[index] = np.concatenate([faces[0].actions, faces[0].gaze]), True
    return numbers, found
