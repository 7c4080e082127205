"""The Hugging Face Space that demo/space.py writes: whole, described as the Hub wants it, and able to run alone."""

import ast
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from clips import sway, write_clip

yaml = pytest.importorskip("yaml")
pytest.importorskip("gradio")
from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[1]
KEYS = {  # of the Hub's reference of Spaces' settings, as far as a Space with Gradio has them
    "title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "python_version", "app_file", "pinned", "license",
    "short_description", "thumbnail", "tags", "models", "datasets", "fullWidth", "header", "suggested_hardware",
    "preload_from_hub", "startup_duration_timeout", "disable_embedding",
}  # fmt: skip
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
MAX_DESCRIPTION = 60  # characters
# What mpkit imports for notebooks or for another face tracker, in functions that the page does not call.
NOT_ON_THE_PAGE = {"plotly", "ipywidgets", "anywidget", "traitlets", "IPython", "face_alignment"}
# Runs app.py without packages that a Space lacks, and without the repository's mpkit.
RUN_ALONE = """
import runpy, sys
sys.modules.update(dict.fromkeys(sys.argv.pop().split()))
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder)]
runpy.run_path("app.py", run_name="__main__")
"""
START_SECONDS = 120


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "space"
    script = [sys.executable, str(REPOSITORY / "demo" / "space.py"), str(folder), "--name", "ada/portrait"]
    printed = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    assert printed.split()[-2:] == [f"{size:.1f}", "MB"] and size < 40
    return folder


def front_matter(readme):
    return yaml.safe_load(readme.read_text().split("---\n")[1])


def requirements(file):
    """The requirements of a file by the name of the package."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return {Requirement(line).name: line for line in lines}


def installed_with(names):
    """Normal names of packages of this environment that come with the named ones."""
    found, waiting = set(), list(names)
    while waiting:
        name = re.sub("[-_.]+", "-", waiting.pop()).lower()
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            needs = importlib.metadata.requires(name) or []
            if name not in found:
                found.add(name)
                parsed = map(Requirement, needs)
                waiting += [need.name for need in parsed if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found


def modules_installed_with(names):
    """Names of modules of this environment: those that come with the named packages, and all others."""
    packages = installed_with(names)
    modules = importlib.metadata.packages_distributions()
    come = {module for module, of in modules.items() if packages & {re.sub("[-_.]+", "-", name).lower() for name in of}}
    return come, set(modules) - come


def imports(file):
    """Modules and names that a Python file imports, with dots, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_the_folder_is_whole(space):
    for name in ("README.md", "LICENSE", "THIRD_PARTY.md", "requirements.txt", "packages.txt", "gallery/LICENSES.md",
                 "mpkit/assets/examples/LICENSES.md", "mpkit/assets/weights/tiny.safetensors"):  # fmt: skip
        assert (space / name).is_file(), name
    names = {path.relative_to(space).as_posix() for path in space.rglob("*")}
    assert not [name for name in names if "__pycache__" in name or "people64" in name or name.endswith(".pyc")]
    assert not names & {"space.py", "make_gallery.py", "mpkit/training", "mpkit/synthetic", "mpkit/cli"}
    assert {work.name for work in (REPOSITORY / "demo" / "gallery").iterdir()} <= {Path(name).name for name in names}


def test_lessons_lie_beside_the_space_and_are_linked_on_the_hub(space, app, monkeypatch):
    import lessons

    assert {path.stem for path in (space / "notebooks").glob("*.ipynb")} == set(lessons.NAMED)
    monkeypatch.setattr(lessons, "COPIES", space / "notebooks")
    monkeypatch.setattr(lessons, "BOOK", space / "none")
    assert lessons.routes() == [] and lessons.address("03_warp_fields") is None
    assert "notebooks/03_warp_fields.ipynb" in lessons.reference("03_warp_fields")
    monkeypatch.setenv("SPACE_ID", "ada/portrait")
    place = "https://huggingface.co/spaces/ada/portrait/blob/main/notebooks/03_warp_fields.ipynb"
    assert lessons.address("03_warp_fields") == place and f'href="{place}"' in lessons.reference("03_warp_fields")
    assert lessons.address("08_student") is None
    monkeypatch.setenv("MPKIT_LESSONS", "https://example.org/book/")
    assert lessons.address("03_warp_fields") == "https://example.org/book/03_warp_fields.html"


