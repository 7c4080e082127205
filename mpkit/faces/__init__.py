"""Faces in pictures: find them, read their pose and expression, crop the head, cut it out of its background."""

from mpkit.faces.crop import Crop, cut, paste, pose_in
from mpkit.faces.face import Face, Tracker, select_face
from mpkit.faces.trackers import make_tracker

__all__ = ["Crop", "Face", "Tracker", "cut", "make_tracker", "paste", "pose_in", "select_face"]
