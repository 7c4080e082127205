"""`mpkit plot`: every logged number is drawn; a folder without a run is refused in one line."""

import json

import pytest

from mpkit.cli.main import main
from mpkit.errors import MediaError
from mpkit.training.plot import plot_runs, read_stats


def write_run(folder, lines):
    folder.mkdir()
    (folder / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def runs(tmp_path):
    lines = [{"step": step, "loss": 2 / step, "warp": 1.0, "mask": 0.0} for step in (10, 20, 30)]
    return [write_run(tmp_path / "one", lines), write_run(tmp_path / "two", lines[:1])]


def test_every_number_has_a_panel_and_every_run_a_line(runs, tmp_path):
    plot_runs(runs, tmp_path / "losses.svg")
    plot_runs(runs, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")
    drawing = (tmp_path / "losses.svg").read_text()
    assert all(f"<!-- {text} -->" in drawing for text in ("loss", "warp", "mask", "one", "two", "step"))


def test_steps_that_a_resumed_run_repeats_count_once(tmp_path):
    run = write_run(tmp_path / "run", [{"step": 10, "loss": 1}, {"step": 20, "loss": 2}, {"step": 20, "loss": 3}])
    assert [line["loss"] for line in read_stats(run)] == [1, 3]


def test_the_command_writes_into_the_first_run(runs, capsys):
    assert main(["plot", *map(str, runs)]) == 0
    assert (runs[0] / "losses.png").exists() and "losses.png" in capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "", "{", '{"loss": 1}', '{"step": 1, "loss": "much"}', "[1]"])
def test_what_is_no_run_is_one_line(tmp_path, capsys, text):
    if text is not None:
        (tmp_path / "stats.jsonl").write_text(text)
    with pytest.raises(MediaError):
        read_stats(tmp_path)
    assert main(["plot", str(tmp_path)]) == 2 and capsys.readouterr().err.count("\n") == 1
    assert main(["plot"]) == 2
