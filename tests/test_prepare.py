"""`mpkit prepare`: good files become shards, bad files are listed, a second call continues, bad frames are left out."""

import json

import cv2
import numpy as np
import pytest
from clips import sway, write_clip

from mpkit.assets import EXAMPLES
from mpkit.cli.main import main
from mpkit.data import prepare as module
from mpkit.data import reading, workers
from mpkit.data.lifted import real_person
from mpkit.data.pairs import PairSet
from mpkit.data.prepare import prepare, shard_name
from mpkit.data.reading import FRAMES_PER_PERSON, flaw, read_clip
from mpkit.data.shards import HeadShards
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.crop import Crop
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image
from mpkit.synthetic.anatomy import landmarks_on

STILL = EXAMPLES / "eileen_collins.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clip three folders down, a still, three files that cannot be used, and a text."""
    folder = tmp_path_factory.mktemp("material")
    deep = folder / "id001" / "video id" / "00001.mp4"
    deep.parent.mkdir(parents=True)
    write_clip(deep, sway(49))
    (folder / "ada.jpg").write_bytes(STILL.read_bytes())
    write_clip(folder / "short.mp4", sway(6))
    (folder / "text.mp4").write_text("not a video")
    cv2.imwrite(str(folder / "noise.png"), np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    (folder / "readme.txt").write_text("neither picture nor clip")
    return folder


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("shards")
    return output, prepare(folder, output, size=64, workers=2)


def test_good_files_become_people_and_bad_ones_are_listed(prepared):
    output, counts = prepared
    assert counts == {"kept": 2, "skipped": 3, "there already": 0}
    skipped = json.loads((output / "skipped.json").read_text())
    assert set(skipped) == {"short.mp4", "text.mp4", "noise.png"}
    assert "2 good frames" in skipped["short.mp4"] and "no face" in skipped["noise.png"]
    shards = HeadShards(output, tracked=True)
    assert len(shards) == 3  # one still, and 17 frames of the clip
    assert all(shards.field("images", n).shape == (FRAMES_PER_PERSON, 64, 64, 4) for n in range(3))


def test_people_of_stills_and_clips_train_together(prepared):
    batch = PairSet({str(prepared[0]): 1.0}, batch_size=8, drivers=2)[0]
    assert batch.source.labels.valid.flatten(1).any(1).all() and batch.flow_valid.flatten(1).any(1).all()
    assert batch.source.picture.isfinite().all() and (batch.source.picture[:, 3] > 0.5).any()


def test_a_later_call_reads_only_new_files(prepared, folder, monkeypatch):
    output, _ = prepared
    monkeypatch.setattr(module, "run_jobs", lambda _, jobs, *others: (pytest.fail(name) for name in jobs))
    assert prepare(folder, output, size=64) == {"kept": 0, "skipped": 0, "there already": 5}


def test_a_file_that_crashes_its_process_is_the_only_one_lost(monkeypatch):
    """A job that breaks the pool, as a crashing decoder does, is reported; the others run again and succeed."""

    class Pool:
        def __init__(self, workers, folder):
            self.alone = workers == 1

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, work, name):
            future = module_future()
            if name == "bad":
                future.set_exception(workers.BrokenProcessPool())
            else:
                future.set_result(None)
            return future

    from concurrent.futures import Future as module_future

    monkeypatch.setattr(workers, "worker_pool", Pool)
    outcome = dict(workers.run_jobs(None, {name: (name,) for name in ("a", "bad", "c")}, 2, None))
    assert outcome == {"a": None, "bad": "reading it ended the process", "c": None}


def test_an_unforeseen_error_of_a_library_is_a_reason(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a library\ngave up")

    monkeypatch.setattr(reading, "read_still", fail)
    assert module._prepare_file((STILL,), tmp_path / "shard", 64, 0) == "RuntimeError: a library gave up"
    assert not (tmp_path / "shard").exists()


def test_an_output_that_is_a_file_is_an_error_of_one_line(folder, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MediaError, match="cannot write into"):
        prepare(folder, tmp_path / "file")


def test_frames_of_a_clip_are_not_tracked_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "make_tracker", lambda: pytest.fail("a second tracker"))
    clip = folder / "id001" / "video id" / "00001.mp4"
    assert module._prepare_file((clip,), tmp_path / "shard", 64, 0) is None and (tmp_path / "shard").exists()


