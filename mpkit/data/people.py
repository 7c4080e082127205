"""What training batches read: people with several frames each, on disk or in memory."""

from typing import Protocol

import numpy as np

from mpkit.errors import MpkitError

REAL = 0  # of a lifted still: number of the frame that shows the picture itself; the others are renders
PER_PERSON = ("neutral", "faces")  # fields that have no frame axis


class People(Protocol):
    """People whose frames can be sampled: `data.shards.HeadShards` on disk, or `RenderedPeople` in memory.

    Fields are those of `synthetic.heads.render_identity`. Two more come from the tracker: `numbers` (K, 54), actions
    and gaze that it fits, and `found` (K,) bool, whether it finds a face. Lifted stills also have `reliable` (K, S, S)
    bool. Clips of real people have neither `actions` nor `gaze`.
    """

    def __len__(self) -> int:
        """How many people."""

    def sample(self, person: int, frame: int) -> dict[str, np.ndarray]:
        """The fields of one frame, without their frame axis, and the person's `neutral` and `faces`."""

    def field(self, name: str, person: int) -> np.ndarray:
        """One field of all K frames of a person, (K, ...), or its `neutral` or `faces`."""

    def is_lifted(self, person: int) -> bool:
        """Whether the person is a lifted still: its frame REAL shows the picture itself."""


class RenderedPeople:
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
