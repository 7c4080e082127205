"""Properties of the motion file: loading returns what was saved, and refuses every malformed file."""

import json

import numpy as np
import pytest
import torch

from mpkit.actions import ACTIONS
from mpkit.animation.motion_file import MotionTrack, is_motion_file
from mpkit.config import preset
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces import Crop, Face
from mpkit.geometry import rotation_from_angles
from mpkit.networks.base import BaseModel


def make_face(seed: int) -> Face:
    rng = np.random.default_rng(seed)
    yaw, pitch, roll = (torch.tensor([float(angle)]) for angle in rng.uniform(-40, 40, 3))
    return Face(
        landmarks=np.zeros((478, 3), np.float32),
        box=(10.0, 20.0, 60.0, 90.0),
        actions=rng.uniform(0, 1, 52).astype(np.float32),
        gaze=rng.uniform(-1, 1, 2).astype(np.float32),
        rotation=rotation_from_angles(yaw, pitch, roll)[0].numpy(),
        centre=rng.uniform(80, 120, 2).astype(np.float32),
        radius=float(rng.uniform(40, 60)),
        shoulders=tuple(rng.uniform(-5, 5, 2)),
    )


def make_motion(faces=None) -> MotionTrack:
    faces = faces or [make_face(seed) for seed in range(5)]
    times = [index * 1001 / 30000 for index in range(len(faces))]
    return MotionTrack.from_faces(faces, times, "30000/1001", (320, 240), 'a "clip".mp4')


@pytest.fixture
def content(tmp_path) -> dict:
    make_motion().save(tmp_path / "motion.json")
    return json.loads((tmp_path / "motion.json").read_text())


def write(tmp_path, content) -> str:
    path = tmp_path / "changed.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_loading_returns_what_was_saved(tmp_path):
    motion = make_motion()
    motion.save(tmp_path / "motion.json")
    loaded = MotionTrack.load(tmp_path / "motion.json")
    assert (loaded.rate, loaded.width, loaded.height, loaded.source) == ("30000/1001", 320, 240, 'a "clip".mp4')
    assert (loaded.crop.x, loaded.crop.radius) == pytest.approx((motion.crop.x, motion.crop.radius), abs=1e-5)
    for name in ("times", "found", "rotation", "translation", "scale", "actions", "gaze", "box", "shoulders"):
        saved, back = getattr(motion, name), getattr(loaded, name)
        assert back.shape == saved.shape and back.dtype == saved.dtype
        np.testing.assert_allclose(back, saved, atol=2e-5)
    products = loaded.rotation @ loaded.rotation.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.eye(3)[None].repeat(5, 0), atol=1e-6)


def test_one_frame_per_line_and_saving_again_changes_nothing(tmp_path):
    make_motion().save(tmp_path / "a.json")
    MotionTrack.load(tmp_path / "a.json").save(tmp_path / "b.json")
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    np.testing.assert_allclose(first["frames"][3]["rotation"], second["frames"][3]["rotation"], atol=2e-5)
    assert [line.count("time") for line in (tmp_path / "a.json").read_text().splitlines()] == [0, 1, 1, 1, 1, 1, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]  # no partial files


def test_numbers_are_actions_and_gaze_and_have_a_latent_each():
    motion = make_motion()
    assert motion.numbers.shape == (5, 54) and motion.numbers.dtype == np.float32
    actions, gaze = np.split(motion.numbers, [52], axis=1)
    assert np.array_equal(actions, motion.actions) and np.array_equal(gaze, motion.gaze)
    model = BaseModel(preset("nano"))
    latents = model.latents(motion)
    assert torch.equal(latents, model.actions(torch.from_numpy(motion.numbers))) and not latents.requires_grad
    assert torch.allclose(model.latents(motion.numbers[2:3]), latents[2:3], atol=1e-5)


def test_the_first_face_gives_the_crop():
    motion = make_motion()
    pose = motion.pose(0)
    assert pose.scale.item() == pytest.approx(1, abs=1e-6) and pose.translation.abs().max() < 1e-6
    assert motion.pose().rotation.shape == (5, 3, 3) and motion.pose(slice(1, 3)).translation.shape == (2, 3)
    face = make_face(3)
    position = motion.crop.to_picture(motion.translation[3])
    np.testing.assert_allclose(position, face.centre, atol=1e-3)
    assert motion.scale[3] * motion.crop.radius == pytest.approx(face.radius, rel=1e-5)


def test_frames_without_a_face_hold_the_one_before():
    a, b = make_face(1), make_face(2)
    motion = make_motion([None, a, None, b])
    assert motion.found.tolist() == [False, True, False, True]
    for index, face in enumerate((a, a, a, b)):
        np.testing.assert_array_equal(motion.rotation[index], face.rotation)
    assert motion.crop == Crop.of(a)


def test_a_clip_without_a_face_is_an_error():
    with pytest.raises(NoFaceError, match="clip"):
        make_motion([None, None])


def test_files_without_shoulders_load_with_zero_shoulders(tmp_path, content):
    for frame in content["frames"]:
        del frame["shoulders"]
    assert not MotionTrack.load(write(tmp_path, content)).shoulders.any()