def test_people_of_a_clip_are_spread_over_it(folder):
    people = [real_person(person.crops, 64) for person in read_clip(folder / "id001" / "video id" / "00001.mp4", 64)]
    assert len(people) == 2 and people[0]["numbers"].shape == (FRAMES_PER_PERSON, 54)
    roll = np.stack([person["rotation"][:, 1, 0] for person in people])  # each sees the whole sway, twice
    assert all(np.ptp(own) > 0.8 * np.ptp(roll) and (np.diff(np.sign(own)) != 0).sum() >= 3 for own in roll)


def test_labels_of_a_clip_follow_its_landmarks(folder):
    """Landmarks on the labels' vertices lie where the tracker finds them; all frames share one neutral head."""
    person = real_person(read_clip(folder / "id001" / "video id" / "00001.mp4", 64)[0].crops, 64)
    assert person["neutral"].shape == person["vertices"][0].shape and len(person["vertices"]) == FRAMES_PER_PERSON
    landmarks = np.stack([landmarks_on(frame.astype(np.float32)) for frame in person["vertices"]])
    for frame, picture in zip(landmarks, person["images"]):
        with make_tracker() as tracker:
            (face,) = tracker.detect(np.ascontiguousarray(picture[..., :3]))
        assert np.abs((frame[:, :2] + 1) * 32 - face.landmarks[:468, :2]).mean() < 1.0  # pixels of 64
    roll = np.degrees(np.arcsin(person["rotation"][:, 1, 0]))
    eyes = landmarks[:, 263] - landmarks[:, 33]
    assert np.corrcoef(roll, np.degrees(np.arctan2(eyes[:, 1], eyes[:, 0])))[0, 1] > 0.99
    seen = person["triangle"] >= 0
    assert (seen.mean((1, 2)) > 0.1).all() and (person["images"][:, ::2, ::2, 3][seen] > 100).mean() > 0.97


def test_each_flaw_of_a_frame_has_its_reason():
    image = read_image(STILL)
    with make_tracker() as tracker:
        face = tracker.detect(image)[0]
        crop = Crop.of(face)
        assert flaw(image, face, crop) is None
        assert flaw(cv2.GaussianBlur(image, (0, 0), face.radius / 12), face, crop) == "blurred"
        assert flaw(image, face, Crop(crop.x + crop.radius, crop.y, crop.radius)) == "far from where the clip began"
        assert flaw(image[: int(face.centre[1])], face, crop) == "cut off"
        (small,) = tracker.detect(cv2.resize(image, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA))
        assert flaw(image, small, None) == "too small"


def test_no_two_files_share_the_name_of_a_shard():
    names = {shard_name(name) for name in ("a/b.mp4", "a-b.mp4", "a b.mp4", "A/b.mp4", "é.mp4", "x" * 300 + ".mp4")}
    assert len(names) == 6 and all(len(name) < 100 and name.isascii() for name in names)


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_a_folder_without_files_is_an_error_of_one_line(tmp_path, capsys, kind):
    folder = tmp_path / "material"
    if kind == "empty":
        folder.mkdir()
    with pytest.raises(MediaError):
        prepare(folder, tmp_path / "out")
    assert main(["prepare", str(folder), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_a_clip_without_a_face_is_an_error_with_the_count(tmp_path):
    write_clip(tmp_path / "grey.mp4", [np.full((120, 160, 3), 128, np.uint8)] * 30)
    with pytest.raises(NoFaceError, match="0 good frames of every 3rd, 8 are needed \\(10 no face\\)"):
        read_clip(tmp_path / "grey.mp4", 64)
