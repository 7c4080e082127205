"""The errors a user can cause. Each message is one clear line: what was wrong and what to do next.

The command line prints the line and exits with code 2; the demo shows it in a box.
"""


class MpkitError(ValueError):
    """Base of all errors below."""


class MediaError(MpkitError):
    """A picture, a video, a motion file or an output path that cannot be read or written."""


class NoFaceError(MpkitError):
    """No face, or not the face asked for, in a picture or in all of a clip."""


class WeightsError(MpkitError):
    """A weights file that is damaged, of another preset, or not a safetensors file."""


class DeviceError(MpkitError):
    """A device or precision that this machine does not have."""
