"""The Python examples of the README run as they are printed, in a folder that holds their files."""

import re
import shutil
import textwrap
from pathlib import Path

import pytest

from mpkit import Animator, load_model

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"(?:^    .*\n|^\n(?=    ))+", README.read_text(), re.MULTILINE)
EXAMPLES = [textwrap.dedent(example).strip() for example in EXAMPLES if "from mpkit import" in example]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[0])
def test_an_example_runs(example, weights, portrait, clip, tmp_path, monkeypatch):
    """With small random weights, which are faster than the bundled ones."""
    shutil.copy(portrait, tmp_path / "painting.jpg")
    shutil.copy(clip, tmp_path / "driver.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Animator, "load", lambda: Animator(load_model(weights), "cpu"))
    exec(example, {})
    assert (tmp_path / "out.mp4").exists() == ("out.mp4" in example)


def test_there_are_examples_of_animation_and_training():
    assert any("Animator" in example for example in EXAMPLES) and any("Trainer" in example for example in EXAMPLES)
