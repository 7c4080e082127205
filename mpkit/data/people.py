"""What training batches read: people with several frames each, on disk or in memory."""

import abc
import functools

import numpy as np

from mpkit.errors import MpkitError
from mpkit.synthetic.anatomy import in_mouth

REAL = 0  # of a lifted still: number of the frame that shows the picture itself; the others are renders
PER_PERSON = ("neutral", "faces")  # fields that have no frame axis


class People(abc.ABC):
    """People whose frames can be sampled: `data.shards.HeadShards` on disk, or `RenderedPeople` in memory.

    Fields are those of `synthetic.heads.render_identity`. Two more come from the tracker: `numbers` (K, 54), actions
    and gaze that it fits, and `found` (K,) bool, whether it finds a face. Lifted stills also have `reliable` (K, S, S)
    bool. Clips of real people have neither `actions` nor `gaze`.
    """

    @abc.abstractmethod
    def __len__(self) -> int:
        """How many people."""

    @abc.abstractmethod
    def sample(self, person: int, frame: int) -> dict[str, np.ndarray]:
        """The fields of one frame, without their frame axis, and the person's `neutral` and `faces`."""

    @abc.abstractmethod
    def field(self, name: str, person: int) -> np.ndarray:
        """One field of all K frames of a person, (K, ...), or its `neutral` or `faces`."""

    @abc.abstractmethod
    def is_lifted(self, person: int) -> bool:
        """Whether the person is a lifted still: its frame REAL shows the picture itself."""

    @property
    def population(self) -> int:
        """How many people count for the frequency of this collection."""
        return len(self)

    def found(self, person: int) -> np.ndarray:
        """Whether the tracker finds a face in each of a person's K frames, (K,) bool."""
        return self.field("found", person)

    def mouth_area(self, person: int) -> np.ndarray:
        """See `mouth_area`, of a person's K frames."""
        if person not in self._mouth_areas:
            reliable = self.field("reliable", person) if self.is_lifted(person) else None
            fields = (self.field(name, person) for name in ("triangle", "faces"))
            self._mouth_areas[person] = mouth_area(*fields, reliable)
        return self._mouth_areas[person]

    @functools.cached_property
    def _mouth_areas(self) -> dict[int, np.ndarray]:
        return {}


def mouth_area(triangle: np.ndarray, faces: np.ndarray, reliable: np.ndarray | None = None) -> np.ndarray:
    """The share of label cells (K, h, h), each the number of a triangle of `faces` or -1, that show the mouth interior,
    (K,); with `reliable` (K, 2 * h, 2 * h) only where colours are."""
    inside = (triangle >= 0) & in_mouth(faces)[triangle]
    return (inside if reliable is None else inside & reliable[:, ::2, ::2]).mean((1, 2))


class RenderedPeople(People):
    """`People` in memory, as `synthetic.heads.render_identity` returns each. No tracker has read them: all frames count
    as frames with a face."""

    def __init__(self, people: list[dict[str, np.ndarray]]):
        """Raises MpkitError if there is nobody."""
        if not people:
            raise MpkitError("there are no people to train on; render some with synthetic.heads.render_identity")
        self._people = [{"found": np.ones(len(person["images"]), bool)} | person for person in people]

    def __len__(self) -> int:
        return len(self._people)

    def sample(self, person: int, frame: int) -> dict[str, np.ndarray]:
        fields = self._people[person]
        return {name: values if name in PER_PERSON else values[frame] for name, values in fields.items()}

    def field(self, name: str, person: int) -> np.ndarray:
        return self._people[person][name]

    def is_lifted(self, person: int) -> bool:
        return "reliable" in self._people[person]
