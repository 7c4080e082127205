"""Properties of whole animations, with random weights: the frames that go in and the pictures that come out."""

import warnings
import wave
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from clips import NTSC, sway, write_clip
from PIL import Image

from mpkit import Animator, Motion, Options, track
from mpkit.actions import NUMBERS
from mpkit.animation.driver import open_driver
from mpkit.animation.transfer import FrameMotion, Transfer, transfer_frames
from mpkit.animation.view_range import limited
from mpkit.assets import DEFAULT_WEIGHTS, EXAMPLES
from mpkit.errors import MediaError, NoFaceError
from mpkit.faces.face import Face
from mpkit.media.images import read_image
from mpkit.media.video_reader import VideoReader
from mpkit.synthetic.poses import rotation_matrix

CROP_ONLY = {"paste_back": False, "size": 96}  # the square crop, small


@pytest.fixture(scope="module")
def animator(weights):
    return Animator.load(weights, device="cpu")


@pytest.fixture(scope="module")
def random_encoder(weights):
    """An animator whose E_mtn reads random motions: a new one reads the same in all pictures, as its heads are 0."""
    animator = Animator.load(weights, device="cpu")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for network, spread in ((animator.model.motion.pose, 0.01), (animator.model.motion.expression, 0.2)):
            torch.nn.init.normal_(network.head.weight, std=spread)
    return animator


def pictures(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]


def test_every_driver_frame_becomes_one_at_exactly_its_rate(animator, portrait, clip, tmp_path):
    result = animator.animate(portrait, clip, tmp_path / "out.mp4", Options(**CROP_ONLY))
    reader = VideoReader(tmp_path / "out.mp4")
    assert (result.frames, result.without_face, result.rate) == (10, 0, NTSC)
    assert (len(list(reader)), reader.rate, (reader.width, reader.height)) == (10, NTSC, (96, 96))


def test_start_max_frames_and_fps_choose_frames(animator, portrait, clip, tmp_path):
    options = Options(start=0.1, max_frames=3, fps=12.5, **CROP_ONLY)
    result = animator.animate(portrait, clip, tmp_path / "out.gif", options)
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
    animator.animate(portrait, clip, tmp_path / "frames", Options(max_frames=1, side_by_side=True, **CROP_ONLY))
    assert pictures(tmp_path / "frames")[0].shape == (96, 3 * 96, 3)
    options = Options(max_frames=1, side_by_side=True, **CROP_ONLY)
    animator.animate(portrait, EXAMPLES / "nod.json", tmp_path / "numbers", options)
    assert pictures(tmp_path / "numbers")[0].shape == (96, 3 * 96, 3)  # a motion file is drawn as a face


@pytest.mark.parametrize("side", [64, 300, 1024])
def test_size_is_the_side_of_the_crop(animator, portrait, clip, tmp_path, side):
    animator.animate(portrait, clip, tmp_path / "frames", Options(max_frames=1, paste_back=False, size=side))
    assert pictures(tmp_path / "frames")[0].shape == (side, side, 3)


def test_native_size_is_the_pictures_own(animator, portrait):
    made = animator.portrait(read_image(portrait))
    assert made.size == round(2 * made.crop.radius)


def test_a_driver_that_holds_still_holds_the_portrait_still(animator, portrait, tmp_path):
    animator.animate(portrait, EXAMPLES / "mona_lisa.jpg", tmp_path / "frames", Options(max_frames=3, **CROP_ONLY))
    first, *others = pictures(tmp_path / "frames")
    assert len(others) == 2 and all((other == first).all() for other in others)


def test_relative_motion_starts_from_the_portraits_own(animator, portrait):
    """A driver in its reference frame changes nothing; absolute takes the driver's pose instead."""
    own = animator.portrait(read_image(portrait)).motion
    with open_driver(EXAMPLES / "mona_lisa.jpg") as driver:
        frames = list(driver)
    driver_rotation = frames[0][1].pose.rotation
    rotations = []
    for kind in ("relative", "absolute"):
        transfer = Transfer(own, kind)
        transfer.reference = frames[0][1]
        rotations.append(next(iter(transfer_frames(frames, transfer, 25.0)))[1].pose.rotation)
    relative, absolute = rotations
    assert np.allclose(relative, own.pose.rotation, atol=1e-5)
    assert np.allclose(absolute, limited(driver_rotation, own.pose.rotation), atol=1e-5) and not np.allclose(
        absolute, own.pose.rotation, atol=1e-2
    )


