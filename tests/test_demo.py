"""The demo page, asked by clients as visitors ask it: right results, plain mistakes, jobs that end, nothing left."""

import dataclasses
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from clips import sway, write_clip
from page import handle

from mpkit import Options
from mpkit.assets import EXAMPLES
from mpkit.media.images import read_image, write_png
from mpkit.media.video_reader import VideoReader

QUICK = {"seconds": 1, "whole_picture": False}


@pytest.fixture(scope="module")
def client(new_client):
    return new_client()


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """A small portrait."""
    path = tmp_path_factory.mktemp("still") / "still.png"
    write_png(path, sway(1)[0])
    return path


def video_of(result) -> Path:
    """The video of what the page answers: (newest frame, video, line, commands)."""
    return Path(result[1])


def line_of(result) -> str:
    return result[2]


def frames_of(video: Path) -> list[np.ndarray]:
    with VideoReader(video) as reader:
        return [picture for _, picture in reader]


def test_the_api_is_two_functions_and_everything_has_a_default(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/animate", "/save_motion"}
    for endpoint in endpoints.values():
        assert all(parameter["parameter_has_default"] for parameter in endpoint["parameters"])
        assert not [value for value in endpoint["returns"] if value["label"].startswith("value_")]


def test_the_model_takes_turns_and_the_server_is_closed(app):
    page = app.build()
    heavy = [event for event in page.fns.values() if event.api_name in ("animate", "save_motion")]
    assert len(heavy) == 2 and {(event.concurrency_id, event.concurrency_limit) for event in heavy} == {("model", 1)}
    assert page._queue.max_size and app.LIMITS["allowed_paths"] == [] and app.LIMITS["max_file_size"]


def test_the_gallery_is_complete_and_small(app):
    import gallery

    assert len(gallery.WORKS) >= 8 and len(gallery.PAIRS) >= 3 and len(gallery.MOTIONS) >= 3
    for work in gallery.WORKS:
        assert work.thumbnail.exists() and max(read_image(work.file).shape[:2]) <= 1600
    films = [pair.film for pair in gallery.PAIRS] + [gallery.FIRST]
    films += [gallery.motion_film(name) for name in gallery.MOTIONS]
    assert all(film.exists() for film in films)
    assert sum(file.stat().st_size for file in gallery.FOLDER.rglob("*")) < 6e6


def test_the_default_click_animates_the_first_pair(client):
    result = client.predict(seconds=1, api_name="/animate")
    frames = frames_of(video_of(result))
    assert len(frames) == 30 and line_of(result).startswith("30 frames")
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 0.1
    assert "mpkit animate madame_leblanc.jpg talk.json" in result[3]


def test_a_visitors_clip_drives_and_can_be_saved_as_numbers(client, still, tmp_path):
    driver = handle(write_clip(tmp_path / "mine.mp4", sway(8)))
    choices = {"portrait": handle(still)} | QUICK
    result = client.predict(motion="My clip", clip=driver, **choices, api_name="/animate")
    assert len(frames_of(video_of(result))) == 8
    saved = client.predict("My clip", driver, None, 1, api_name="/save_motion")[0]
    result = client.predict(motion="My file", file=handle(saved), **choices, api_name="/animate")
    assert len(frames_of(video_of(result))) == 8


MISTAKES = {
    "no upload": ({"motion": "My clip"}, "My clip: upload one first"),
    "not a picture": ({"portrait": "text.jpg"}, "text.jpg is not a picture"),
    "no face": ({"portrait": "noise.png"}, "no face found"),
    "bad motion file": ({"motion": "My file", "file": "a&b.json"}, "a&amp;b.json is not a motion file"),
    "nothing ticked": ({"parts": []}, "--parts"),
    "late start": ({"start": 50}, "nothing is left after"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_sentence_in_the_line(client, tmp_path, mistake):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "a&b.json").write_text('{"format": "mpkit-motion"}')
    write_png(tmp_path / "noise.png", np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8))
    settings, sentence = MISTAKES[mistake]
    files = {name: handle(tmp_path / settings[name]) for name in ("portrait", "file") if name in settings}
    line = line_of(client.predict(**QUICK | settings | files, api_name="/animate"))
    assert line.startswith("**That did not work:** ") and sentence in line
    assert str(tmp_path) not in line and "Traceback" not in line and "<" not in line


def test_eight_visitors_at_once_get_their_own_results(new_client, tmp_path):
    stills = []
    for number in range(8):
        stills.append(tmp_path / f"{number}.png")
        write_png(stills[-1], np.roll(sway(1)[0], 5 * number, axis=2) // (1 + number % 3))
    clients = [new_client() for _ in stills]

    def ask(client, path):
        result = client.predict(portrait=handle(path), motion="Nod", **QUICK, api_name="/animate")
        return frames_of(video_of(result)) if line_of(result).startswith("25 frames") else line_of(result)

    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, clients, stills))
    for path, frames in zip(stills[:3], together):
        alone = ask(clients[0], path)
        assert np.array_equal(alone, frames)
    assert len({np.asarray(frames).tobytes() for frames in together}) == len({path.read_bytes() for path in stills})


