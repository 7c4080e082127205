"""Properties of the fit of facial actions: fractions of known offsets, one shape for a person, no lag, no NaN."""

import time
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from face_pictures import make_face, rotation

from mpkit.actions import ACTIONS, vector
from mpkit.assets import EXAMPLES
from mpkit.data.lifted import TEXTURE_SIDE, lift, render
from mpkit.faces.action_fit import SHAPE_FACES, ActionFitter, closing_of, nonnegative_minimum, shape_of
from mpkit.faces.canonical import EYE_LANDMARKS
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face, bounding_box
from mpkit.faces.face_model import BLINKS, FITTED, FITTED_ACTIONS, fitted_points, lid_gaps, load_face_model
from mpkit.faces.follow import follow
from mpkit.faces.matte import Matte
from mpkit.faces.mediapipe_tracker import MediaPipeTracker, face_from_landmarks
from mpkit.media.images import read_image

JAW, SMILE, BLINK = (ACTIONS.index(name) for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft"))
PICTURE = np.zeros((8, 8, 3), np.uint8)
CENTRE, RADIUS = np.float32((200, 150, 0)), 80.0


def some_shape(seed=0):
    return np.random.default_rng(seed).normal(0, 0.7, len(load_face_model().shapes)).astype(np.float32)


def modelled(shape=None, angles=(0, 0, 0), noise=0.0, seed=0, **actions):
    """A face whose landmarks are those of the model, with errors of `noise` canonical units, fitted alone."""
    model, numbers = load_face_model(), vector(**actions)
    shape = some_shape() if shape is None else shape
    x, y = numbers[52:]
    looks = (max(x, 0), max(-x, 0), max(y, 0), max(-y, 0))
    fitted = np.append(numbers[[ACTIONS.index(name) for name in FITTED_ACTIONS]], looks)
    fitted[BLINKS] *= closing_of(model, shape)
    points = model.mean + np.tensordot(fitted, model.offsets, 1) + np.tensordot(shape, model.shapes, 1)
    points += noise * np.random.default_rng(seed).normal(size=points.shape)
    irises = [
        np.repeat(points[[outer, inner]].mean(0, keepdims=True) + iris, 5, 0)
        for (outer, inner, _), iris in zip(EYE_LANDMARKS, points[-2:])
    ]
    turned = rotation(*angles)
    landmarks = RADIUS * np.concatenate([points[:-2], *irises]) @ turned.T + CENTRE
    numbers = vector()
    rest = numbers[:52], numbers[52:], turned, CENTRE[:2], RADIUS
    return ActionFitter()(Face(landmarks.astype(np.float32), bounding_box(landmarks), *rest, coefficients=numbers[:52]))


def numbers_of(face):
    return np.concatenate([face.actions, face.gaze])


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, -10, 8)])
@pytest.mark.parametrize("name", ["jawOpen", "smile", "eyeBlink", "pucker", "browInnerUp", "mouthLowerDown", "gaze_x"])
def test_half_of_an_action_is_read_as_about_half(name, angles):
    """With the shape of the neutral face. Weak actions are drawn towards 0, by less than 0.2."""
    fitter = ActionFitter(shape_of([modelled(angles=angles, noise=0.001)]))
    wanted = vector(**{name: 0.5})
    numbers = numbers_of(fitter(modelled(angles=angles, noise=0.001, seed=1, **{name: 0.5})))
    assert numbers[wanted > 0] == pytest.approx(0.5, abs=0.2)
    others = (wanted == 0) & ~np.char.startswith([*ACTIONS, "", ""], "eyeLook")
    assert np.abs(numbers[others]).max() < 0.2


