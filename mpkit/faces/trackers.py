"""The face trackers by name."""

from mpkit.errors import MpkitError
from mpkit.faces.face import Tracker
from mpkit.faces.mediapipe_tracker import MediaPipeTracker

TRACKERS = ("mediapipe", "face-alignment")


def make_tracker(name: str = "mediapipe", video: bool = False) -> Tracker:
    """The tracker of that name, one of TRACKERS. `video`: it is called with the frames of one clip, in order.

    Raises MpkitError if there is no such tracker, or its package or weights are missing.
    """
    if name == "mediapipe":
        return MediaPipeTracker(video)
    if name == "face-alignment":
        from mpkit.faces.face_alignment_tracker import FaceAlignmentTracker

        return FaceAlignmentTracker()  # it treats the frames of a clip like stills
    raise MpkitError(f"there is no face tracker '{name}'; choose one of {', '.join(TRACKERS)}")
