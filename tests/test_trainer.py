"""One training step: from people in memory, with terms that name their equations."""

import pytest
import torch

from mpkit.errors import MpkitError
from mpkit.networks.base import BaseModel
from mpkit.training.config import TrainConfig
from mpkit.training.stages.base import BaseWeights
from mpkit.training.stages.registry import STAGES
from mpkit.training.trainer import Trainer

EVERY_LOSS = BaseWeights(adversarial=0.03, matching=1.0, cycle=0.1, gaze=0.3, identity=0.3)


def test_a_step_needs_no_data_on_disk_and_names_each_equation():
    trainer = Trainer(TrainConfig(preset="nano", batch_size=2, drivers=1, weights=EVERY_LOSS))
    terms = trainer.step(trainer.data[0])
    assert trainer.steps_done == 1 and trainer.objective.samples == 2
    equations = {name: term.equation for name, term in terms.items()}
    assert equations["perceptual"] == equations["gaze"] == equations["identity"] == "Eq. 4"
    assert equations["adversarial"] == equations["matching"] == equations["discriminator"] == "Eq. 5"
    assert (equations["cycle"], equations["loss"], equations["warp"]) == ("Eq. 6-7", "Eq. 8", "ours")
    total = sum(getattr(EVERY_LOSS, name) * term.value for name, term in terms.items() if hasattr(EVERY_LOSS, name))
    assert terms["loss"].value == pytest.approx(total, rel=1e-4)


def test_a_step_moves_the_weights_and_the_ema_follows():
    trainer = Trainer(TrainConfig(preset="nano", batch_size=2, drivers=1, warmup=1), "warps")
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.step(trainer.data[0])
    moved = {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}
    ema = trainer.ema.state_dict()
    assert moved and all(
        not torch.equal(ema[name], before[name]) and not torch.equal(ema[name], trainer.model.state_dict()[name])
        for name in moved
    )


def test_bundled_people_are_for_the_nano_preset_alone():
    with pytest.raises(MpkitError, match="the preset tiny learns from pictures of 256 px.*mpkit heads --size 256"):
        Trainer(TrainConfig(preset="tiny"), "warps")


def test_the_trained_network_is_no_part_of_the_objective():
    """Frozen networks that a loss uses are not trained, and what is trained is not hidden in a loss."""
    for name in ("warps", "mouth", "motion", "base"):
        objective = STAGES[name](TrainConfig(preset="nano"))
        assert isinstance(objective.build(), BaseModel)
        assert not any(isinstance(module, BaseModel) for module in objective.modules())