def test_half_of_an_action_of_a_lifted_still_is_read_as_about_half():
    image = read_image(EXAMPLES / "grace_hopper.jpg")
    with MediaPipeTracker() as tracker, Matte() as matte:
        face = tracker.detect(image)[0]
        crop = Crop.of(face)
        lifted = lift(image, face, matte.in_crop(image, crop, TEXTURE_SIDE), crop)

        def seen(**actions):
            frame = render(lifted, lifted.source._replace(actions=vector(**actions)[:52]), 256)["images"]
            return tracker.detect(np.where(frame[..., 3:] > 127, frame[..., :3], 128).astype(np.uint8))[0]

        fitter = ActionFitter(shape_of([seen()]))
        for index, name in ((JAW, "jawOpen"), (SMILE, "smile")):
            half, whole = (fitter(seen(**{name: share})).actions[index] for share in (0.5, 1.0))
            assert half == pytest.approx(0.5, abs=0.15) and whole > 0.85, name


def test_a_gaze_with_a_known_shape_is_divided_by_the_response():
    shape, face = some_shape(), modelled(smile=0.3, gaze_x=0.3)
    divided, most_probable = ActionFitter(shape), ActionFitter(shape)
    most_probable.response = np.ones(len(FITTED))
    response = load_face_model().response
    np.testing.assert_allclose(divided.fit(face) * response, most_probable.fit(face), atol=1e-6)
    assert (ActionFitter().response == 1).all()
    assert (response[:-4] == 1).all() and 0.5 < response[-4:].min() and response[-4:].max() < 1.2


def shape_with_lids(change):
    """The most probable shape whose lids are farther apart than those of the mean face by `change`, canonical units."""
    gaps = lid_gaps(load_face_model().shapes).mean(1)
    return (change * gaps / (gaps @ gaps)).astype(np.float32)


@pytest.mark.parametrize("change", [-0.015, 0.015])
def test_a_whole_blink_closes_narrow_and_wide_eyes(change):
    """Half of it closes them by half. Fitted as the mean face's, the blinks of narrow eyes were read as 0.7."""
    shape = shape_with_lids(change)
    fitter = ActionFitter(shape_of([modelled(shape)]))
    for share in (0.5, 1.0):
        actions = fitter(modelled(shape, eyeBlink=share)).actions
        assert actions[[ACTIONS.index(FITTED[index]) for index in BLINKS]] == pytest.approx(share, abs=0.12), share
    closed = load_face_model()
    closed = lid_gaps(closed.mean + closed.offsets[BLINKS].sum(0)).mean()
    assert lid_gaps(fitted_points(modelled(shape, eyeBlink=1))).mean() == pytest.approx(closed, abs=1e-3)


def test_closed_eyes_keep_the_gaze_of_the_frame_before():
    """Their lids are not read as those of eyes that look down, which moves lids too."""
    fitter = ActionFitter(shape_of([modelled()]), smooth=True)
    aside = fitter(modelled(gaze_x=0.6)).gaze[0]
    shut = fitter(modelled(eyeBlink=1, gaze_y=0.8))
    assert aside == pytest.approx(0.6, abs=0.15) and 0.3 < shut.gaze[0] <= aside and abs(shut.gaze[1]) < 0.1
    assert np.abs(ActionFitter(shape_of([modelled()]))(modelled(eyeBlink=1, gaze_x=0.6, gaze_y=0.8)).gaze).max() < 0.1


def test_an_expression_is_lopsided_only_where_landmarks_say_so():
    fitter = ActionFitter(shape_of([modelled()]))
    for name in ("eyeBlink", "mouthSmile", "mouthUpperUp", "browOuterUp"):
        left, right = (ACTIONS.index(name + side) for side in ("Left", "Right"))
        noisy = [fitter(modelled(noise=0.004, seed=seed, **{name: 0.5})).actions for seed in range(8)]
        assert np.abs([actions[left] - actions[right] for actions in noisy]).max() < 0.2, name
    wink = fitter(modelled(eyeBlinkLeft=1)).actions
    assert wink[ACTIONS.index("eyeBlinkLeft")] > 0.8 and wink[ACTIONS.index("eyeBlinkRight")] < 0.2
    smirk = fitter(modelled(mouthSmileLeft=0.8)).actions
    assert smirk[SMILE] > 0.5 and smirk[ACTIONS.index("mouthSmileRight")] < 0.2


