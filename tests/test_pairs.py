"""Training pairs: batches are the same from memory and from disk, and their labels are consistent, mirrored or not."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from mpkit.batch import Pairs
from mpkit.data.augment import colour_jitter, flip_numbers, flip_pose, random_knot_offsets, recolour, spline_warp
from mpkit.data.bundled_people import load_people
from mpkit.data.pairs import MIN_OPENING, PairSet
from mpkit.data.people import RenderedPeople
from mpkit.data.shards import HeadShards, save_shard
from mpkit.errors import MpkitError
from mpkit.geometry import Pose, identity_flow, rotation_from_angles, sample

PEOPLE = load_people()[:5]


def tensors(batch: Pairs, prefix: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a batch by their dotted names."""
    named = {}
    for name, value in zip(batch._fields, batch):
        named |= tensors(value, f"{prefix}{name}.") if isinstance(value, tuple) else {prefix + name: value}
    return named


def assert_same(first: Pairs, second: Pairs) -> None:
    first, second = tensors(first), tensors(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype and torch.equal(value, second[name]), name


def clip_person() -> dict[str, np.ndarray]:
    """A person as `prepare` makes one of a clip: fitted numbers, and no true actions."""
    fields = {name: value for name, value in PEOPLE[0].items() if name not in ("actions", "gaze")}
    return fields | {"numbers": np.zeros((4, 54), np.float32)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """PEOPLE as two tracked shards; the tracker's readings are random, as synthetic people are not conditioned on
    them."""
    folder, readings = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    for number, people in enumerate((PEOPLE[:3], PEOPLE[3:])):
        shape = len(people), len(people[0]["images"])
        save_shard(folder / f"shard-{number}", people)
        np.save(folder / f"shard-{number}" / "numbers.npy", readings.random((*shape, 54), dtype=np.float32))
        np.save(folder / f"shard-{number}" / "found.npy", np.ones(shape, bool))
    return folder


@pytest.fixture(scope="module")
def batch():
    """Eight people, augmented: some of them mirrored."""
    return PairSet.from_people(PEOPLE, 8)[0]


@pytest.mark.parametrize("augment", [True, False])
def test_people_in_memory_and_on_disk_give_the_same_batches(folder, augment):
    memory = PairSet.from_people(PEOPLE, 3, 2, seed=4, augment=augment)
    disk = PairSet({str(folder): 1.0}, 3, 2, seed=4, augment=augment)
    for step in (0, 7):
        assert_same(memory[step], disk[step])


def test_a_batch_depends_on_seed_and_step_alone():
    pairs = PairSet.from_people(PEOPLE, 2)
    first = pairs[3]
    assert_same(first, pairs[3])
    assert_same(first, PairSet.from_people(PEOPLE, 2)[3])
    for other in (pairs[4], PairSet.from_people(PEOPLE, 2, seed=1)[3]):
        assert not torch.equal(first.driver.picture, other.driver.picture)


def test_processes_divide_batches_of_people_in_memory():
    whole = PairSet.from_people(PEOPLE, 4)[2]
    halves = [PairSet.from_people(PEOPLE, 4, part=part, parts=2)[2] for part in (0, 1)]
    assert torch.equal(whole.source.picture, torch.cat([half.source.picture for half in halves]))


def test_collections_on_disk_and_in_memory_mix(folder):
    """A person of a collection is drawn as often as its weight says."""
    mixed = PairSet({str(folder): 1.0, RenderedPeople(PEOPLE[:1]): 0.0}, 2, seed=4)
    assert mixed.probabilities.tolist() == [1, 0]
    assert PairSet({str(folder): 1.0, RenderedPeople(PEOPLE[:1]): 5.0}, 2).probabilities.tolist() == [0.5, 0.5]
    with pytest.raises(MpkitError, match="no people"):
        PairSet.from_people([], 2)
    with pytest.raises(MpkitError, match="nobody has 2 frames"):
        PairSet.from_people([PEOPLE[0] | {"found": np.arange(4) == 2}], 2)


def test_frames_of_clips_are_real():
    assert PairSet.from_people([clip_person()], 2)[0].driver.real.all()


def test_a_person_with_few_frames_gives_a_driver_several_times():
    batch = PairSet.from_people([PEOPLE[0] | {"found": np.arange(4) < 2}], 1, drivers=3, augment=False)[0]
    first, *others = batch.driver.picture
    assert all(torch.equal(first, other) for other in others) and not torch.equal(first, batch.source.picture[0])


def test_the_picture_itself_is_the_target_of_most_lifted_stills():
    """Frame 0 shows it. Renders are then the sources; else any frame is, as in use."""
    lifted = [person | {"reliable": np.ones((4, 64, 64), bool)} for person in PEOPLE]
    pairs = PairSet.from_people(lifted, 64, drivers=2, augment=False)[0]
    pictures = torch.from_numpy(np.stack([person["images"][0] for person in PEOPLE])).movedim(-1, 1).float() / 255
    pictures[:, :3] *= pictures[:, 3:]

    def is_picture(frames):
        return (frames.picture[:, None] == pictures).flatten(2).all(2).any(1)

    first, second = is_picture(pairs.driver).view(64, 2).unbind(1)
    source = is_picture(pairs.source)
    assert 0.6 < first.float().mean() < 0.95 and second.float().mean() < 0.2
    assert not (first & source).any() and source.any()


def opening(people, batch_size: int) -> PairSet:
    """Batches of people whose drivers open the mouth, as far as there are any."""
    pairs = PairSet.from_people(people, batch_size, drivers=1, augment=False)
    pairs.open_mouths = 1.0
    return pairs


def test_drivers_open_the_mouth_where_that_is_asked():
    """The first driver shows more of the mouth interior than the source, for people who open the mouth at all."""
    everyone = RenderedPeople(PEOPLE)
    people = [person for n, person in enumerate(PEOPLE) if np.ptp(everyone.mouth_area(n)) >= MIN_OPENING]
    pairs = opening(people, 16)[0]
    source, driver = (frames.labels.mouth.float().mean((1, 2)) for frames in (pairs.source, pairs.driver))
    assert (driver - source >= MIN_OPENING).all()


def lifted_people(picture: str) -> list[dict]:
    """PEOPLE as lifted stills whose picture, frame 0, opens the mouth "widest" or "least" of all frames."""
    lifted = []
    for n, person in enumerate(PEOPLE):
        order = np.argsort(RenderedPeople(PEOPLE).mouth_area(n))[:: -1 if picture == "widest" else 1]
        moved = {name: value[order] for name, value in person.items() if len(np.atleast_1d(value)) == len(order)}
        lifted.append(person | moved | {"reliable": np.ones((4, 64, 64), bool)})
    return lifted


def test_of_lifted_stills_the_picture_itself_opens_the_mouth(monkeypatch):
    monkeypatch.setattr("mpkit.data.pairs.REAL_TARGET_SHARE", 1.0)
    pairs = opening(lifted_people("widest"), 16)[0]
    assert pairs.driver.real.all() and not pairs.source.real.any()


def test_renders_of_lifted_stills_open_the_mouth_too_where_colours_are_reliable():
    people = lifted_people("least")
    assert not opening(people, 16)[0].driver.real.any()
    for person in people:
        person["reliable"][1:] = False
    everyone = RenderedPeople(people)
    assert not any(everyone.mouth_area(n)[1:].any() for n in range(len(people)))


def test_people_who_never_open_the_mouth_are_drawn_too():
    shut = [{**person, "triangle": np.full_like(person["triangle"], -1)} for person in PEOPLE]
    assert len(opening(shut, 2)[0].source.picture) == 2


def test_tensors_have_the_documented_shapes_and_ranges(batch):
    assert batch.source.picture.shape == (8, 4, 64, 64) and batch.driver.picture.shape == (16, 4, 64, 64)
    assert batch.flow.shape == (16, 32, 32, 2) and batch.motion_input.shape == (24, 3, 64, 64)
    for frames in (batch.source, batch.driver):
        assert frames.labels.canonical.shape == frames.labels.view.shape == (len(frames.picture), 32, 32, 3)
        assert 0 <= frames.picture.min() and (frames.picture[:, :3] <= frames.picture[:, 3:] + 1e-6).all()
        assert frames.picture.max() <= 1 and frames.reliable.all()
        assert (frames.labels.valid | ~frames.labels.mouth).all() and not frames.real.any()
    for name, value in tensors(batch).items():
        assert value.isfinite().all(), name


def test_labels_lie_on_their_cells(batch):
    """The point that a cell shows is at the cell in the frame's view, in mirrored frames too."""
    centres = identity_flow(32, 32)[0].movedim(0, -1)
    for labels in (batch.source.labels, batch.driver.labels):
        offset = (labels.view[..., :2] - centres)[labels.valid]
        assert len(offset) > 1000 and offset.abs().max() < 0.1 * 2 / 32  # a tenth of a cell
        assert labels.canonical[labels.valid].abs().max() < 2.5


def test_the_true_flow_leads_to_the_same_point_of_the_head(batch):
    """Where source and driver show a point, the source's label there has the canonical coordinates of the driver's."""
    canonical = batch.source.labels.canonical.movedim(-1, 1).repeat_interleave(2, 0)
    found = sample(canonical, batch.flow).movedim(1, -1)
    inside = batch.flow_valid & (batch.flow.abs() < 1).all(-1)
    error = (found - batch.driver.labels.canonical)[inside].norm(dim=-1)
    assert inside.sum() > 2000 and error.median() < 0.02


def test_a_mirrored_pose_moves_mirrored_points():
    pose = Pose(rotation_from_angles(*torch.tensor([[20.0], [-10.0], [5.0]])), torch.rand(1, 3), torch.rand(1) + 0.5)
    points, mirror = torch.rand(1, 6, 3), torch.tensor([-1.0, 1.0, 1.0])
    assert_close(flip_pose(pose).apply(points * mirror), pose.apply(points) * mirror)
    numbers = torch.rand(2, 54)
    assert torch.equal(flip_numbers(flip_numbers(numbers)), numbers)


def test_a_spline_of_equal_offsets_is_a_shift_and_of_none_the_identity():
    picture = torch.rand(1, 3, 16, 16)
    still = random_knot_offsets(np.random.default_rng(0), 0.0, 1)
    assert_close(spline_warp(picture, still), picture, atol=1e-4, rtol=0)
    shifted = spline_warp(picture, still + torch.tensor([2 / 16, 0.0]))  # one pixel
    assert_close(shifted[..., :-1], picture[..., 1:], atol=1e-4, rtol=0)


def test_jitter_keeps_alpha_and_premultiplication():
    alpha = torch.rand(4, 1, 8, 8)
    picture = torch.cat([torch.rand(4, 3, 8, 8) * alpha, alpha], dim=1)
    same = recolour(picture, torch.eye(3).expand(4, 3, 3), torch.zeros(4, 3))
    assert_close(same, picture)
    changed = recolour(picture, *colour_jitter(np.random.default_rng(0), 0.5, 4))
    assert torch.equal(changed[:, 3:], alpha) and (changed[:, :3] <= alpha).all() and (changed >= 0).all()
    assert (changed - picture).abs().mean() > 0.01


def test_shards_of_an_earlier_version_are_read(tmp_path):
    """They say `believed` for `reliable`."""
    reliable = np.random.default_rng(0).random((len(PEOPLE[0]["images"]), 64, 64)) < 0.5
    save_shard(tmp_path / "shard-0", [PEOPLE[0] | {"believed": reliable, "found": np.ones(4, bool)}])
    sampled = HeadShards(tmp_path).sample(0, 1)
    assert np.array_equal(sampled["reliable"], reliable[1]) and "believed" not in sampled