def read_in_renderings(monkeypatch, *readings):
    """Replaces what the tracker reads in the frontal renderings of a portrait: (yaw, gaze x) each, or None: no face."""
    faces = iter([None if reading is None else make_face(*reading) for reading in readings])
    monkeypatch.setattr("mpkit.animation.animator.central_face", lambda tracker, picture: next(faces))


def make_face(yaw, gaze_x):
    landmarks, box, actions = np.zeros((478, 3)), (0, 0, 1, 1), np.zeros(52, np.float32)
    return Face(landmarks, box, actions, np.float32((gaze_x, 0)), rotation_matrix(yaw, 0, 0), np.zeros(2), 1.0)


@pytest.mark.parametrize("motion_from", ["tracker", "pixels"])
def test_a_portrait_is_corrected_as_its_most_frontal_rendering_says(random_encoder, portrait, monkeypatch, motion_from):
    animator, image = random_encoder, read_image(portrait)

    def prepare(*readings):
        read_in_renderings(monkeypatch, *readings)
        return animator.portrait(image, motion_from=motion_from)

    plain, corrected = prepare(None), prepare((6, 0.2), (2, 0.0), (5, 0.1))
    expected = plain.motion.pose.rotation @ torch.from_numpy(rotation_matrix(6, 0, 0))
    assert torch.allclose(corrected.motion.pose.rotation, expected, atol=1e-5)
    assert torch.allclose((corrected.motion.numbers - plain.motion.numbers)[0, 52:], torch.tensor([0.2, 0]))
    assert torch.equal(corrected.motion.numbers[:, :52], plain.motion.numbers[:, :52])
    # in its own motion, the corrected portrait looks as the one without correction does
    difference = animator.frame(corrected, corrected.motion).astype(int) - animator.frame(plain, plain.motion)
    assert np.abs(difference).max() <= 1
    # a rendering that is less frontal than the one before does not end the search
    later = prepare((6, 0.2), (8, 0.2), (1, 0.0))
    expected = plain.motion.pose.rotation @ torch.from_numpy(rotation_matrix(14, 0, 0))
    assert torch.allclose(later.motion.pose.rotation, expected, atol=1e-5)
    assert torch.allclose((later.motion.numbers - plain.motion.numbers)[0, 52:], torch.tensor([0.4, 0]))
    misread = prepare((50, 1.0))  # farther from frontal than MAX_FRONTAL_DEVIATION
    assert torch.equal(misread.motion.pose.rotation, plain.motion.pose.rotation)


def test_a_correction_of_gaze_is_the_same_in_numbers_and_in_z(random_encoder, portrait, monkeypatch):
    """At rest, z = 0: a frame by numbers and a frame by latent show the same corrected gaze."""
    read_in_renderings(monkeypatch, (6, 0.4), (2, 0.0), None)
    corrected = random_encoder.portrait(read_image(portrait))
    by_numbers = FrameMotion(corrected.motion.pose, torch.zeros(1, NUMBERS))
    by_latent = by_numbers._replace(latent=torch.zeros(1, random_encoder.model.config.latent_size))
    frames = [random_encoder.frame(corrected, motion) for motion in (by_numbers, by_latent)]
    assert corrected.correction.latent.abs().max() > 0.1 and np.array_equal(*frames)


def test_drive_gives_what_frame_shows(animator, portrait, monkeypatch):
    """Without the correction at rest and of painted spots, which `drive` knows nothing of."""
    monkeypatch.setattr("mpkit.animation.animator.without_islands", lambda detail: detail)
    made = replace(animator.portrait(read_image(portrait), size=64), rest_error=None)
    made = replace(made, wide=made.avatar.picture)
    driven = animator.drive(made, made.motion)
    size, depth = animator.model.config.volume_size, animator.model.config.volume_depth
    assert driven.warp.grid.shape == (1, depth, size, size, 3) and driven.volume.shape[2:] == (depth, size, size)
    image, alpha = driven.rendering.image, driven.rendering.alpha
    expected = 255 * (image + (1 - alpha) * made.background)[0].movedim(0, -1)
    assert np.abs(animator.frame(made, made.motion) - expected.numpy()).max() < 1


