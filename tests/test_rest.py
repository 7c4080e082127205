"""Tests of the correction at rest: in its own motion a portrait is its picture, whatever the networks do."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from face_pictures import SHARED, needs_shared

from mpkit import Animator
from mpkit.actions import ACTIONS
from mpkit.animation.islands import without_islands
from mpkit.animation.rest import RestError
from mpkit.assets import EXAMPLES
from mpkit.errors import NoFaceError
from mpkit.faces.canonical import LIPS_APART
from mpkit.faces.crop import cut
from mpkit.geometry import identity_flow
from mpkit.media.images import read_image
from mpkit.networks.detail import Detail, identity_trace
from mpkit.networks.mouth import MouthLayer

SIZE = 32
JAW = np.float32([name == "jawOpen" for name in ACTIONS])


@pytest.fixture(scope="module")
def bundled():
    """The animator with the bundled weights."""
    return Animator.load(device="cpu")


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """In dB, of two pictures; at most 99."""
    return -20 * np.log10(max(np.sqrt(np.mean((a.astype(float) - b) ** 2)) / 255, 1e-5))


def make_detail(seed: int, strength: float) -> Detail:
    """A rendering that is off by smooth offsets of about `strength` half sides and replaces parts of the source."""
    values = torch.randn(1, 6, 4, 4, generator=torch.Generator().manual_seed(seed))
    values = torch.nn.functional.interpolate(values, size=(SIZE, SIZE), mode="bilinear")
    flow = identity_flow(SIZE, SIZE) + strength * values[:, :2]
    mask = torch.sigmoid(2 + values[:, 2:3])
    surface = identity_flow(SIZE, SIZE).movedim(1, -1)
    trace = identity_trace(torch.nn.functional.pad(surface, (0, 1)))
    return Detail(values[:, 2:], mask, values[:, 2:], flow, flow, mask, mask, trace)


@pytest.mark.parametrize("strength", [0.02, 2.0])
def test_at_rest_the_source_alone_is_sampled_where_it_is(strength):
    """Also for errors that fold the picture."""
    detail = make_detail(0, strength)
    corrected = RestError.of(detail).removed_from(detail)
    torch.testing.assert_close(corrected.flow, identity_flow(SIZE, SIZE), atol=1e-6, rtol=0)
    assert corrected.mask.min() > 1 - 1e-6


def test_an_error_is_taken_off_at_the_source_point_that_is_sampled():
    """A rendering that shows the source 5 cells farther right, with the same error, shows it exactly there."""
    at_rest, step = make_detail(0, 0.02), 5
    shift = 2 * step / SIZE
    moved = at_rest._replace(
        flow=torch.roll(at_rest.flow - identity_flow(SIZE, SIZE), step, 3) + identity_flow(SIZE, SIZE)
        - torch.tensor([shift, 0]).view(1, 2, 1, 1),
        mask=torch.roll(at_rest.mask, step, 3),
    )  # fmt: skip
    corrected = RestError.of(at_rest).removed_from(moved)
    expected = identity_flow(SIZE, SIZE) - torch.tensor([shift, 0]).view(1, 2, 1, 1)
    inside = (..., slice(2, -2), slice(step + 2, -2))
    torch.testing.assert_close(corrected.flow[inside], expected[inside], atol=1e-4, rtol=0)
    assert corrected.mask[inside].min() > 0.999


def test_the_mouth_layer_is_corrected_only_where_the_source_is_shown():
    """A smiling source, over whose teeth the layer is drawn at rest too, keeps the layer in the gap that opens."""
    placement = torch.tensor([[[2.0, 0, 0], [0, 2.0, 0]]])  # the layer covers the middle half of the view
    texture = torch.cat([torch.rand(1, 3, 8, 8), torch.full((1, 1, 8, 8), 0.75)], dim=1)
    still = make_detail(0, 0.0)._replace(mask=torch.ones(1, 1, SIZE, SIZE), mouth=MouthLayer(texture, placement))
    at_rest = RestError.of(still)
    assert at_rest.removed_from(still).mouth.texture[:, 3].max() == 0
    hidden = torch.ones(1, 1, SIZE, SIZE)
    hidden[..., SIZE // 2 :, :] = 0  # the lower half of the view
    alpha = at_rest.removed_from(still._replace(mask=hidden)).mouth.texture[0, 3]
    assert alpha[:3].max() == 0 and (alpha[5:] == 0.75).all()


def test_the_mouth_layer_stays_where_the_expression_has_changed():
    """There the flow moves the source's teeth with its lips. A turn of the head alone changes no expression."""
    placement = torch.tensor([[[2.0, 0, 0], [0, 2.0, 0]]])
    texture = torch.cat([torch.rand(1, 3, 8, 8), torch.full((1, 1, 8, 8), 0.75)], dim=1)
    still = make_detail(0, 0.02)._replace(mask=torch.ones(1, 1, SIZE, SIZE), mouth=MouthLayer(texture, placement))
    moved = still.trace.moved.clone()
    moved[:, SIZE // 2 :, :, 1] = LIPS_APART  # the lower half of the view
    spoken = still._replace(trace=still.trace._replace(moved=moved))
    corrected = RestError.of(still).removed_from(spoken)
    alpha = corrected.mouth.texture[0, 3]
    assert alpha[:3].max() == 0 and (alpha[5:] == 0.75).all()
    below = (..., slice(20, 22), slice(12, 20))  # the layer
    own, identity = still.flow[below], identity_flow(SIZE, SIZE)[below]
    torch.testing.assert_close(corrected.flow[below], torch.lerp(identity, own, 0.75), atol=1e-6, rtol=0)


def test_painted_spots_beside_the_person_are_not_shown():
    """What is connected to the person stays painted; a spot that is not becomes the source."""
    detail = make_detail(0, 0.02)
    person, spot = torch.zeros(1, 1, SIZE, SIZE), torch.zeros(1, 1, SIZE, SIZE)
    person[..., 6:20, 6:20], spot[..., 26:29, 26:29] = 1, 0.6
    colour = torch.cat([detail.colour[:, :3], person + spot], dim=1)
    source = torch.cat([detail.colour[:, :3], person], dim=1)
    detail = detail._replace(colour=colour, warped=source, mask=torch.full_like(person, 0.3))
    mask = without_islands(detail).mask
    assert (mask[spot > 0] == 1).all() and (mask[person > 0] == 0.3).all()
    alone = detail._replace(colour=source)
    assert without_islands(alone) is alone


@pytest.mark.parametrize("name", ["grace_hopper", "mona_lisa", "eileen_collins"])
def test_a_portrait_in_its_own_motion_is_its_picture(bundled, name):
    made = bundled.portrait(EXAMPLES / f"{name}.jpg")
    shown, image = made.lay(bundled.head(made, made.motion)), read_image(EXAMPLES / f"{name}.jpg")
    if made.size == round(2 * made.crop.radius):
        assert np.array_equal(shown, image)
    else:  # the crop of a small picture is enlarged, and resampled when it is laid back
        assert psnr(bundled.frame(made, made.motion), cut(made.image, made.crop, made.size)) > 50
        assert psnr(shown, image) > 40


def test_lips_that_are_misread_as_open_stay_closed_at_rest(bundled, monkeypatch):
    """As of the man of "American Gothic": the tracker reads jawOpen 0.65 where lips are closed."""
    import mpkit.animation.animator as module

    find = module.find_face

    def misread(tracker, image, which):
        face = find(tracker, image, which)
        actions = face.actions.copy()
        actions[[ACTIONS.index("jawOpen"), ACTIONS.index("mouthClose")]] = 0.65, 0.58
        return replace(face, actions=actions)

    monkeypatch.setattr(module, "find_face", misread)
    made = bundled.portrait(EXAMPLES / "grace_hopper.jpg", size=256)
    assert made.motion.numbers[0, ACTIONS.index("jawOpen")] == pytest.approx(0.07, abs=1e-5)
    assert psnr(bundled.frame(made, made.motion), cut(made.image, made.crop, 256)) > 40


def test_lips_stay_closed_at_rest_whatever_was_read(bundled, monkeypatch):
    """Where the networks, at the portrait's own motion, would open its mouth."""
    import mpkit.animation.transfer as module

    monkeypatch.setattr(module, "closed_over_jaw", lambda actions: np.maximum(actions, 0.65 * JAW))
    made = bundled.portrait(EXAMPLES / "grace_hopper.jpg", size=256)
    without = bundled.frame(replace(made, rest_error=None), made.motion)
    own, source = bundled.frame(made, made.motion), cut(made.image, made.crop, 256)
    assert psnr(own, source) > 40 and psnr(without, source) < 35


@pytest.mark.parametrize("angle", [30, 65, 90, 180, -120])
def test_a_leaning_portrait_at_rest_is_its_picture(bundled, angle):
    """The crop turns with the head: it is resampled, and only its inside is compared."""
    image = read_image(EXAMPLES / "grace_hopper.jpg")
    image = cv2.copyMakeBorder(image, 150, 150, 200, 200, cv2.BORDER_REPLICATE)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1)
    image = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
    made = bundled.portrait(image)
    assert (made.crop.angle - angle + 180) % 360 - 180 == pytest.approx(0, abs=6)
    assert bundled.model.config.detail and abs(made.motion.pose.rotation[0, 1, 0]) < 0.12  # the head is upright in it
    shown = bundled.frame(made, made.motion)
    assert psnr(shown, cut(image, made.crop, made.size)) > 40
    assert psnr(made.lay(bundled.head(made, made.motion)), image) > 40


@needs_shared
@pytest.mark.parametrize("folder", ["paintings", "characters", "photos", "portraits_hd"])
def test_shared_stills_at_rest_are_their_pictures(bundled, folder):
    """Some of them; all are measured in docs/robustness.md."""
    count = 0
    for path in sorted((SHARED / "data" / folder).rglob("*.*"))[5::40]:
        if path.suffix not in (".jpg", ".png"):
            continue
        try:
            made = bundled.portrait(path, size=256)
        except NoFaceError:
            continue
        assert psnr(bundled.frame(made, made.motion), cut(made.image, made.crop, 256)) > 40, path
        count += 1
    assert count
