"""What a training step costs: `mpkit info --training`. Counted on torch's meta device, where nothing is computed."""

import dataclasses
import functools
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mpkit.batch import Frames, Labels, Pairs
from mpkit.config import preset
from mpkit.geometry import Pose
from mpkit.training.config import TrainConfig
from mpkit.training.recipes import RECIPES
from mpkit.training.stages.base import BaseObjective, BaseWeights

GIB = 2**30


class Cost(NamedTuple):
    """What one step costs in fp32."""

    tflop: float  # forward and backward
    weights: float  # GiB of weights with their gradients, optimizer moments and EMA
    activations: float  # GiB kept for the backward pass


@functools.cache
def step_cost(name: str) -> Cost:
    """The cost of one step of stage `base` with the recipe of a preset, without the gaze and identity networks, which
    are small."""
    recipe = TrainConfig(preset=name, **RECIPES["base"][name])
    weights = dataclasses.replace(recipe.weights or BaseWeights(), gaze=0.0, identity=0.0)
    objective = BaseObjective(dataclasses.replace(recipe, weights=weights)).to("meta")
    with torch.device("meta"):
        model = objective.build()
        pairs = empty_pairs(preset(name).image_size, recipe.batch_size, recipe.drivers)
    networks = filter(None, (model, objective.discriminator))
    trained = [parameter for network in networks for parameter in network.parameters()]
    own = {parameter.untyped_storage()._cdata for parameter in trained}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        alive.append(storage)  # else the next tensor could get the same address
        return tensor

    alive: list = []
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss, _, driven = objective(model, pairs)
        loss.backward()
        if objective.discriminator:
            objective.discriminator_loss(pairs, driven).backward()
    values = sum(parameter.numel() for parameter in trained)
    copies = 4 + (sum(p.numel() for p in model.parameters()) / values)  # value, gradient, two moments; EMA of the model
    return Cost(counter.get_total_flops() / 1e12, copies * 4 * values / GIB, sum(kept.values()) / GIB)


def empty_pairs(size: int, people: int, drivers: int) -> Pairs:
    """A batch of the right shapes without values, on the default device."""

    def frames(count: int) -> Frames:
        half = size // 2
        points = torch.empty(count, half, half, 3)
        labels = Labels(points, points, *torch.empty(2, count, half, half, dtype=torch.bool))
        pose = Pose(torch.empty(count, 3, 3), torch.empty(count, 3), torch.empty(count))
        reliable = torch.empty(count, 1, size, size, dtype=torch.bool)
        real = torch.ones(count, dtype=torch.bool, device="cpu")  # its values choose what the discriminator sees
        picture, numbers = torch.empty(count, 4, size, size), torch.empty(count, 54)
        return Frames(picture, pose, numbers, labels, reliable, real, points[:, 0, :3])

    source, driver = frames(people), frames(people * drivers)
    count, half = people * drivers, size // 2
    shown = torch.empty(count, half, half, dtype=torch.bool)
    seen = torch.empty(people + count, 3, size, size)
    return Pairs(source, driver, torch.empty(count, half, half, 2), shown, seen)


def format_cost(name: str) -> str:
    """The recipe's cost as lines of text."""
    recipe, cost = TrainConfig(preset=name, **RECIPES["base"][name]), step_cost(name)
    frames = recipe.batch_size * recipe.drivers
    lines = [
        f"{name}: a training step on {frames} driven frames is {cost.tflop:.1f} TFLOP",
        f"  memory in fp32: {cost.weights:.1f} GiB of weights, gradients, moments and EMA, "
        f"{cost.activations:.1f} GiB of activations",
    ]
    if "steps" in RECIPES["base"][name]:
        days = recipe.steps * cost.tflop / 100 / 86400
        lines.append(f"  {recipe.steps} steps: {days:.1f} days for every 100 TFLOP/s that the GPUs reach together")
    return "\n".join(lines)
