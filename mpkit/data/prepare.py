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
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mpkit.data.head_crops import CroppedPerson
from mpkit.data.lifted import TEXTURE_SIDE, lift_person, real_person
from mpkit.data.reading import FRAMES_PER_PERSON, files_in, read_people
from mpkit.data.shards import is_current, save_shard
from mpkit.data.tracked import read_numbers
from mpkit.data.workers import run_jobs
from mpkit.errors import MediaError
from mpkit.faces.face import Tracker
from mpkit.faces.trackers import make_tracker
from mpkit.files import write_json


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
    output, wanted = Path(output), files_in(Path(folder), people)
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
    with contextlib.closing(run_jobs(_prepare_file, jobs, max(1, workers), output)) as results:
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


def _prepare_file(paths: tuple[Path, ...], shard: Path, size: int, seed: int) -> str | None:
    """Writes the shard of one file, or of several stills of one person. Returns the reason if they cannot be used, else
    None."""
    number = int.from_bytes(hashlib.sha256(paths[0].name.encode()).digest()[:4], "little")
    read = read_people(paths, size, TEXTURE_SIDE)
    if isinstance(read, str):
        return read
    rng = np.random.default_rng(seed + number)
    lifted = any(person.lifted for person in read)  # frames of clips were tracked when they were read
    with make_tracker() if lifted else contextlib.nullcontext() as tracker:
        save_shard(shard, [training_person(person, size, rng, tracker) for person in read])
    return None


def training_person(
    person: CroppedPerson, size: int, rng: np.random.Generator, tracker: Tracker | None
) -> dict[str, np.ndarray]:
    """A person of a shard, with frames of `size` pixels; a lifted still in FRAMES_PER_PERSON motions, the first of them
    its own. tracker: reads the renders of a lifted still."""
    if not person.lifted:
        return real_person(person.crops, size)
    fields = lift_person(person.crops[0], FRAMES_PER_PERSON, size, rng)
    numbers, found = read_numbers(fields["images"], tracker)
    return fields | {"numbers": numbers, "found": found}
