"""Checks of input files and output paths, made before any long work. All errors are MediaErrors of one line."""

import os
import tempfile
from pathlib import Path

from mpkit.errors import MediaError

VIDEO_SUFFIXES = (".mp4", ".webm", ".gif")  # of the videos that can be written


def check_file(path: Path) -> None:
    """Raises MediaError unless `path` is a readable file that is not empty."""
    if path.is_dir():
        raise MediaError(f"{path} is a folder; give one file")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise MediaError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise MediaError(f"{path} cannot be opened ({one_line(error)})") from None
    if empty:
        raise MediaError(f"{path} is an empty file")


def check_output(path: str | Path) -> Path:
    """The absolute path, if a video can be written there: an .mp4, .webm or .gif file, or a folder for PNG frames.

    A folder is a path without suffix or an existing folder. It must be new, empty, or hold nothing but numbered PNG
    frames (000000.png ...), which will be replaced. Raises MediaError.
    """
    path = Path(path).resolve()
    if path.is_dir():
        other_files = [item.name for item in path.iterdir() if not _is_frame_name(item.name)]
        if other_files:
            raise MediaError(f"{path} holds other files ({min(other_files)}); give a new or an empty folder")
    elif path.suffix == "":
        if path.exists():
            raise MediaError(f"{path} is a file; give a folder, or a name that ends in {_join(VIDEO_SUFFIXES)}")
    elif path.suffix.lower() not in VIDEO_SUFFIXES:
        raise MediaError(f"cannot write {path.suffix} ({path}); use {_join(VIDEO_SUFFIXES)}, or a folder of PNGs")
    with temporary_folder(path.parent):  # only writing shows whether it is allowed
        return path


def temporary_folder(parent: Path) -> tempfile.TemporaryDirectory:
    """A new folder inside `parent`, deleted after the `with` block: outputs are made there and moved when complete.

    Raises MediaError if `parent` does not exist or cannot be written to."""
    if not parent.is_dir():
        raise MediaError(f"the folder {parent} does not exist; make it first")
    try:
        return tempfile.TemporaryDirectory(prefix=".mpkit-", dir=parent)
    except OSError as error:
        raise MediaError(f"cannot write into the folder {parent} ({one_line(error)})") from None


def frame_name(index: int) -> str:
    """The file name of frame `index` in a folder of PNG frames."""
    return f"{index:06d}.png"


def one_line(error: Exception) -> str:
    """The message of an error as one line; its class name if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def _is_frame_name(name: str) -> bool:
    stem, suffix = os.path.splitext(name)
    return suffix == ".png" and stem.isdecimal() and len(stem) >= 6


def _join(names: tuple[str, ...]) -> str:
    """The names as "a, b or c"."""
    return ", ".join(names[:-1]) + " or " + names[-1]
