"""Renders on disk: plain .npy arrays, read as memory maps and written in blocks, so that an interrupted run continues.

    DIRECTORY/meta.json                   what was asked for: size, frames, block, seed, identities
    DIRECTORY/faces.npy                   (T, 3), the same for all people
    DIRECTORY/shard-00000/images.npy ...  one file per field of `render_identity`, people along the first axis
A shard appears under its name only when it is whole.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mpkit.data.workers import worker_pool
from mpkit.errors import MediaError
from mpkit.media.images import write_png
from mpkit.synthetic.heads import render_identity

BLOCK = 16  # people per shard
VERSION = 6  # raise it when the renders change, so that a folder never mixes two kinds


def write_shards(
    directory: str | Path,
    identities: int,
    frames: int = 8,
    size: int = 256,
    seed: int = 0,
    workers: int = 1,
    block: int = BLOCK,
) -> None:
    """Renders people with seeds `seed` ... `seed + identities - 1` into `directory`.

    Finished shards are kept, so an interrupted call continues, and a later call with more `identities` adds.
    MediaError if the folder holds renders of another kind.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    kind = {"version": VERSION, "size": size, "frames": frames, "seed": seed, "block": block}
    meta_file, found = directory / "meta.json", {}
    if meta_file.exists():
        found = _read_meta(directory)
        if any(found.get(key) != value for key, value in kind.items()):
            raise MediaError(f"{directory} holds renders of another kind; choose an empty folder or the same settings")
    total = max(identities, found.get("identities", 0))
    _write_atomically(meta_file, json.dumps(kind | {"identities": total}).encode())
    jobs = []
    for number in range((total + block - 1) // block):
        seeds = range(seed + number * block, seed + min((number + 1) * block, total))
        shard = directory / f"shard-{number:05d}"
        if _people_in(shard) != len(seeds):
            jobs.append((shard, seeds, frames, size))
    if workers <= 1:
        for job in tqdm(jobs, desc="shards", disable=None):
            _write_shard(*job)
        return
    with worker_pool(workers) as pool:
        for future in tqdm([pool.submit(_write_shard, *job) for job in jobs], desc="shards", disable=None):
            future.result()


def _write_shard(shard: Path, seeds: range, frames: int, size: int) -> None:
    save_shard(shard, [render_identity(seed, frames, size) for seed in seeds])


def save_shard(shard: Path, people: list[dict[str, np.ndarray]]) -> None:
    """Writes people (fields as of `render_identity`) as one shard, whole or not at all."""
    faces_file = shard.parent / "faces.npy"
    if "faces" in people[0] and not faces_file.exists():
        temporary = shard.parent / f".faces-{os.getpid()}.npy"
        np.save(temporary, people[0]["faces"])
        os.replace(temporary, faces_file)
    temporary = shard.with_name(f".{shard.name}-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name in people[0]:
        if name != "faces":
            np.save(temporary / f"{name}.npy", np.stack([person[name] for person in people]))
    shutil.rmtree(shard, ignore_errors=True)
    os.replace(temporary, shard)


def contact_sheet(directory: str | Path, path: str | Path, people: int = 8) -> None:
    """Draws the first people of a folder of shards, one a row, to a PNG. Raises MediaError."""
    shards = HeadShards(directory)
    rows = [np.hstack(list(shards.field("images", person)[..., :3])) for person in range(min(people, len(shards)))]
    write_png(path, np.vstack(rows))


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}-{os.getpid()}")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def _people_in(shard: Path) -> int:
    """How many people a shard holds; 0 where there is none."""
    file = shard / "scale.npy"
    return len(np.load(file, mmap_mode="r", allow_pickle=False)) if file.exists() else 0


def _read_meta(directory: Path) -> dict:
    try:
        return json.loads((directory / "meta.json").read_text())
    except (OSError, ValueError) as error:
        hint = "render it with: mpkit heads"
        raise MediaError(f"{directory} has no readable meta.json ({error}); {hint}") from None


class HeadShards:
    """Reads what `write_shards` wrote, and what it has written so far; arrays stay on disk until they are sampled."""

    def __init__(self, directory: str | Path, tracked: bool = False):
        """`tracked`: only shards that the tracker has read (data/tracked.py). MediaError if `directory` holds none."""
        directory = Path(directory)
        self._shards, self._index = [], []
        for folder in sorted(directory.glob("shard-*")):
            shard = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")}
            if tracked and "numbers" not in shard:
                continue
            self._index += [(len(self._shards), row) for row in range(len(shard["scale"]))]
            self._shards.append(shard)
        if not self._index:
            raise MediaError(f"{directory} holds no finished shard yet; render some with: mpkit heads")
        faces = directory / "faces.npy"
        if not faces.exists():
            raise MediaError(f"{directory} has no faces.npy: an older mpkit made it without labels; prepare it anew")
        self.shared = {"faces": np.load(faces, allow_pickle=False)}

    def __len__(self) -> int:
        """How many people."""
        return len(self._index)

    def sample(self, identity: int, frame: int) -> dict[str, np.ndarray]:
        """One frame: the fields of `render_identity` without their frame axis (copies), and `neutral` and `faces`."""
        number, row = self._index[identity]
        shard = self._shards[number]
        fields = {
            name: np.array(array[row] if name == "neutral" else array[row, frame]) for name, array in shard.items()
        }
        return fields | self.shared

    def field(self, name: str, identity: int) -> np.ndarray:
        """All frames of one person's field, without copying."""
        number, row = self._index[identity]
        return self._shards[number][name][row]
