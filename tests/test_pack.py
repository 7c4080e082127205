"""`mpkit pack`: head crops survive packing, everything is there, and training from a pack works where little is
installed."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mpkit.assets import EXAMPLES
from mpkit.cli.main import main
from mpkit.data.head_crops import PackedPeople, save_people
from mpkit.data.lifted import lift_person
from mpkit.data.packed import FRAMES, GrowingPeople, _render, render
from mpkit.data.pairs import PairSet
from mpkit.data.reading import read_still, read_stills
from mpkit.errors import MediaError
from mpkit.synthetic.anatomy import sample_identity
from mpkit.synthetic.identities import save_identities
from mpkit.training.config import TrainConfig
from mpkit.training.loop import train

STILL = EXAMPLES / "eileen_collins.jpg"


@pytest.fixture(scope="module")
def people():
    """A still to lift, and two frames of one person."""
    return [read_still(STILL, 192), read_stills((STILL, STILL), 128)]


@pytest.fixture(scope="module")
def packed(people, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "people.npz"
    save_people(path, people)
    return path


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A pack of one still and one synthetic person."""
    folder = tmp_path_factory.mktemp("pictures") / "stills"
    folder.mkdir()
    shutil.copy(STILL, folder)
    (folder / "text.png").write_text("not a picture")
    output = folder.parent / "pack"
    assert main(["pack", f"{folder}:2", "--output", str(output), "--identities", "1"]) == 0
    return output


def test_head_crops_survive_packing(people, packed):
    assert packed.stat().st_size < 60_000
    read = PackedPeople(packed)
    assert len(read) == 2
    for person, before in zip((read[0], read[1]), people):
        assert person.lifted == before.lifted and len(person.crops) == len(before.crops)
        for now, then in zip(person.crops, before.crops):
            assert np.abs(now.picture.astype(float) - then.picture).mean() < 4
            assert np.abs(now.alpha.astype(float) - then.alpha).mean() < 4
            assert np.abs(now.face.landmarks - then.face.landmarks).max() < 0.15  # pixels
            for name in ("actions", "gaze", "rotation", "centre", "radius"):
                assert np.allclose(getattr(now.face, name), getattr(then.face, name), atol=1e-3), name


def test_a_packed_still_is_lifted_as_before(people, packed):
    now, then = (
        lift_person(person.crops[0], 2, 64, np.random.default_rng(3)) for person in (PackedPeople(packed)[0], people[0])
    )
    now_seen, then_seen = (fields["images"][..., :3] * (fields["images"][..., 3:] / 255) for fields in (now, then))
    assert np.abs(now_seen - then_seen).mean() < 3
    assert np.abs(now["vertices"].astype(float) - then["vertices"]).max() < 0.01


def test_people_of_a_pack_grow_while_batches_are_drawn(packed):
    people = GrowingPeople(packed, 64)
    folder, (process,) = people._folder, people._processes
    batch = PairSet({people: 1.0}, 4, drivers=1)[0]
    assert batch.driver.picture.shape == (4, 4, 64, 64) and batch.flow_valid.any()
    assert people.population == 2 and people.field("images", 0).shape[0] in (2, FRAMES)
    first = len(people)
    deadline = time.monotonic() + 60
    while len(people) == first and time.monotonic() < deadline:
        time.sleep(0.5)
    assert len(people) > first
    people.close()
    assert not folder.exists() and not process.is_alive()


def test_who_cannot_be_rendered_is_named_and_left_out(packed, tmp_path, monkeypatch, capsys):
    def fail_first(person, size, seed):
        if seed == 0:
            raise ValueError("a head\ninside out")
        return render(person, size, seed)

    monkeypatch.setattr("mpkit.data.packed.render", fail_first)
    monkeypatch.setattr("mpkit.data.packed.ROUNDS", 1)
    monkeypatch.setattr("mpkit.data.packed.start_worker", lambda: None)
    _render(packed, tmp_path, 32, 0, 1, 0)
    assert [shard.name for shard in tmp_path.glob("shard-*")] == ["shard-00-00001"]
    assert capsys.readouterr().err == f"{packed.name}: person 0 cannot be rendered: a head inside out\n"