@pytest.fixture
def visitor():
    return SimpleNamespace(session_hash="a visitor")


def job(app, request, **settings):
    """A job as the page starts it."""
    from requests_of_page import PARTS, animate

    defaults = {
        "transfer": "relative", "pose_strength": 1, "expression_strength": 1, "parts": list(PARTS), "smoothing": 0,
        "start": 0, "seconds": 3, "whole_picture": False, "side_by_side": False, "sound": True, "mark": "none",
        "view_scale": 1, "view_x": 0, "view_y": 0, "face": 0,
    }  # fmt: skip
    return animate(str(EXAMPLES / "grace_hopper.jpg"), "Talk", request=request, **defaults | settings)


def test_a_stopped_job_ends_with_its_next_frame_and_leaves_nothing(app, visitor, tmp_path, monkeypatch):
    import jobs

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jobs.begin(visitor)
    running = job(app, visitor)
    next(running), next(running)
    jobs.stop(visitor)
    *_, last = running
    assert last[2].startswith("Stopped after ") and int(last[2].split()[2]) < 80
    assert not list(tmp_path.iterdir())
    assert "Stopped" in list(job(app, visitor))[-1][2]  # of a visitor who left before the job's turn came
    jobs.begin(visitor)
    assert "frames in" in list(job(app, visitor, seconds=1))[-1][2]


