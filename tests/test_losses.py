"""Each loss: its value on a case computed by hand; its gradient reaches the networks that it trains and no others."""

import math

import pytest
import torch
from support import labels_at, some_pairs

from mpkit.batch import Labels
from mpkit.config import preset
from mpkit.geometry import identity_flow, identity_grid, identity_pose, rotation_from_angles
from mpkit.losses.adversarial import discriminator_loss, generator_loss, matching_loss
from mpkit.losses.attention import DISOCCLUDED, attention_map, mask_weight
from mpkit.losses.cycle import cycle_loss
from mpkit.losses.expression import latent_loss, pose_loss
from mpkit.losses.geometric import (
    depth_loss,
    driver_warp_loss,
    flow_loss,
    mask_loss,
    smoothness_loss,
    source_warp_loss,
)
from mpkit.losses.perceptual import PerceptualLoss
from mpkit.losses.reconstruction import multiscale_l1
from mpkit.networks.base import BaseModel
from mpkit.networks.discriminator import Judgement
from mpkit.training.config import TrainConfig
from mpkit.training.stages.base import BaseObjective, BaseWeights
from mpkit.training.stages.objective import other_person


def test_multiscale_l1_is_zero_on_itself_and_counts_offsets():
    picture = torch.rand(2, 3, 16, 16)
    assert multiscale_l1(picture, picture) == 0
    assert multiscale_l1(picture + 0.5, picture, scales=3).item() == pytest.approx(1.5, abs=1e-5)  # no gradients differ


def test_attention_moves_weight_without_adding_any():
    target, attention = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    attention[..., :4] = 9
    left, right = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    left[..., :4], right[..., 4:] = 1, 1
    heavy, light = (multiscale_l1(x, target, attention, scales=1) for x in (left, right))
    assert heavy > 3 * light
    assert multiscale_l1(torch.ones(1, 1, 8, 8), target, attention).item() == pytest.approx(3.0)


def test_attention_lies_on_eyes_and_mouth_and_follows_the_pose():
    frontal = attention_map(identity_pose(1), 64)[0, 0]
    assert frontal.min() >= 1 and frontal.max() <= 10
    assert frontal[28, 25] > 5 and frontal[28, 39] > 5 and frontal[42, 32] > 5 and frontal[5, 5] < 1.1
    turned = identity_pose(1)._replace(rotation=rotation_from_angles(*(torch.tensor([a]) for a in (40.0, 0.0, 0.0))))
    columns = torch.arange(64.0)
    centre = [(m.sum(0) * columns).sum() / m.sum() for m in (frontal - 1, attention_map(turned, 64)[0, 0] - 1)]
    assert centre[1] > centre[0] + 4  # yaw > 0: the face is to the right


def test_warp_losses_are_zero_for_true_warps_and_measure_shifts():
    grid = identity_grid(8, 16, 16).requires_grad_()
    points = (torch.rand(1, 4, 4, 3) - 0.5).float()
    assert driver_warp_loss(grid, labels_at(points)).item() == pytest.approx(0, abs=1e-6)
    shifted = source_warp_loss(grid + 0.1, labels_at(points))
    assert shifted.item() == pytest.approx(0.3, abs=1e-5)
    shifted.backward()
    assert grid.grad.abs().sum() > 0


def test_points_without_a_label_do_not_count():
    points = torch.rand(1, 4, 4, 3)
    labels = Labels(points, points + 5, *torch.zeros(2, 1, 4, 4, dtype=torch.bool))
    assert driver_warp_loss(identity_grid(4, 8, 8), labels) == 0
    assert flow_loss(identity_flow(8, 8), torch.zeros(1, 4, 4, 2), torch.zeros(1, 4, 4, dtype=torch.bool)) == 0


def test_flow_loss_compares_at_any_resolution():
    wanted = identity_flow(32, 32).movedim(1, -1)
    valid = torch.ones(1, 32, 32, dtype=torch.bool)
    assert flow_loss(identity_flow(8, 8), wanted, valid).item() == pytest.approx(0, abs=1e-6)
    assert flow_loss(identity_flow(8, 8) + 0.25, wanted, valid).item() == pytest.approx(0.5, abs=1e-5)


def test_depth_loss_wants_the_visible_depth():
    depth = torch.full((1, 1, 8, 8), -0.25)
    view = torch.zeros(1, 2, 2, 3)
    view[..., 2] = -0.25
    assert depth_loss(depth, labels_at(view)).item() == pytest.approx(0, abs=1e-6)
    view[..., 2] = 0.5
    assert depth_loss(depth, labels_at(view)).item() == pytest.approx(0.75, abs=1e-6)


