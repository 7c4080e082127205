"""The synthetic people that come with mpkit, so that training can start without any other data.

There are 24, with 4 frames of 64 x 64 pixels each; the first frame is nearly frontal and at rest.

`assets/people64.npz` holds what `synthetic.heads.render_identity` returns for SEEDS. The two large fields are stored as
integers in steps of 1/8192 canonical unit: `neutral`, and `vertices` as offsets from the posed neutral head; both as
differences between successive vertices, which compress well. They are read back within 1e-4 units, all other fields
exactly. Reading them, and making batches of them with `PairSet.from_people`, needs neither anny nor numba. This command
renders the file anew:

    python -m mpkit.data.bundled_people
"""

import functools
import io

import numpy as np

from mpkit.assets import ASSETS
from mpkit.files import write_bytes

PEOPLE_FILE = ASSETS / "people64.npz"
SIZE, FRAMES = 64, 4
STEPS = 8192  # integers per canonical unit; int16 reaches to 4 units
# Chosen by eye for variety, from seeds of which no training set is made. The tracker finds a face in every frame.
SEEDS = tuple(
    900_000 + n for n in (0, 1, 2, 3, 9, 13, 14, 15, 16, 18, 19, 20, 21, 23, 25, 27, 28, 30, 33, 36, 37, 41, 42, 47)
)


@functools.lru_cache(maxsize=1)
def load_people() -> list[dict[str, np.ndarray]]:
    """The bundled people, each with the fields of `synthetic.heads.render_identity` (`vertices` as float32). They are
    read once: all callers share the arrays and must not change them."""
    with np.load(PEOPLE_FILE, allow_pickle=False) as file:
        fields = dict(file)
    faces = fields.pop("faces")
    fields["neutral"] = _from_integers(fields["neutral"])
    fields["vertices"] = _from_integers(fields["vertices"]) + _posed_neutral(fields)
    people = len(fields["neutral"])
    return [{name: values[person] for name, values in fields.items()} | {"faces": faces} for person in range(people)]


def render_people() -> None:
    """Renders the people of SEEDS and writes PEOPLE_FILE."""
    from mpkit.synthetic.heads import render_identity

    people = [render_identity(seed, FRAMES, SIZE) for seed in SEEDS]
    fields = {name: np.stack([person[name] for person in people]) for name in people[0] if name != "faces"}
    neutral = _to_integers(fields["neutral"])
    fields["neutral"] = _from_integers(neutral)  # as it will be read
    offsets = _to_integers(fields["vertices"].astype(np.float32) - _posed_neutral(fields))
    fields |= {"neutral": neutral, "vertices": offsets, "faces": people[0]["faces"]}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **fields)
    write_bytes(PEOPLE_FILE, buffer.getvalue())


def _posed_neutral(fields: dict[str, np.ndarray]) -> np.ndarray:
    """The neutral heads (P, N, 3) of P people in the poses of their K frames, s R c + t: (P, K, N, 3)."""
    rotated = fields["neutral"][:, None] @ fields["rotation"].swapaxes(-1, -2)
    return fields["scale"][..., None, None] * rotated + fields["translation"][..., None, :]


def _to_integers(points: np.ndarray) -> np.ndarray:
    """Points (..., N, 3) -> int16 differences (..., 3, N) between successive points, in steps of 1 / STEPS."""
    integers = np.round(points.swapaxes(-1, -2) * STEPS).astype(np.int16)
    return np.diff(integers, axis=-1, prepend=np.int16(0))


def _from_integers(differences: np.ndarray) -> np.ndarray:
    """The inverse of `_to_integers`, (..., N, 3) float32. int16 wraps around in both, so no difference is too large."""
    return np.cumsum(differences, axis=-1, dtype=np.int16).swapaxes(-1, -2) / np.float32(STEPS)


if __name__ == "__main__":
    render_people()