# Motion from pixels


def test_pixels_drive_otherwise_than_the_tracker(random_encoder, portrait, clip, tmp_path):
    for motion_from in ("tracker", "pixels"):
        options = Options(motion_from=motion_from, max_frames=4, **CROP_ONLY)
        assert random_encoder.animate(portrait, clip, tmp_path / motion_from, options).frames == 4
    by_tracker, by_pixels = pictures(tmp_path / "tracker"), pictures(tmp_path / "pixels")
    assert all((a != b).any() for a, b in zip(by_pixels, by_pixels[1:]))
    assert all((a != b).any() for a, b in zip(by_tracker, by_pixels))


def test_pixels_give_z_to_the_networks(random_encoder, portrait, clip):
    """z of a relative motion is z_own + z_driver - z_reference, all read by E_mtn; the reference gives the still."""
    made = random_encoder.portrait(read_image(portrait), motion_from="pixels")
    with open_driver(clip, max_frames=4, read_pixels=random_encoder.read_pixels) as driver:
        motions = [motion for _, motion in driver]
    transfer = Transfer(made.motion)
    transfer.reference = motions[0]
    z = [motion.latent for motion in motions]
    assert not torch.allclose(z[3], z[0])
    assert torch.allclose(transfer(motions[3]).latent, made.motion.latent + z[3] - z[0])
    assert torch.allclose(transfer(motions[0]).latent, made.motion.latent)
    own = random_encoder.drive(made, made.motion).rendering.image
    assert torch.allclose(random_encoder.drive(made, transfer(motions[0])).rendering.image, own, atol=1e-3)


def test_pixels_of_a_still_drive_one_picture(random_encoder, portrait, tmp_path):
    options = Options(motion_from="pixels", max_frames=2, **CROP_ONLY)
    random_encoder.animate(portrait, EXAMPLES / "mona_lisa.jpg", tmp_path / "frames", options)
    first, second = pictures(tmp_path / "frames")
    assert (first == second).all()


def test_read_crop_sees_the_foreground_alone(random_encoder, portrait):
    crop = np.asarray(Image.open(portrait).resize((64, 64)))
    alpha = np.zeros((64, 64), np.float32)
    alpha[16:48, 16:48] = 1
    other = np.where(alpha[..., None] > 0, crop, 255 - crop).astype(np.uint8)
    assert torch.equal(random_encoder.read_crop(crop, alpha).latent, random_encoder.read_crop(other, alpha).latent)
    inverted = random_encoder.read_crop(255 - crop, alpha).latent
    assert not torch.allclose(random_encoder.read_crop(crop, alpha).latent, inverted)


def test_motion_files_have_no_pixels(animator, portrait, tmp_path):
    with pytest.raises(MediaError, match="nod.json is a motion file"):
        animator.animate(portrait, EXAMPLES / "nod.json", tmp_path / "out.gif", Options(motion_from="pixels"))
    with pytest.raises(ValueError, match="motion_from"):
        animator.portrait(read_image(portrait), motion_from="pixel")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "option, value, words",
    [
        ("motion", "fancy", "--motion is relative or absolute, not fancy"),
        ("motion_from", "sound", "--motion-from is tracker or pixels, not sound"),
        ("size", 10, "--size is native or a number of pixels from 64 to 2048, not 10"),
        ("start", -1, "--start must be 0 or more seconds"),
        ("max_frames", 0, "--max-frames must be 1 or more"),
        ("fps", 0, "--fps must be from"),
        ("face", 0, "--face is largest or a number"),
    ],
)
def test_options_are_checked_when_they_are_made(option, value, words):
    with pytest.raises(MediaError, match=words):
        Options(**{option: value})


def test_a_portrait_is_made_of_a_path_an_array_or_a_pillow_picture(animator, portrait):
    made = [animator.portrait(image, size=64) for image in (str(portrait), read_image(portrait), Image.open(portrait))]
    assert all((one.image == made[0].image).all() for one in made)
    for wrong in (None, np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3))):
        with pytest.raises(TypeError, match="a picture is a path, a Pillow picture or an array"):
            animator.portrait(wrong)


