"""The mouth layer: where it lies, what it covers, what it takes from the source, and the stage that trains it."""

import dataclasses

import pytest
import torch
from support import NANO, some_motion, some_pairs, some_picture, some_pose, stirred
from torch.testing import assert_close

from mpkit.animation.rest import RestError
from mpkit.config import preset
from mpkit.errors import MpkitError
from mpkit.geometry import affine, identity_flow, identity_pose, invert_affine, sample
from mpkit.networks import BaseModel, repeat_each
from mpkit.networks.crops import eyes_and_mouths, mouth_points
from mpkit.networks.detail import render_at
from mpkit.networks.face_field import align_to_average
from mpkit.networks.mouth import LIPS_DEPTH, MouthLayer, mouth_placement
from mpkit.training.config import TrainConfig
from mpkit.training.stages.mouth import MouthObjective, MouthWeights, mouth_interior, warp_by_labels

GAN = MouthWeights(adversarial=0.15, matching=2.0)
WINDOW = (0.0, 0.25, 0.2)
CENTRED = torch.tensor([[[2.0, 0, 0], [0, 2, 0]]])  # the texture lies on the middle half of the view


def red_layer(alpha: float = 1.0, placement=CENTRED) -> MouthLayer:
    texture = torch.zeros(1, 4, 8, 8)
    texture[:, 0], texture[:, 3] = 1, alpha
    return MouthLayer(texture, placement)


def test_an_affine_map_and_its_inverse_cancel():
    matrix = torch.tensor([[[0.9, 0.2, 0.1], [-0.3, 1.1, -0.2]]])
    points = torch.rand(1, 3, 5, 2)
    assert_close(affine(invert_affine(matrix), affine(matrix, points)), points)
    assert_close(affine(matrix, torch.tensor([[[[1.0, 2.0]]]]))[0, 0, 0], torch.tensor([1.4, 1.7]))


@pytest.mark.parametrize("pose", [identity_pose(), some_pose(yaw=30, pitch=-10, roll=5)])
def test_the_layer_follows_the_lips_along_the_rays_of_the_camera(pose):
    """A point on the plane of the lips, and every point behind it on the ray, lie at one place of the texture."""
    pose = pose._replace(translation=torch.tensor([[0.1, -0.05, 0]]), scale=torch.tensor([1.1]))
    placement = mouth_placement(pose, None, WINDOW)
    for x, y in ((0.0, 0.25), (0.1, 0.3)):
        view = pose.apply(torch.tensor([[[[x, y, LIPS_DEPTH]]]]))[..., :2]
        assert_close(affine(placement, view)[0, 0, 0], torch.tensor([x, (y - 0.25)]) / 0.2, atol=1e-5, rtol=0)


def test_the_layer_lies_where_this_person_has_lips():
    low = torch.tensor([[[-0.18, -0.15, -0.3], [0.18, -0.15, -0.3], [0.0, 0.32, LIPS_DEPTH]]])
    placement = mouth_placement(identity_pose(), align_to_average(low), WINDOW)
    at_lips = affine(placement, low[:, 2:, :2][:, None])
    assert_close(at_lips[0, 0, 0], torch.tensor([0.0, (0.255 - 0.25) / 0.2]), atol=1e-4, rtol=0)


def test_the_layer_covers_what_lies_below_it_and_nothing_beside():
    below = some_picture()
    result = red_layer().over(below)
    assert_close(result[0, :, 32, 32], torch.tensor([1.0, 0, 0, 1]))
    assert torch.equal(result[..., :15, :], below[..., :15, :]) and torch.equal(result[..., 49:], below[..., 49:])
    half = red_layer(0.5).over(below[:, :3])
    assert_close(half[0, :, 32, 32], below[0, :3, 32, 32] * 0.5 + torch.tensor([0.5, 0, 0]))
    assert_close(red_layer(0.25).covering(torch.ones(1, 1, 64, 64))[0, 0, 32, 32], torch.tensor(0.75))


def test_a_layer_beyond_the_view_changes_nothing():
    away = red_layer(placement=torch.tensor([[[2.0, 0, 9], [0, 2, 0]]]))
    picture = some_picture()
    assert torch.equal(away.over(picture), picture)


