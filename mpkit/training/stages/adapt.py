"""Stage `adapt` (ours): the base model learns one still. `mpkit adapt`, see `evaluation.adaptation`."""

from dataclasses import dataclass
from pathlib import Path

from mpkit.data.one_shot import OneShotPairs
from mpkit.networks.base import load_model
from mpkit.training.config import TrainConfig
from mpkit.training.stages.base import BaseObjective, BaseWeights

# The branch of e_s is frozen because e_s conditions the frozen mouth layer: teeth would move off the lips.
FROZEN = ("motion", "actions", "read_actions", "mouth", "appearance.vector")
STILL_PAIRS = 3  # of a batch; the others are of synthetic people


@dataclass(frozen=True)
class AdaptWeights(BaseWeights):
    """Those of stage `base`, but for the terms of E_mtn, which is frozen."""

    pose: float = 0.0
    latent: float = 0.0
    actions: float = 0.0


class AdaptObjective(BaseObjective):
    """The losses of stage `base`. `config.data` is two folders: the still's, and that of the synthetic people."""

    Weights = AdaptWeights

    def batches(self, part: int = 0, parts: int = 1) -> OneShotPairs:
        still, people = self.config.data
        counts = STILL_PAIRS, self.config.batch_size - STILL_PAIRS
        return OneShotPairs(still, people, counts, self.config.seed, part, parts)


def adapt_config(weights: Path, run: Path, steps: int = 0) -> TrainConfig:
    """The settings of a run in the folder `run` that starts from `weights`. Raises WeightsError."""
    model = load_model(weights)
    parts = dict(model.named_modules())
    return TrainConfig(
        data=(str(run / "still"), str(run / "people")),
        run=str(run),
        preset=model.config.preset,
        steps=steps,
        batch_size=4,
        drivers=1,
        learning_rate=2e-4,
        warmup=10,
        ema=0.95,
        save_every=25,
        log_every=10,
        freeze=tuple(part for part in FROZEN if part in parts),
        base=str(weights.resolve()),
    )
