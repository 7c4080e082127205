"""Addresses of the lessons, the notebooks that explain what the page shows."""

import html
import os
from pathlib import Path

from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

HERE = Path(__file__).resolve().parent
BOOK = HERE.parent / "notebooks" / "book"  # the lessons as web pages, by `make lessons`
NAMED = ("00_tour", "01_faces_and_crops", "02_motion_latents", "03_warp_fields", "04_appearance_volumes")  # by the page
COPIES = HERE / "notebooks"  # of these lessons, in a Space
HUB = "https://huggingface.co/spaces/{space}/blob/main/notebooks/{lesson}.ipynb"


def routes() -> list[BaseRoute]:
    """What the page's server serves of the lessons: their web pages, if they are there."""
    return [Mount("/lessons", StaticFiles(directory=BOOK))] if BOOK.is_dir() else []


def address(lesson: str) -> str | None:
    """Where a visitor can read a lesson such as 03_warp_fields: at MPKIT_LESSONS, a web address that holds the folder
    `book`; on the Hub, beside a Space; on the page's own server. None: nowhere but in the repository."""
    if "MPKIT_LESSONS" in os.environ:
        return f"{os.environ['MPKIT_LESSONS'].rstrip('/')}/{lesson}.html"
    if "SPACE_ID" in os.environ and (COPIES / f"{lesson}.ipynb").is_file():
        return HUB.format(space=os.environ["SPACE_ID"], lesson=lesson)
    if (BOOK / f"{lesson}.html").is_file():
        return f"lessons/{lesson}.html"
    return None


def reference(lesson: str) -> str:
    """A lesson's name as a link in HTML; without an address, its file and what opens it."""
    place = address(lesson)
    if place is None:
        return f"Lesson: <code>notebooks/{lesson}.ipynb</code>, which <code>make lab</code> opens."
    number, title = lesson.split("_", 1)
    return f'<a href="{html.escape(place)}" target="_blank">Lesson {int(number)}: {title.replace("_", " ")}</a>'
