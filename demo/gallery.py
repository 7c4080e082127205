"""What the page offers to choose from: paintings, photographs, motions, and pairs of both that are shown at once.

gallery/ holds the paintings; make_gallery.py makes the films in it.
"""

from pathlib import Path
from typing import NamedTuple

from mpkit.assets import EXAMPLES

FOLDER = Path(__file__).with_name("gallery")


class Work(NamedTuple):
    """A picture to animate."""

    file: Path
    title: str

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def thumbnail(self) -> Path:
        """The head alone, small."""
        return FOLDER / "thumbnails" / f"{self.name}.jpg"


def _painting(name: str, title: str, artist: str, year: str = "") -> Work:
    return Work(FOLDER / f"{name}.jpg", ", ".join(part for part in (title, artist, year) if part))


WORKS = (
    _painting("madame_leblanc", "Madame Jacques-Louis Leblanc", "Jean-Auguste-Dominique Ingres", "1823"),
    _painting("eleanor_of_toledo", "Eleanor of Toledo", "Agnolo Bronzino", "about 1545"),
    _painting("young_man", "Portrait of a Young Man", "Agnolo Bronzino", "1530s"),
    _painting("bindo_altoviti", "Bindo Altoviti", "Raphael", "about 1515"),
    _painting("woman", "Portrait of a Woman", "Frans Hals"),
    _painting("haesje_van_cleyburg", "Haesje Jacobsdr van Cleyburg", "Rembrandt", "1634"),
    _painting("isabella_of_portugal", "Isabella of Portugal", "workshop of Rogier van der Weyden", "about 1450"),
    _painting("adele_bloch_bauer", "Adele Bloch-Bauer I", "Gustav Klimt", "1907"),
    Work(EXAMPLES / "grace_hopper.jpg", "Grace Hopper, photograph, US Navy"),
    Work(EXAMPLES / "eileen_collins.jpg", "Eileen Collins, photograph, NASA"),
)
MOTIONS = {path.stem.capitalize(): path for path in sorted(EXAMPLES.glob("*.json"))}


class Pair(NamedTuple):
    """A work in a motion, whose film is there before anybody asks for it."""

    work: Work
    motion: str  # a key of MOTIONS

    @property
    def film(self) -> Path:
        """Still, driver and result side by side, cropped to heads."""
        return FOLDER / f"{self.work.name}-{self.motion.lower()}.mp4"


PAIRS = tuple(
    Pair(next(work for work in WORKS if work.name == name), motion)
    for name, motion in (
        ("madame_leblanc", "Talk"),
        ("young_man", "Nod"),
        ("woman", "Talk"),
        ("eleanor_of_toledo", "Turn"),
    )
)
FIRST = FOLDER / "first.mp4"  # all pairs one after another: what the page shows before the first click


def motion_film(name: str) -> Path:
    """A small looping picture of a motion in MOTIONS: an animated WebP."""
    return FOLDER / f"{name.lower()}.webp"