def test_synthetic_people_are_rendered_in_new_looks(tmp_path):
    save_identities(tmp_path / "synthetic.npz", [sample_identity(np.random.default_rng(0))])
    people = GrowingPeople(tmp_path / "synthetic.npz", 32)
    while len(people) < 2:
        time.sleep(0.2)
    first, second = (people.field("images", person) for person in (0, 1))
    assert not people.is_lifted(0) and not np.array_equal(first, second)
    people.close()


def test_a_file_without_people_is_an_error_of_one_line(tmp_path):
    (tmp_path / "people.npz").write_bytes(b"nothing")
    with pytest.raises(MediaError, match="holds no packed people"):
        GrowingPeople(tmp_path / "people.npz", 64)
    with pytest.raises(MediaError, match="holds no packed people"):
        PackedPeople(tmp_path / "people.npz")


def test_a_run_by_minutes_ends_in_time(tmp_path):
    start = time.monotonic()
    train(TrainConfig(preset="nano", batch_size=2, drivers=1, minutes=0.1, run=str(tmp_path)), "warps", progress=False)
    assert 6 <= time.monotonic() - start < 30 and (tmp_path / "weights.safetensors").exists()


def test_a_pack_holds_what_training_needs(pack):
    files = {str(file.relative_to(pack)) for file in pack.rglob("*") if file.is_file()}
    assert {"train.sh", "weights.safetensors", "data/stills.npz", "data/synthetic.npz"} <= files
    assert {"mpkit/__init__.py", "packages/tyro/__init__.py"} <= files and "mpkit/assets/people64.npz" not in files
    assert "data/stills.npz:2 data/synthetic.npz:1" in (pack / "train.sh").read_text()


def test_a_pack_trains_by_itself(pack, tmp_path):
    """With its own copy of mpkit, where the body model, the tracker and PyAV are not installed."""
    blocker = "import sys\nsys.modules.update(dict.fromkeys(('anny', 'mediapipe', 'av')))\n"
    (tmp_path / "sitecustomize.py").write_text(blocker)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(
        f'#!/bin/sh\nexport PYTHONPATH="{tmp_path}:$PYTHONPATH"\nexec "{sys.executable}" "$@"\n'
    )
    (tmp_path / "bin" / "python3").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    options = ["--batch-size", "1", "--drivers", "1", "--device", "cpu"]
    command = ["sh", str(pack / "train.sh"), "0.05", str(tmp_path / "run"), *options]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    parts = sorted((tmp_path / "run").glob("weights.part-*"))
    assert b"".join(part.read_bytes() for part in parts) == (tmp_path / "run" / "weights.safetensors").read_bytes()
    assert all(part.stat().st_size < 16 * 2**20 for part in parts)


def test_faults_of_a_pack_are_one_line(pack, tmp_path, capsys):
    for arguments, text in (
        ([str(tmp_path / "none"), "--output", str(tmp_path / "a")], "there is no folder"),
        ([str(EXAMPLES), "--output", str(pack)], "is not empty"),
        ([], "name folders"),
    ):
        arguments = arguments or ["--output", str(tmp_path / "b")]
        assert main(["pack", *arguments]) == 2
        error = capsys.readouterr().err
        assert text in error and len(error.strip().splitlines()) == 1, error


def test_a_pack_that_is_too_large_says_what_is_large(pack, tmp_path, capsys):
    stills = Path(pack).parent / "stills"
    assert main(["pack", str(stills), "--output", str(tmp_path / "c"), "--identities", "1", "--limit", "20"]) == 2
    assert "larger than 20 MiB" in capsys.readouterr().err