def test_the_file_lives_until_the_page_has_its_copy(app, visitor, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    running = job(app, visitor, seconds=1)
    videos = (video for _, video, _, _ in running if isinstance(video, str))
    assert Path(next(videos)).exists()
    running.close()
    assert not list(tmp_path.iterdir())


def test_a_public_page_marks_every_frame(app, visitor, monkeypatch):
    import jobs
    from requests_of_page import options_of

    settings = {
        "transfer": "relative", "pose_strength": 1, "expression_strength": 1, "parts": ["head"], "smoothing": 0,
        "start": 0, "seconds": 3, "whole_picture": False, "side_by_side": False, "sound": True, "mark": "none",
        "view_scale": 1, "view_x": 0, "view_y": 0, "face": 2,
    }  # fmt: skip
    driver = EXAMPLES / "talk.json"
    assert options_of(settings, driver).mark == "none"
    monkeypatch.setattr(jobs, "PUBLIC", True)
    assert options_of(settings, driver).mark == "bottom-right"
    assert options_of(settings | {"mark": "top-left"}, driver).mark == "top-left"
    assert options_of(settings, driver).face == 2 and options_of(settings | {"face": 0}, driver).face == "largest"


def test_large_portraits_are_shrunk_and_long_drivers_cut(app, tmp_path):
    import jobs

    write_png(tmp_path / "large.png", np.zeros((40, 2000, 3), np.uint8))
    assert read_image(jobs.fitting(str(tmp_path / "large.png"), tmp_path)).shape == (32, jobs.MAX_SIDE, 3)
    most = {"fps": None, "max_frames": 30 * jobs.MAX_SECONDS}
    assert jobs.within_limits(EXAMPLES / "talk.json", 1000) == most
    fast = write_clip(tmp_path / "fast.mp4", sway(6), rate=60)
    assert jobs.within_limits(fast, 2) == {"fps": 30.0, "max_frames": 60}


def test_zero_gpu_is_asked_for_longer_where_more_pixels_are_written(app, tmp_path):
    import jobs

    for name, side in (("small.png", 400), ("large.png", 1600)):
        write_png(tmp_path / name, np.zeros((side, side, 3), np.uint8))

    def seconds(name, frames, **options):
        return jobs.gpu_seconds(tmp_path / name, tmp_path, tmp_path, Options(max_frames=frames, **options))

    assert jobs.GPU_START < seconds("small.png", 25) < seconds("small.png", 50) < seconds("large.png", 50)
    assert seconds("large.png", 50) < seconds("large.png", 50, side_by_side=True)
    assert seconds("large.png", 600) == jobs.GPU_MAX


def test_faces_are_outlined_and_chosen_by_a_click(app, tmp_path):
    from faces_on_page import choose_face, click_face, find_faces

    one = read_image(EXAMPLES / "grace_hopper.jpg")
    large = np.repeat(np.repeat(one, 2, 0), 2, 1)[: 2 * len(one)]
    canvas = np.zeros((large.shape[0], large.shape[1] + one.shape[1], 3), np.uint8)
    canvas[: one.shape[0], : one.shape[1]], canvas[:, one.shape[1] :] = one, large
    path = str(tmp_path / "two.png")
    write_png(Path(path), canvas)
    picture, faces, chosen, choice, text = find_faces(path)
    assert len(faces) == 2 and chosen == choice.value == 2 and "Face 2 of 2" in text and "A hat" in text
    x0, y0, x1, y1 = faces[0].box
    click = SimpleNamespace(index=((x0 + x1) / 2 * picture.width, (y0 + y1) / 2 * picture.height))
    outlined, chosen, choice, text = click_face(path, faces, click)
    assert chosen == choice.value == 1 and "Face 1 of 2" in text
    assert np.abs(np.asarray(outlined).astype(int) - picture).any()
    assert choose_face(path, faces, 2)[1] == 2
    assert "No face found" in find_faces(str(_noise(tmp_path)))[-1] and find_faces(None)[1] == []
    (tmp_path / "text.jpg").write_text("x")
    assert "text.jpg" in find_faces(str(tmp_path / "text.jpg"))[-1]


def _noise(folder: Path) -> Path:
    write_png(folder / "noise.png", np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8))
    return folder / "noise.png"


def test_a_link_sets_what_it_names_and_nothing_else(app):
    import gallery
    from share import SETTINGS, settings_of_link

    query = {"portrait": "woman", "motion": "Nod", "smoothing": "0.4", "parts": "head,mouth", "side_by_side": "true"}
    query |= {"seconds": "many", "start": "nan", "view_x": "99", "transfer": "<script>", "sound": "maybe"}
    updates = settings_of_link(SimpleNamespace(query_params=query))
    values = dict(zip(("portrait", "motion", *SETTINGS), updates))
    assert values["portrait"].endswith("woman.jpg") and values["motion"] == "Nod" and values["smoothing"] == 0.4
    assert values["parts"] == ["head", "mouth"] and values["side_by_side"] is True
    unchanged = [name for name, value in values.items() if isinstance(value, dict)]
    assert {"seconds", "start", "view_x", "transfer", "sound", "mark"} <= set(unchanged)
    strange = settings_of_link(SimpleNamespace(query_params={"portrait": "../../etc/passwd", "motion": "<script>"}))
    assert all(isinstance(value, dict) for value in strange[:2]) and gallery.WORKS


def test_links_name_every_option_in_the_order_of_the_page(app):
    import gradio
    import settings
    from share import SETTINGS

    with gradio.Blocks():
        assert list(settings.build()) == list(SETTINGS)


def test_the_commands_do_the_same(app):
    from share import recipes

    options = Options(motion="absolute", parts=("head", "mouth"), paste_back=False, max_frames=7, smoothing=0.5)
    text = recipes("it's me.jpg", "clip.mp4", options)
    words = shlex.split(text.splitlines()[0])
    assert words[:4] == ["mpkit", "animate", "it's me.jpg", "clip.mp4"] and "--no-paste-back" in words
    made = []
    code = text.split("# Python\n")[1].replace("from mpkit import Animator, Options", "")
    animator = SimpleNamespace(load=lambda: SimpleNamespace(animate=lambda *given: made.append(given)))
    exec(code, {"Animator": animator, "Options": Options})
    assert made == [("it's me.jpg", "clip.mp4", "out.mp4", options)] and dataclasses.is_dataclass(options)
