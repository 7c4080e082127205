"""The command line accepts every kind of input; every mistake is one line, exit code 2, and leaves nothing behind."""

import json
import os
import struct
import subprocess
import sys
import wave
import zlib

import av
import numpy as np
import pytest
import torch
from clips import sway, write_clip
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from mpkit import Motion
from mpkit.assets import EXAMPLES
from mpkit.cli.main import COMMANDS, main
from mpkit.cli.train_command import _preset_among
from mpkit.config import preset

SMALL = ["--no-paste-back", "--size", "64"]


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header gives that size, with hardly any pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def noise(side: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory, weights, portrait, clip):
    """Valid files, and one of every kind of invalid file, by name."""
    folder = tmp_path_factory.mktemp("files")
    made = {"portrait": portrait, "clip": clip, "weights": weights, "folder": folder, "missing": folder / "missing.png"}

    def add(name: str, content: bytes):
        made[name.split(".")[0]] = folder / name
        (folder / name).write_bytes(content)

    add("huge.png", png_header(20_000, 20_000))
    add("bomb.png", png_header(60_000, 60_000))
    add("empty.png", b"")
    add("nothing.mp4", b"")
    add("text.jpg", b"this is not a picture\n" * 20)
    add("cut.png", portrait.read_bytes()[:4000])
    add("damaged.safetensors", weights.read_bytes()[:5000])
    add("bad.json", b'{"format": "mpkit-motion", "version": 1}')
    torch.save({"x": torch.zeros(3)}, folder / "pickled.safetensors")
    with safe_open(weights, framework="pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    save_file(tensors, folder / "other.safetensors", metadata | {"config": preset("tiny").to_json()})
    made |= {"pickled": folder / "pickled.safetensors", "other": folder / "other.safetensors"}
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setnchannels(1), sound.setsampwidth(2), sound.setframerate(8000)
        sound.writeframes(b"\0\0" * 8000)
    made["sound"] = folder / "sound.wav"
    with av.open(str(folder / "late.mp4"), "w") as container:  # its index is at the end, so a truncated copy has none
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        for _ in range(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise(64), format="rgb24")))
        container.mux(stream.encode(None))
    add("truncated.mp4", (folder / "late.mp4").read_bytes()[:20_000])
    Image.fromarray(noise()).save(folder / "noise.png")
    made["noise"] = folder / "noise.png"
    made["noisy"] = write_clip(folder / "noisy.mp4", [noise()] * 4)
    return made


