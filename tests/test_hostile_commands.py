"""Strange names, outputs and values of options end in exit code 0 or in one line and exit code 2, and leave nothing
behind. The model and the portrait are made once; reading the files and writing the output are real."""

import contextlib
import functools
import os
import shutil
import sys

import pytest
from PIL import Image

from mpkit.animation.animator import Animator
from mpkit.assets import EXAMPLES
from mpkit.cli.main import main
from mpkit.media.images import as_picture

SMALL = ["--no-paste-back", "--size", "64", "--max-frames", "2"]
MAX_NAME = 255  # bytes, on nearly all file systems

STEMS = [
    "Мона Лиза", "モナ・リザ", "蒙娜丽莎", "모나리자", "الموناليزا", "מונה ליזה", "मोना लीसा", "โมนาลิซา", "Μόνα Λίζα",
    "მონა ლიზა", "🎭👩🏽‍🎨", "Zoe\u0308", "\u202egpj.exe", " space ", "a'b\"c`d", "$(touch made);&|<>", "new\nline",
    "\ttab\r", "-dash", "--output", "%d %05d %s {0}", "C:colon?*", "back\\slash", "~", "#1", "many.dots.in.it",
    "http:data,x", "\x01\x7f", "\udcff\udcfe",
]  # fmt: skip


