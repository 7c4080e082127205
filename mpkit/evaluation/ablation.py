"""What each loss is for: the nano preset trained once with everything and once without each part, equally long, and
measured on people it never saw. `mpkit ablate`.
"""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from mpkit.assets import GAZE_WEIGHTS, IDENTITY_WEIGHTS
from mpkit.data.pairs import PairSet
from mpkit.faces.canonical import keypoints
from mpkit.files import write_json
from mpkit.losses.gaze import angle_between
from mpkit.networks.base import BaseModel, repeat_each
from mpkit.networks.gaze import GazeNetwork
from mpkit.networks.identity import IdentityNetwork
from mpkit.networks.motion import HeadMotion
from mpkit.training.config import TrainConfig, shard_weights
from mpkit.training.loop import train
from mpkit.training.stages.base import BaseWeights
from mpkit.weights import load_network

EVERYTHING = BaseWeights(adversarial=0.03, matching=1.0, cycle=0.05, gaze=0.3, identity=0.3)
WITHOUT: dict[str, dict[str, float]] = {
    "L_cos": {"cycle": 0.0},
    "gaze loss": {"gaze": 0.0},
    "GAN": {"adversarial": 0.0, "matching": 0.0},
    "supervised warps": {"warp": 0.0, "surface": 0.0, "flow": 0.0, "depth": 0.0},
}
STILLS = "lifted stills"
MEASURED_BATCHES = 16  # of 8 people
MEASURES = {
    "psnr": "PSNR in the matte, dB",
    "gaze": "gaze error, degrees",
    "blink": "blink error",
    "identity": "identity, cosine",
}


def ablate(
    data: tuple[str, ...],
    stills: tuple[str, ...],
    validation: tuple[str, ...],
    output: str | Path,
    steps: int = 1000,
    batch_size: int = 8,
    progress: bool = True,
) -> dict[str, dict[str, float]]:
    """Trains every row (an interrupted call resumes) and returns its measures; also in `output`/ablation.json.
    Raises MediaError where data are not there, WeightsError where the gaze and identity networks are not."""
    output = Path(output)
    rows = {"everything": (data + stills, EVERYTHING)}
    for name, changes in WITHOUT.items():
        rows[f"without {name}"] = (data + stills, dataclasses.replace(EVERYTHING, **changes))
    if stills:
        rows[f"without {STILLS}"] = (data, EVERYTHING)
    judges = load_network(GAZE_WEIGHTS, GazeNetwork), load_network(IDENTITY_WEIGHTS, IdentityNetwork)
    results = {}
    for name, (folders, weights) in rows.items():
        run = str(output / name.replace(" ", "-"))
        config = TrainConfig(
            folders,
            run,
            preset="nano",
            steps=steps,
            batch_size=batch_size,
            learning_rate=1e-3,
            warmup=30,
            weights=weights,
        )
        network = train(config, "base", progress=progress)
        results[name] = measure(network, PairSet(shard_weights(validation), 8, 2, augment=False), *judges)
        write_json(output / "ablation.json", {"steps": steps, "rows": results})
    return results


@torch.no_grad()
def measure(model: BaseModel, pairs: PairSet, gaze: GazeNetwork, identity: IdentityNetwork) -> dict[str, float]:
    """Means over the first MEASURED_BATCHES of `pairs`: see MEASURES."""
    sums = dict.fromkeys(MEASURES, 0.0)
    for index in range(MEASURED_BATCHES):
        batch = pairs[index]
        source, driver = batch.source, batch.driver
        count = len(driver.picture) // len(source.picture)
        avatar = model.source(source.picture, HeadMotion(source.pose, model.actions(source.numbers)), source.anchors)
        motion = HeadMotion(driver.pose, model.actions(driver.numbers))
        image, target = model.drive(repeat_each(avatar, count), motion).rendering.image, driver.picture[:, :3]
        made, wanted = (gaze(picture, driver.pose, keypoints(driver.pose)) for picture in (image, target))
        sums["psnr"] += float(psnr_inside(image, target, driver.picture[:, 3:]).mean())
        sums["gaze"] += float(angle_between(made.direction, wanted.direction).mean())
        sums["blink"] += float((made.blink - wanted.blink).abs().mean())
        sums["identity"] += float((identity(image) * identity(target)).sum(1).mean())
    return {name: round(value / MEASURED_BATCHES, 4) for name, value in sums.items()}


def psnr_inside(image: Tensor, target: Tensor, matte: Tensor) -> Tensor:
    """PSNR in dB of pictures (B, 3, S, S) in [0, 1] where the matte (B, 1, S, S) is, (B,)."""
    error = ((image - target).square() * matte).sum((1, 2, 3)) / (3 * matte.sum((1, 2, 3))).clamp_min(1)
    return -10 * error.clamp_min(1e-10).log10()


def format_ablation(results: dict[str, dict[str, float]]) -> str:
    """A row a run, the difference from everything in brackets."""
    full = results["everything"]
    lines = ["".join([f"{'':<26}", *(f"{title:>26}" for title in MEASURES.values())])]
    for name, row in results.items():
        cells = (f"{row[m]:.3f} ({row[m] - full[m]:+.3f})" if row is not full else f"{row[m]:.3f}" for m in MEASURES)
        lines.append("".join([f"{name:<26}", *(f"{cell:>26}" for cell in cells)]))
    return "\n".join(lines)
