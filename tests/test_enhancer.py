"""The high-resolution stage: G_enh, its data, its losses, its training, and `mpkit animate --enhance`."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support import meta, random_loss, some_pose, stirred, unreached
from torch import Tensor
from torch.testing import assert_close
from training_runs import train_until_first_save

from mpkit import Animator
from mpkit.assets import EXAMPLES
from mpkit.batch import map_tensors
from mpkit.cli.main import main
from mpkit.config import ENHANCERS, PRESETS, EnhancerConfig, preset
from mpkit.data.stills import Stills, StillSet, read_stills
from mpkit.errors import MediaError, MpkitError, WeightsError
from mpkit.geometry import Pose
from mpkit.losses.high_resolution import low_resolution_cycle_loss
from mpkit.media.images import read_image
from mpkit.networks import Enhancer
from mpkit.networks.blocks import upsample
from mpkit.networks.face_field import AVERAGE_ANCHORS
from mpkit.training.config import TrainConfig
from mpkit.training.loop import train
from mpkit.training.stages.enhancer import EnhancerObjective
from mpkit.training.trainer import Trainer
from mpkit.weights import load_network, load_tensors, save_weights

NANO = preset("nano", ENHANCERS)
READ = "mpkit.training.stages.enhancer.read_stills"


def some_still(number: int, size: int = 128) -> Stills:
    """A picture of smooth colours in an ellipse, with a random pose and expression."""
    random = torch.Generator().manual_seed(number)
    colours = F.interpolate(torch.rand(1, 3, 8, 8, generator=random), size=(size, size), mode="bicubic").clamp(0, 1)
    axis = torch.linspace(-1, 1, size)
    alpha = ((axis**2)[:, None] + 1.5 * axis**2 < 0.8).float().expand(1, 1, -1, -1)
    picture = (torch.cat([colours * alpha, alpha], dim=1) * 255).byte()
    anchors = F.pad(torch.tensor(AVERAGE_ANCHORS), (0, 1), value=-0.4)[None]
    return Stills(picture, some_pose(yaw=10.0 * number - 20), torch.rand(1, 54, generator=random), anchors)


@pytest.fixture
def stills(monkeypatch):
    """Three stills that every run of the test trains on."""
    stills = [some_still(number) for number in range(3)]
    monkeypatch.setattr(READ, lambda *_: stills)
    return stills


@pytest.fixture
def config(weights, tmp_path):
    return TrainConfig(
        preset="nano", base=str(weights), run=str(tmp_path / "run"), steps=4, batch_size=2, save_every=2, log_every=2,
        grid_every=2, warmup=2,
    )  # fmt: skip


@pytest.fixture(scope="session")
def enhancer_weights(tmp_path_factory):
    """A weights file of a random nano enhancer."""
    path = tmp_path_factory.mktemp("enhancer") / "enhancer.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_weights(path, stirred(Enhancer(NANO)))
    return path


def objective_and_batch(config, stills):
    objective = EnhancerObjective(config)
    return objective, StillSet(stills, 2)[0]


# --- the network -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_enhancer_doubles_the_picture_of_the_base_model(name):
    size = preset(name).image_size
    image = torch.empty(1, 3, size, size, device="meta")
    assert meta(Enhancer, preset(name, ENHANCERS))(image).shape == (1, 3, 2 * size, 2 * size)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("standardised", [False, True])
def test_gradients_reach_every_weight(residual, standardised):
    config = dataclasses.replace(NANO, residual=residual, weight_standardization=standardised)
    enhancer = stirred(Enhancer(config))
    image = enhancer(torch.rand(2, 3, 64, 64))
    assert image.shape == (2, 3, 128, 128) and 0 <= image.min() and image.max() <= 1
    assert not unreached(enhancer, random_loss(image))


def test_pictures_of_another_size_are_refused():
    with pytest.raises(ValueError, match="G_enh takes pictures"):
        Enhancer(NANO)(torch.rand(1, 3, 32, 32))


def test_config_must_mirror():
    with pytest.raises(ValueError, match="same length"):
        EnhancerConfig(encoder_widths=(64,))


def test_only_our_presets_are_residual():
    assert {name for name, config in ENHANCERS.items() if config.residual} == {"nano", "tiny"}


def test_a_residual_enhancer_starts_as_bilinear_enlargement():
    image = torch.rand(1, 3, 64, 64)
    assert_close(Enhancer(NANO)(image), upsample(image, 2))


def test_the_papers_design_starts_sane():
    """Its depth and weight standardisation, with fewer channels: pictures neither grey nor saturated, and gradients of
    the first block of the same order as those of the last."""
    narrow = {"encoder_widths": (16, 24, 32), "volume_channels": 8, "volume_depth": 4, "decoder_width": 32}
    narrow |= {"decoder_widths": (24, 16, 16), "final_widths": (16, 16, 16), "normalization_groups": 8}
    enhancer = Enhancer(EnhancerConfig(image_size=32, stem_width=16, **narrow))
    image = enhancer(torch.rand(2, 3, 32, 32))
    assert image.isfinite().all() and 0.3 < image.mean() < 0.7 and 0.05 < image.std() < 0.35
    image.square().mean().backward()
    first, last = (block.conv1.parametrizations.weight.original for block in (enhancer.encoder[0], enhancer.final[-1]))
    assert 0.05 < (first.grad * first).norm() / (last.grad * last).norm() < 20


def test_weights_survive_a_round_trip(enhancer_weights):
    enhancer = load_network(enhancer_weights, Enhancer)
    assert enhancer.config == NANO and not enhancer.training


# --- stills ----------------------------------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_used_is_left_out_in_one_line(tmp_path, capsys):
    for name in ("grace_hopper.jpg", "mona_lisa.jpg"):
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / name).write_bytes((EXAMPLES / name).read_bytes())
    (tmp_path / "cut.jpg").write_bytes((EXAMPLES / "mona_lisa.jpg").read_bytes()[:90_000])
    (tmp_path / "notes.txt").write_text("not a picture")
    stills = read_stills([tmp_path], 128)
    assert len(stills) == 2
    for still in stills:
        assert still.picture.shape == (1, 4, 128, 128) and still.picture.dtype == torch.uint8
        assert still.numbers.shape == (1, 54) and still.anchors.shape == (1, 3, 3)
        assert (still.picture[:, :3] <= still.picture[:, 3:]).all()  # premultiplied
        assert still.picture[0, 3, 64, 64] == 255  # the middle shows the person
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith(f"skipped {tmp_path / 'cut.jpg'}")


def test_a_head_without_detail_is_left_out(tmp_path, capsys):
    (tmp_path / "small.jpg").write_bytes((EXAMPLES / "eileen_collins.jpg").read_bytes())
    with pytest.raises(MediaError, match="0 pictures can be used; two or more are needed"):
        read_stills([tmp_path], 512)
    assert "227 pixels wide; 256 are the least" in capsys.readouterr().out


def test_folders_that_do_not_exist_or_hold_nothing_are_errors(tmp_path):
    with pytest.raises(MediaError, match="there is no folder"):
        read_stills([tmp_path / "missing"], 128)
    with pytest.raises(MediaError, match="0 pictures can be used"):
        read_stills([tmp_path], 128)


def test_batches_depend_on_seed_and_step_alone(stills):
    first, second, other = StillSet(stills, 4), StillSet(stills, 4), StillSet(stills, 4, seed=1)
    assert torch.equal(first[7].picture, second[7].picture) and torch.equal(first[7].numbers, second[7].numbers)
    assert not torch.equal(first[7].picture, first[8].picture)
    assert not torch.equal(first[7].picture, other[7].picture)


def test_neighbours_are_different_stills(stills):
    batches = StillSet(stills[:2], 4, augment=False)
    for step in range(10):
        numbers = batches[step].numbers
        assert not torch.equal(numbers[0], numbers[1]) and not torch.equal(numbers[2], numbers[3])


def test_batches_are_divided_among_processes(stills):
    whole = StillSet(stills, 4)[5]
    halves = [StillSet(stills, 4, part=part, parts=2)[5] for part in (0, 1)]
    assert torch.equal(whole.picture, torch.cat([half.picture for half in halves]))
    with pytest.raises(MpkitError, match="give --batch-size 4 or more"):
        StillSet(stills, 2, parts=2)


def test_flips_keep_pictures_and_labels_together(stills):
    """A still with a red left half and a head turned to the left, in 20 batches: both flip, or neither does."""
    picture = torch.full((1, 4, 128, 128), 255, dtype=torch.uint8)
    picture[:, 1:3, :, :64] = 0
    batches = StillSet([Stills(picture, some_pose(yaw=-20), still.numbers, still.anchors) for still in stills[:2]], 2)
    seen = set()
    for step in range(20):
        batch = batches[step]
        red_left = batch.picture[:, 1, :, :64].mean((1, 2)) < batch.picture[:, 1, :, 64:].mean((1, 2))
        left = batch.pose.rotation[:, 2, 0] < 0
        assert torch.equal(red_left, left)
        seen |= set(left.tolist())
    assert seen == {False, True}


# --- the objective ---------------------------------------------------------------------------------------------------


def test_the_cycle_loss_is_zero_for_plain_enlargement():
    image = torch.rand(2, 3, 64, 64)
    assert low_resolution_cycle_loss(image, F.interpolate(image, scale_factor=2, mode="nearest")) < 1e-6
    ramp = torch.linspace(0, 1, 64).expand(1, 3, 64, 64)
    assert low_resolution_cycle_loss(ramp, upsample(ramp, 2)) < 1e-3
    assert low_resolution_cycle_loss(image, 0.5 * F.interpolate(image, scale_factor=2)) > 0.1


def test_self_pairs_show_their_still_and_cross_pairs_another_motion(config, stills):
    objective, batch = objective_and_batch(config, stills)
    stirred(objective.base)  # a new base model shows every expression alike
    own, crossed = objective.drive(batch).chunk(2)
    assert own.shape == crossed.shape == (2, 3, 64, 64) and objective.samples == 2
    assert (own - crossed).abs().mean() > 1e-3
    same = batch._replace(pose=Pose(*(part[:1].repeat_interleave(2, 0) for part in batch.pose)))
    same = same._replace(numbers=batch.numbers[:1].repeat(2, 1))
    # In fp64, because some processors round the rows of a batch differently, which the stirred network enlarges
    own, crossed = objective.double().drive(map_tensors(Tensor.double, same)).chunk(2)
    assert_close(own, crossed, atol=1e-5, rtol=0)  # the neighbour has the same motion


def test_the_loss_trains_g_enh_alone(config, stills):
    objective, batch = objective_and_batch(config, stills)
    enhancer = stirred(Enhancer(NANO))
    loss, terms, made = objective(enhancer, batch)
    assert set(terms) == {field.name for field in dataclasses.fields(objective.weights)}
    assert set(objective.equations) == {*terms, "discriminator"}
    assert not unreached(enhancer, loss)
    assert not any(parameter.grad is not None for parameter in objective.parameters())


def test_every_term_but_none_of_the_discriminators_reaches_g_enh(config, stills):
    objective, batch = objective_and_batch(config, stills)
    enhancer = stirred(Enhancer(NANO))
    _, terms, made = objective(enhancer, batch)
    for name, term in terms.items():
        enhancer.zero_grad(set_to_none=True)
        term.backward(retain_graph=True)
        assert enhancer.out.weight.grad.any(), name
    enhancer.zero_grad(set_to_none=True)
    assert not unreached(objective.discriminator, objective.discriminator_loss(batch, made))
    untouched = [*enhancer.parameters(), *objective.base.parameters()]
    assert not any(parameter.grad is not None for parameter in untouched)


def test_cross_pairs_have_no_target(config, stills):
    """Only self pairs move L1 and matching; only cross pairs move the cycle loss."""
    objective, batch = objective_and_batch(config, stills)

    def gradient(name):
        high = torch.rand(4, 3, 128, 128, requires_grad=True)
        objective(lambda low: high, batch).terms[name].backward()
        return [part.any().item() for part in high.grad.chunk(2)]

    assert gradient("l1") == gradient("matching") == gradient("adversarial") == [True, False]
    assert gradient("cycle") == gradient("cross_adversarial") == [False, True]


def test_presets_without_weights_need_a_base_model():
    with pytest.raises(WeightsError, match="give one with --base"):
        EnhancerObjective(TrainConfig(preset="nano"))


def test_base_model_and_enhancer_must_have_one_size(weights):
    with pytest.raises(WeightsError, match="of preset tiny takes pictures of 256 pixels, but a base model"):
        EnhancerObjective(TrainConfig(preset="tiny", base=str(weights)))


# --- training --------------------------------------------------------------------------------------------------------


def test_resume_is_bit_equal(config, stills, tmp_path, monkeypatch):
    whole, parts = (dataclasses.replace(config, run=str(tmp_path / name)) for name in ("whole", "parts"))
    enhancer = train(whole, "enhancer", progress=False)
    train_until_first_save(parts, "enhancer", monkeypatch)
    train(parts, "enhancer", progress=False)
    first, second = (load_tensors(tmp_path / name / "state.safetensors")[0] for name in ("whole", "parts"))
    assert first.keys() == second.keys() and not any(name.startswith("base") for name in first)
    assert [name for name in first if not torch.equal(first[name], second[name])] == []

    assert load_network(tmp_path / "whole" / "weights.safetensors", Enhancer).config == enhancer.config
    assert (tmp_path / "whole" / "grid-000002.png").exists()


def test_held_out_stills_are_not_augmented(config, stills):
    assert EnhancerObjective(config).validation() is None
    held_out = EnhancerObjective(dataclasses.replace(config, validation=("held out",))).validation()
    pictures = [still.picture[0].float() / 255 for still in stills]
    assert all(any(torch.equal(picture, still) for still in pictures) for picture in held_out[3].picture)


def test_two_stills_are_learned_by_heart(config, stills):
    """From a random base model, whose pictures are far from the stills."""
    config = dataclasses.replace(config, steps=50, learning_rate=4e-3, warmup=5)
    trainer = Trainer(config, "enhancer")
    batch = StillSet(stills[:2], 2, augment=False)[0]
    losses = [trainer.step(batch)["l1"].value for _ in range(config.steps)]
    assert np.mean(losses[-5:]) < 0.5 * losses[0]


# --- animation -------------------------------------------------------------------------------------------------------


def test_an_enhanced_animation_has_the_same_frames_with_another_head(weights, enhancer_weights, portrait):
    plain, enhanced = (Animator.load(weights, device="cpu", enhancer=path) for path in (None, enhancer_weights))
    prepared = plain.portrait(read_image(portrait), size=96)
    frames = [animator.frame(prepared, prepared.motion) for animator in (plain, enhanced)]
    assert frames[0].shape == frames[1].shape == (96, 96, 3)
    difference = np.abs(frames[0].astype(int) - frames[1]).mean()
    assert 1 < difference < 100


def test_mpkit_animate_enhance(weights, enhancer_weights, portrait, tmp_path):
    command = ["animate", str(portrait), str(EXAMPLES / "nod.json"), "--output", str(tmp_path / "frames")]
    command += ["--max-frames", "2", "--no-paste-back", "--device", "cpu", "--weights", str(weights)]
    assert main([*command, "--enhance", str(enhancer_weights)]) == 0
    assert len(list((tmp_path / "frames").iterdir())) == 2


@pytest.mark.parametrize("wrong", ["kind", "size"])
def test_an_enhancer_that_does_not_fit_is_an_error(weights, enhancer_weights, wrong):
    if wrong == "kind":
        with pytest.raises(WeightsError, match="holds weights of a base model, not of an enhancer"):
            Animator.load(weights, device="cpu", enhancer=weights)
    else:
        with pytest.raises(WeightsError, match="of preset nano takes pictures of 64 pixels"):
            Animator.load(device="cpu", enhancer=enhancer_weights)
