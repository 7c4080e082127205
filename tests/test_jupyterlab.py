"""JupyterLab in a browser: lessons run from top to bottom, and a slider changes its figure."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
MINUTE = 60_000  # ms
SOURCES = "elements => elements.map(image => image.src).join()"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab on a copy of the notebooks, open to this machine alone."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(FOLDER, folder / "notebooks", ignore=shutil.ignore_patterns("book", "__pycache__"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    environment = os.environ | {
        "MPKIT_LESSON_SECONDS": "3", "JUPYTER_CONFIG_DIR": str(folder), "PYTHONPATH": str(FOLDER.parent)
    }  # fmt: skip
    with open(folder / "log", "w") as log:
        server = subprocess.Popen(
            [*command, "--IdentityProvider.token="], cwd=folder / "notebooks", env=environment, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{address}/api/status").close()
            break
        except OSError:
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(20)


@pytest.mark.parametrize("lesson", ["00_tour", "03_warp_fields", "04_appearance_volumes"])
def test_a_lesson_runs_and_its_viewer_follows_a_slider(lab, chromium, lesson):
    page = chromium.new_page(viewport={"width": 1300, "height": 1500})
    page.goto(f"{lab}/lab/tree/{lesson}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook", timeout=2 * MINUTE)
    page.get_by_text("| Idle").wait_for(timeout=2 * MINUTE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_selector(".mpkit-controls", state="attached", timeout=4 * MINUTE)
    pictures = page.locator(".mpkit-panels img")
    before = pictures.evaluate_all(SOURCES)
    slider = page.locator(".mpkit-controls input").first
    slider.evaluate("slider => { slider.value = slider.min; slider.dispatchEvent(new Event('input')); }")
    page.wait_for_function(
        "before => [...document.querySelectorAll('.mpkit-panels img')].map(image => image.src).join() != before",
        arg=before, timeout=2 * MINUTE,
    )  # fmt: skip
    assert pictures.count() == 4 and pictures.first.evaluate("image => image.naturalWidth") == 256
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    page.close()
