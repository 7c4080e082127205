"""Signals that end a command leave nothing behind, and the exit code says which one it was."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mpkit.assets import EXAMPLES
from mpkit.cli import main as main_module
from mpkit.cli.main import main
from mpkit.cli.signals import ENDING_SIGNALS, REPEAT_SECONDS, Interrupted, ending_signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
ROOT = Path(__file__).parents[1]
CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}

# A command that writes without end, in a process of its own. Its cleaning takes a while, as that of a real one does,
# and an error happens in it.
WRITER = """
import contextlib, sys, time
from fractions import Fraction
from pathlib import Path
import numpy as np
from mpkit.cli import main as module
from mpkit.errors import MediaError
from mpkit.media.video_writer import VideoWriter

@contextlib.contextmanager
def slow_cleaning():
    try:
        yield
    finally:
        Path("cleaning").touch()
        try:
            raise MediaError("an error during the cleaning")
        except MediaError:
            time.sleep(0.8)
        Path("cleaning").unlink(), Path("started").unlink()

def frames():
    with slow_cleaning():
        Path("started").touch()
        while True:
            yield np.zeros((64, 64, 3), np.uint8)

def write(arguments):
    with VideoWriter(arguments[0], Fraction(25), (64, 64)) as writer, contextlib.closing(frames()) as made:
        for frame in made:
            writer.write(frame)
            time.sleep(0.01)

module.COMMANDS["write"] = write
sys.exit(module.main())
"""

# The same with worker processes, which write files themselves.
WORKERS = """
import os, sys, time
from pathlib import Path
from mpkit.cli import main as module
from mpkit.data.workers import worker_pool
from mpkit.files import write_bytes

def job(number):
    Path(f".shard-{number}-{os.getpid()}").mkdir()
    Path(f".shard-{number}-{os.getpid()}", "images.npy").touch()
    Path(f".images-{os.getpid()}.part").touch()
    time.sleep(60)

def write(arguments):
    with worker_pool(2, Path(".")) as pool:
        for future in [pool.submit(job, number) for number in range(50)]:
            future.result()

if __name__ == "__main__":
    module.COMMANDS["write"] = write
    sys.exit(module.main())
"""


def start(program: list, folder: Path, **options) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, program)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **streams, **options)


def wait_for(process: subprocess.Popen, condition) -> None:
    """Waits until a condition is true, while the process runs."""
    end = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def ended(process: subprocess.Popen, name: str) -> None:
    """The process ends soon, with the exit code of the signal and with one line."""
    output, errors = process.communicate(timeout=20)
    lines = [line for line in errors.splitlines() if not line.startswith("mpkit: note:")]
    assert process.returncode == CODES[name] and output == ""
    assert lines == ["mpkit: interrupted"], errors


@pytest.mark.parametrize("signal_name", CODES)
@pytest.mark.parametrize("output", ["out.mp4", "frames"])
def test_a_second_signal_does_not_stop_the_cleaning(signal_name, output, tmp_path):
    (tmp_path / "frames").mkdir()
    process, number = start(["-c", WRITER, "write", output], tmp_path), getattr(signal, signal_name)
    wait_for(process, (tmp_path / "started").exists)
    process.send_signal(number)
    wait_for(process, (tmp_path / "cleaning").exists)
    for _ in range(3):
        process.send_signal(number)
        time.sleep(0.1)
    ended(process, signal_name)
    assert [path.name for path in tmp_path.rglob("*")] == ["frames"]


def test_a_signal_that_the_process_ignores_stays_ignored(tmp_path):
    """As SIGHUP does under nohup."""
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = start(["-c", WRITER, "write", "out.gif"], tmp_path, **ignore)
    wait_for(process, (tmp_path / "started").exists)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None and not (tmp_path / "cleaning").exists()
    process.send_signal(signal.SIGTERM)
    ended(process, "SIGTERM")


def test_an_interruption_that_a_library_loses_comes_again():
    """As PyAV loses some that are raised in its callbacks. During the cleaning it does not come again."""
    cleaned = False
    with pytest.raises(Interrupted), ending_signals(restore=True):
        with contextlib.suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        try:
            time.sleep(10)
        finally:
            time.sleep(1.5 * REPEAT_SECONDS)
            cleaned = True
    assert cleaned and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    time.sleep(1.5 * REPEAT_SECONDS)  # nor after the block


@pytest.mark.parametrize("signal_name", CODES)
def test_workers_are_ended_and_their_unfinished_files_deleted(signal_name, tmp_path):
    """^C and the end of a terminal reach all processes of a command; SIGTERM reaches the first alone."""
    (tmp_path / "workers.py").write_text(WORKERS)
    other = tmp_path / ".shard-7-1"  # of a process that is none of the workers
    other.mkdir()
    process, number = start(["workers.py", "write"], tmp_path), getattr(signal, signal_name)
    wait_for(process, lambda: len(list(tmp_path.glob(".images-*.part"))) == 2)
    process.send_signal(number) if signal_name == "SIGTERM" else os.killpg(process.pid, number)
    ended(process, signal_name)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == [other.name, "workers.py"]
    with pytest.raises(ProcessLookupError):
        for _ in range(100):  # the last of them takes a moment
            os.killpg(process.pid, 0)
            time.sleep(0.05)


def test_animate_is_interrupted(weights, portrait, tmp_path):
    options = ["--weights", weights, "--device", "cpu", "--fps", "200", "--output", "out.mp4"]
    process = start(["-m", "mpkit", "animate", portrait, EXAMPLES / "nod.json", *options], tmp_path)
    wait_for(process, lambda: list(tmp_path.glob(".mpkit-*/frames.mp4")))
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143 and not list(tmp_path.iterdir())
    assert errors.rstrip().endswith("mpkit: interrupted") and "Traceback" not in errors


@pytest.mark.parametrize("signal_name", CODES)
def test_an_error_that_hides_the_interruption_does_not_change_the_exit_code(signal_name, monkeypatch, capsys):
    def command(arguments):
        try:
            signal.raise_signal(getattr(signal, signal_name))
        except KeyboardInterrupt:
            raise ValueError("a library that is confused") from None

    monkeypatch.setitem(main_module.COMMANDS, "confused", command)
    assert main(["confused"]) == CODES[signal_name]
    assert capsys.readouterr().err == "mpkit: interrupted\n"


def test_an_interruption_that_a_library_swallows_is_followed_by_the_next():
    with ending_signals(restore=True):
        for number in ENDING_SIGNALS:
            with pytest.raises(Interrupted) as interruption:
                signal.raise_signal(number)
            assert interruption.value.code == 128 + number


def test_the_handlers_are_restored_and_threads_have_none(monkeypatch):
    before = [signal.getsignal(number) for number in ENDING_SIGNALS]
    monkeypatch.setitem(main_module.COMMANDS, "stop", lambda _: signal.raise_signal(signal.SIGTERM))
    assert main(["stop"]) == 143
    thread = threading.Thread(target=main, args=(["--version"],))
    thread.start(), thread.join()
    assert [signal.getsignal(number) for number in ENDING_SIGNALS] == before
