"""Several stills of one person become the frames of one person: by their names, or by a table."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from mpkit.assets import EXAMPLES
from mpkit.cli.main import main
from mpkit.data.grouping import read_table, same_people
from mpkit.data.pairs import PairSet
from mpkit.data.lifted import real_person
from mpkit.data.reading import read_stills
from mpkit.data.shards import HeadShards, save_shard
from mpkit.errors import MediaError, NoFaceError


def files(*names: str) -> dict[str, tuple[Path]]:
    return {name: (Path(name),) for name in names}


def test_names_that_differ_in_their_last_letter_show_one_person():
    found = same_people(files("x/ann_a.jpg", "x/ann_b.png", "y/ann_a.jpg", "bob_a.jpg", "cy_aa.jpg", "cy_ab.jpg"))
    assert found == {"person x/ann": (Path("x/ann_a.jpg"), Path("x/ann_b.png"))}


def test_clips_are_never_grouped():
    assert same_people(files("ann_a.mp4", "ann_b.mp4")) == {}


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_table_names_people(tmp_path, separator):
    table = tmp_path / "people.txt"
    rows = [("person", "note", "path"), ("1", "", "n/01.jpg"), ("1", "so", "s/01.jpg"), ("", "", "s/02.jpg")]
    table.write_text("\n".join(separator.join(row) for row in rows), encoding="utf-8-sig")
    assert read_table(table) == {"n/01.jpg": "1", "s/01.jpg": "1"}
    found = same_people(files("n/01.jpg", "s/01.jpg", "ann_a.jpg", "ann_b.jpg"), read_table(table))
    assert found == {"person 1": (Path("n/01.jpg"), Path("s/01.jpg"))}  # names count only without a table


def test_what_is_no_table_is_one_line(tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes((EXAMPLES / "mona_lisa.jpg").read_bytes())
    for name, content in (
        ("absent", None),
        ("binary", b"\xff\xfe\x00"),
        ("empty", b""),
        ("other", b"file,name\n"),
        ("huge", b"path,person\n" + b"a" * 200_000 + b",1\n"),
    ):
        table = tmp_path / name
        if content is not None:
            table.write_bytes(content)
        with pytest.raises(MediaError, match=name):
            read_table(table)
        arguments = ["prepare", str(tmp_path), "--output", str(tmp_path / "out"), "--people", str(table)]
        assert main(arguments) == 2 and len(capsys.readouterr().err.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_a_table_that_names_an_absent_file_is_refused():
    with pytest.raises(MediaError, match="names b.jpg, which is not among the 1 files"):
        same_people(files("a.jpg"), {"a.jpg": "1", "b.jpg": "1"})


def test_stills_of_one_person_train_like_frames_of_a_clip(tmp_path):
    """Each in its own head crop, with labels from a head fitted to it."""
    first = Image.open(EXAMPLES / "eileen_collins.jpg").convert("RGB")
    paths = tmp_path / "eileen_a.png", tmp_path / "eileen_b.png"
    first.save(paths[0])
    ImageEnhance.Brightness(first).enhance(0.7).resize((first.width // 2, first.height // 2)).save(paths[1])
    person = real_person(read_stills(paths, 64).crops, 64)
    assert person["images"].shape == (2, 64, 64, 4) and person["found"].all() and "actions" not in person
    ratio = person["images"][1, ..., :3].astype(float).mean() / person["images"][0, ..., :3].mean()
    assert ratio == pytest.approx(0.7, abs=0.03)
    assert np.abs(person["translation"]).max() < 1e-4 and np.allclose(person["scale"], 1)  # its own crop
    (tmp_path / "shards").mkdir()
    save_shard(tmp_path / "shards" / "shard-0", [person])
    batch = PairSet({str(tmp_path / "shards"): 1.0}, 2, drivers=2, augment=False)[0]
    assert batch.driver.real.all() and batch.flow_valid.float().mean() > 0.2


def test_real_frames_in_other_units_are_refused(tmp_path):
    """A shard without a mark of its version was prepared when numbers were a tracker's readings."""
    save_shard(tmp_path / "shard-0", [real_person(read_stills((EXAMPLES / "mona_lisa.jpg",) * 2, 64).crops, 64)])
    assert len(HeadShards(tmp_path, tracked=True)) == 1
    (tmp_path / "shard-0" / "numbers.json").unlink()
    with pytest.raises(MediaError, match="an earlier mpkit prepared"):
        HeadShards(tmp_path, tracked=True)


def test_prepare_makes_each_still_and_their_person(tmp_path, capsys):
    """Two stills are lifted, and their person has both as frames."""
    (tmp_path / "stills").mkdir()
    for letter in "ab":
        (tmp_path / "stills" / f"mona_{letter}.jpg").write_bytes((EXAMPLES / "mona_lisa.jpg").read_bytes())
    command = ["prepare", str(tmp_path / "stills"), "--output", str(tmp_path / "shards"), "--size", "64"]
    assert main(command) == 0 and "3 kept, 0 skipped" in capsys.readouterr().out
    people = HeadShards(tmp_path / "shards", tracked=True)
    kinds = sorted((people.is_lifted(person), len(people.field("images", person))) for person in range(len(people)))
    assert kinds == [(False, 2), (True, 8), (True, 8)]


def test_a_still_without_a_face_is_named(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "ann_b.png")
    with pytest.raises(NoFaceError, match="ann_b.png"):
        read_stills((EXAMPLES / "mona_lisa.jpg", tmp_path / "ann_b.png"), 64)