def test_mask_is_one_where_the_source_shows_and_zero_where_it_hides():
    shown = torch.zeros(1, 4, 4, dtype=torch.bool)
    shown[:, :2] = True
    mask = torch.full((1, 1, 8, 8), 0.001)
    mask[:, :, :4] = 0.999
    labelled = torch.ones(1, 4, 4)
    assert mask_loss(mask, shown, labelled).item() == pytest.approx(0.001, rel=0.01)
    assert mask_loss(1 - mask, shown, labelled).item() == pytest.approx(math.log(1000), rel=0.01)
    assert mask_loss(1 - mask, shown, 0 * labelled) == 0
    flat = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    mask_loss(flat, shown, labelled).backward()
    assert (flat.grad[..., :4, :] < 0).all() and (flat.grad[..., 4:, :] > 0).all()


def test_occluded_points_must_be_painted_near_eyes_and_mouth_alone():
    pairs = some_pairs()
    attention, shown = torch.ones(len(pairs.flow), 1, 64, 64), torch.ones_like(pairs.flow_valid)
    attention[..., attention.shape[-1] // 2 :] = 10  # the right half
    shown[:, ::2] = False
    everywhere, nowhere = torch.ones_like(shown), torch.zeros_like(shown)

    def weight_of(shown, mouth):
        driver = pairs.driver._replace(labels=pairs.driver.labels._replace(valid=everywhere, mouth=mouth))
        return mask_weight(pairs._replace(driver=driver, flow_valid=shown), attention)

    weight = weight_of(shown, nowhere)
    assert torch.equal(weight_of(everywhere, ~shown), weight)  # the mouth interior, too, though the source shows it
    middle = weight.shape[-1] // 2
    assert (weight[:, ::2, :middle] == 0).all() and (weight[:, ::2, middle:] == 10 * DISOCCLUDED).all()
    assert (weight[:, 1::2, :middle] == 1).all() and (weight[:, 1::2, middle:] == 10).all()


def test_smoothness_of_affine_fields_is_zero():
    delta = identity_grid(6, 6, 6).movedim(-1, 1) * 0.3 + 0.1
    assert smoothness_loss(delta).item() == pytest.approx(0, abs=1e-10)
    assert smoothness_loss(delta.square()) > 0


def test_latent_loss_teaches_the_encoder_alone():
    z_pixels, z_numbers = torch.randn(4, 8, requires_grad=True), torch.randn(4, 8, requires_grad=True)
    latent_loss(z_pixels, z_numbers).backward()
    assert z_pixels.grad is not None and z_numbers.grad is None


def test_pose_loss_is_zero_on_itself():
    assert pose_loss(identity_pose(3), identity_pose(3)) == 0


def test_perceptual_gradient_reaches_the_prediction_and_nothing_else():
    loss = PerceptualLoss()
    prediction, target = torch.rand(1, 3, 64, 64, requires_grad=True), torch.rand(1, 3, 64, 64, requires_grad=True)
    loss.train()(prediction, target).backward()
    assert prediction.grad.abs().sum() > 0 and target.grad is None
    assert all(p.grad is None for p in loss.parameters()) and not any(m.training for m in loss.modules())
    assert loss(target, target) == 0


def test_unknown_backbone_is_named():
    with pytest.raises(ValueError, match="vgg19"):
        PerceptualLoss("resnet")


def test_objective_reaches_every_network():
    torch.manual_seed(0)
    model = BaseModel(preset("nano"))
    loss, terms, driven = BaseObjective(TrainConfig(preset="nano"))(model, some_pairs())
    loss.backward()
    assert torch.isfinite(loss) and driven.rendering.image.shape == (4, 3, 64, 64)
    assert {"reconstruction", "perceptual", "warp", "warped", "flow", "depth", "latent", "actions", "pose"} <= set(
        terms
    )
    for name, child in model.named_children():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in child.parameters()), name


def test_unreliable_pixels_have_no_loss_and_no_gradient():
    """Other colours there leave the losses equal, and the gradient is 0 there."""
    torch.manual_seed(0)
    model, objective, pairs = BaseModel(preset("nano")), BaseObjective(TrainConfig(preset="nano")), some_pairs()
    pairs.driver.reliable[..., :40] = False
    before = objective(model, pairs)[1]
    pairs.driver.picture[..., :40] = torch.rand(4, 4, 64, 40)
    _, after, driven = objective(model, pairs)
    for name in ("reconstruction", "perceptual", "warped"):
        assert before[name].item() == pytest.approx(after[name].item(), rel=1e-5) and after[name] > 0
    (reached,) = torch.autograd.grad(after["reconstruction"], driven.rendering.image)
    assert (reached[..., :36] == 0).all() and (reached[..., 40:] != 0).any()


def judgements(*scores, requires_grad=False):
    features = [torch.full((1, 2, 2, 2), float(score), requires_grad=requires_grad) for score in scores]
    return [Judgement(feature.mean().view(1, 1, 1, 1), [feature]) for feature in features]


def test_hinge_loss_by_hand():
    real, fake = judgements(0.5, 2), judgements(-0.5, -3)
    assert discriminator_loss(real, fake).item() == pytest.approx(((0.5 + 0.5) + (0 + 0)) / 2)
    assert generator_loss(fake).item() == pytest.approx(1.75)


