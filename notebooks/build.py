"""Runs the lessons, stores their outputs in them, and writes them as an HTML book. `make lessons` calls it.

    python build.py                     all lessons
    python build.py 03_warp_fields      some of them

Figures in space (plotly) can be turned in the book; the notebooks keep them as PNG, for which Chrome or Chromium is
needed. Without it they keep no picture of these figures.
"""

import base64
import copy
import io
import os
import shutil
import sys
from pathlib import Path

import kaleido
import matplotlib
import nbformat
import plotly.io
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbconvert.filters import markdown2html
from PIL import Image
from plotly.offline import get_plotlyjs

from mpkit.viz import system_map
from mpkit.viz.widgets import PLOTLY, SHOWN_FIGURE

FOLDER = Path(__file__).resolve().parent
BOOK = FOLDER / "book"
KEPT = ("image/png", "image/svg+xml", "text/html", "text/markdown", "text/plain")  # of an output, in a notebook
LARGE = 300_000  # bytes of a PNG that is stored with a palette of 256 colours
CELL_SECONDS = 900  # at most
CONTENTS = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>mpkit: the lessons</title>
<style>body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif }}
table {{ border-collapse: collapse }} td, th {{ padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: left }}
img {{ max-width: 100% }} pre {{ overflow-x: auto }} .anchor-link {{ display: none }}</style>
{body}
"""


def main(names: list[str]) -> None:
    lessons = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
    chosen = [path for path in lessons if not names or path.stem in names]
    if unknown := set(names) - {path.stem for path in lessons}:
        raise SystemExit(f"there is no lesson {', '.join(sorted(unknown))}")
    BOOK.mkdir(exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": "mpkit"}):  # the same bytes in each run
        system_map().savefig(FOLDER / "system.svg", metadata={"Date": None})
    (BOOK / "plotly.min.js").write_text(get_plotlyjs(), "utf-8")
    for path in chosen:
        print(path.stem, flush=True)
        notebook = executed(path)
        write_page(notebook, path.stem)
        store(notebook, path)
    write_contents()


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh run. Raises CellExecutionError."""
    notebook = nbformat.read(path, as_version=4)
    os.environ["PLOTLY_RENDERER"] = "plotly_mimetype"  # figures as JSON, without the library in each notebook
    NotebookClient(
        notebook, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}},
        record_timing=False,
    ).execute()  # fmt: skip
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return notebook


def write_page(notebook: nbformat.NotebookNode, name: str) -> None:
    """The notebook as a page of the book, in which figures in space can be turned."""
    page = copy.deepcopy(notebook)
    for data in outputs(page):
        if figure := data.pop(PLOTLY, None) or data.pop(SHOWN_FIGURE, None):
            drawn = plotly.io.from_json(plotly.io.json.to_json_plotly(figure), skip_invalid=True)
            data["text/html"] = drawn.to_html(full_html=False, include_plotlyjs="plotly.min.js")
            data.pop("image/png", None)
        data.pop("application/vnd.jupyter.widget-view+json", None)
    html, _ = HTMLExporter(template_name="lab", require_js_url="").from_notebook_node(page)
    (BOOK / f"{name}.html").write_text(html.replace('.ipynb"', '.html"'), "utf-8")


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Writes the notebook with its outputs as text and PNG, without what native libraries print on stderr."""
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    for data in outputs(notebook):
        if figure := data.pop(PLOTLY, None) or data.pop(SHOWN_FIGURE, None):
            if png := still(figure):
                data["image/png"] = png
        for kind in set(data) - set(KEPT):
            del data[kind]
        if png := data.get("image/png"):
            data["image/png"] = smaller(png)
    nbformat.write(notebook, path)


def outputs(notebook: nbformat.NotebookNode):
    """The data of every output: a dict from MIME type to content."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "data" in output:
                yield output["data"]


def still(figure: dict) -> str | None:
    """A plotly figure as PNG in base64, or None where no Chrome is found."""
    try:
        kaleido.start_sync_server(silence_warnings=True)
        return base64.b64encode(kaleido.calc_fig_sync(figure, opts={"format": "png"})).decode()
    except kaleido.ChromeNotFoundError:
        return None


def smaller(png: str) -> str:
    """A PNG in base64; a LARGE one with a palette, which takes about half the bytes. Films have theirs already."""
    content = base64.b64decode(png)
    picture, data = Image.open(io.BytesIO(content)), io.BytesIO()
    if getattr(picture, "n_frames", 1) > 1 or len(content) < LARGE:
        return png
    picture.convert("RGB").quantize(256).save(data, "png", optimize=True)
    return base64.b64encode(data.getvalue()).decode()


def write_contents() -> None:
    """The first page of the book: the notes for teachers, which list the lessons in order."""
    body = markdown2html((FOLDER / "README.md").read_text("utf-8")).replace('.ipynb"', '.html"')
    (BOOK / "index.html").write_text(CONTENTS.format(body=body), "utf-8")
    shutil.copy(FOLDER / "system.svg", BOOK)


if __name__ == "__main__":
    main(sys.argv[1:])