def longest(letter: str, suffix: str) -> str:
    """The longest stem of these letters that a name with that suffix may have."""
    return letter * ((MAX_NAME - len(suffix)) // len(os.fsencode(letter)))


def short(text: str) -> str:
    """The name of a test case."""
    return ascii(text[:30])


@pytest.fixture(scope="module")
def shared(weights, portrait):
    """A folder with source.png and driver.json, and the arguments that use the model of this module."""
    animator = Animator.load(weights, device="cpu")
    prepared = animator.portrait(portrait, size=64)
    return animator, prepared


@pytest.fixture
def command(shared, weights, portrait, tmp_path, monkeypatch, capfd):
    """`run(source, driver, *arguments)` of `mpkit animate` in an empty folder of its own, and that folder."""
    animator, prepared = shared

    def prepare(self, image, *options, **more):
        as_picture(image)
        return prepared

    monkeypatch.setattr(Animator, "load", lambda *_, **__: animator)
    monkeypatch.setattr(Animator, "portrait", prepare)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    capfd.readouterr()
    return functools.partial(run, capfd, ["--weights", weights, "--device", "cpu", *SMALL])


def run(capfd, last, *arguments) -> int:
    """The exit code; one that is not 0 comes with one line."""
    code = main(["animate", *map(str, arguments), *map(str, last)])
    output, errors = capfd.readouterr()
    lines = [line.split("\r")[-1] for line in errors.split("\n")]
    lines = [line for line in lines if line and not line.startswith("mpkit: note:")]
    assert code in (0, 2) and "Traceback" not in errors
    assert (len(lines), output) == (1, "") if code else (len(lines), output.count("frames,")) == (0, 1), errors
    return code


def portrait_at(path):
    Image.open(EXAMPLES / "grace_hopper.jpg").resize((64, 75)).save(path)
    return path


def motion_at(path):
    shutil.copy(EXAMPLES / "nod.json", path)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows few of these names")
@pytest.mark.parametrize("stem", [*STEMS, longest("x", ".json"), longest("é", ".json")], ids=short)
def test_files_may_have_any_name(command, tmp_path, stem):
    try:
        source, driver = portrait_at(tmp_path / f"{stem}.png"), motion_at(tmp_path / f"{stem}.json")
    except (OSError, UnicodeError):
        pytest.skip("this file system does not allow the name")
    for name in (f"{stem}.mp4", f"{stem}.webm"):
        assert command(source, driver, f"--output=./{name}") == 0
        assert os.listdir(".") == [name]
        os.remove(name)
    if "." not in stem:
        assert command(source, driver, f"--output=./{stem}") == 0
        assert os.listdir(".") == [stem] and len(os.listdir(stem)) == 2


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_name_may_be_as_long_as_names_can_be_and_no_longer(command, tmp_path, portrait, suffix):
    stem = longest("x", suffix)
    assert command(portrait, EXAMPLES / "nod.json", "-o", stem + suffix) == 0
    assert os.listdir(".") == [stem + suffix]
    assert command(portrait, EXAMPLES / "nod.json", "-o", "x" + stem + suffix) == 2
    assert command("x" * 300 + ".png", EXAMPLES / "nod.json", "-o", "a.mp4") == 2
    assert command(portrait, "x" * 5000, "-o", "a.mp4") == 2
    assert os.listdir(".") == [stem + suffix]


def test_a_leading_dash_is_an_option_unless_a_folder_stands_before_it(command, tmp_path, portrait):
    motion_at("-d.json")
    assert command(portrait, "./-d.json", "--output=-o.mp4") == 0
    assert sorted(os.listdir(".")) == ["-d.json", "-o.mp4"]
    os.remove("-o.mp4")
    assert command(portrait, "-d.json", "--output", "o.mp4") == 2
    assert os.listdir(".") == ["-d.json"]


OUTPUTS = {  # name: what it ends in
    "missing/out.mp4": 2, "missing/": 0, "missing/deeper/out": 2, "out.MP4": 0, "out.mp3": 2, "out.mp4.mp3": 2,
    "file": 2, "file/out.mp4": 2, "loop/out.mp4": 2, "loop": 2, "gone/out.mp4": 2, "": 2, ".": 0, "./": 0, "..": 2,
    "/": 2, "/dev/null": 2, "/dev/full/out.mp4": 2, "nul\0.mp4": 2, "~/out.mp4": 2, "frames//": 0, ".mp4": 0,
    "missing/../out.mp4": 0, "folder.mp4": 0,
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
@pytest.mark.parametrize("output", OUTPUTS, ids=short)
def test_strange_outputs(command, tmp_path, portrait, output):
    """Files of other names stand beside the folder in which the command runs."""
    inside = output in (".", "./")  # then the folder must be empty
    if not inside:
        os.mkdir("folder.mp4")
        with open("file", "w") as file:
            file.write("mine")
        os.symlink("loop", "loop"), os.symlink("absent", "gone")
    before = sorted(os.listdir("."))
    code = command(portrait, EXAMPLES / "nod.json", "--output", output)
    assert code == OUTPUTS[output]
    new = sorted(set(os.listdir(".")) - set(before))
    if inside:
        assert new == ["000000.png", "000001.png"]
    elif output == "folder.mp4":
        assert not new and len(os.listdir(output)) == 2
    else:
        assert len(new) == (code == 0)
    assert not [name for name in new if name.startswith(".mpkit")]
    assert os.listdir(tmp_path) == ["work"]


@pytest.mark.skipif(sys.platform == "win32", reason="the folder of a process cannot be deleted on Windows")
def test_a_folder_that_was_deleted_under_the_command(command, tmp_path, portrait):
    os.rmdir(os.getcwd())
    assert command(portrait, EXAMPLES / "nod.json", "--output", ".") == 2
    assert command(portrait, EXAMPLES / "nod.json", "--output", "out.mp4") == 2
    assert os.listdir(tmp_path) == []


def test_the_inputs_are_never_replaced(command, tmp_path):
    """Neither by the output itself nor by a frame in the folder where they are."""
    portrait_at("000000.png")
    before = os.stat("000000.png")
    for output in (".", "./000000.png", os.getcwd()):
        assert command("000000.png", EXAMPLES / "nod.json", "--output", output) == 2
    os.symlink("000000.png", "link.png")
    assert command("link.png", EXAMPLES / "nod.json", "--output", ".") == 2
    assert sorted(os.listdir(".")) == ["000000.png", "link.png"] and os.stat("000000.png") == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["pipe", "loop", "gone", "nul\0.png", "", ".", "/dev/zero", "/dev/null", "pipe/a.png"])
def test_inputs_that_are_no_files(command, tmp_path, portrait, name):
    """None of them is waited for, or read without end."""
    os.mkfifo("pipe"), os.symlink("loop", "loop"), os.symlink("absent", "gone")
    before = sorted(os.listdir("."))
    assert command(name, EXAMPLES / "nod.json", "--output", "out.mp4") == 2
    assert command(portrait, name, "--output", "out.mp4") == 2
    assert sorted(os.listdir(".")) == before


VALUES = [
    "--fps nan", "--fps inf", "--fps -inf", "--fps 1e-9", "--fps 0.001", "--fps 241", "--fps=-1", "--fps 1e400",
    "--start nan", "--start 1e400", "--start 1e17", "--start=-1", "--start 0,5", "--max-frames 0", "--max-frames=-1",
    "--max-frames 1.5", "--max-frames 1_0", "--face 0", "--face ٣", "--face ²", "--face=-1", "--face 99999999999999999",
    "--size 63", "--size 2049", "--size 64.0", "--size big", "--largest-side 63", "--largest-side 8193",
    "--largest-side 1e3", "--largest-side=-5", "--smoothing nan", "--smoothing 1.0001", "--pose-strength inf",
    "--expression-strength=-0.1", "--view-scale 0", "--view-x nan", "--parts", "--parts head head", "--parts nose",
    "--motion", "--motion fancy", "--mark top", "--motion-from pixels", "--device cuda:7", "--precision fp8", "--",
    "--no-paste-back=maybe", "--no-such-option", "--\udcff", "-x", "surplus", "--output", "--fps 25 --fps 30",
    "--help-me", "--max-frames 10 10", "--max-frames " + "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("values", VALUES, ids=short)
def test_strange_values_of_options(command, tmp_path, portrait, values):
    with contextlib.suppress(SystemExit):
        code = command(portrait, EXAMPLES / "nod.json", "--output", "out.gif", *values.split(" "))
        assert os.listdir(".") == ([] if code else ["out.gif"])
    assert not [name for name in os.listdir(".") if name != "out.gif"]


@pytest.mark.parametrize("arguments", [[], [""], ["\n"], ["\udcff"], ["animate "], ["ANIMATE"], ["-x"], ["--version"]])
def test_strange_commands(arguments, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) in (0, 2)
    assert capfd.readouterr().err.count("\n") <= 1 and not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["Мона.json", "a'\"\n.json", " .json", longest("x", ".json") + ".json"], ids=short)
def test_motion_files_may_have_any_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["track", str(EXAMPLES / "mona_lisa.jpg"), "--output", name]) == 0
    assert os.listdir(".") == [name]