def fails(arguments: list, capfd, folder) -> str:
    """Runs a command that must fail with one line and leave `folder` unchanged. Returns that line."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main([str(argument) for argument in arguments]) == 2
    captured = capfd.readouterr()
    lines = [line.split("\r")[-1] for line in captured.err.strip().split("\n")]  # a progress bar comes before a \r
    lines = [line for line in lines if not line.startswith("mpkit: note:")]
    assert captured.out == "" and len(lines) == 1 and lines[0].startswith("mpkit: "), captured.err
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    return lines[0]


# source, driver, further arguments, a part of the line
MISTAKES = {
    "20,000 px": ("huge", "clip", [], "pixels"),
    "decompression bomb": ("bomb", "clip", [], "pixels"),
    "zero bytes": ("empty", "clip", [], "empty"),
    "text as picture": ("text", "clip", [], "not a picture"),
    "cut picture": ("cut", "clip", [], "damaged or cut off"),
    "no face in the source": ("noise", "clip", [], "noise.png: no face"),
    "missing source": ("missing", "clip", [], "does not exist"),
    "folder as source": ("folder", "clip", [], "is a folder"),
    "video as source": ("clip", "clip", [], "moving picture"),
    "sound as source": ("sound", "clip", [], "not a picture"),
    "missing driver": ("portrait", "missing", [], "does not exist"),
    "zero bytes as driver": ("portrait", "nothing", [], "empty"),
    "text as driver": ("portrait", "text", [], "text.jpg is no"),
    "truncated driver": ("portrait", "truncated", [], "truncated.mp4"),
    "audio only": ("portrait", "sound", [], "sound only"),
    "no face in a still driver": ("portrait", "noise", [], "no face"),
    "no face in any driver frame": ("portrait", "noisy", [], "no face in any frame"),
    "damaged motion file": ("portrait", "bad", [], "bad.json"),
    "pixels of a motion file": ("portrait", "bad", ["--motion-from", "pixels"], "bad.json is a motion file"),
    "weights of another preset": ("portrait", "clip", ["--weights", "other"], "other.safetensors"),
    "damaged weights": ("portrait", "clip", ["--weights", "damaged"], "damaged.safetensors"),
    "pickled weights": ("portrait", "clip", ["--weights", "pickled"], "safetensors only"),
    "missing weights": ("portrait", "clip", ["--weights", "missing"], "no weights file"),
    "face 7 of 1": ("portrait", "clip", ["--face", "7"], "--face 7 of 1"),
    "negative start": ("portrait", "clip", ["--start", "-1"], "start"),
    "start past the end": ("portrait", "clip", ["--start", "99"], "long"),
    "start is no number": ("portrait", "clip", ["--start", "nan"], "start"),
    "zero frames": ("portrait", "clip", ["--max-frames", "0"], "--max-frames must be 1 or more, got 0"),
    "zero fps": ("portrait", "clip", ["--fps", "0"], "--fps must be"),
    "face 0": ("portrait", "clip", ["--face", "0"], "--face"),
    "size too small": ("portrait", "clip", ["--size", "5"], "--size"),
    "size too large": ("portrait", "clip", ["--size", "100000"], "--size"),
    "fp16 on the CPU": ("portrait", "clip", ["--device", "cpu", "--precision", "fp16"], "fp16"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(name, files, tmp_path, capfd):
    source, driver, arguments, text = MISTAKES[name]
    arguments = [files.get(argument, argument) for argument in arguments]
    if "--weights" not in arguments:
        arguments += ["--weights", files["weights"]]
    command = ["animate", files[source], files[driver], "--output", tmp_path / "out.mp4", *SMALL[:1], *arguments]
    assert text in fails(command, capfd, tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_absent_cuda_is_one_line(files, tmp_path, capfd):
    command = ["animate", files["portrait"], files["clip"], "--output", tmp_path / "out.mp4", "--device", "cuda"]
    assert "no cuda" in fails([*command, "--weights", files["weights"]], capfd, tmp_path)


@pytest.mark.parametrize("output", ["absent/out.mp4", "out.txt", "portrait.jpg", "full"])
def test_impossible_outputs_are_one_line(output, files, tmp_path, capfd):
    (tmp_path / "portrait.jpg").write_bytes(files["portrait"].read_bytes())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    fails(["animate", tmp_path / "portrait.jpg", files["clip"], "--output", tmp_path / output], capfd, tmp_path)


def test_the_output_may_not_be_an_input(files, tmp_path, capfd):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(files["clip"].read_bytes())
    assert "itself" in fails(["animate", files["portrait"], clip, "--output", clip], capfd, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write into every folder")
def test_a_folder_without_write_permission_is_one_line(files, tmp_path, capfd):
    tmp_path.chmod(0o500)
    assert "cannot write" in fails(
        ["animate", files["portrait"], files["clip"], "--output", tmp_path / "o.mp4"], capfd, tmp_path
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["track", "noise", "--output", "out.json"],
        ["track", "noisy", "--output", "out.json"],
        ["track", "text", "--output", "out.json"],
        ["track", "clip", "--output", "out.mp4"],
        ["track", "clip", "--output", "absent/out.json"],
        ["track", "clip", "--output", "out.json", "--fps", "0"],
        ["evaluate", "--set", "missing"],
        ["bench", "--frames", "1"],
        ["heads", "--output", "heads", "--identities", "0"],
        ["train", "mystery"],
        ["train", "base", "--data", "missing", "--run", "run", "--preset", "giant"],
        ["train", "base", "--run", "run", "--steps", "0"],
        ["train", "base", "--run", "run", "--batch-size", "0"],
        ["train", "base", "--run", "run", "--data", "missing"],
        ["dance"],
    ],
    ids=" ".join,
)
def test_mistakes_of_the_other_commands_are_one_line(arguments, files, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fails([files.get(argument, argument) for argument in arguments], capfd, tmp_path)


@pytest.mark.parametrize(
    "arguments, line",
    [
        ("animate a.jpg b.mp4", "give --output, the file to write: .mp4"),
        ("animate a.jpg b.mp4 c.mp4", "give --output, the file to write: .mp4"),
        ("animate", "give SOURCE, DRIVER, --output; see mpkit animate --help"),
        ("animate a.jpg b.mp4 c.mp4 -o d.mp4", "unknown argument c.mp4; see mpkit animate --help"),
        ("animate a.jpg b.mp4 -o c.mp4 --motion fancy", "--motion is one of absolute, relative, not fancy; see"),
        ("animate a.jpg b.mp4 -o c.mp4 --size big", "--size takes a whole number or native; see"),
        ("animate a.jpg b.mp4 -o c.mp4 --start", "--start needs a value; see"),
        ("animate a.jpg b.mp4 -o c.mp4 --max-frames 1.5", "--max-frames takes a whole number; see"),
        ("info --preset big", "--preset is one of base256, base512, nano, tiny, not big; see mpkit info --help"),
        ("train base --run r --resume", "unknown option --resume; see mpkit train base --help"),
        ("train base --run r --betas 1", "--betas needs 2 values; see mpkit train base --help"),
        ("train base --preset nano", "give --run, folder of the run"),
    ],
)
def test_a_wrong_argument_is_one_plain_line(arguments, line, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert fails(arguments.split(), capfd, tmp_path).startswith(f"mpkit: {line}")


def test_the_help_of_a_stage_is_about_that_stage(capsys):
    with pytest.raises(SystemExit):
        main(["train", "gaze", "--help"])
    text = capsys.readouterr().out
    assert "gaze loss" in text and "mpkit train gaze" in text
    assert "G_enh" not in text and "mpkit train base" not in text and "--weights" not in text


@pytest.mark.parametrize(
    "options, preset",
    [("", "nano"), ("--data heads", "tiny"), ("--preset=base256", "base256"), ("--preset base512", "base512")],
)
def test_a_stage_without_data_learns_from_the_small_people(options, preset):
    assert _preset_among(["base", *options.split()]) == preset
    assert _preset_among(["enhancer"]) == "tiny"  # its base model and its portraits come with mpkit


@pytest.mark.parametrize("module", ["mpkit", "mpkit.cli.main"])
def test_the_module_is_the_command(module):
    done = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("usage: mpkit")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    try:
        main([command, "--help"])
    except SystemExit as end:
        assert end.code == 0
    text = capsys.readouterr().out
    assert f"usage: mpkit {command}" in text and "examples" in text


def test_help_lists_every_command_and_option(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(f"\n  {command} " in overview for command in COMMANDS)
    with pytest.raises(SystemExit):
        main(["animate", "--help"])
    text = capsys.readouterr().out
    options = """output motion motion-from paste-back no-paste-back side-by-side max-frames start fps audio no-audio
        scale-translation size device precision weights tracker face"""
    assert all(f"--{option}" in text for option in options.split())


@pytest.mark.parametrize("arguments", [["--help"], ["animate", "--help"]])
def test_help_is_quick_because_it_loads_nothing_heavy(arguments):
    code = f"""
