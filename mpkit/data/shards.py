"""Rendered people on disk: plain .npy arrays in blocks of people, read as memory maps.

    DIRECTORY/meta.json                   the settings: size, frames, block, seed, identities
    DIRECTORY/faces.npy                   (T, 3), the same for all people
    DIRECTORY/shard-00000/images.npy ...  one file per field of `render_identity`, people along the first axis

A shard gets its name only when it is complete, so an interrupted run can continue.
"""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mpkit.data.people import PER_PERSON, People
from mpkit.data.workers import worker_pool
from mpkit.errors import MediaError
from mpkit.files import write_bytes, write_json
from mpkit.media.images import write_png

PEOPLE_PER_SHARD = 16
VERSION = 6  # raise it when the renders change, so that a folder never holds two versions
NUMBERS_VERSION = 4  # of the `numbers` of real frames; before 4, irises and blinks were read as in renders
MARK = "numbers.json"  # in a shard's folder, with that version
RENAMED = {"believed": "reliable"}  # old names of fields in folders of earlier versions -> today's


def write_shards(
    directory: str | Path,
    identities: int,
    frames: int = 8,
    size: int = 256,
    seed: int = 0,
    workers: int = 1,
    block: int = PEOPLE_PER_SHARD,
) -> None:
    """Renders people with seeds `seed` ... `seed + identities - 1` into `directory`, `block` people in a shard.

    Complete shards are kept: an interrupted call continues, and a later call with more `identities` adds people. Raises
    MediaError if the folder holds people of other settings or of another version.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    settings = {"version": VERSION, "size": size, "frames": frames, "seed": seed, "block": block}
    meta_file, found = directory / "meta.json", {}
    if meta_file.exists():
        found = _read_meta(meta_file)
        if any(found.get(key) != value for key, value in settings.items()):
            raise MediaError(f"{directory} holds renders of another kind; choose an empty folder or the same settings")
    total = max(identities, found.get("identities", 0))
    write_json(meta_file, settings | {"identities": total})
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
    with worker_pool(workers, directory) as pool:
        for future in tqdm([pool.submit(_write_shard, *job) for job in jobs], desc="shards", disable=None):
            future.result()


def _write_shard(shard: Path, seeds: range, frames: int, size: int) -> None:
    from mpkit.synthetic.heads import render_identity  # here, because reading shards needs neither anny nor numba

    save_shard(shard, [render_identity(seed, frames, size) for seed in seeds])


def save_shard(shard: Path, people: list[dict[str, np.ndarray]]) -> None:
    """Writes people (dicts with the fields of `render_identity`) as one shard: completely, or not at all."""
    faces_file = shard.parent / "faces.npy"
    if "faces" in people[0] and not faces_file.exists():
        save_array(faces_file, people[0]["faces"])
    partial = shard.with_name(f".{shard.name}-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        for name in people[0]:
            if name != "faces":
                np.save(partial / f"{name}.npy", np.stack([person[name] for person in people]))
        write_json(partial / MARK, {"version": NUMBERS_VERSION})
        shutil.rmtree(shard, ignore_errors=True)
        os.replace(partial, shard)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_current(shard: Path) -> bool:
    """Whether a shard's folder is there, with numbers of NUMBERS_VERSION."""
    mark = shard / MARK
    return mark.exists() and json.loads(mark.read_text()).get("version") == NUMBERS_VERSION


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes a .npy file in one step."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def contact_sheet(directory: str | Path, path: str | Path, people: int = 8) -> None:
    """Writes a PNG of the first people of a folder of shards: a person in each row. Raises MediaError."""
    shards = HeadShards(directory)
    rows = [np.hstack(list(shards.field("images", person)[..., :3])) for person in range(min(people, len(shards)))]
    write_png(path, np.vstack(rows))


def _people_in(shard: Path) -> int:
    """How many people a shard holds; 0 if there is no shard."""
    file = shard / "scale.npy"
    return len(_open_array(file)) if file.exists() else 0


def _open_array(path: Path) -> np.ndarray:
    """A .npy file as a memory map."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _read_meta(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        hint = "render it with: mpkit heads"
        raise MediaError(f"{path.parent} has no readable meta.json ({error}); {hint}") from None


class HeadShards(People):
    """`People` on disk: the complete shards of a folder. Arrays are read only where they are sampled."""

    def __init__(self, directory: str | Path, tracked: bool = False):
        """`tracked`: use only shards that `data.tracked.track_shards` has read. Raises MediaError if there is none, or
        if an earlier mpkit prepared one of real frames."""
        directory = Path(directory)
        if not directory.is_dir():
            raise MediaError(f"there is no folder {directory}")
        self._shards, self._index = [], []
        for folder in sorted(directory.glob("shard-*")):
            shard = {RENAMED.get(file.stem, file.stem): _open_array(file) for file in folder.glob("*.npy")}
            if tracked and "numbers" not in shard:
                continue
            if tracked and "actions" not in shard and not is_current(folder):
                raise MediaError(f"an earlier mpkit prepared {folder}, in other units; prepare its folder again")
            self._index += [(len(self._shards), row) for row in range(len(shard["scale"]))]
            self._shards.append(shard)
        if not self._index:
            raise MediaError(
                f"{directory} holds no finished training data: make some of pictures and clips with mpkit prepare, or "
                "render people with mpkit heads"
            )
        faces = directory / "faces.npy"
        if not faces.exists():
            raise MediaError(f"{directory} has no faces.npy: an older mpkit made it without labels; prepare it anew")
        self._shared = {"faces": np.load(faces, allow_pickle=False)}

    def __len__(self) -> int:
        return len(self._index)

    def sample(self, person: int, frame: int) -> dict[str, np.ndarray]:
        """The fields of one frame, as copies."""
        number, row = self._index[person]
        fields = {
            name: np.array(array[row] if name in PER_PERSON else array[row, frame])
            for name, array in self._shards[number].items()
        }
        return fields | self._shared

    def field(self, name: str, person: int) -> np.ndarray:
        """One field of all frames of a person, without copying it."""
        if name in self._shared:
            return self._shared[name]
        number, row = self._index[person]
        return self._shards[number][name][row]

    def is_lifted(self, person: int) -> bool:
        """Whether the person is a lifted still."""
        return "reliable" in self._shards[self._index[person][0]]