def test_the_layer_is_as_fine_at_any_resolution():
    """An edge in the texture stays as sharp at four times the network's resolution."""
    torch.manual_seed(0)
    model = BaseModel(NANO).eval()
    detail = model.drive(model.source(some_picture(), some_motion()), some_motion()).rendering.detail
    picture, size = torch.zeros(1, 4, 256, 256), 256
    texture = torch.ones(1, 4, 64, 64)
    texture[..., :32] = 0  # colour and alpha of the left half
    detail = detail._replace(mask=torch.ones_like(detail.mask), mouth=MouthLayer(texture, CENTRED))
    row = render_at(picture, detail, size)[0, 0, 128]
    assert row[100] == 0 and row[140] == 1 and ((row > 0.02) & (row < 0.98)).sum() <= 6


def test_drive_lays_the_mouth_over_the_rendering():
    torch.manual_seed(1)
    model = stirred(BaseModel(NANO)).eval()
    avatar, motion = model.source(some_picture(batch=2), some_motion(batch=2)), some_motion(batch=2)
    rendering = model.drive(avatar, motion).rendering
    detail = rendering.detail
    below = detail.mask * detail.warped + (1 - detail.mask) * detail.colour
    assert_close(torch.cat([rendering.image, rendering.alpha], 1), detail.mouth.over(below))
    assert (detail.shown <= detail.mask).all() and (detail.shown < detail.mask).any()
    colour, alpha = detail.mouth.texture.split([3, 1], 1)
    assert 0 <= colour.min() and colour.max() <= 1 and 0 <= alpha.min() and alpha.max() <= 1


def test_the_layer_depends_on_the_mouth_of_the_source_and_on_both_motions():
    torch.manual_seed(2)
    model = stirred(BaseModel(NANO)).eval()
    source, motion, other = some_motion(), some_motion(), some_motion(yaw=20)
    picture = some_picture()
    mouth = picture.clone()
    mouth[..., 34:46, 26:38] = 0.9

    def texture(picture=picture, source=source, motion=motion):
        seen = model.source_mouth(picture, source.pose, None)
        seen = seen._replace(light=torch.full((1, 3), 0.5))  # else any change of the picture would count
        return model.mouth_layer(seen, (source, motion), torch.zeros(1, NANO.latent_size), None).texture

    for changed in (texture(picture=mouth), texture(source=other), texture(motion=other)):
        assert (changed - texture()).abs().max() > 1e-3
    still = motion._replace(pose=other.pose)  # the direction of the camera
    assert (texture(motion=still) - texture()).abs().max() > 1e-3


def test_teeth_of_the_source_are_seen_where_its_lips_are():
    """The source's mouth is read in its head crop at the place of the layer, the pose taken out."""
    model = BaseModel(NANO).eval()
    pose = some_pose(roll=20)._replace(translation=torch.tensor([[0.1, 0.1, 0]]))
    view = pose.apply(torch.tensor([[[0.0, 0.255, LIPS_DEPTH]]]))[0, 0, :2]
    grid = identity_flow(64, 64)[0].movedim(0, -1)
    spot = ((grid - view).norm(dim=-1) < 0.08).float().expand(1, 4, -1, -1)
    texture = model.source_mouth(spot, pose, None).texture[0, 0]
    assert texture[6:10, 6:10].mean() > 0.8 and texture[0].max() == 0


def test_at_rest_the_layer_is_transparent():
    torch.manual_seed(3)
    model = stirred(BaseModel(NANO)).eval()
    motion = some_motion()
    detail = model.drive(model.source(some_picture(), motion), motion).rendering.detail
    error = RestError.of(detail)
    assert detail.mouth.texture[:, 3].max() > 0 and error.removed_from(detail).mouth.texture[:, 3].max() == 0


def test_stage_mouth_trains_the_mouth_field_alone():
    torch.manual_seed(0)
    pairs, model = some_pairs(), BaseModel(preset("nano"))
    objective = MouthObjective(TrainConfig(preset="nano", weights=GAN))
    loss, terms, crops = objective(model, pairs)
    loss.backward()
    moved = {name.split(".")[0] for name, value in model.named_parameters() if value.grad is not None}
    assert moved == {"mouth"} and set(terms) == {
        "reconstruction", "alpha", "perceptual", "adversarial", "matching",
    }  # fmt: skip
    assert crops.result.shape == (4, 3, 96, 96) and all(row.shape[0] == 4 for row in objective.pictures(pairs, crops))
    objective.discriminator_loss(pairs, crops).backward()