import sys
from mpkit.cli.main import main
try: main({arguments})
except SystemExit: pass
assert not {{"torch", "cv2", "mediapipe", "numpy"}} & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("name, frames", [("out.mp4", 4), ("out.webm", 4), ("out.gif", 4), ("frames", 4)])
def test_animate_writes_every_kind_of_output(name, frames, files, tmp_path, capsys):
    output = tmp_path / name
    arguments = [files["portrait"], files["clip"], "--output", output, "--weights", files["weights"]]
    assert main(["animate", *map(str, arguments), "--max-frames", str(frames), *SMALL]) == 0
    captured = capsys.readouterr()
    assert f"{frames} frames" in captured.out and "frames/s" in captured.err
    assert ("writing PNGs to the folder" in captured.err) == output.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    if output.is_dir():
        assert len(list(output.iterdir())) == frames
    else:
        with av.open(str(output)) as made:
            assert sum(1 for _ in made.decode(video=0)) == frames


def test_track_then_animate(files, tmp_path, capsys):
    motion = tmp_path / "motion.json"
    assert main(["track", str(files["clip"]), "--output", str(motion), "--max-frames", "5"]) == 0
    assert len(Motion.load(motion)) == 5 and json.loads(motion.read_text())["version"] == 2
    arguments = [files["portrait"], motion, "--output", tmp_path / "out.mp4", "--weights", files["weights"]]
    assert main(["animate", *map(str, arguments), *SMALL]) == 0
    assert "5 frames" in capsys.readouterr().out


def test_driver_frames_without_a_face_are_one_note(files, tmp_path, capsys):
    driver = write_clip(tmp_path / "gap.mp4", sway(6, missing=range(2, 4)))
    arguments = [files["portrait"], driver, "--output", tmp_path / "out.gif", "--weights", files["weights"]]
    assert main(["animate", *map(str, arguments), *SMALL]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("mpkit: note:") == 1 and "2 of them" in captured.out


def test_an_interruption_leaves_nothing(files, tmp_path, capsys, monkeypatch):
    from mpkit.media.video_writer import VideoWriter

    def interrupted(self, frame):
        assert any(tmp_path.iterdir())  # the unfinished output is there
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoWriter, "write", interrupted)
    arguments = [files["portrait"], files["clip"], "--output", tmp_path / "out.mp4", "--weights", files["weights"]]
    assert main(["animate", *map(str, arguments), *SMALL]) == 130
    assert not list(tmp_path.iterdir()) and "Traceback" not in capsys.readouterr().err


def test_info_prints_a_table_of_the_preset(capsys):
    assert main(["info", "--preset", "nano"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("\nnano\n") and "E_app" in text and "tiny" not in text


def test_the_examples_folder_holds_what_the_readme_names():
    assert {"mona_lisa.jpg", "nod.json", "talk.json", "turn.json"} <= {path.name for path in EXAMPLES.iterdir()}
