"""The gaze and identity networks, whose features are losses: their crops, their losses, their gradients."""

import math

import pytest
import torch
from support import some_pose
from torch.testing import assert_close

from mpkit.config import GAZE, IDENTITY, preset
from mpkit.data.augment import flip_numbers
from mpkit.errors import WeightsError
from mpkit.faces.canonical import keypoints
from mpkit.geometry import cell_centres
from mpkit.losses.gaze import BLINKS, EYE_TURN, GazeLoss, angle_between, gaze_terms
from mpkit.losses.identity import IdentityLoss, contrast
from mpkit.networks.base import BaseModel, load_model
from mpkit.networks.gaze import EYE_CENTRES, Gaze, GazeNetwork, eye_crops
from mpkit.networks.identity import IdentityNetwork
from mpkit.training.config import TrainConfig
from mpkit.training.stages.base import BaseObjective, BaseWeights
from mpkit.training.stages.registry import STAGES
from mpkit.weights import load_network, save_weights


def coordinates(size=64, batch=1):
    """A picture whose red is x and green is y."""
    axis = cell_centres(size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)]).expand(batch, -1, -1, -1)


def test_eye_crops_lie_on_the_eyes_and_follow_the_pose():
    frontal = eye_crops(coordinates(batch=2), some_pose(2), 16)
    assert frontal.shape == (4, 3, 16, 16)
    for crop, centre in zip((frontal[0], frontal[2]), EYE_CENTRES):
        assert_close(crop[:2].mean((1, 2)), torch.tensor(centre[:2]), atol=1e-3, rtol=0)
    rolled = eye_crops(coordinates(), some_pose(roll=90), 16)
    assert_close(rolled[0, :2].mean((1, 2)), torch.tensor([0.14, -0.175]), atol=1e-3, rtol=0)  # clockwise


def test_angle_between_gazes_by_hand():
    ahead, aside, down = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, -0.5]])
    assert angle_between(ahead, aside).item() == pytest.approx(EYE_TURN, abs=1e-3)
    assert angle_between(ahead, down).item() == pytest.approx(EYE_TURN / 2, abs=1e-3)
    both = math.degrees(math.acos(math.cos(math.radians(EYE_TURN)) * math.cos(math.radians(EYE_TURN / 2))))
    assert angle_between(aside, down).item() == pytest.approx(both, abs=1e-3)


def test_the_gaze_of_closed_eyes_has_no_loss():
    numbers = torch.zeros(2, 54)
    numbers[:, 52] = 1
    numbers[1, BLINKS] = 1
    read = Gaze(torch.zeros(2, 2), numbers[:, BLINKS], [])
    loss, terms = gaze_terms(read, numbers)
    assert terms["degrees"].item() == pytest.approx(EYE_TURN, abs=1e-3) and terms["blink_error"] == 0
    assert loss.item() == pytest.approx((15 + 10) / 4)  # one of two frames, one of two axes


def test_a_mirror_swaps_the_blinks():
    numbers = torch.zeros(1, 54)
    numbers[0, BLINKS[0]] = 1
    assert flip_numbers(numbers)[0, BLINKS].tolist() == [0, 1]


@pytest.mark.parametrize(
    "build, table, loss", [(GazeNetwork, GAZE, GazeLoss), (IdentityNetwork, IDENTITY, IdentityLoss)]
)
def test_the_loss_reaches_the_prediction_alone(build, table, loss):
    torch.manual_seed(0)
    criterion = loss(build(preset("nano", table)))
    prediction, target = torch.rand(2, 2, 3, 64, 64, requires_grad=True).unbind(0)
    prediction.retain_grad(), target.retain_grad()
    pose = (some_pose(2),) if loss is GazeLoss else ()
    criterion(prediction, target, *pose).backward()
    assert prediction.grad.abs().sum() > 0 and target.grad is None
    assert all(parameter.grad is None for parameter in criterion.parameters())
    assert criterion(target, target, *pose) == 0


def test_the_gaze_loss_sees_eyes_and_nothing_else():
    criterion = GazeLoss(GazeNetwork(preset("nano", GAZE)))
    picture = torch.rand(1, 3, 64, 64)
    bald, blind = picture.clone(), picture.clone()
    bald[..., :12, :] = 0
    blind[..., 24:32, 22:42] = 0
    assert criterion(bald, picture, some_pose()) == 0 < criterion(blind, picture, some_pose())


def test_gaze_is_learned_from_where_a_dot_is():
    torch.manual_seed(0)
    network = GazeNetwork(preset("nano", GAZE))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    grid = coordinates()
    for _ in range(80):
        gaze = torch.rand(16, 2) * 2 - 1
        picture = torch.ones(16, 3, 64, 64)
        for centre in EYE_CENTRES:
            place = torch.tensor(centre[:2]) + 0.06 * gaze
            distance = (grid[0, :2] - place[:, :, None, None]).norm(dim=1, keepdim=True)
            picture = picture * (distance / 0.05).clamp(max=1)
        numbers = torch.cat([torch.zeros(16, 52), gaze], 1)
        loss, terms = gaze_terms(network(picture, some_pose(16), keypoints(some_pose(16))), numbers)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    assert terms["degrees"] < 8  # 23 for one that always looks ahead


def test_contrast_by_hand():
    known = torch.eye(3)
    loss, terms = contrast(known, torch.eye(3).repeat_interleave(2, 0))
    assert terms["accuracy"] == 1 and loss.item() == pytest.approx(math.log(1 + 2 * math.exp(-10)), abs=1e-4)
    assert contrast(known, torch.eye(3).roll(1, 0).repeat_interleave(2, 0))[1]["accuracy"] == 0


def test_vectors_of_identity_have_length_one():
    vectors = IdentityNetwork(preset("nano", IDENTITY))(torch.rand(3, 3, 64, 64))
    assert_close(vectors.norm(dim=1), torch.ones(3))


def test_every_stage_builds_its_network():
    names = ("gaze", "identity", "base", "warps", "mouth", "motion")
    kinds = {name: type(STAGES[name](TrainConfig(preset="nano")).build()) for name in names}
    assert kinds["gaze"] is GazeNetwork and kinds["identity"] is IdentityNetwork
    assert kinds["base"] is kinds["warps"] is kinds["mouth"] is kinds["motion"] is BaseModel


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(tmp_path / "gaze.safetensors", GazeNetwork(preset("nano", GAZE)))
    assert load_network(tmp_path / "gaze.safetensors", GazeNetwork).config == preset("nano", GAZE)
    with pytest.raises(WeightsError, match="holds weights of a gaze network, not of a base model"):
        load_model(tmp_path / "gaze.safetensors")


def test_gaze_and_identity_are_terms_of_the_base_stage(tmp_path, monkeypatch):
    from test_losses import some_pairs

    for kind, table, name in ((GazeNetwork, GAZE, "GAZE_WEIGHTS"), (IdentityNetwork, IDENTITY, "IDENTITY_WEIGHTS")):
        save_weights(tmp_path / name, kind(preset("nano", table)))
        monkeypatch.setattr(f"mpkit.training.stages.picture_objective.{name}", tmp_path / name)
    objective = BaseObjective(TrainConfig(preset="nano", weights=BaseWeights(perceptual=0, gaze=1.0, identity=1.0)))
    model = BaseModel(preset("nano"))
    loss, terms, _ = objective(model, some_pairs())
    (terms["gaze"] + terms["identity"]).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.render.parameters())
    assert all(p.grad is None for p in objective.gaze.parameters())
