"""Faces in pictures: detect and track them, crop the head, separate the person from the background."""

from mpkit.faces.crop import Crop, cut, paste, pose_in
from mpkit.faces.face import Face, Tracker, select_face
from mpkit.faces.trackers import make_tracker

__all__ = ["Crop", "Face", "Tracker", "cut", "make_tracker", "paste", "pose_in", "select_face"]
