"""mpkit: MegaPortraits (one-shot megapixel neural head avatars) that you can run, read and learn from.

from mpkit import Animator
Animator.load().animate("painting.jpg", "driver.mp4", "out.mp4")
"""

import importlib

_LOCATIONS = {  # of each public name: module, attribute
    "Animator": ("mpkit.animation.animator", "Animator"),
    "Motion": ("mpkit.animation.motion_file", "MotionTrack"),
    "Options": ("mpkit.animation.options", "Options"),
    "TrainConfig": ("mpkit.training.config", "TrainConfig"),
    "Trainer": ("mpkit.training.trainer", "Trainer"),
    "load_model": ("mpkit.networks.base", "load_model"),
    "presets": ("mpkit.config", "PRESETS"),
    "track": ("mpkit.animation.track", "track"),
}
__all__ = list(_LOCATIONS)


def __getattr__(name: str):
    """Public names are imported when they are first used, so that `import mpkit` is instant."""
    if name not in _LOCATIONS:
        raise AttributeError(f"module 'mpkit' has no attribute {name!r}")
    module, attribute = _LOCATIONS[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
