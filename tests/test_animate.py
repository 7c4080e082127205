"""Properties of the whole path: what goes in and what comes out, with random weights."""

import wave

import av
import numpy as np
import pytest
import torch
from clips import NTSC, sway, write_clip
from PIL import Image

from mpkit import Animator, Motion, Options, track
from mpkit.assets import DEFAULT_WEIGHTS, EXAMPLES
from mpkit.errors import NoFaceError
from mpkit.faces.face import Face
from mpkit.media.images import read_image
from mpkit.media.video_reader import VideoReader
from mpkit.synthetic.poses import rotation_matrix

ALONE = {"paste_back": False, "size": 96}  # the square crop, small


@pytest.fixture(scope="module")
def animator(weights):
    return Animator.load(weights, device="cpu")


def pictures(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]


def test_every_driver_frame_becomes_one_at_exactly_its_rate(animator, portrait, clip, tmp_path):
    result = animator.animate(portrait, clip, tmp_path / "out.mp4", Options(**ALONE))
    reader = VideoReader(tmp_path / "out.mp4")
    assert (result.frames, result.without_face, result.rate) == (10, 0, NTSC)
    assert (len(list(reader)), reader.rate, (reader.width, reader.height)) == (10, NTSC, (96, 96))


def test_start_max_frames_and_fps_choose_frames(animator, portrait, clip, tmp_path):
    result = animator.animate(portrait, clip, tmp_path / "out.gif", Options(start=0.1, max_frames=3, fps=12.5, **ALONE))
    assert (result.frames, result.rate) == (3, 12.5)


def test_paste_back_touches_nothing_outside_the_head_crop(animator, portrait, clip, tmp_path):
    animator.animate(portrait, clip, tmp_path / "frames", Options(max_frames=2))
    image, crop = read_image(portrait), animator.portrait(read_image(portrait)).crop
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    outside = (abs(rows + 0.5 - crop.y) > crop.radius + 1) | (abs(columns + 0.5 - crop.x) > crop.radius + 1)
    for frame in pictures(tmp_path / "frames"):
        assert frame.shape == image.shape
        assert outside.any() and (frame[outside] == image[outside]).all()
        assert (frame[~outside] != image[~outside]).any()


def test_side_by_side_puts_source_and_driver_before_the_result(animator, portrait, clip, tmp_path):
    animator.animate(portrait, clip, tmp_path / "frames", Options(max_frames=1, side_by_side=True, **ALONE))
    assert pictures(tmp_path / "frames")[0].shape == (96, 3 * 96, 3)
    animator.animate(
        portrait, EXAMPLES / "nod.json", tmp_path / "numbers", Options(max_frames=1, side_by_side=True, **ALONE)
    )
    assert pictures(tmp_path / "numbers")[0].shape == (96, 2 * 96, 3)  # a motion file has no pictures


@pytest.mark.parametrize("side", [64, 300, 1024])
def test_size_is_the_side_of_the_crop(animator, portrait, clip, tmp_path, side):
    animator.animate(portrait, clip, tmp_path / "frames", Options(max_frames=1, paste_back=False, size=side))
    assert pictures(tmp_path / "frames")[0].shape == (side, side, 3)


def test_native_size_is_the_pictures_own(animator, portrait):
    made = animator.portrait(read_image(portrait))
    assert made.size == round(2 * made.crop.radius)


def test_a_driver_that_holds_still_holds_the_portrait_still(animator, portrait, tmp_path):
    animator.animate(portrait, EXAMPLES / "mona_lisa.jpg", tmp_path / "frames", Options(max_frames=3, **ALONE))
    first, *others = pictures(tmp_path / "frames")
    assert len(others) == 2 and all((other == first).all() for other in others)


def test_relative_motion_starts_from_the_portraits_own(animator, portrait):
    """A reference frame as driver changes nothing; absolute takes the driver's pose instead."""
    from mpkit.animation.driver import open_driver
    from mpkit.animation.transfer import Transfer, with_reference

    own = animator.portrait(read_image(portrait)).motion
    with open_driver(EXAMPLES / "mona_lisa.jpg") as driver:
        frames = list(driver)
    driver_rotation = frames[0][1].pose.rotation
    relative, absolute = (
        next(iter(with_reference(frames, Transfer(own, kind), 25.0)))[1].pose.rotation
        for kind in ("relative", "absolute")
    )
    assert np.allclose(relative, own.pose.rotation, atol=1e-5)
    assert np.allclose(absolute, driver_rotation) and not np.allclose(absolute, own.pose.rotation, atol=1e-2)


def looks(monkeypatch, *seen):
    """What the tracker will see of portraits that are told to look straight ahead: (yaw, gaze to the right) or None."""
    faces = iter([None if look is None else a_face(*look) for look in seen])
    monkeypatch.setattr("mpkit.animation.animator.central_face", lambda tracker, picture: next(faces))


def a_face(yaw, look):
    still = np.zeros((478, 3)), (0, 0, 1, 1), np.zeros(52, np.float32)
    return Face(*still, np.float32((look, 0)), rotation_matrix(yaw, 0, 0), np.zeros(2), 1.0)


