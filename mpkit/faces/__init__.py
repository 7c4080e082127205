"""Faces: find them, crop the head, cut it out of its background."""

from mpkit.faces.crop import Crop, cut, paste, pose_in
from mpkit.faces.tracker import ACTIONS, Face, MediaPipeTracker, Tracker, make_tracker, select_face

__all__ = [
    "ACTIONS", "Crop", "Face", "MediaPipeTracker", "Tracker", "cut", "make_tracker", "paste", "pose_in", "select_face",
]  # fmt: skip