def test_every_painting_has_a_licence(space):
    text = (space / "gallery" / "LICENSES.md").read_text()
    assert all(f"| {picture.name} |" in text for picture in (space / "gallery").glob("*.jpg"))


def test_the_front_matter_is_what_the_hub_takes(space):
    facts = front_matter(space / "README.md")
    assert set(facts) <= KEYS and facts["sdk"] == "gradio" and facts["license"] == "apache-2.0"
    assert {facts["colorFrom"], facts["colorTo"]} <= COLOURS
    assert len(facts["short_description"]) <= MAX_DESCRIPTION
    assert (space / facts["app_file"]).is_file() and re.fullmatch(r"3\.\d+(\.\d+)?", facts["python_version"])
    gradio = Requirement(requirements(space / "requirements.txt")["gradio"])
    assert isinstance(facts["sdk_version"], str) and gradio.specifier.contains(facts["sdk_version"])
    assert facts["thumbnail"].startswith("https://huggingface.co/spaces/ada/portrait/")
    assert (space / facts["thumbnail"].rsplit("/", 1)[1]).stat().st_size < 100_000
    assert "thumbnail" not in front_matter(REPOSITORY / "demo" / "README.md")


def test_requirements_are_the_repositorys(space):
    everything = requirements(REPOSITORY / "requirements.txt")
    assert requirements(space / "requirements.txt").items() <= everything.items()


