"""What `mpkit train base` does unless told otherwise: for `tiny` what made the bundled weights, for `base256` and
`base512` what the paper did, with our supervision beside its losses.

And what a step of it costs: `mpkit info --training`, counted on torch's meta device, where nothing is computed.
"""

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mpkit.batch import Frames, Labels, Pairs
from mpkit.config import preset
from mpkit.geometry import Pose
from mpkit.training.loop import TrainConfig
from mpkit.training.stages.base import BaseObjective
from mpkit.training.stages.objective import BaseWeights

PAPER_WEIGHTS = BaseWeights(perceptual=20.0, identity=4.0, gaze=5.0, adversarial=1.0, matching=40.0, cycle=2.0)
PAPER = {
    "drivers": 1,
    "learning_rate": 2e-4,
    "last_learning_rate": 1e-6,
    "betas": (0.5, 0.999),
    "weights": PAPER_WEIGHTS,
}
RECIPES: dict[str, dict] = {
    "nano": {},
    "tiny": {"batch_size": 3, "drivers": 3, "learning_rate": 7e-4, "warmup": 40},
    "base256": {**PAPER, "steps": 200_000, "batch_size": 24},
    "base512": {**PAPER, "steps": 300_000, "batch_size": 16},
}
GIB = 2**30


class Cost(NamedTuple):
    """What one step costs in fp32: TFLOP (forward and backward), GiB of weights with their gradients, optimizer moments
    and EMA, GiB of activations kept for the backward pass."""

    tflop: float
    weights: float
    activations: float


def step_cost(name: str) -> Cost:
    """The cost of one step of the recipe of a preset, without the gaze and identity networks, which are small."""
    recipe = TrainConfig((), "", **RECIPES[name])
    weights = dataclasses.replace(recipe.weights, gaze=0.0, identity=0.0)
    objective = BaseObjective(weights, name).to("meta")
    with torch.device("meta"):
        model = objective.build(name)
        pairs = empty_pairs(preset(name).image_size, recipe.batch_size, recipe.drivers)
    trained = [parameter for network in (model, objective.critic) if network for parameter in network.parameters()]
    own = {parameter.untyped_storage()._cdata for parameter in trained}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        alive.append(storage)  # else the next tensor could take its place
        return tensor

    alive: list = []
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss, _, driven = objective(model, pairs)
        loss.backward()
        if objective.critic:
            objective.judge(pairs, driven).backward()
    values = sum(parameter.numel() for parameter in trained)
    copies = 4 + (sum(p.numel() for p in model.parameters()) / values)  # value, gradient, two moments; EMA of the model
    return Cost(counter.get_total_flops() / 1e12, copies * 4 * values / GIB, sum(kept.values()) / GIB)


def empty_pairs(size: int, people: int, drivers: int) -> Pairs:
    """A batch of nothing, of the right shapes."""

    def frames(count: int) -> Frames:
        half = size // 2
        points = torch.empty(count, half, half, 3)
        labels = Labels(points, points, *torch.empty(3, count, half, half, dtype=torch.bool))
        pose = Pose(torch.empty(count, 3, 3), torch.empty(count, 3), torch.empty(count))
        believed = torch.empty(count, 1, size, size, dtype=torch.bool)
        return Frames(
            torch.empty(count, 4, size, size), pose, torch.empty(count, 54), labels, believed, points[:, 0, :3]
        )

    source, driver = frames(people), frames(people * drivers)
    count, half = people * drivers, size // 2
    shown = torch.empty(count, half, half, dtype=torch.bool)
    seen = torch.empty(people + count, 3, size, size)
    return Pairs(source, driver, torch.empty(count, half, half, 2), shown, seen)


def format_cost(name: str) -> str:
    """The recipe's cost as lines of text."""
    recipe, cost = TrainConfig((), "", **RECIPES[name]), step_cost(name)
    frames = recipe.batch_size * recipe.drivers
    lines = [
        f"{name}: a training step on {frames} driven frames is {cost.tflop:.1f} TFLOP",
        f"  memory in fp32: {cost.weights:.1f} GiB of weights, gradients, moments and EMA, "
        f"{cost.activations:.1f} GiB of activations (half of that in bf16 or fp16)",
    ]
    if "steps" in RECIPES[name]:
        days = recipe.steps * cost.tflop / 100 / 86400
        lines.append(f"  {recipe.steps} steps: {days:.1f} days for every 100 TFLOP/s that the GPUs reach together")
    return "\n".join(lines)
