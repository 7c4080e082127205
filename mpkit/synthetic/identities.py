"""People in a file: rendering them needs no body model. About 30 kB a person.

Of each person the file holds the head, as differences from the average head in steps of 1/32767 of their largest, and
what is worn. The shapes of what is worn are made anew.
"""

import io
from pathlib import Path

import numpy as np

from mpkit.files import write_bytes
from mpkit.synthetic.anatomy import BareHead, Identity, dressed, load_template
from mpkit.synthetic.wear import Wear

LARGEST = np.iinfo(np.int16).max


def save_identities(path: str | Path, identities: list[Identity]) -> None:
    """Writes P people to an .npz file: differences (P, M, 3) int16 of M vertices and their step (P,), to_canonical
    (P, 3, 3), neck (P, 3), age, femininity (P,), and the fields of `Wear`, (P,) each."""
    average = load_template().average.neutral
    differences = np.stack([identity.neutral[: len(average)] for identity in identities]) - average
    step = np.abs(differences).max((1, 2)) / LARGEST
    step[step == 0] = 1  # the average head
    fields = {
        name: np.array([getattr(identity, name) for identity in identities])
        for name in ("to_canonical", "neck", "age", "femininity")
    }
    worn = {name: np.array([getattr(identity.wear, name) for identity in identities]) for name in Wear._fields}
    content = io.BytesIO()
    steps = (differences / step[:, None, None]).round().astype(np.int16)
    np.savez_compressed(content, differences=steps, step=step, **fields, **worn)
    write_bytes(Path(path), content.getvalue())


def load_identities(path: str | Path) -> list[Identity]:
    """The people of a file of `save_identities`. Vertices are exact to about 2e-5 canonical units."""
    average = load_template().average.neutral
    with np.load(path, allow_pickle=False) as file:
        stored = dict(file)
    identities = []
    for number, (differences, step) in enumerate(zip(stored["differences"], stored["step"])):
        head = BareHead(average + differences * step, stored["to_canonical"][number], stored["neck"][number])
        worn = Wear(*(stored[name][number].item() for name in Wear._fields))
        identities.append(dressed(head, stored["age"][number].item(), stored["femininity"][number].item(), worn))
    return identities
