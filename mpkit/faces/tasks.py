"""MediaPipe's tasks, quietly: imported late (it takes a second), created from bundled files, and no noise on stderr."""

import atexit
import contextlib
import os
import sys
import tempfile
import weakref
from pathlib import Path

import numpy as np

from mpkit.errors import MpkitError

_open_tasks = weakref.WeakSet()


def create_task(owner, kind: str, model_file: Path, **options):
    """A MediaPipe vision task, e.g. "FaceLandmarker" with its options, warmed up by one empty picture.

    It is closed when its `owner` goes, if not before. Left to the garbage collector, a task in a cycle would wait for
    ever for its own thread, which is collected first.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    with silent_stderr():
        try:
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise MpkitError(f"MediaPipe cannot be imported ({error}); run: pip install mediapipe") from None
        settings = getattr(vision, f"{kind}Options")(
            base_options=BaseOptions(model_asset_buffer=model_file.read_bytes()),
            running_mode=vision.RunningMode.IMAGE,
            **options,
        )
        task = getattr(vision, kind).create_from_options(settings)
        blank = media_image(np.zeros((64, 64, 3), np.uint8))  # the first call of all writes to stderr too
        task.detect(blank) if hasattr(task, "detect") else task.segment(blank)
    _open_tasks.add(task)
    weakref.finalize(owner, task.close).atexit = False
    return task


def media_image(image: np.ndarray):
    """An RGB picture (H, W, 3) uint8 as MediaPipe wants it."""
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))


@contextlib.contextmanager
def silent_stderr():
    """Hides what native libraries write to the process's stderr (file descriptor 2)."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@atexit.register
def _leave_to_the_system():
    """A task still open when the interpreter ends cannot be closed any more and would complain; the system frees it."""
    for task in list(_open_tasks):
        task._handle = None