def test_system_packages_are_names_only(space):
    """The Hub hands each line to apt-get."""
    lines = (space / "packages.txt").read_text().splitlines()
    assert lines and all(re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", line) for line in lines)


def test_every_import_is_in_the_folder_or_required(space):
    come, _ = modules_installed_with(requirements(space / "requirements.txt"))
    here = {file.stem for file in space.glob("*.py")}
    missing = {}
    for file in space.rglob("*.py"):
        for name in imports(file):
            root, *rest = name.split(".")
            if root == "mpkit":
                target = space.joinpath("mpkit", *rest)
                found = target.is_dir() or target.with_suffix(".py").is_file()
            else:
                found = root in here or root in sys.stdlib_module_names or root in come
            if not found:
                missing.setdefault(name.split(".")[0], set()).add(file.relative_to(space).parts[0])
    assert missing.pop("spaces", {"zero_gpu.py"}) == {"zero_gpu.py"}  # the Hub installs it
    assert set(missing) <= NOT_ON_THE_PAGE and set().union(*missing.values()) <= {"mpkit"}


def test_nothing_names_the_place_it_was_made(space):
    places = (f"{REPOSITORY}/".encode(), str(space).encode())
    files = [file for file in space.rglob("*") if file.is_file()]
    assert not [file for file in files if any(place in file.read_bytes() for place in places)]


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    script = [sys.executable, str(REPOSITORY / "demo" / "space.py"), str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode and "is not empty" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


@contextlib.contextmanager
def page(command, folder, cache, **environment):
    """A client of a page that another process starts in `folder`, and the lines that the page prints."""
    from gradio_client import Client

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    removed = ("PYTHONPATH", "MPKIT_WEIGHTS", "SPACE_ID")
    environment = {name: value for name, value in os.environ.items() if name not in removed} | environment
    environment |= {"PORT": address.rsplit(":", 1)[1], "GRADIO_TEMP_DIR": str(cache / "page")}
    printed = cache / "printed.txt"
    with open(printed, "w") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_for(address, process, printed)
        yield Client(address, verbose=False, download_files=str(cache / "client")), printed
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # with the processes that it forked
        process.wait(30)


def wait_for(address, process, printed):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:
            assert answer.status == 200
            return
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGUSR1)  # where does it wait?
    time.sleep(1)
    pytest.fail(f"the page did not start:\n{printed.read_text()[-12000:]}")


def animate(client, portrait, motion="Nod", **choices):
    """(path of the video or None, the line about it) of one second."""
    from gradio_client import handle_file

    files = {name: handle_file(str(value)) for name, value in choices.items()}
    answer = client.predict(handle_file(str(portrait)), motion, **files, seconds=1, api_name="/animate")
    video, line = (part.get("value") if isinstance(part, dict) else part for part in answer[1:3])
    return video, line


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    from mpkit.media.images import write_png

    path = tmp_path_factory.mktemp("still") / "still.png"
    write_png(path, sway(1)[0])
    return path


def test_the_page_runs_from_the_folder_alone(space, still, weights, tmp_path):
    _, absent = modules_installed_with(requirements(space / "requirements.txt"))
    command = [sys.executable, "-c", RUN_ALONE, " ".join(absent - {"mpkit"})]
    with page(command, space, tmp_path, MPKIT_WEIGHTS=str(weights), SPACE_ID="ada/portrait") as (client, _):
        video, line = animate(client, still)
    assert line.startswith("25 frames") and Path(video).stat().st_size > 1000


@pytest.mark.skipif(importlib.util.find_spec("spaces") is None, reason="the package spaces is not installed")
def test_the_page_runs_on_zero_gpu(space, still, weights, tmp_path):
    """With real forks. The video is there though the fork does not wait for the page; errors and hints come through."""
    places = [str(space), *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    zero = {"SPACES_ZERO_GPU": "true", "SPACES_ZERO_DEVICE_API_URL": "http://127.0.0.1:9"}
    zero |= {"MPKIT_WEIGHTS": str(weights), "PYTHONPATH": os.pathsep.join(places)}
    without_face = write_clip(tmp_path / "grey.mp4", [np.full((64, 64, 3), 128, np.uint8)] * 3)
    partly = write_clip(tmp_path / "partly.mp4", sway(6, missing=range(3, 5)))
    with page([sys.executable, str(Path(__file__).with_name("zero_gpu_page.py"))], space, tmp_path, **zero) as (
        client,
        printed,
    ):
        for _ in range(2):  # a new process, and the same again
            video, line = animate(client, still)
            assert line.startswith("25 frames") and Path(video).stat().st_size > 1000
        video, line = animate(client, still, "My clip", clip=without_face)
        assert video is None and "no face in any frame of grey.mp4" in line
        video, line = animate(client, still, "My clip", clip=partly)
        assert line.startswith("6 frames") and "show no face" in line
    asked = [json.loads(line) for line in printed.read_text().splitlines() if line.startswith("{")]
    assert asked[0] == {"model": "cuda"}
    assert {"faces": 1, "page": "cpu", "first": 1, "left": []} in asked
    times = [facts["seconds"] for facts in asked if facts.get("visitor_known")]
    assert len(times) == 4 and 15 < times[0] < 30


@pytest.mark.skipif(os.environ.get("MPKIT_FRESH_VENV") != "1", reason="installs 1 to 4 GB; MPKIT_FRESH_VENV=1 runs it")
def test_the_page_runs_with_its_requirements_only(space, tmp_path):
    """In a new virtual environment, with the bundled weights."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    torch = f"torch=={importlib.metadata.version('torch').split('+')[0]}"  # the build that pip finds first here
    for what in ([torch], ["-r", str(space / "requirements.txt")]):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *what], check=True)
    with page([python, "app.py"], space, tmp_path) as (client, _):
        video, line = animate(client, space / "gallery" / "young_man.jpg")
    assert line.startswith("25 frames") and Path(video).stat().st_size > 1000