def test_closed_lips_are_read_as_closed():
    closing = ACTIONS.index("mouthClose")
    with MediaPipeTracker() as tracker:
        for name in ("mona_lisa.jpg", "grace_hopper.jpg"):
            actions = tracker.detect(read_image(EXAMPLES / name))[0].actions
            assert actions[JAW] - actions[closing] < 0.05, name
    actions = modelled(jawOpen=0.6, mouthClose=0.6).actions
    assert abs(actions[JAW] - actions[closing]) < 0.1


def test_a_shape_that_is_shared_tells_an_expression_from_a_face():
    """Alone, a face with low brows may be one that is like that; beside the same person's other face, it is not."""
    rest, frown = modelled(noise=0.001), modelled(noise=0.001, seed=1, browDown=0.6)
    shared = ActionFitter(shape_of([rest, frown]))
    brow = ACTIONS.index("browDownLeft")

    def change(fitter):
        return fitter(frown).actions[brow] - fitter(rest).actions[brow]

    assert change(shared) > change(ActionFitter()) + 0.1
    assert change(ActionFitter(shape_of([rest]))) == pytest.approx(0.6, abs=0.2)
    assert shape_of([]) is None and shape_of([make_face()]) is None


def series(values, noise=0.0, **others):
    return [modelled(noise=noise, seed=n, jawOpen=float(value), **others) for n, value in enumerate(values)]


def read(fitter, faces, index=JAW):
    return np.array([fitter(face).actions[index] for face in faces])


def test_smooth_in_time_without_lag():
    shape = shape_of(series([0.0] * 4))
    step = np.repeat([0.0, 0.6, 0.0], 6)
    smooth, alone = read(ActionFitter(shape, smooth=True), series(step)), read(ActionFitter(shape), series(step))
    assert np.abs(smooth - alone).max() < 0.08  # also in the first frame after each step
    wave = 0.3 + 0.25 * np.sin(np.arange(40) / 3)
    smooth, alone = (read(ActionFitter(shape, smooth), series(wave, 0.002)) for smooth in (True, False))
    lags = [np.corrcoef(np.roll(wave, lag)[3:-3], smooth[3:-3])[0, 1] for lag in (-1, 0, 1)]
    assert np.argmax(lags) == 1
    brow = ACTIONS.index("browDownLeft")
    still = series([0.2] * 30, 0.003, browDown=0.4)
    smooth, alone = (read(ActionFitter(shape, smooth), still, brow)[2:] for smooth in (True, False))
    assert smooth.std() < 0.9 * alone.std() and smooth.mean() == pytest.approx(alone.mean(), abs=0.05)


def test_another_shot_starts_anew():
    shape = shape_of(series([0.0] * 4))
    first, other = series([0.0] * 4), series([0.4] * 4, 0.003)
    other = [replace(face, landmarks=face.landmarks + 300, centre=face.centre + 300) for face in other]
    cut, alone = ActionFitter(shape, smooth=True), ActionFitter(shape, smooth=True)
    read(cut, first)
    assert np.array_equal(read(cut, other), read(alone, other))


def followed(faces, shape=None):
    """The results of `follow` for frames with these faces, and how many frames were read when each came."""
    read_frames = []
    tracker = SimpleNamespace(detect=lambda picture, left=iter(faces): [face for face in [next(left)] if face])
    frames = ((n, PICTURE) for n in range(len(faces)) if not read_frames.append(n))
    return [(stamp, face, len(read_frames)) for stamp, _, face in follow(frames, tracker, shape)]


