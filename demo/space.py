"""Writes a folder that is a whole Hugging Face Space: the page, the part of mpkit that it runs, weights, licences.

make space                   or: python demo/space.py [FOLDER] [--name OWNER/SPACE]
"""

import argparse
import shutil
import sys
from pathlib import Path

import av
import lessons

DEMO = Path(__file__).resolve().parent
REPOSITORY = DEMO.parent
FOLDER = REPOSITORY / "build" / "space"
NOT_OF_THE_PAGE = {"space.py", "make_gallery.py"}
# Parts of mpkit that a page never needs: training, evaluation and the command line, and files that only they read.
NOT_IN_MPKIT = {
    "__main__.py", "cli", "evaluation", "training", "losses", "data", "synthetic",
    "assets/anny_landmarks.npz", "assets/people64.npz",
    "assets/weights/gaze.safetensors", "assets/weights/identity.safetensors",
}  # fmt: skip
THUMBNAIL_WIDTH = 640  # pixels
THUMBNAIL = "https://huggingface.co/spaces/{name}/resolve/main/thumbnail.jpg"


def write_space(folder: Path, name: str | None = None) -> None:
    """Writes the Space into a folder. With `name`, OWNER/SPACE, its README.md says where the thumbnail will lie."""
    shutil.copytree(REPOSITORY / "mpkit", folder / "mpkit", ignore=_left_out)
    shutil.copytree(DEMO / "gallery", folder / "gallery")
    (folder / "notebooks").mkdir()
    for lesson in lessons.NAMED:
        shutil.copy(REPOSITORY / "notebooks" / f"{lesson}.ipynb", folder / "notebooks")
    for file in sorted(DEMO.glob("*.py")):
        if file.name not in NOT_OF_THE_PAGE:
            shutil.copy(file, folder)
    for file in (
        DEMO / "requirements.txt",
        DEMO / "packages.txt",
        REPOSITORY / "LICENSE",
        REPOSITORY / "THIRD_PARTY.md",
    ):
        shutil.copy(file, folder)
    readme = (DEMO / "README.md").read_text()
    if name:
        readme = readme.replace("---\n", f"---\nthumbnail: {THUMBNAIL.format(name=name)}\n", 1)
    (folder / "README.md").write_text(readme)
    write_thumbnail(DEMO / "gallery" / "first.mp4", folder / "thumbnail.jpg")


def _left_out(folder: str, names: list[str]) -> set[str]:
    """The names in a folder of mpkit that are not copied."""
    place = Path(folder).relative_to(REPOSITORY / "mpkit")
    return {name for name in names if name == "__pycache__" or (place / name).as_posix() in NOT_IN_MPKIT}


def write_thumbnail(film: Path, file: Path) -> None:
    """The first frame of a film as a small JPEG."""
    with av.open(film) as container:
        picture = next(container.decode(video=0)).to_image()
    picture.thumbnail((THUMBNAIL_WIDTH, THUMBNAIL_WIDTH))
    picture.save(file, quality=85, optimize=True)


def megabytes(folder: Path) -> float:
    """The size of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="new or empty; %(default)s is replaced")
    parser.add_argument("--name", metavar="OWNER/SPACE", help="of the Space, for the address of its thumbnail")
    options = parser.parse_args()
    if options.folder.resolve() == FOLDER:
        shutil.rmtree(FOLDER, ignore_errors=True)
    if options.folder.exists() and any(options.folder.iterdir()):
        sys.exit(f"space: {options.folder} is not empty; choose another folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    write_space(options.folder, options.name)
    print(f"{options.folder}: {megabytes(options.folder):.1f} MB")


if __name__ == "__main__":
    main()
