"""Recipes: those of the paper's presets are the paper's, and the cost of a step is that of a real step."""

import dataclasses

import pytest
import torch

from mpkit.cli.main import main
from mpkit.config import DISCRIMINATORS, PRESETS, preset
from mpkit.networks import BaseModel
from mpkit.training import loop
from mpkit.training.config import TrainConfig
from mpkit.training.cost import empty_pairs, format_cost, step_cost
from mpkit.training.distil import recipe
from mpkit.training.recipes import RECIPES
from mpkit.training.stages.base import BaseObjective, BaseWeights
from mpkit.training.stages.enhancer import EnhancerWeights
from mpkit.training.stages.registry import STAGES
from mpkit.training.trainer import named_tensors


@pytest.mark.parametrize("size, steps, batch", [("256", 200_000, 24), ("512", 300_000, 16)])
def test_base_presets_train_as_the_paper_did(size, steps, batch, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "train", lambda config, *rest: seen.append(config))
    assert main(["train", "base", "--preset", f"base{size}", "--data", "a", "--run", "b", "--device", "cpu"]) == 0
    assert main(["train", "base", f"--preset=base{size}", "--steps", "7", "--data", "a", "--run", "b"]) == 0
    config, changed = seen
    assert (config.steps, config.batch_size, config.learning_rate, config.betas) == (steps, batch, 2e-4, (0.5, 0.999))
    weights = config.weights
    assert (weights.perceptual, weights.identity, weights.gaze) == (20, 4, 5)  # Eq. 4
    assert (weights.adversarial, weights.matching, weights.cycle) == (1, 40, 2)  # Eq. 5-7
    assert changed.steps == 7 and changed.batch_size == batch


@pytest.mark.parametrize("size", ["256", "512"])
def test_enhancer_presets_train_as_the_paper_did(size, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "train", lambda config, *rest: seen.append(config))
    assert main(["train", "enhancer", "--preset", f"base{size}", "--data", "a", "--run", "b", "--device", "cpu"]) == 0
    config, weights = seen[0], seen[0].weights
    assert (config.steps, config.batch_size, config.learning_rate, config.betas) == (50_000, 16, 2e-4, (0.5, 0.999))
    assert (weights.l1, weights.adversarial, weights.matching) == (100, 1, 100)  # Eq. 9
    assert (weights.cross_adversarial, weights.cycle) == (1, 10)  # Eq. 10


@pytest.mark.parametrize("size", ["256", "512"])
def test_student_presets_train_as_the_paper_did(size):
    config = recipe(f"base{size}")
    assert (config.steps, config.batch_size, config.learning_rate, config.betas) == (170_000, 8, 2e-4, (0.5, 0.999))
    weights = config.weights
    assert (weights.perceptual, weights.identity, weights.gaze, weights.adversarial) == (20, 4, 5, 1)
    assert preset(config.preset, DISCRIMINATORS).scales == 4


def test_recipes_hold_presets_and_settings_that_exist():
    for stage, recipes in RECIPES.items():
        for name, settings in recipes.items():
            config = TrainConfig(preset=name, **settings)
            assert name in PRESETS and isinstance(config.weights or STAGES[stage].Weights(), STAGES[stage].Weights)


def test_the_papers_enhancer_recipe_weighs_the_terms_as_ours_does():
    """Our weights are the paper's times 0.01: a smaller loss, the same ratios."""
    ours, paper = EnhancerWeights(), RECIPES["enhancer"]["base512"]["weights"]
    for field in dataclasses.fields(EnhancerWeights):
        assert getattr(paper, field.name) == pytest.approx(100 * getattr(ours, field.name))


def test_a_stage_alone_and_tiny_have_their_own_defaults(monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "train", lambda config, *rest: seen.append(config))
    for stage in ("base", "warps"):
        assert main(["train", stage, "--data", "a", "--run", "b", "--device", "cpu"]) == 0
    assert [config.preset for config in seen] == ["tiny", "tiny"]
    assert (seen[0].batch_size, seen[0].drivers, seen[0].weights.adversarial) == (4, 2, 0.1)
    assert (seen[1].batch_size, seen[1].learning_rate) == (4, 5e-4)


def test_cost_is_that_of_a_real_step():
    """Multiplications counted while a nano step really runs, and its activations at least those of G_2D's pictures."""
    from torch.utils.flop_counter import FlopCounterMode

    cost = step_cost("nano")
    model, objective = BaseModel(preset("nano")), BaseObjective(TrainConfig(preset="nano", weights=BaseWeights()))
    pairs = empty_pairs(64, 4, 2)
    for tensor in (value for _, value in named_tensors(pairs)):
        tensor.zero_()
    for frames in (pairs.source, pairs.driver):
        frames.pose.scale.fill_(1)  # a head of no size is nowhere
    with FlopCounterMode(display=False) as counter:
        objective(model, pairs)[0].backward()
    assert cost.tflop == pytest.approx(counter.get_total_flops() / 1e12, rel=0.02)
    values = sum(parameter.numel() for parameter in model.parameters())
    assert cost.weights == pytest.approx(values * 4 * 5 / 2**30)
    assert cost.activations * 2**30 > 8 * 4 * 64 * 64 * 4


def test_the_papers_model_needs_a_large_gpu():
    small, large = step_cost("base256"), step_cost("base512")
    assert large.tflop > 100 and 80 < large.activations < 200 and small.activations < 0.6 * large.activations
    assert "300000 steps" in format_cost("base512")
    assert torch.empty(0).device.type == "cpu"  # nothing is left on the meta device
