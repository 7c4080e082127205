"""The 54 numbers that condition training on a frame.

For synthetic heads the true actions are known, and they are taken. The tracker's fit of each frame is noisy, and with
it the network would learn the mean face of all frames with the same fit: for a noisy 0.6 that is the face of about 0.3,
so every expression would come out too weak. Frames in which the tracker finds no face are left out. Real frames have no
true actions and get those that the tracker fits.
"""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from mpkit.data.shards import save_array
from mpkit.data.workers import worker_pool
from mpkit.faces.face import Tracker
from mpkit.faces.trackers import make_tracker


def conditioning(sample: dict[str, np.ndarray]) -> np.ndarray:
    """The numbers (54,) float32 that condition the network on a frame, from the fields of its shard."""
    if "actions" not in sample:  # a real frame
        return sample["numbers"]
    return np.concatenate([sample["actions"], sample["gaze"]]).astype(np.float32)


def track_shards(directory: str | Path, workers: int = 1) -> None:
    """Adds what the tracker fits to each shard of `directory` that has none: numbers.npy (N, K, 54) float32, actions
    and gaze, and found.npy (N, K) bool, for N people with K frames. An interrupted call can be repeated."""
    jobs = [shard for shard in sorted(Path(directory).glob("shard-*")) if not (shard / "numbers.npy").exists()]
    with worker_pool(workers, Path(directory)) as pool:
        for _ in tqdm(pool.map(_track_shard, jobs), total=len(jobs), desc="shards", disable=None):
            pass


def _track_shard(shard: Path) -> None:
    images = np.load(shard / "images.npy", mmap_mode="r", allow_pickle=False)
    with make_tracker() as tracker:
        numbers, found = (np.stack(part) for part in zip(*(read_numbers(frames, tracker) for frames in images)))
    save_array(shard / "found.npy", found)
    save_array(shard / "numbers.npy", numbers)  # last: a shard with this file counts as tracked


def read_numbers(images: np.ndarray, tracker: Tracker) -> tuple[np.ndarray, np.ndarray]:
    """What the tracker fits to frames (K, S, S, 3 or 4) uint8: actions and gaze (K, 54) float32, and (K,) bool whether
    it finds a face."""
    numbers, found = np.zeros((len(images), 54), np.float32), np.zeros(len(images), bool)
    for index, image in enumerate(images):
        faces = tracker.detect(np.ascontiguousarray(image[..., :3]))
        if faces:
            numbers[index], found[index] = np.concatenate([faces[0].actions, faces[0].gaze]), True
    return numbers, found