def test_the_discriminator_judges_mouths_that_open_in_reliable_colours():
    """It sees the picture, and the source beside it. The first driver shows nothing that the source hides, the colours
    of the second are invented; the others are a picture and a render."""
    pairs, model = some_pairs(), BaseModel(preset("nano"))
    mouth = torch.zeros_like(pairs.flow_valid)
    mouth[1:, 18:24, 12:20] = True
    labels = pairs.driver.labels._replace(mouth=mouth)
    reliable = torch.ones_like(pairs.driver.reliable)
    reliable[1] = False
    real = torch.tensor([True, True, True, False])
    driver = pairs.driver._replace(real=real, labels=labels, reliable=reliable)
    objective = MouthObjective(TrainConfig(preset="nano", weights=GAN))
    _, _, crops = objective(model, pairs._replace(driver=driver, flow_valid=~mouth))
    seen = []
    objective.discriminator.register_forward_hook(lambda module, inputs, _: seen.append(inputs[0]))
    objective.discriminator_loss(pairs, crops)
    assert_close(seen[0], torch.cat([crops.target, crops.warped], 1)[2:, :, 16:80, 16:80])
    assert_close(seen[1], torch.cat([crops.result, crops.warped], 1)[2:, :, 16:80, 16:80])


def test_alpha_is_taught_on_the_mouth_interior():
    """There it should be 1, whether or not the source shows its teeth; skin that the source hides is uncertain."""
    pairs = some_pairs()
    mouth = torch.zeros_like(pairs.flow_valid)
    mouth[:, 18:24, 12:20] = True
    points = mouth_points(pairs.driver.pose)

    def marks(mouth, shown):
        driver = pairs.driver._replace(labels=pairs.driver.labels._replace(mouth=mouth))
        return mouth_interior(pairs._replace(driver=driver, flow_valid=shown), points)

    inside = sample(mouth[:, None].float(), points)[:, 0] > 0.5
    assert inside.any()
    for shown in (~mouth, torch.ones_like(mouth)):
        marked, certain = marks(mouth, shown)
        assert torch.equal(marked, inside) and certain.all()
    marked, certain = marks(torch.zeros_like(mouth), ~mouth)
    assert not marked.any() and torch.equal(certain, ~inside)


def test_the_source_is_warped_by_the_true_flow():
    """Where labels say nothing, no loss counts."""
    pairs = some_pairs(drivers=1)
    points, pictures = mouth_points(pairs.driver.pose), pairs.source.picture[:, :3]
    shifted, known = warp_by_labels(pictures, pairs._replace(flow=pairs.flow + torch.tensor([0.1, 0.0])), points)
    wanted = sample(pictures, points + torch.tensor([0.1, 0.0]), padding="border")
    assert_close(shifted, wanted, atol=1e-5, rtol=0)
    assert known.all()
    valid = torch.zeros_like(pairs.driver.labels.valid)
    valid[:, :20] = True
    driver = pairs.driver._replace(labels=pairs.driver.labels._replace(valid=valid))
    _, known = warp_by_labels(pictures, pairs._replace(driver=driver), points)
    assert known[..., :40, :].all() and not known[..., 60:, :].any()


def test_crops_follow_the_head():
    """A spot on the lips is in the middle of the mouth's crop, whatever the pose, and in no crop of an eye."""
    pose = some_pose(yaw=20, roll=15)._replace(translation=torch.tensor([[0.1, -0.1, 0]]), scale=torch.tensor([0.9]))
    view = pose.apply(torch.tensor([[[0.0, 0.27, LIPS_DEPTH]]]))[0, 0, :2]
    spot = ((identity_flow(128, 128)[0].movedim(0, -1) - view).norm(dim=-1) < 0.04).float().expand(1, 3, -1, -1)
    left, right, mouth = eyes_and_mouths(spot, pose)
    assert left.max() == right.max() == 0 and mouth[:, 46:50, 46:50].min() > 0.9
    assert mouth[:, :30].max() == 0


def test_an_avatar_is_repeated_with_its_mouth():
    model = BaseModel(NANO).eval()
    avatar = repeat_each(model.source(some_picture(batch=2), some_motion(batch=2)), 3)
    assert avatar.mouth.texture.shape[0] == avatar.mouth.features.shape[0] == avatar.mouth.light.shape[0] == 6


def test_a_preset_without_a_mouth_field_has_no_stage_for_it():
    config = dataclasses.replace(preset("nano"), face_size=0)
    model = BaseModel(config)
    with pytest.raises(MpkitError, match="has no mouth field"):
        MouthObjective(TrainConfig(preset="nano"))(model, some_pairs())
    assert model.drive(model.source(some_picture(), some_motion()), some_motion()).rendering.detail.mouth is None