def test_feature_matching_teaches_the_prediction_alone():
    real, fake = judgements(1, 2, requires_grad=True), judgements(1, 5, requires_grad=True)
    loss = matching_loss(real, fake)
    loss.backward()
    assert loss.item() == pytest.approx(1.5)
    assert real[1].features[0].grad is None and fake[1].features[0].grad.sum() > 0


def test_gan_losses_train_discriminator_and_generator_apart():
    """The discriminator's loss reaches the discriminator alone; the generator's passes through it to the picture."""
    torch.manual_seed(0)
    model, pairs = BaseModel(preset("nano")), some_pairs()
    objective = BaseObjective(
        TrainConfig(preset="nano", weights=BaseWeights(perceptual=0, adversarial=1.0, matching=1.0))
    )
    loss, terms, driven = objective(model, pairs)
    (reached,) = torch.autograd.grad(terms["adversarial"], driven.rendering.image, retain_graph=True)
    assert reached.abs().sum() > 0
    loss.backward()
    assert all(p.grad is None and p.requires_grad for p in objective.discriminator.parameters())
    model.zero_grad()
    objective.discriminator_loss(pairs, driven).backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in objective.discriminator.parameters())


def test_the_discriminator_learns_to_tell_real_from_fake():
    torch.manual_seed(0)
    objective = BaseObjective(TrainConfig(preset="nano", weights=BaseWeights(perceptual=0, adversarial=1.0)))
    model, pairs = BaseModel(preset("nano")), some_pairs()
    with torch.no_grad():
        driven = objective(model, pairs)[2]
    optimizer = torch.optim.Adam(objective.discriminator.parameters(), 1e-3)
    losses = []
    for _ in range(30):
        losses.append(objective.discriminator_loss(pairs, driven))
        optimizer.zero_grad(), losses[-1].backward(), optimizer.step()
    assert losses[0] > 1.5 and losses[-1] < 0.5


def test_the_discriminator_of_heads_sees_eyes_and_mouths_of_real_frames():
    """Whole heads, and three crops of each; of renders only where a batch has nothing else."""
    objective = BaseObjective(TrainConfig(preset="nano", weights=BaseWeights(perceptual=0, adversarial=1.0)))
    model, pairs, seen = BaseModel(preset("nano")), some_pairs(), []
    for part in (objective.discriminator.heads, objective.discriminator.crops):
        part.register_forward_hook(lambda module, inputs, _: seen.append(inputs[0]))
    real = torch.tensor([False, True, False, True])
    for driver, judged in ((pairs.driver, slice(None)), (pairs.driver._replace(real=real), real)):
        seen.clear()
        with torch.no_grad():
            objective(model, pairs._replace(driver=driver))
        heads, crops = seen[:2]
        assert torch.equal(heads, driver.picture[judged, :3]) and crops.shape == (3 * len(heads), 3, 96, 96)


def test_cycle_loss_by_hand():
    """Eq. 6-7: d = 5 (cos - 0.2). Predictions like the driver, orthogonal to the other: -log(e^4 / (e^4 + 2 e^-1))."""
    one, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    expected = -2 * math.log(math.exp(4) / (math.exp(4) + 2 * math.exp(-1)))
    assert cycle_loss(one, one, one, other).item() == pytest.approx(expected, rel=1e-5)


def test_cycle_loss_pulls_predictions_to_their_driver():
    torch.manual_seed(0)
    own, crossed, driver, other = (torch.randn(4, 8) for _ in range(4))
    own.requires_grad_(), crossed.requires_grad_()
    optimizer = torch.optim.SGD([own, crossed], 1.0)
    for _ in range(50):
        optimizer.zero_grad(), cycle_loss(own, crossed, driver, other).backward(), optimizer.step()
    near, far = (torch.cosine_similarity(torch.cat([own, crossed]), z.repeat(2, 1)) for z in (driver, other))
    assert (near > far + 0.3).all()


def test_cycle_drives_other_people_and_reaches_generator_and_reader():
    torch.manual_seed(0)
    model, pairs = BaseModel(preset("nano")), some_pairs(3, 2)
    torch.nn.init.normal_(model.motion.expression.head.weight)  # it starts at 0: nothing would pass
    loss, terms, _ = BaseObjective(TrainConfig(preset="nano", weights=BaseWeights(perceptual=0, cycle=1.0)))(
        model, pairs
    )
    terms["cycle"].backward()
    for part in (model.motion.expression, model.render, model.warp_driver, model.appearance, model.actions):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert other_person(4) == [1, 0, 3, 2] and other_person(3) == [1, 0, 0]


def test_two_pairs_can_be_overfitted():
    torch.manual_seed(0)
    model, pairs = BaseModel(preset("nano")), some_pairs(1, 2)
    objective = BaseObjective(TrainConfig(preset="nano", weights=BaseWeights(perceptual=0)))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, (0.9, 0.999))
    losses = []
    for _ in range(40):
        loss, terms, _ = objective(model, pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(terms["reconstruction"].item())
    assert losses[-1] < 0.7 * losses[0]
