"""Portraits behind sliders: each picture is prepared once and kept for a while, for all visitors."""

import functools
import threading
from pathlib import Path

import numpy as np
from jobs import live_animator

from mpkit.errors import MediaError
from mpkit.media.images import read_image
from mpkit.viz import MotionViews
from mpkit.viz.views import CONTROLS

KEPT = 8  # portraits
SIDE = 384  # pixels of the animated crop
_turn = threading.Lock()  # one model: sliders of several visitors take turns


@functools.lru_cache(KEPT)
def _views(path: str, changed: float, face: str) -> MotionViews:
    portrait = live_animator().portrait(read_image(path), int(face) if face.isdecimal() else face, SIDE)
    return MotionViews(live_animator(), portrait)


def views_of(path: str | None, face: int = 0) -> MotionViews:
    """The views of a face of a picture; 0 is the largest. Raises MediaError, NoFaceError."""
    if path is None:
        raise MediaError("choose a portrait in the tab Animate first")
    with _turn:
        return _views(path, Path(path).stat().st_mtime, str(face or "largest"))


def picture_of(views: MotionViews, values: dict[str, float]) -> np.ndarray:
    """The portrait with these values of CONTROLS, (SIDE, SIDE, 3) uint8."""
    with _turn:
        return views.animator.frame(views.portrait, views.motion(**values))


def named(values: tuple[float, ...]) -> dict[str, float]:
    """Values in the order of CONTROLS, by name."""
    return {control.name: value for control, value in zip(CONTROLS, values)}
