"""The lessons: nbval runs them (see pyproject.toml); here, their shape, their exercises and their links are checked."""

import importlib
import re
import sys
from base64 import b64decode
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F

FOLDER = Path(__file__).parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))
NAMES = (
    "00_tour", "01_faces_and_crops", "02_motion_latents", "03_warp_fields", "04_appearance_volumes", "05_losses",
    "06_training", "07_high_resolution", "08_student",
)  # fmt: skip
MAX_CELL_LINES, MAX_PNG_BYTES = 12, 500_000
SOLUTION = re.compile(r"<details><summary>Solution</summary>\s+```python\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")


@pytest.fixture(autouse=True)
def in_the_notebooks_folder(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(FOLDER)


@pytest.fixture(params=NAMES)
def lesson(request):
    return nbformat.read(FOLDER / f"{request.param}.ipynb", as_version=4), request.param


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_there_are_nine_lessons():
    assert tuple(path.stem for path in LESSONS) == NAMES


def test_all_start_with_the_same_setup(lesson):
    first = nbformat.read(FOLDER / "00_tour.ipynb", as_version=4)
    assert sources(lesson[0], "code")[0] == sources(first, "code")[0]


def test_each_has_the_parts_of_a_lesson(lesson):
    text, code = ("\n".join(sources(lesson[0], kind)) for kind in ("markdown", "code"))
    assert text.startswith(f"# {int(lesson[1][:2])} · ") and "You will be able to" in text and "Minutes: " in text
    assert text.count("> **Predict.**") >= 3 and text.count("<summary>Answer</summary>") >= 3
    assert "### Exercise 1: " in text and "### Exercise 2: " in text and "## Recap" in text
    assert "viz.explore(" in code or "viz.viewer(" in code
    assert re.search(r"^@interact|[^.]\binteract\(", code, re.MULTILINE) is None
    assert "viz.system_map(" in code and code.count("# NBVAL_CHECK_OUTPUT") >= 2


def test_code_cells_are_short(lesson):
    for source in sources(lesson[0], "code"):
        assert len(source.splitlines()) <= MAX_CELL_LINES and max(map(len, source.splitlines())) <= 110, source


def test_outputs_are_stored_and_small(lesson):
    outputs = [output for cell in lesson[0].cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.output_type == "error"]
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", ())]
    assert len(pictures) >= 5 and max(len(b64decode(png)) for png in pictures) <= MAX_PNG_BYTES


def test_links_lead_to_files_that_exist(lesson):
    for target in LINK.findall("\n".join(sources(lesson[0], "markdown"))):
        assert target.startswith("https://arxiv.org") or (FOLDER / target).exists(), target


def test_solutions_are_right_and_nothing_is_not(lesson, capsys):
    import lesson as shared

    topic = lesson[1][3:]
    solutions = SOLUTION.findall("\n".join(sources(lesson[0], "markdown")))
    calls = re.findall(rf'lesson\.check\("{topic}", (\d), (\w+)\)', "\n".join(sources(lesson[0], "code")))
    assert len(solutions) == len(calls) == 2
    namespace = {"torch": torch, "np": np, "F": F}
    for (number, name), solution in zip(calls, solutions):
        exec(solution, namespace)
        shared.check(topic, int(number), namespace[name])
        assert capsys.readouterr().out == f"Exercise {number}: right.\n"
        for wrong in (None, lambda *arguments, **options: None):
            shared.check(topic, int(number), wrong)
            assert capsys.readouterr().out.startswith(f"Exercise {number}: not yet. ")


def test_every_exercise_check_belongs_to_a_lesson():
    topics = {path.stem for path in (FOLDER / "exercises").glob("*.py")} - {"__init__"}
    assert topics == {name[3:] for name in NAMES}
    for topic in topics:
        module = importlib.import_module(f"exercises.{topic}")
        assert callable(module.check_1) and callable(module.check_2)


def test_the_book_turns_links_into_pages_and_stores_small_pictures(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "build", raising=False)
    build = importlib.import_module("build")
    monkeypatch.setattr(build, "BOOK", tmp_path)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("[next](01_x.ipynb)")])
    build.write_page(notebook, "00_x")
    assert 'href="01_x.html"' in (tmp_path / "00_x.html").read_text("utf-8")