# Faces, sound, files


def test_frames_without_a_face_hold_the_last_motion_and_are_counted(animator, portrait, tmp_path):
    driver = write_clip(tmp_path / "gap.mp4", sway(8, missing=range(3, 6)))
    with pytest.warns(UserWarning, match="no face") as notes:
        result = animator.animate(portrait, driver, tmp_path / "frames", Options(**CROP_ONLY))
    frames = pictures(tmp_path / "frames")
    assert (result.frames, result.without_face, len(notes)) == (8, 3, 1)
    assert all((frame == frames[2]).all() for frame in frames[3:6]) and (frames[2] != frames[1]).any()


def test_a_driver_without_any_face_is_an_error_that_leaves_nothing(animator, portrait, tmp_path):
    driver = write_clip(tmp_path / "grey.mp4", sway(4, missing=range(4)))
    with warnings.catch_warnings(), pytest.raises(NoFaceError, match="no face in any frame"):
        warnings.simplefilter("error")  # no note beside the error
        animator.animate(portrait, driver, tmp_path / "out.mp4", Options(**CROP_ONLY))
    assert [path.name for path in tmp_path.iterdir()] == ["grey.mp4"]


def test_a_tracked_motion_file_drives_as_its_clip_does(animator, portrait, clip, tmp_path):
    motion = track(clip)
    motion.save(tmp_path / "motion.json")
    assert (len(motion), motion.rate, motion.found.all()) == (10, "30000/1001", True)
    assert np.allclose(np.diff(motion.times), 1001 / 30000, atol=1e-4)
    options = Options(motion="absolute", **CROP_ONLY)
    for driver, folder in ((clip, "clip"), (tmp_path / "motion.json", "numbers")):
        assert animator.animate(portrait, driver, tmp_path / folder, options).rate == NTSC
    for a, b in zip(pictures(tmp_path / "clip"), pictures(tmp_path / "numbers"), strict=True):
        assert abs(a.astype(int) - b).mean() < 0.5


def test_stills_and_excerpts_can_be_tracked(clip, tmp_path):
    assert len(track(EXAMPLES / "mona_lisa.jpg")) == 1
    part = track(clip, start=0.1, max_frames=3)
    assert len(part) == 3 and part.times[0] == 0


def test_the_drivers_sound_is_kept_unless_switched_off(animator, portrait, tmp_path):
    with wave.open(str(tmp_path / "tone.wav"), "wb") as tone:
        tone.setnchannels(1), tone.setsampwidth(2), tone.setframerate(48000)
        tone.writeframes((8000 * np.sin(np.arange(24000) / 20)).astype("<i2").tobytes())
    driver = write_clip(tmp_path / "loud.mp4", sway(10), audio_from=tmp_path / "tone.wav")
    for audio in (True, False):
        animator.animate(portrait, driver, tmp_path / "out.mp4", Options(audio=audio, **CROP_ONLY))
        with av.open(str(tmp_path / "out.mp4")) as made:
            assert bool(made.streams.audio) == audio


def test_progress_counts_to_the_number_of_frames(animator, portrait, clip, tmp_path):
    steps = []
    animator.animate(portrait, clip, tmp_path / "out.gif", Options(**CROP_ONLY), lambda *step: steps.append(step))
    assert steps == [(index, 10) for index in range(1, 11)]


@pytest.mark.parametrize("name", ["nod", "talk", "turn"])
def test_example_motions_turn_the_head_for_a_few_seconds(name):
    motion = Motion.load(EXAMPLES / f"{name}.json")
    assert 4 <= motion.times[-1] <= 7 and motion.found.all()
    assert np.ptp(motion.rotation[:, 0, 2]) > 0.2  # more than ten degrees


@pytest.mark.skipif(not DEFAULT_WEIGHTS.exists(), reason="the bundled weights are not there yet")
def test_the_bundled_weights_animate_a_painting(tmp_path):
    animator = Animator.load(device="cpu")
    assert animator.model.config.preset == "tiny"
    result = animator.animate(
        EXAMPLES / "mona_lisa.jpg", EXAMPLES / "nod.json", tmp_path / "out.mp4", Options(max_frames=3)
    )
    assert result.frames == 3
