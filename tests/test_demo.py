"""The demo page: built, launched on a free port, and asked as a visitor asks it."""

import importlib.util
import socket
from pathlib import Path

import numpy as np
import pytest
from clips import sway, write_clip

pytest.importorskip("gradio")
APP = Path(__file__).parents[1] / "demo" / "app.py"
CHOICES = {"clip": None, "file": None, "transfer": "relative", "paste_back": False, "side_by_side": False, "seconds": 1}


@pytest.fixture(scope="module")
def app(weights):
    spec = importlib.util.spec_from_file_location("demo_app", APP)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPKIT_WEIGHTS", str(weights))
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(app, tmp_path_factory):
    """A client of the launched page, and where the page keeps its copies."""
    gradio_client = pytest.importorskip("gradio_client")
    cache = tmp_path_factory.mktemp("cache")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(cache))
        page = app.build()
        page.launch(server_port=port, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, **app.LIMITS)
        try:
            yield gradio_client.Client(f"http://127.0.0.1:{port}", verbose=False, download_files=str(cache / "client"))
        finally:
            page.close()


@pytest.fixture(scope="module")
def still(app, tmp_path_factory):
    """A small portrait."""
    from mpkit.media.images import write_png

    path = tmp_path_factory.mktemp("still") / "still.png"
    write_png(path, sway(1)[0])
    return path


def handle(path):
    from gradio_client import handle_file

    return handle_file(str(path))


def test_there_are_examples_of_both_kinds(app):
    assert len(app.PORTRAITS) >= 2 and len(app.MOTIONS) >= 2


def test_every_event_has_a_name_and_the_model_takes_turns(app):
    page = app.build()
    events = [event for event in page.fns.values() if event.fn is not None]
    assert all(event.api_name for event in events)
    heavy = [event for event in events if event.api_name in ("animate", "save_motion")]
    assert len(heavy) == 2 and {(event.concurrency_id, event.concurrency_limit) for event in heavy} == {("model", 1)}
    assert page._queue.max_size and app.LIMITS["allowed_paths"] == [] and app.LIMITS["max_file_size"]


def test_one_click_animates_an_example(app, client):
    video, line = client.predict(handle(app.PORTRAITS[0]), "Nod", **CHOICES, api_name="/animate")
    path = Path(video)
    assert path.stat().st_size > 1000 and line.startswith("25 frames")


def test_a_visitors_clip_drives_and_can_be_saved_as_numbers(app, client, still, tmp_path):
    driver = write_clip(tmp_path / "mine.mp4", sway(8))
    choices = CHOICES | {"clip": handle(driver)}
    _, line = client.predict(handle(still), app.CLIP, **choices, api_name="/animate")
    assert line.startswith("8 frames")
    saved = client.predict(app.CLIP, handle(driver), None, 1, api_name="/save_motion")
    _, line = client.predict(handle(still), app.FILE, **CHOICES | {"file": handle(saved)}, api_name="/animate")
    assert line.startswith("8 frames")


def test_a_mistake_is_a_plain_line(app, client, still, tmp_path):
    evil = tmp_path / "a&b.json"
    evil.write_text('{"format": "mpkit-motion"}')
    for motion, file, text in ((app.CLIP, None, "upload one first"), (app.FILE, handle(evil), "a&amp;b.json")):
        with pytest.raises(Exception, match=text) as error:
            client.predict(handle(still), motion, **CHOICES | {"file": file}, api_name="/animate")
        assert str(tmp_path) not in str(error.value) and "Traceback" not in str(error.value)


def test_no_portrait_is_a_plain_line(app, client):
    with pytest.raises(Exception, match="choose a portrait first"):
        client.predict(None, "Nod", **CHOICES, api_name="/animate")


def test_requests_leave_no_temporary_files(app, still, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = app.animate(str(still), "Nod", **CHOICES, progress=lambda *_, **__: None)
    assert Path(next(made)[0]).is_file()
    made.close()
    assert not list(tmp_path.iterdir())


def test_large_portraits_are_shrunk_and_long_drivers_cut(app, tmp_path):
    from mpkit.media.images import read_image, write_png

    write_png(tmp_path / "large.png", np.zeros((40, 2000, 3), np.uint8))
    assert read_image(app.fitting(str(tmp_path / "large.png"), tmp_path)).shape == (32, app.MAX_SIDE, 3)
    assert app.limits(app.MOTIONS["Talk"], 1000) == {"fps": None, "max_frames": 30 * app.MAX_SECONDS}
    fast = write_clip(tmp_path / "fast.mp4", sway(6), rate=60)
    assert app.limits(fast, 2) == {"fps": 30.0, "max_frames": 60}
