"""MediaPipe's tasks are closed with the object that owns them, and name what they lack."""

import subprocess
import sys

import pytest

from mpkit.errors import MpkitError
from mpkit.faces.matte import Matte
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
from mpkit.faces.tasks import SYSTEM_LIBRARIES, check_libraries


def test_tasks_in_a_reference_cycle_are_closed():
    """MediaPipe's own finalizer would wait for a thread that the garbage collector has ended."""
    done = subprocess.run(
        [sys.executable, "-c", CYCLES], capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr


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
