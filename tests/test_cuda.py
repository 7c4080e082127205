"""What a GPU computes: pictures like the CPU's, the same batches, and training steps of every stage. Without one they
are skipped."""

import pytest
import torch

from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.data.bundled_people import load_people
from mpkit.data.pairs import PairSet
from mpkit.networks.base import load_model
from mpkit.networks.motion import HeadMotion
from mpkit.training.config import TrainConfig
from mpkit.training.stages.base import BaseWeights
from mpkit.training.stages.mouth import MouthWeights
from mpkit.training.trainer import Trainer, named_tensors

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
BASE = BaseWeights(adversarial=0.1, matching=1.0, crops=0.5, gaze=0.3, identity=0.3, cycle=0.1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The bundled weights, or those of a pack."""
    return DEFAULT_WEIGHTS if DEFAULT_WEIGHTS.exists() else DEFAULT_WEIGHTS.parents[3] / "weights.safetensors"


@torch.no_grad()
def test_pictures_differ_from_those_of_the_cpu_by_a_hundredth_at_most(weights):
    model = load_model(weights)
    torch.manual_seed(0)
    pairs = PairSet.from_people(load_people(), 2, drivers=1, augment=False)[0]
    source, driver = (torch.nn.functional.interpolate(part.picture, size=256) for part in (pairs.source, pairs.driver))

    def drive(device):
        network = model.to(device)
        of_source, of_driver = (
            HeadMotion(part.pose.to(device), network.actions(part.numbers.to(device)))
            for part in (pairs.source, pairs.driver)
        )
        avatar = network.source(source.to(device), of_source, pairs.source.anchors.to(device))
        return network.drive(avatar, of_driver).rendering.image.cpu()

    on_cpu, on_gpu = drive("cpu"), drive("cuda")
    print(f"largest difference {(on_cpu - on_gpu).abs().max():.4f}")
    assert (on_cpu - on_gpu).abs().max() < 0.01 and on_cpu.std() > 0.1


def test_batches_are_those_of_the_cpu():
    on_cpu, on_gpu = (
        dict(named_tensors(PairSet.from_people(load_people(), 4).to(name)[3])) for name in ("cpu", "cuda")
    )
    for name, value in on_cpu.items():
        assert on_gpu[name].device.type == "cuda"
        error = (value.float() - on_gpu[name].float().cpu()).abs()
        assert error.mean() < 1e-3, name


@pytest.mark.parametrize(
    ("stage", "terms"),
    [("warps", None), ("mouth", MouthWeights(adversarial=0.1, matching=1.0)), ("motion", None), ("base", BASE)],
)
def test_every_stage_trains(stage, terms, tmp_path):
    config = TrainConfig(preset="nano", batch_size=4, drivers=1, warmup=1, weights=terms, run=str(tmp_path))
    trainer = Trainer(config, stage, device="cuda")
    for step in range(3):
        values = trainer.step(trainer.data[step])
        assert all(value.value == value.value for value in values.values())
    trainer.save(tmp_path / "state.safetensors")
    resumed = Trainer(config, stage, device="cuda")
    resumed.resume(tmp_path / "state.safetensors")
    first, second = (one.step(one.data[3])["loss"].value for one in (trainer, resumed))
    assert first == pytest.approx(second, rel=1e-3)
