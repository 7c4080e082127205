"""MediaPipe's vision tasks, with bundled model files. The package is imported late: that takes a second."""

import atexit
import contextlib
import ctypes
import os
import sys
import tempfile
import threading
import weakref
from pathlib import Path

import numpy as np

from mpkit.errors import MpkitError

# The libraries that MediaPipe's own is linked to on Linux, with their Debian packages. Servers often lack them.
SYSTEM_LIBRARIES = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2"}

_open_tasks = weakref.WeakSet()
_tasks_of_parents = []  # of a forked process: kept for ever, see `_after_fork`
_forked = False  # is this a forked process, as ZeroGPU's are?


class MediaPipeTask:
    """Base class of what runs one MediaPipe vision task. Use it as a context manager, or close it after use.

    kind: "FaceLandmarker", "FaceDetector" or "ImageSegmenter", with its options as MediaPipe names them. model: its
    file, or the bytes of one. The task is closed at the latest when this object is deleted. Left to the garbage
    collector, a task in a reference cycle would wait forever for its own thread, which is collected first. Raises
    MpkitError if MediaPipe, or a system library that it needs, is missing.
    """

    def __init__(self, kind: str, model: Path | bytes, **options):
        self._lock = threading.Lock()
        with silent_stderr():
            self._task = _create_task(kind, model, options)
            self._process = self._task.segment if kind == "ImageSegmenter" else self._task.detect
            self._run(np.zeros((64, 64, 3), np.uint8))  # the first call writes to stderr too
        _open_tasks.add(self._task)
        self._close = weakref.finalize(self, _close_in, os.getpid(), self._task)
        self._close.atexit = False

    def close(self) -> None:
        """Closes the task; a forked process does not wait for that. In a process that was forked since, it does
        nothing."""
        self._close()

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _run(self, image: np.ndarray):
        """MediaPipe's result for an RGB picture (H, W, 3) uint8. A task takes one picture at a time."""
        import mediapipe

        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        with self._lock:
            return self._process(picture)


def _close_in(process: int, task) -> None:
    if os.getpid() != process:
        return
    if _forked:
        # A lock of MediaPipe's may have been held by a thread of the parent when this process was forked. A thread of
        # a task waits for it when it ends, and the task waits for that thread: for ever, in about one of 200 forks.
        threading.Thread(target=task.close, daemon=True).start()
    else:
        task.close()


def _after_fork() -> None:
    """Called in a forked process. It has none of the threads for which an open task of its parent would wait, for
    ever, when it is closed or deleted."""
    global _forked
    _forked = True
    _tasks_of_parents.extend(_open_tasks)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def _create_task(kind: str, model: Path | bytes, options: dict):
    os.environ.setdefault("GLOG_minloglevel", "2")
    model = model.read_bytes() if isinstance(model, Path) else model
    try:
        from mediapipe.tasks.python import BaseOptions, vision

        settings = getattr(vision, f"{kind}Options")(
            base_options=BaseOptions(model_asset_buffer=model), running_mode=vision.RunningMode.IMAGE, **options
        )
        return getattr(vision, kind).create_from_options(settings)
    except (ImportError, OSError) as error:  # OSError: the first task loads MediaPipe's library, and that needs others
        check_libraries()
        raise MpkitError(f"MediaPipe cannot be loaded ({error}); run: pip install mediapipe") from None


def check_libraries() -> None:
    """Raises MpkitError if this is Linux and lacks a system library that MediaPipe needs. It is instant."""
    if sys.platform != "linux":
        return
    try:
        for name in SYSTEM_LIBRARIES:
            ctypes.CDLL(name)
    except OSError:
        libraries, packages = " and ".join(SYSTEM_LIBRARIES), " ".join(SYSTEM_LIBRARIES.values())
        raise MpkitError(
            f"MediaPipe needs the system libraries {libraries}; on Debian or Ubuntu run: apt-get install {packages}"
        ) from None


@contextlib.contextmanager
def silent_stderr():
    """Hides what native libraries write to the process's stderr (file descriptor 2), if it has one."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
        saved = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@atexit.register
def _forget_open_tasks():
    """Removes the handles of tasks that are open when the interpreter ends: closing them then fails with an error. The
    operating system frees them."""
    for task in list(_open_tasks):
        task._handle = None
