"""A folder of PNG frames that exists stays the same folder: it may be the current one, a mount point, or lie below a
folder that cannot be written to. Its frames are replaced as a whole or not at all."""

import errno
import os
import tempfile
from fractions import Fraction

import numpy as np
import pytest
from media_files import HEIGHT, WIDTH, picture, write
from PIL import Image

from mpkit.cli.main import main
from mpkit.errors import MediaError
from mpkit.media import paths
from mpkit.media.paths import check_json_output, check_output
from mpkit.media.video_writer import VideoWriter


@pytest.fixture
def folder(tmp_path):
    """A folder with three frames."""
    (tmp_path / "frames").mkdir()
    return write(tmp_path / "frames", 3)


@pytest.fixture
def mounted(folder, monkeypatch):
    """The same, as a mount point below a folder that cannot be written to."""
    make, replace = tempfile.mkdtemp, os.replace

    def make_folder(suffix, prefix, parent):
        if os.path.samefile(parent, folder.parent):
            raise OSError(errno.EROFS, "Read-only file system")
        return make(suffix, prefix, parent)

    def move(source, target):
        if str(folder) in (str(source), str(target)):
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(tempfile, "mkdtemp", make_folder)
    monkeypatch.setattr(os, "replace", move)
    return folder


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_folder_stays_the_same_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    before = os.stat(folder).st_ino
    write(".", 2)
    assert sorted(os.listdir(".")) == ["000000.png", "000001.png"]
    assert os.stat(".").st_ino == os.stat(folder).st_ino == before


def test_a_mount_point_below_a_read_only_folder(mounted):
    write(mounted, 5)
    assert len(os.listdir(mounted)) == 5


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_below_one_without_write_permission(folder):
    folder.parent.chmod(0o500)
    try:
        write(folder, 5)
    finally:
        folder.parent.chmod(0o700)
    assert len(os.listdir(folder)) == 5


def test_hidden_files_in_the_folder_stay(folder):
    (folder / ".nomedia").write_text("")
    (folder / "lost+found").mkdir()
    write(folder, 1)
    assert sorted(os.listdir(folder)) == [".nomedia", "000000.png", "lost+found"]


@pytest.mark.parametrize("made", ["file", "folder"])
def test_what_is_no_frame_is_refused_at_once(folder, made):
    path = folder / ("notes.png" if made == "file" else "000009.png")
    path.write_text("mine") if made == "file" else path.mkdir()
    before = sorted(os.listdir(folder))
    with pytest.raises(MediaError, match="holds other files"):
        check_output(folder)
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
@pytest.mark.parametrize("moves", range(7))
def test_an_interruption_while_frames_are_moved_keeps_the_old_ones(folder, monkeypatch, moves, error):
    """Three old frames leave, four new ones come; the error comes before any of these moves, or after it."""
    before, replace, count = content(folder), os.replace, []

    def move(source, target):
        count.append(target)
        if len(count) == moves + 1:
            if error is KeyboardInterrupt:
                replace(source, target)
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", move)
    with pytest.raises((KeyboardInterrupt, MediaError)):
        write(folder, 4)
    assert content(folder) == before


def test_a_file_that_is_a_mount_point_is_overwritten(tmp_path, monkeypatch):
    path, replace = tmp_path / "out.gif", os.replace
    path.write_bytes(b"old")

    def move(source, target):
        if os.fspath(target) == os.fspath(path):
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", move)
    write(path, 2)
    assert path.read_bytes().startswith(b"GIF") and os.listdir(tmp_path) == ["out.gif"]


@pytest.mark.parametrize("check, suffix", [(check_output, ".mp4"), (check_json_output, ".json")])
def test_names_that_the_file_system_refuses_are_found_before_the_work(tmp_path, monkeypatch, check, suffix):
    """A name that is too long; a letter that the file system does not know."""
    with pytest.raises(MediaError, match="cannot be written"):
        check(tmp_path / ("x" * 300 + suffix))
    touch = paths.Path.touch

    def refuse(self):
        if "?" in self.name:
            raise OSError(errno.EINVAL, "Invalid argument")
        touch(self)

    monkeypatch.setattr(paths.Path, "touch", refuse)
    with pytest.raises(MediaError, match="Invalid argument"):
        check(tmp_path / f"who?{suffix}")
    assert check(tmp_path / f"me{suffix}") == tmp_path / f"me{suffix}" and not os.listdir(tmp_path)


# Transparency


def cut_out(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Straight RGBA: opaque on the left, half transparent in the middle, nothing on the right."""
    alpha = np.zeros((height, width), np.uint8)
    alpha[:, : width // 3], alpha[:, width // 3 : 2 * width // 3] = 255, 128
    return np.dstack([picture(index, width, height), alpha])


def write_cut_out(path, size=(WIDTH, HEIGHT)):
    with VideoWriter(path, Fraction(25), size, transparent=True) as writer:
        for index in range(3):
            writer.write(cut_out(index, *size))
    return path


def test_png_frames_keep_transparency_exactly(tmp_path):
    for index, path in enumerate(sorted(write_cut_out(tmp_path / "frames").iterdir())):
        frame = Image.open(path)
        assert frame.mode == "RGBA" and (np.asarray(frame) == cut_out(index)).all()


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (WIDTH - 1, HEIGHT - 1)])
def test_webm_keeps_transparency(tmp_path, size):
    import av

    decoder, frames = av.CodecContext.create("libvpx-vp9", "r"), []  # FFmpeg's own decoder of VP9 leaves alpha out
    with av.open(str(write_cut_out(tmp_path / "out.webm", size))) as container:
        assert container.streams.video[0].metadata["alpha_mode"] == "1"
        for packet in container.demux(video=0):
            frames += [frame.to_ndarray(format="rgba") for frame in decoder.decode(packet)]
    assert len(frames) == 3
    for index, frame in enumerate(frames):
        expected, frame = cut_out(index, *size).astype(int), frame[: size[1], : size[0]]
        assert np.abs(frame[..., 3] - expected[..., 3]).mean() < 3
        assert np.abs(frame[..., :3] - expected[..., :3])[expected[..., 3] > 0].mean() < 6


@pytest.mark.parametrize("name", ["out.mp4", "out.gif"])
def test_other_videos_refuse_transparency(tmp_path, name):
    with pytest.raises(ValueError, match="cannot keep transparency"):
        VideoWriter(tmp_path / name, Fraction(25), (WIDTH, HEIGHT), transparent=True)


# An empty name, such as an unset variable of a shell leaves; as a path it would be the current folder


@pytest.mark.parametrize("output", [["-o", ""], ["--output", ""], ["--output="], ["-o="]])
@pytest.mark.parametrize("command", [["animate", "portrait.jpg", "nod.json"], ["track", "clip.mp4"]])
def test_an_empty_name_is_one_clear_line(command, output, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command, *output]) == 2
    name = output[0].rstrip("=")
    assert capsys.readouterr().err == f"mpkit: {name} is empty; see mpkit {command[0]} --help\n"
    assert not any(tmp_path.iterdir())


def test_an_empty_argument_is_one_clear_line(capsys):
    assert main(["animate", "", "nod.json", "-o", "out.mp4"]) == 2
    assert capsys.readouterr().err == "mpkit: an argument is empty; see mpkit animate --help\n"


@pytest.mark.parametrize("check", [check_output, check_json_output])
def test_an_empty_name_of_an_output_is_refused(check):
    with pytest.raises(MediaError, match="the name of the output is empty"):
        check("")
