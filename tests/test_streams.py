"""Commands work without standard output and standard error, and when nobody reads them."""

import io
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from mpkit.assets import EXAMPLES
from mpkit.cli import main as main_module
from mpkit.cli.main import main
from mpkit.cli.streams import usable_streams
from mpkit.faces.tasks import silent_stderr

ROOT = Path(__file__).parents[1]
shell = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")


def run(arguments: list, redirections: str, folder: Path, **environment) -> subprocess.CompletedProcess:
    """Runs mpkit in a shell with redirections. The exit code is that of mpkit, in pipes too."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = ["bash", "-c", f'"$@" {redirections}; exit ${{PIPESTATUS[0]}}', "bash", sys.executable, "-m", "mpkit"]
    return subprocess.run([*command, *map(str, arguments)], cwd=folder, env=environment, capture_output=True, text=True)


@shell
@pytest.mark.parametrize("redirections", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| true", "2>&1 | true"])
def test_commands_work_with_closed_streams(redirections, tmp_path):
    done = run(["--version"], redirections, tmp_path)
    assert done.returncode == 0 and done.stderr == ""
    mistake = run(["info", "--preset", "big"], redirections, tmp_path)
    assert mistake.returncode == 2 and mistake.stderr.count("\n") == ("2>" not in redirections)


@shell
@pytest.mark.parametrize("arguments", [["--help"], ["animate", "--help"]], ids=" ".join)
@pytest.mark.parametrize("redirections", ["| head -1", "| true", ">&-"])
def test_help_works_when_nobody_reads_it(arguments, redirections, tmp_path):
    done = run(arguments, redirections, tmp_path)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == ("head" in redirections)


@shell
def test_animate_works_with_closed_streams(weights, portrait, tmp_path):
    """No file that a library opens takes the place of a closed stream: its messages would be written into that."""
    options = ["--weights", weights, "--device", "cpu", "--no-paste-back", "--size", "64", "--max-frames", "3"]
    done = run(["animate", portrait, EXAMPLES / "nod.json", "-o", "out.mp4", *options], "<&- >&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert os.listdir(tmp_path) == ["out.mp4"]
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 3


@shell
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_a_full_disk_is_one_line(tmp_path):
    done = run(["--help"], "> /dev/full", tmp_path)
    line = "mpkit: the standard output cannot be written (No space left on device)\n"
    assert (done.returncode, done.stderr) == (2, line)
    assert run(["dance"], "2> /dev/full", tmp_path).returncode == 2


@shell
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_video_is_kept_if_its_message_cannot_be_written(weights, portrait, tmp_path):
    options = ["--weights", weights, "--device", "cpu", "--no-paste-back", "--size", "64", "--max-frames", "2"]
    done = run(["animate", portrait, EXAMPLES / "nod.json", "-o", "out.mp4", *options], "> /dev/full", tmp_path)
    line = "mpkit: the standard output cannot be written (No space left on device); out.mp4 is complete"
    assert done.stderr.splitlines()[-1].strip() == line  # after the progress
    assert done.returncode == 2 and os.listdir(tmp_path) == ["out.mp4"]
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 2


@shell
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_the_encoding_lacks_are_escaped(encoding, tmp_path):
    done = run(["animate", "Мона\udcff.jpg", "b.mp4", "-o", "c.mp4"], "2>&1", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 2 and done.stdout.startswith("mpkit: ") and "does not exist" in done.stdout


@pytest.mark.parametrize("missing", [("stdout",), ("stderr",), ("stdin", "stdout", "stderr")])
def test_a_program_without_a_console(missing, monkeypatch):
    """As pythonw starts it."""
    for name in missing:
        monkeypatch.setattr(sys, name, None)
    with silent_stderr():
        assert main(["info", "--preset", "nano"]) == 0
    assert main(["dance"]) == 2
    assert [getattr(sys, name) for name in missing] == [None] * len(missing)


def test_progress_and_notes_go_on_when_their_reader_has_gone(monkeypatch, capsys):
    from tqdm import tqdm

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    def command(arguments):
        for _ in tqdm(range(3), file=sys.stderr):
            tqdm.write("a note", file=sys.stderr)
        print("done")

    monkeypatch.setitem(main_module.COMMANDS, "count", command)
    monkeypatch.setattr(sys, "stderr", Gone())
    assert main(["count"]) == 0 and capsys.readouterr().out == "done\n"


def test_the_streams_are_restored(capsys):
    before = sys.stdout, sys.stderr
    with usable_streams():
        print("é\udcff")
        assert sys.stdout.encoding == before[0].encoding and not sys.stdout.isatty()
    assert (sys.stdout, sys.stderr) == before and capsys.readouterr().out == "é\\udcff\n"
