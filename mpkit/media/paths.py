"""Checks of input files and output paths, made before any long work. All errors are MediaErrors of one line."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mpkit.errors import MediaError

VIDEO_SUFFIXES = (".mp4", ".webm", ".gif")  # of the videos that can be written


def check_file(path: Path) -> None:
    """Raises MediaError unless `path` is a readable file that is not empty."""
    try:
        if path.is_dir():
            raise MediaError(f"{path} is a folder; give one file")
        if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
            raise MediaError(f"{path} is a pipe or a device; give a file")
        with path.open("rb") as file:
            empty = not file.read(1)
    except MediaError:
        raise
    except FileNotFoundError:
        raise MediaError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise MediaError(f"{path} cannot be opened ({one_line(error)})") from None
    if empty:
        raise MediaError(f"{path} is an empty file")


def check_output(path: str | Path) -> Path:
    """The absolute path, if a video can be written there: an .mp4, .webm or .gif file, or a folder for PNG frames.

    A folder is a path without suffix or an existing folder. It must be new, empty, or hold nothing but numbered PNG
    frames (000000.png ...), which will be replaced; hidden files are ignored. Raises MediaError.
    """
    return _checked(path, _check_video_output)


def check_json_output(path: str | Path) -> Path:
    """The absolute path, if a .json file can be written there. Raises MediaError."""
    return _checked(path, _check_json_output)


def _checked(path: str | Path, check: Callable[[Path], None]) -> Path:
    """The absolute path, after a check of it, and after an attempt to write there under the same name."""
    if path == "":  # as a path it is the current folder
        raise MediaError("the name of the output is empty; give a file or a folder")
    try:
        absolute = Path(path).resolve()
        check(absolute)
        with temporary_folder(working_folder(absolute)) as folder:  # only writing shows what is allowed
            Path(folder, absolute.name or frame_name(0)).touch()
        return absolute
    except MediaError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, a loop of links, a deleted folder
        reason = getattr(error, "strerror", None) or one_line(error)
        raise MediaError(f"{path} cannot be written ({reason})") from None


def _check_video_output(path: Path) -> None:
    if path.is_dir():
        other_files = [item.name for item in path.iterdir() if not (_is_ignored(item.name) or _is_frame(item))]
        if other_files:
            raise MediaError(f"{path} holds other files ({min(other_files)}); give a new or an empty folder")
    elif path.suffix == "":
        if path.exists():
            raise MediaError(f"{path} is a file; give a folder, or a name that ends in {_join(VIDEO_SUFFIXES)}")
    elif path.suffix.lower() not in VIDEO_SUFFIXES:
        raise MediaError(f"cannot write {path.suffix} ({path}); use {_join(VIDEO_SUFFIXES)}, or a folder of PNGs")


def _check_json_output(path: Path) -> None:
    if path.suffix.lower() != ".json" or path.is_dir():
        raise MediaError(f"{path} is not the name of a .json file; a motion file is written as .json")


def output_format(path: Path) -> str:
    """The suffix that selects the format of an output, in lower case; "" for a folder of PNG frames."""
    return "" if path.is_dir() else path.suffix.lower()


def keeps_transparency(path: Path) -> bool:
    """Whether an output keeps the transparency of its frames: a .webm file and a folder of PNG frames do."""
    return output_format(path) in ("", ".webm")


def working_folder(output: Path) -> Path:
    """Where the temporary folder of an output is made, so that the result need only be moved: inside an existing
    folder, which may be a mount point or below a folder that cannot be written to; else beside the output."""
    return output if output.is_dir() else output.parent


def check_not_input(output: Path, *inputs: Path) -> None:
    """Raises MediaError if an input is the output itself, or one of the frames that an output folder holds."""
    output = output.resolve()
    for path in inputs:
        try:
            resolved = Path(os.path.realpath(path))
        except ValueError:  # no file has such a name; `check_file` says so
            continue
        if resolved == output:
            raise MediaError(f"--output is {path} itself; give another name")
        if resolved.parent == output and _is_frame(resolved):
            raise MediaError(f"--output is the folder of {path}, which would be replaced by a frame; give another")


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


def replace_frames(made: Path, folder: Path) -> None:
    """Moves the frames in the folder `made` to `folder`, in place of those that it holds, which move to a folder beside
    `made`. The two are on one file system. After an error or an interruption `folder` holds its own frames again."""
    old, moves = made.with_name("old"), []
    old.mkdir()
    try:
        for source, target in ((folder, old), (made, folder)):
            for name in sorted(path.name for path in source.iterdir() if _is_frame(path)):
                moves.append((source / name, target / name))
                os.replace(*moves[-1])
    except BaseException:
        for source, target in reversed(moves):
            if target.exists():  # the last move may not have been made
                os.replace(target, source)
        raise


def one_line(error: Exception) -> str:
    """The message of an error as one line; its class name if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def _is_frame(path: Path) -> bool:
    return path.suffix == ".png" and path.stem.isdecimal() and len(path.stem) >= 6 and path.is_file()


def _is_ignored(name: str) -> bool:
    """Whether a file in an output folder is hidden, or of the operating system: it stays as it is."""
    return name.startswith(".") or name in ("lost+found", "Thumbs.db", "desktop.ini")


def _join(names: tuple[str, ...]) -> str:
    """The names as "a, b or c"."""
    return ", ".join(names[:-1]) + " or " + names[-1]
