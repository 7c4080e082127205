"""MediaPipe's tasks are closed with the object that owns them."""

import subprocess
import sys


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