def test_actions_are_matched_by_name(tmp_path, content):
    content["actions"] = ["jawOpen", "eyeBlinkLeft"]
    for frame in content["frames"]:
        frame["actions"] = [0.25, 1]
    actions = MotionTrack.load(write(tmp_path, content)).actions
    assert actions[:, ACTIONS.index("jawOpen")].tolist() == [0.25] * 5
    assert actions[:, ACTIONS.index("eyeBlinkLeft")].tolist() == [1.0] * 5 and actions.sum() == 6.25


def test_numbers_of_version_1_become_fractions(tmp_path, content):
    names = {"jawOpen": (0.25, 0.5), "mouthPucker": (0.8, 0.5), "browInnerUp": (0.3, 0.3), "eyeBlinkLeft": (0.7, 1)}
    content |= {"version": 1, "actions": list(names), "reference": content["frames"][0]}
    for frame in content["frames"]:
        frame |= {"actions": [old for old, _ in names.values()], "gaze": [-0.21, 0.42]}
    loaded = MotionTrack.load(write(tmp_path, content))
    for motion in (loaded.motion(3), loaded.reference):
        new = motion.numbers[0, [*map(ACTIONS.index, names), 52, 53]]
        assert new.tolist() == pytest.approx([new for _, new in names.values()] + [-0.5, 1.5])
    loaded.save(tmp_path / "new.json")
    again = MotionTrack.load(tmp_path / "new.json")
    np.testing.assert_allclose(again.numbers, loaded.numbers, atol=2e-5)
    content |= {"version": 2}
    assert MotionTrack.load(write(tmp_path, content)).numbers[0, 53] == pytest.approx(0.42)


HEADER_FAULTS = {
    "format": ["mpkit-emotion", None, 1],
    "version": [3, 0, "1", True, None, 1e9],
    "rate": ["25", "0/1", "25/0", "-25/1", 25, "1e3/1", "25/1\n", "9999999999/1", "२५/1", None],
    "source": [5, "x" * 2000],
    "width": [0, -1, "320", None, True, 1e300, [1, 2]],
    "height": [0, 10**400],
    "crop": [[0, 0], [0, 0, 0], [0, 0, -1], [0, 0, "1"], None, {}],
    "actions": [["jawOpen", "jawOpen"], ["jawClosed"], "jawOpen", [1], [[]], None],
    "frames": [[], None, {}, [1], [[]], [None], [{}], "frames"],
}
FRAME_FAULTS = {
    "time": [-1, None, "0", 1e12],
    "found": [1, None, "true"],
    "rotation": [[1] * 8, [1, 0, 0, 0, 1, 0, 0, 0, -1], [0] * 9, [0.9] * 9, [[1, 0, 0]] * 3, "123456789"],
    "translation": [[1e9, 0], [0], [0, 0, 0], [0, None], None],
    "scale": [0, -1, None, True, 1e30, []],
    "actions": [[0] * 51, [2] * 52, [-0.1] * 52, [None] * 52, {}],
    "gaze": [[0], [99, 0]],
    "box": [[0, 0, 1], [0, 0, 1, 10**30]],
    "shoulders": [[0], [0, 101], [None, 0], "00", None],
}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in HEADER_FAULTS.items() for value in values])
def test_faults_in_the_header_are_one_line(tmp_path, content, name, value):
    content[name] = value
    with pytest.raises(MediaError) as error:
        MotionTrack.load(write(tmp_path, content))
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("name, value", [(name, value) for name, values in FRAME_FAULTS.items() for value in values])
def test_faults_in_a_frame_are_one_line(tmp_path, content, name, value):
    content["frames"][2][name] = value
    with pytest.raises(MediaError) as error:
        MotionTrack.load(write(tmp_path, content))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(tmp_path, content, constant):
    content["frames"][1]["scale"] = "SCALE"
    with pytest.raises(MediaError):
        MotionTrack.load(write(tmp_path, json.dumps(content).replace('"SCALE"', constant)))


@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe binary", b"[1, 2", b"[]", b"3", b"[" * 100_000, b"1" * 10_000])
def test_other_files_are_refused_by_name(tmp_path, data):
    path = tmp_path / "other.json"
    path.write_bytes(data)
    with pytest.raises(MediaError, match="other.json"):
        MotionTrack.load(path)


def test_paths_that_cannot_be_read_or_written_are_errors(tmp_path):
    for path in (tmp_path / "missing.json", tmp_path, tmp_path / "missing.json" / "below"):
        with pytest.raises(MediaError):
            MotionTrack.load(path)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "no" / "folder.json", tmp_path / "file" / "below.json"):
        with pytest.raises(MediaError, match="cannot write"):
            make_motion().save(path)


def test_too_many_frames_are_refused(tmp_path, content, monkeypatch):
    monkeypatch.setattr("mpkit.animation.motion_json.MAX_FRAMES", 4)
    with pytest.raises(MediaError, match="5 frames"):
        MotionTrack.load(write(tmp_path, content))


def test_motion_files_are_recognised_by_name_or_content(tmp_path):
    make_motion().save(tmp_path / "motion.txt")
    (tmp_path / "clip.mp4").write_bytes(b"\x00\x00\x00 ftypisom")
    assert is_motion_file(tmp_path / "motion.txt") and is_motion_file("anything.JSON")
    assert not any(is_motion_file(path) for path in (tmp_path / "clip.mp4", tmp_path / "missing", tmp_path))
