"""MediaPipe's tasks are closed with the object that owns them, and name what they lack."""

import os
import subprocess
import sys

import pytest

from mpkit.errors import MpkitError
from mpkit.faces.matte import Matte
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
from mpkit.faces.tasks import SYSTEM_LIBRARIES, check_libraries


def run(script: str) -> None:
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr


def test_tasks_in_a_reference_cycle_are_closed():
    """MediaPipe's own finalizer would wait for a thread that the garbage collector has ended."""
    run(CYCLES)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_leaves_the_tasks_of_its_parent_alone():
    """It would wait for ever for their threads, which it has not. Its own tasks work."""
    run(FORK)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_does_not_wait_until_a_task_is_closed():
    """MediaPipe may wait for ever there, for a lock that a thread of the parent held."""
    run(FORK.replace("tracker.detect(grey)", "tracker.detect(grey); tracker._task.close = threading.Event().wait"))


CYCLES = """
import gc
from mpkit.faces.matte import Matte
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
for kind in (Matte, MediaPipeTracker, Matte):
    owner = kind()
    owner.itself = owner
    del owner
    gc.collect()
with Matte() as matte:
    pass
del matte
gc.collect()
print("done")
"""


FORK = """
import gc, os, threading, time
import numpy as np
from mpkit.faces.matte import Matte
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
gc.disable()
grey = np.full((200, 200, 3), 128, np.uint8)
garbage, kept = MediaPipeTracker(), Matte()
garbage.detect(grey)
garbage.itself = garbage
del garbage
child = os.fork()
if child == 0:
    gc.collect()
    kept.close()
    with MediaPipeTracker() as tracker:
        tracker.detect(grey)
    os._exit(0)
end = time.monotonic() + 60
while time.monotonic() < end:
    process, status = os.waitpid(child, os.WNOHANG)
    if process:
        print("done" if status == 0 else status)
        break
    time.sleep(0.05)
else:
    os.kill(child, 9)
"""


@pytest.fixture
def without_libraries(monkeypatch):
    """A Linux without the system libraries: MediaPipe's own, which is linked to them, cannot be loaded either."""

    def load(name, *_, **__):
        missing = next(iter(SYSTEM_LIBRARIES)) if "mediapipe" in str(name) else name
        raise OSError(f"{missing}: cannot open shared object file: No such file or directory")

    bindings = pytest.importorskip("mediapipe.tasks.python.core.mediapipe_c_bindings")
    monkeypatch.setattr(bindings, "_shared_lib", None)
    monkeypatch.setattr("ctypes.CDLL", load)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.parametrize("start", [check_libraries, Matte, MediaPipeTracker])
def test_missing_system_libraries_are_named_with_their_packages(without_libraries, start):
    with pytest.raises(MpkitError) as error:
        start()
    text = str(error.value)
    assert all(word in text for word in ("libEGL.so.1", "libGLESv2.so.2", "libegl1", "libgles2")) and "\n" not in text


def test_only_linux_needs_the_system_libraries(without_libraries, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    check_libraries()
    with pytest.raises(MpkitError, match="MediaPipe cannot be loaded .*; run: pip install mediapipe"):
        Matte()
