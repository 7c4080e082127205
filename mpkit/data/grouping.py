"""Which stills of a folder show the same person: from their names, or from a table."""

import csv
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mpkit.errors import MediaError

STILL_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
COLUMNS = ("path", "person")  # of a table


def same_people(
    files: Mapping[str, tuple[Path]], table: Mapping[str, str] | None = None
) -> dict[str, tuple[Path, ...]]:
    """The people with at least two stills among `files` (path below the folder -> its file): name -> their files.

    table: path below the folder -> person. Without one, stills of one folder show the same person where their names
    differ only in a last letter after "_": anna_a.jpg, anna_b.png. Raises MediaError where the table names a file that
    is not among them."""
    if missing := set(table or ()) - set(files):
        raise MediaError(f"the table names {min(missing)}, which is not among the {len(files)} files of the folder")
    groups = defaultdict(list)
    for name, (path,) in files.items():
        if table is not None:
            person = table.get(name)
        else:
            person = (found := re.fullmatch(r"(.+)_[a-z]", str(Path(name).with_suffix("")))) and found[1]
        if person and path.suffix.lower() in STILL_SUFFIXES:
            groups[f"person {person}"].append(path)
    return {person: tuple(paths) for person, paths in groups.items() if len(paths) > 1}


def read_table(path: str | Path) -> dict[str, str]:
    """A table of who is on which still: a text file with the columns `path` (below the folder) and `person`, divided by
    tabs or commas. Raises MediaError for a file that is no such table."""
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        rows = csv.DictReader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",")
        table, columns = list(rows), set(rows.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MediaError(
            f"cannot read the table {path}: {getattr(error, 'strerror', None) or 'it is no such text'}"
        ) from None
    if not set(COLUMNS) <= columns:
        raise MediaError(f"{path}: the first line of the table must name the columns {' and '.join(COLUMNS)}")
    return {row["path"]: row["person"] for row in table if row["path"] and row["person"]}
