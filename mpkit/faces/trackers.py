"""The face trackers by name."""

from mpkit.errors import MpkitError
from mpkit.faces.face import Tracker
from mpkit.faces.mediapipe_tracker import MediaPipeTracker

TRACKERS = ("mediapipe", "face-alignment")


def make_tracker(name: str = "mediapipe", video: bool = False) -> Tracker:
    """A tracker by name, one of TRACKERS. `video`: the pictures are the frames of one clip, in order."""
    if name == "mediapipe":
        return MediaPipeTracker(video)
    if name == "face-alignment":
        from mpkit.faces.face_alignment_tracker import FaceAlignmentTracker

        return FaceAlignmentTracker()
    raise MpkitError(f"there is no face tracker '{name}'; choose one of {', '.join(TRACKERS)}")
