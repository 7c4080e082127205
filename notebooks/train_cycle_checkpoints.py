"""Trains the two checkpoints of lesson 05: the base model at preset nano, without and with L_cos (Eq. 6-7).

    python train_cycle_checkpoints.py 0      weights/cycle_off.safetensors
    python train_cycle_checkpoints.py 0.1    weights/cycle_on.safetensors

Each takes 2 to 3 minutes on one quiet core. Stage `base` takes z from labels; here z comes from E_mtn's reading of the
pictures alone, as in the paper, so that appearance can leak through it. For the same reason E_mtn sees the pictures as
they are, without warp and colour jitter. Head pose and warps still have their labels.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from mpkit.batch import Pairs
from mpkit.losses.attention import attention_map, attentive
from mpkit.losses.geometric import (
    driver_surface_loss,
    driver_warp_loss,
    flow_loss,
    smoothness_loss,
    source_surface_loss,
    source_warp_loss,
)
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.networks.base import BaseModel
from mpkit.networks.motion import HeadMotion
from mpkit.training.config import TrainConfig
from mpkit.training.stages.base import BaseObjective
from mpkit.training.stages.objective import Losses
from mpkit.training.stages.registry import STAGES
from mpkit.training.trainer import Trainer
from mpkit.weights import save_weights

WEIGHTS = Path(__file__).resolve().parent / "weights"


@dataclass(frozen=True)
class CycleWeights:
    """Weight of each term."""

    reconstruction: float = 1.0
    warped: float = 0.5
    flow: float = 3.0
    warp: float = 3.0
    surface: float = 3.0
    smoothness: float = 1.0
    cycle: float = 0.0  # the paper's 2 stands beside a perceptual loss that weighs 20
    perceptual: float = 0.0
    gaze: float = 0.0
    identity: float = 0.0
    adversarial: float = 0.0
    matching: float = 0.0


class CycleObjective(BaseObjective):
    """One driver for each source. E_mtn reads z in both."""

    Weights = CycleWeights

    def forward(self, model: BaseModel, pairs: Pairs) -> Losses:
        source, driver = pairs.source, pairs.driver
        z_source, z_driver = (model.motion(frames.picture[:, :3]).expression for frames in (source, driver))
        avatar = model.source(source.picture, HeadMotion(source.pose, z_source), source.anchors)
        driven = model.drive(avatar, HeadMotion(driver.pose, z_driver))
        image, _, detail = driven.rendering
        target, attention = driver.picture[:, :3], attention_map(driver.pose, image.shape[-1])
        of_source, of_driver = attentive(source), attentive(driver)
        terms = {
            "reconstruction": multiscale_l1(image, target, attention),
            "warped": multiscale_l1(detail.warped[:, :3], target, attention),
            "flow": flow_loss(detail.flow, pairs.flow, pairs.flow_valid * of_driver.valid),
            "warp": driver_warp_loss(driven.warp.grid, of_driver) + source_warp_loss(avatar.warp.grid, of_source),
            "surface": driver_surface_loss(driven.offsets, driver.pose, of_driver)
            + source_surface_loss(avatar.offsets, source.pose, of_source),
            "smoothness": sum(smoothness_loss(part.warp.grid.movedim(-1, 1)) for part in (avatar, driven)),
        }
        if self.weights.cycle:
            terms["cycle"] = self._cycle(model, avatar, image, pairs, z_driver)
        return Losses(self.weighted(terms), terms, driven)


def main(cycle: float) -> None:
    config = TrainConfig(
        preset="nano", steps=200, batch_size=6, drivers=1, learning_rate=1e-3, warmup=20, ema=0.98,
        weights=CycleWeights(cycle=cycle),
    )  # fmt: skip
    trainer = Trainer(config, "cycle")
    for batch in trainer.batches():
        terms = trainer.step(batch)
        if trainer.steps_done % 20 == 0:
            print(trainer.steps_done, *(f"{name} {term.value:.3f}" for name, term in terms.items()), flush=True)
    WEIGHTS.mkdir(exist_ok=True)
    save_weights(WEIGHTS / f"cycle_{'on' if cycle else 'off'}.safetensors", trainer.ema)


STAGES["cycle"] = CycleObjective

if __name__ == "__main__":
    torch.set_num_threads(1)
    main(float(sys.argv[1]))
