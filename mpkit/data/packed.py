"""People of a pack (`mpkit pack`), rendered while training runs: round after round, everyone in new poses.

Processes write shards (`data.shards`) of one person each into a temporary folder, from which batches are drawn. Which
poses a step sees depends on their speed, so such a run is not the same when it is repeated.
"""

import functools
import multiprocessing
import shutil
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mpkit.data.head_crops import CroppedPerson, PackedPeople
from mpkit.data.lifted import lift_person, real_person
from mpkit.data.people import PER_PERSON, People, mouth_area
from mpkit.data.shards import save_shard
from mpkit.data.workers import start_worker, starting_workers
from mpkit.errors import MediaError
from mpkit.media.paths import one_line
from mpkit.synthetic.anatomy import Identity
from mpkit.synthetic.heads import render_identity
from mpkit.synthetic.identities import load_identities

FRAMES = 4  # of a lifted still, the picture itself first, and of a synthetic person
ROUNDS = 8  # renders of everyone; then there are enough
ENOUGH = 24  # people to begin with, or as many as there are
PATIENCE = 300.0  # seconds until they must be there
REFRESH = 3.0  # seconds from one look for new people to the next
OPEN_SHARDS = 64  # whose arrays stay mapped; an operating system limits how many there may be


class Summary(NamedTuple):
    """What a draw needs to know of a person with K frames; reading it is quick."""

    found: np.ndarray  # (K,) bool
    mouth_area: np.ndarray  # (K,)
    lifted: bool


class GrowingPeople(People):
    """`People` of one file of a pack: stills are lifted in new poses each round, synthetic people get a new look; real
    frames are taken once. Renders count as frames with a face. `close()` ends the processes and deletes their folder;
    so does the end of the program."""

    def __init__(self, path: str | Path, size: int, workers: int = 1, seed: int = 0):
        """Starts `workers` processes that render frames of `size` pixels. Raises MediaError for a file of another kind.
        The first use waits for the first people, and raises MediaError if there is none."""
        self.path, self._population = Path(path), count_packed(path)
        self._folder = Path(tempfile.mkdtemp(prefix="mpkit-people-"))
        self._shards: list[Path] = []
        self._summaries: dict[int, Summary] = {}
        self._open = functools.lru_cache(OPEN_SHARDS)(_open_shard)
        context = multiprocessing.get_context("spawn")
        jobs = [(self.path, self._folder, size, worker, workers, seed) for worker in range(workers)]
        self._processes = [context.Process(target=_render, args=job, daemon=True) for job in jobs]
        self.close = weakref.finalize(self, _end, self._processes, self._folder)
        with starting_workers():
            for process in self._processes:
                process.start()

    def _wait(self) -> None:
        """Waits for the first people. A bar says so when it takes long."""
        deadline, enough = time.monotonic() + PATIENCE, min(ENOUGH, self._population)
        with tqdm(total=enough, desc=f"first people of {self.path.name}", delay=10, leave=False) as bar:
            while True:
                working = any(process.is_alive() for process in self._processes) and time.monotonic() < deadline
                self._refresh()
                bar.update(len(self._shards) - bar.n)
                if len(self._shards) >= enough or not working:
                    break
                time.sleep(0.2)
        if not self._shards:
            self.close()
            raise MediaError(f"no person of {self.path} could be rendered")

    def _refresh(self) -> None:
        """Looks for new people."""
        known = set(self._shards)
        self._shards += sorted(shard for shard in self._folder.glob("shard-*") if shard not in known)
        self._looked = time.monotonic()

    def __len__(self) -> int:
        if not self._shards:
            self._wait()
        elif time.monotonic() - self._looked > REFRESH:
            self._refresh()
        return len(self._shards)

    @property
    def population(self) -> int:
        return self._population

    def sample(self, person: int, frame: int) -> dict[str, np.ndarray]:
        fields = self._fields(person)
        return {name: np.array(array if name in PER_PERSON else array[frame]) for name, array in fields.items()}

    def field(self, name: str, person: int) -> np.ndarray:
        return self._fields(person)[name]

    def found(self, person: int) -> np.ndarray:
        return self._summary(person).found

    def mouth_area(self, person: int) -> np.ndarray:
        return self._summary(person).mouth_area

    def is_lifted(self, person: int) -> bool:
        return self._summary(person).lifted

    def _fields(self, person: int) -> dict[str, np.ndarray]:
        if not self._shards:
            self._wait()
        return self._open(self._shards[person])

    def _summary(self, person: int) -> Summary:
        if person not in self._summaries:
            shard = self._shards[person]
            found, area = (np.load(shard / f"{name}.npy", allow_pickle=False)[0] for name in ("found", "mouth_area"))
            self._summaries[person] = Summary(found, area, (shard / "reliable.npy").exists())
        return self._summaries[person]


def _end(processes: list, folder: Path) -> None:
    for process in processes:
        process.kill()
        process.join()
    shutil.rmtree(folder, ignore_errors=True)


def _open_shard(shard: Path) -> dict[str, np.ndarray]:
    """The fields of the one person of a shard, mapped."""
    files = [*shard.glob("*.npy")]
    fields = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False)[0] for file in files}
    return fields | {"faces": _load_faces(shard.parent / "faces.npy")}


@functools.lru_cache(maxsize=8)
def _load_faces(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def count_packed(path: str | Path) -> int:
    """How many people a file of a pack holds. Raises MediaError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return len(file["lifted" if "lifted" in file else "age"])
    except (OSError, ValueError, KeyError) as error:
        raise MediaError(f"{path} holds no packed people: {error}") from None


def _render(path: Path, folder: Path, size: int, worker: int, workers: int, seed: int) -> None:
    """Renders every `workers`-th person in each round, as a shard of its own."""
    start_worker()
    with np.load(path, allow_pickle=False) as file:
        people = PackedPeople(path) if "lifted" in file else load_identities(path)
    for number in range(ROUNDS):
        order = np.random.default_rng((seed, number)).permutation(len(people))[worker::workers]
        for index in map(int, order):
            person = people[index]
            if number and isinstance(person, CroppedPerson) and not person.lifted:
                continue  # its frames are there
            try:
                fields = render(person, size, seed + number * len(people) + index)
            except Exception as error:  # whatever one person's data do, the others are rendered
                print(f"{path.name}: person {index} cannot be rendered: {one_line(error)}", file=sys.stderr)
                continue
            fields["mouth_area"] = mouth_area(fields["triangle"], fields["faces"], fields.get("reliable"))
            save_shard(folder / f"shard-{number:02d}-{index:05d}", [fields])


def render(person: CroppedPerson | Identity, size: int, seed: int) -> dict[str, np.ndarray]:
    """Training frames of a packed person, `size` pixels a side, with `numbers` and `found`."""
    if isinstance(person, CroppedPerson) and not person.lifted:
        return real_person(person.crops, size)
    if isinstance(person, CroppedPerson):
        fields = lift_person(person.crops[0], FRAMES, size, np.random.default_rng(seed))
    else:
        fields = render_identity(seed, FRAMES, size, person)
    return with_true_numbers(fields)


def with_true_numbers(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A rendered person's fields with `numbers`, the true ones, and `found` for all frames."""
    numbers = np.concatenate([fields["actions"], fields["gaze"]], axis=1).astype(np.float32)
    return fields | {"numbers": numbers, "found": np.ones(len(numbers), bool)}
