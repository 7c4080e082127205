"""What a stage of training is: an `Objective`, which gives batches, builds the network and computes its loss."""

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mpkit.batch import Frames
from mpkit.config import preset
from mpkit.data.bundled_people import SIZE as BUNDLED_SIZE
from mpkit.data.bundled_people import load_people
from mpkit.data.packed import GrowingPeople, count_packed
from mpkit.data.pairs import PairSet
from mpkit.data.people import RenderedPeople
from mpkit.errors import MpkitError
from mpkit.networks.base import BaseModel
from mpkit.training.config import TrainConfig, is_packed, shard_weights


class Losses(NamedTuple):
    """What an objective computes for one batch."""

    loss: Tensor  # scalar, the weighted sum of the terms
    terms: dict[str, Tensor]  # scalars, unweighted
    made: Any  # what the network made, for the discriminator and for grids; None if no picture


class Objective(nn.Module):
    """A stage of training. It is called with (network, batch) and returns `Losses`.

    `Weights` is the dataclass of the terms' weights; `equations` names the equation of each term that the paper has,
    all others are ours. `discriminator` is trained beside the network, by `discriminator_loss`; None without a GAN
    loss.
    """

    Weights: ClassVar[type | None] = None
    equations: ClassVar[dict[str, str]] = {}
    open_mouths: ClassVar[float] = 0.0  # see `PairSet`; most frames of people show a closed mouth

    def __init__(self, config: TrainConfig):
        super().__init__()
        self.config = config
        self.weights = config.weights or (self.Weights() if self.Weights else None)
        self.discriminator: nn.Module | None = None
        self.batch_device = torch.device("cpu")  # where batches are made

    def build(self) -> nn.Module:
        """The network that this stage trains, freshly initialised."""
        return BaseModel(preset(self.config.preset))

    def batches(self, part: int = 0, parts: int = 1) -> Dataset:
        """The batch of each step by its number: share `part` of `parts` processes."""
        config = self.config
        data = self._collections() or {self._bundled(): 1.0}
        pairs = PairSet(data, config.batch_size, config.drivers, config.seed, part=part, parts=parts)
        pairs.open_mouths = self.open_mouths
        return pairs.to(self.batch_device)

    def _collections(self) -> dict[str | GrowingPeople, float]:
        """What `config.data` names, and its weights. The processes of files of a pack share `config.workers`."""
        config, size = self.config, preset(self.config.preset).image_size
        weights = shard_weights(config.data)
        packed = {name: weight * count_packed(name) for name, weight in weights.items() if is_packed(name)}
        for name, share in packed.items():
            workers = max(1, round(config.workers * share / sum(packed.values())))
            weights[GrowingPeople(name, size, workers, config.seed)] = weights.pop(name)
        return weights

    def _bundled(self) -> RenderedPeople:
        """The people that come with mpkit. Raises MpkitError for a preset that sees larger pictures than theirs."""
        people, size = RenderedPeople(load_people()), preset(self.config.preset).image_size
        if size != BUNDLED_SIZE:
            raise MpkitError(
                f"name --data: the preset {self.config.preset} learns from pictures of {size} px, and the people that "
                f"come with mpkit have {BUNDLED_SIZE} px (--preset nano); render others: mpkit heads --size {size}"
            )
        return people

    @property
    def samples(self) -> int:
        """How many driver frames a batch has, of all processes together."""
        return self.config.batch_size * self.config.drivers

    def validation(self) -> Dataset | None:
        """Batches that are never trained on, not augmented; None where the config names none."""
        folders = self.config.validation
        return PairSet(shard_weights(folders), 8, self.config.drivers, augment=False) if folders else None

    def discriminator_loss(self, batch, made) -> Tensor:
        """The discriminator's own loss on what the network made. No gradient reaches the network."""
        raise TypeError(f"{type(self).__name__} trains no discriminator")

    def pictures(self, batch, made) -> list[Tensor]:
        """Rows of a sample grid, (B, 1 or 3, S, S) each; none where the stage makes no picture."""
        return []

    def weighted(self, terms: dict[str, Tensor]) -> Tensor:
        """The sum of the terms, each times its weight."""
        return sum(getattr(self.weights, name) * term for name, term in terms.items())


def target_of(prediction: Tensor, frames: Frames) -> Tensor:
    """The target of a prediction (B, C, S, S): the frames' pictures, and the prediction itself (no loss, no gradient)
    where a lifted still's picture is only a guess."""
    return torch.where(frames.reliable, frames.picture[:, : prediction.shape[1]], prediction.detach())


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside, gradients pass through the network to its input, but not into its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)


def other_person(count: int) -> list[int]:
    """The index of another person for each of a batch: neighbours swap; the last of an odd number takes the first."""
    return [index ^ 1 if index ^ 1 < count else 0 for index in range(count)]