def test_a_stream_is_fitted_with_the_shape_of_its_first_frames():
    faces = series(np.repeat([0.0, 0.5, 0.0, 0.5], 10), 0.002)
    results = followed([None, None, *faces])
    assert [stamp for stamp, _, _ in results] == list(range(42)) and results[0][1] is results[1][1] is None
    assert [count for _, _, count in results][:4] == [2, 3, 3 + SHAPE_FACES, 3 + SHAPE_FACES]  # one frame ahead, else
    assert [count for _, _, count in results][SHAPE_FACES + 5] == SHAPE_FACES + 7  # also later
    jaws = np.array([face.actions[JAW] for _, face, _ in results[2:]])
    assert (
        jaws[12:19] == pytest.approx(0.5, abs=0.1)
        and np.abs(jaws[:9]).max() < 0.1
        and jaws[31:] == pytest.approx(0.5, abs=0.1)
    )
    known = followed(faces, shape_of(faces))
    assert [count for _, _, count in known] == [*range(2, 41), 40]


@pytest.mark.parametrize("fault", [1e9, np.nan, np.inf])
def test_landmarks_that_are_no_face_have_no_action(fault):
    face = modelled(jawOpen=0.5)
    bad = replace(face, landmarks=np.full_like(face.landmarks, fault))
    fitter = ActionFitter(smooth=True)
    with np.errstate(invalid="ignore"):
        assert not numbers_of(fitter(bad)).any() and not numbers_of(ActionFitter()(bad)).any()
    assert fitter(face).actions[JAW] == pytest.approx(0.5, abs=0.15)  # the next frame is read as if it had not been


@pytest.mark.parametrize("landmarks", [np.zeros((478, 3)), np.outer(np.arange(478), (1, 0, 0))])
def test_degenerate_landmarks_end_in_finite_numbers(landmarks):
    assert np.isfinite(numbers_of(face_from_landmarks(landmarks, vector()[:52]))).all()


def test_landmarks_that_are_not_finite_are_no_face(monkeypatch):
    with MediaPipeTracker() as tracker:
        point = SimpleNamespace(x=0.5, y=np.nan, z=0.0)
        found = SimpleNamespace(face_landmarks=[[point] * 478], face_blendshapes=[[]])
        monkeypatch.setattr(tracker, "_run", lambda pixels: found)
        assert tracker.detect(np.zeros((64, 64, 3), np.uint8)) == []


def test_a_face_of_another_tracker_stays_as_it_is():
    face = make_face()
    assert ActionFitter()(face) is face and ActionFitter(smooth=True)(face) is face


def test_a_fit_takes_milliseconds_and_no_memory():
    faces, fitter = series([0.1, 0.2] * 4, 0.002, smile=0.5), ActionFitter(smooth=True)
    read(fitter, faces * 8)
    begin = time.process_time()
    read(fitter, faces * 5)
    assert (time.process_time() - begin) / 40 < 0.012  # about 0.0015 on a quiet core
    tracemalloc.start()
    read(fitter, faces * 2)
    before = tracemalloc.get_traced_memory()[0]
    read(fitter, faces * 10)
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < 20_000


def test_the_nonnegative_minimum_is_one():
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = rng.normal(size=(12, 12))
        matrix, vector_ = root @ root.T + 0.1 * np.eye(12), rng.normal(size=12)
        x = nonnegative_minimum(matrix, vector_)
        slope = matrix @ x - vector_
        assert x.min() >= 0 and slope.min() > -2e-3 and np.abs(slope[x > 0]).max() < 1e-6


def test_the_model_is_symmetric():
    """A mirrored face has the mirrored actions, so no side is read better than the other."""
    shape = np.zeros(len(load_face_model().shapes))
    left, right = (modelled(shape, **{f"mouthSmile{side}": 0.6}).actions for side in ("Left", "Right"))
    smiles = [ACTIONS.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    assert left[smiles] == pytest.approx(right[smiles[::-1]], abs=0.05)
    assert len(FITTED) == len(load_face_model().offsets) and fitted_points(modelled()).shape == (470, 3)
