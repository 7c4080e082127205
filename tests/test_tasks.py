"""MediaPipe's tasks end with what owns them."""

import subprocess
import sys


def test_forgotten_trackers_and_mattes_are_closed_even_in_a_cycle():
    """MediaPipe's own finalizer would wait for a thread that the collector has ended."""
    done = subprocess.run(
        [sys.executable, "-c", FORGETFUL], capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.strip() == "done", done.stderr


FORGETFUL = """
import gc
from mpkit.faces.matte import Matte
from mpkit.faces.mediapipe_tracker import MediaPipeTracker
for kind in (Matte, MediaPipeTracker, Matte):
    thing = kind()
    thing.itself = thing
    del thing
    gc.collect()
with Matte() as matte:
    pass
del matte
gc.collect()
print("done")
"""