def test_a_portrait_settles_while_less_is_seen_of_its_own_motion(animator, portrait, monkeypatch):
    image = read_image(portrait)
    looks(monkeypatch, None)
    read = animator.portrait(image)
    looks(monkeypatch, (6, 0.2), (2, 0.0), (5, 0.1))
    settled = animator.portrait(image)
    expected = read.motion.pose.rotation @ torch.from_numpy(rotation_matrix(6, 0, 0))
    assert torch.allclose(settled.motion.pose.rotation, expected, atol=1e-5)
    assert torch.allclose((settled.motion.numbers - read.motion.numbers)[0, 52:], torch.tensor([0.2, 0]))
    assert torch.equal(settled.motion.numbers[:, :52], read.motion.numbers[:, :52])
    for made in (read, settled):  # told to do what it does, each is the still again
        difference = animator.frame(made, made.motion).astype(int) - animator.frame(read, read.motion)
        assert np.abs(difference).max() <= 1
    looks(monkeypatch, (50, 1.0))  # not a face that anyone drew
    assert torch.equal(animator.portrait(image).motion.pose.rotation, read.motion.pose.rotation)


def test_frames_without_a_face_hold_the_last_motion_and_are_counted(animator, portrait, tmp_path):
    driver = write_clip(tmp_path / "gap.mp4", sway(8, missing=range(3, 6)))
    with pytest.warns(UserWarning, match="no face") as notes:
        result = animator.animate(portrait, driver, tmp_path / "frames", Options(**ALONE))
    frames = pictures(tmp_path / "frames")
    assert (result.frames, result.without_face, len(notes)) == (8, 3, 1)
    assert all((frame == frames[2]).all() for frame in frames[3:6]) and (frames[2] != frames[1]).any()


def test_a_driver_without_any_face_is_an_error_that_leaves_nothing(animator, portrait, tmp_path):
    driver = write_clip(tmp_path / "grey.mp4", sway(4, missing=range(4)))
    with pytest.warns(UserWarning), pytest.raises(NoFaceError, match="no face in any frame"):
        animator.animate(portrait, driver, tmp_path / "out.mp4", Options(**ALONE))
    assert [path.name for path in tmp_path.iterdir()] == ["grey.mp4"]


def test_a_tracked_motion_file_drives_as_its_clip_does(animator, portrait, clip, tmp_path):
    motion = track(clip)
    motion.save(tmp_path / "motion.json")
    assert (len(motion), motion.rate, motion.found.all()) == (10, "30000/1001", True)
    assert np.allclose(np.diff(motion.times), 1001 / 30000, atol=1e-4)
    options = Options(motion="absolute", **ALONE)
    for driver, folder in ((clip, "clip"), (tmp_path / "motion.json", "numbers")):
        assert animator.animate(portrait, driver, tmp_path / folder, options).rate == NTSC
    for a, b in zip(pictures(tmp_path / "clip"), pictures(tmp_path / "numbers"), strict=True):
        assert abs(a.astype(int) - b).mean() < 0.5


def test_stills_and_excerpts_can_be_tracked(clip, tmp_path):
    assert len(track(EXAMPLES / "mona_lisa.jpg")) == 1
    part = track(clip, start=0.1, max_frames=3)
    assert len(part) == 3 and part.times[0] == 0


def test_the_drivers_sound_is_kept_unless_told_otherwise(animator, portrait, tmp_path):
    with wave.open(str(tmp_path / "tone.wav"), "wb") as tone:
        tone.setnchannels(1), tone.setsampwidth(2), tone.setframerate(48000)
        tone.writeframes((8000 * np.sin(np.arange(24000) / 20)).astype("<i2").tobytes())
    driver = write_clip(tmp_path / "loud.mp4", sway(10), audio_from=tmp_path / "tone.wav")
    for audio in (True, False):
        animator.animate(portrait, driver, tmp_path / "out.mp4", Options(audio=audio, **ALONE))
        with av.open(str(tmp_path / "out.mp4")) as made:
            assert bool(made.streams.audio) == audio


def test_progress_counts_to_the_number_of_frames(animator, portrait, clip, tmp_path):
    steps = []
    animator.animate(portrait, clip, tmp_path / "out.gif", Options(**ALONE), lambda *step: steps.append(step))
    assert steps == [(index, 10) for index in range(1, 11)]


@pytest.mark.parametrize("name", ["nod", "talk", "turn"])
def test_example_motions_are_lively_and_short(name):
    motion = Motion.load(EXAMPLES / f"{name}.json")
    assert 4 <= motion.times[-1] <= 7 and motion.found.all()
    assert np.ptp(motion.rotation[:, 0, 2]) > 0.2  # turns by more than ten degrees


@pytest.mark.skipif(not DEFAULT_WEIGHTS.exists(), reason="the bundled weights are not there yet")
def test_the_bundled_weights_animate_a_painting(tmp_path):
    animator = Animator.load(device="cpu")
    assert animator.model.config.preset == "tiny"
    result = animator.animate(
        EXAMPLES / "mona_lisa.jpg", EXAMPLES / "nod.json", tmp_path / "out.mp4", Options(max_frames=3)
    )
    assert result.frames == 3
