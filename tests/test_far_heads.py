"""Drivers that go far, come close, are cut, or begin with an open mouth; pictures that are huge or cut out: whole
animations, with the bundled weights."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mpkit import Animator, Options
from mpkit.actions import ACTIONS, vector
from mpkit.animation.driver import open_driver
from mpkit.animation.motion_file import MotionTrack
from mpkit.animation.options import Controls
from mpkit.animation.transfer import MAX_REST_JAW, FrameMotion, Transfer, rest_of, transfer_frames
from mpkit.assets import EXAMPLES
from mpkit.faces.crop import Crop
from mpkit.faces.trackers import make_tracker
from mpkit.geometry import angles_from_rotation, identity_pose, rotation_from_angles
from mpkit.media.images import read_image
from mpkit.media.video_reader import MAX_SAMPLED_FRAMES, VideoReader
from mpkit.media.video_writer import VideoWriter

SOURCE = EXAMPLES / "eileen_collins.jpg"
JAW = ACTIONS.index("jawOpen")


@pytest.fixture(scope="module")
def animator():
    return Animator.load(device="cpu")


@pytest.fixture(scope="module")
def portrait(animator):
    return animator.portrait(SOURCE, size=256)


def motion(x=0.0, y=0.0, scale=1.0, yaw=0.0, roll=0.0, **numbers) -> FrameMotion:
    rotation = rotation_from_angles(*torch.tensor([[yaw], [0.0], [roll]], dtype=torch.float32))
    pose = identity_pose()._replace(
        rotation=rotation, translation=torch.tensor([[x, y, 0.0]]), scale=torch.tensor([float(scale)])
    )
    return FrameMotion(pose, torch.from_numpy(vector(**numbers))[None])


def animated(animator, portrait, tmp_path, motions, **options) -> list[np.ndarray]:
    """The frames of a portrait driven by motions."""
    MotionTrack.from_motions(motions, Crop(128, 128, 80), "25/1", (256, 256)).save(tmp_path / "motion.json")
    animator.animate(portrait, tmp_path / "motion.json", tmp_path / "frames", Options(**options))
    return [np.asarray(Image.open(path)) for path in sorted((tmp_path / "frames").iterdir())]


def faces_of(frames: list[np.ndarray]) -> list:
    """The largest face of each frame, or None."""
    with make_tracker() as tracker:
        return [next(iter(tracker.detect(np.ascontiguousarray(frame[..., :3]))), None) for frame in frames]


def test_a_head_goes_where_the_driver_goes_and_leaves_the_picture(animator, portrait, tmp_path):
    """Row 5. Each step moves it by half a head crop; its background then shows where it was."""
    steps = np.arange(0, 4.1, 0.5).tolist()
    frames = animated(animator, portrait, tmp_path, [motion(x) for x in steps])
    faces = faces_of(frames)
    assert faces[-1] is None
    for x, face in zip(steps[:3], faces):
        expected = np.float32((portrait.crop.x + x * portrait.crop.radius, portrait.crop.y))
        assert np.abs(face.centre - expected).max() < 0.12 * portrait.crop.radius
        assert face.radius == pytest.approx(portrait.crop.radius, rel=0.08)
    left = frames[-1][:300].astype(int) - read_image(SOURCE)[:300]
    assert np.abs(left[:80, :100]).mean() < 2  # far from the person nothing has changed


def test_a_head_grows_without_holes_and_within_the_picture(animator, portrait, tmp_path):
    """Row 6. A driver that comes three times closer: the head grows as far as the picture bears, with one note."""
    scales = [1.0, 1.2, 1.45, 1.8, 2.3, 3.0]
    with pytest.warns(UserWarning, match="comes closer than the picture bears: the head grows to 2 times") as notes:
        frames = animated(animator, portrait, tmp_path, [motion(scale=scale) for scale in scales])
    assert sum("comes closer" in str(note.message) for note in notes) == 1
    faces = faces_of(frames)
    for growth, face in ((1.0, faces[0]), (1.45, faces[2]), (2.0, faces[5])):
        assert face.radius == pytest.approx(growth * portrait.crop.radius, rel=0.08)
    still = cv2.resize(read_image(SOURCE), None, fx=1.45, fy=1.45, interpolation=cv2.INTER_CUBIC)
    x, y, r = 1.45 * portrait.crop.x, 1.45 * portrait.crop.y, 0.45 * 1.45 * portrait.crop.radius
    enlarged = still[int(y - r) : int(y + r), int(x - r) : int(x + r)]
    left, top = int(portrait.crop.x - r), int(portrait.crop.y - r)
    enlarged = enlarged[:148, :148]
    shown = frames[2][top : top + len(enlarged), left : left + len(enlarged)]
    assert np.abs(shown.astype(int) - enlarged).mean() < 12  # the face itself, enlarged


def test_another_shot_starts_from_the_portraits_own_place(animator, portrait):
    """Row 6. A cut to a closer shot, in which the head is elsewhere."""
    shots = [motion(), motion(0.1), motion(2.0, scale=2.0), motion(2.1, scale=2.0)]
    transfer = Transfer(portrait.motion)
    transfer.reference = shots[0]
    moved = [frame for _, frame, _ in transfer_frames([(None, shot) for shot in shots], transfer, 25.0)]
    own = portrait.motion.pose
    for index in (0, 2):
        torch.testing.assert_close(moved[index].pose.translation, own.translation)
        torch.testing.assert_close(moved[index].pose.scale, own.scale)
    assert moved[3].pose.translation[0, 0] - own.translation[0, 0] == pytest.approx(0.05 * own.scale.item(), abs=1e-4)


def test_a_head_that_was_lost_goes_on_from_where_it_is(portrait):
    """Frames without a face are no cut: the head has moved meanwhile."""
    transfer = Transfer(portrait.motion)
    transfer.reference = motion()
    frames = [motion(), None, None, motion(1.5)]
    moved = [frame for _, frame, _ in transfer_frames([(None, frame) for frame in frames], transfer, 25.0)]
    assert moved[3].pose.translation[0, 0] > moved[2].pose.translation[0, 0] + 1


def test_rest_is_looked_for_in_the_whole_motion(animator, portrait, tmp_path):
    """Row 7. A driver that begins with an open mouth, turned aside: the mouth is open from the first frame on, and the
    portrait faces where it did where the driver is at rest; also if only the beginning is animated."""
    motions = [motion(yaw=25, jawOpen=0.6)] * 3 + [motion()] * 3
    MotionTrack.from_motions(motions, Crop(128, 128, 80), "25/1", (256, 256)).save(tmp_path / "m.json")
    for max_frames in (None, 2):
        with open_driver(tmp_path / "m.json", max_frames=max_frames) as driver:
            transfer = animator._transfer(portrait, driver, Options())
            moved = [frame for _, frame, _ in transfer_frames(driver, transfer, 25.0)]
        jaw = motions[0].numbers[0, JAW]
        assert moved[0].numbers[0, JAW] - portrait.motion.numbers[0, JAW] == pytest.approx(jaw.item(), abs=1e-4)
        if max_frames is None:
            torch.testing.assert_close(moved[5].pose.rotation, portrait.motion.pose.rotation, atol=1e-4, rtol=0)


def test_a_mouth_that_is_always_open_is_not_at_rest(portrait):
    transfer = Transfer(portrait.motion)
    driver = motion(yaw=30, jawOpen=0.8)
    (_, moved, _), *_ = transfer_frames([(None, driver)] * 3, transfer, 25.0)
    assert transfer.reference.numbers[0, JAW] <= MAX_REST_JAW + 1e-6 < moved.numbers[0, JAW]
    assert angles_from_rotation(transfer.reference.pose.rotation)[0].item() == pytest.approx(10, abs=1e-3)


def test_a_neutral_rest_keeps_a_lasting_expression(animator, portrait, tmp_path):
    MotionTrack.from_motions([motion(browInnerUp=0.6)] * 2, Crop(128, 128, 80), "25/1", (256, 256)).save(
        tmp_path / "m.json"
    )
    brow = ACTIONS.index("browInnerUp")
    change = {}
    for rest in ("clip", "neutral"):
        with open_driver(tmp_path / "m.json") as driver:
            transfer = animator._transfer(portrait, driver, Options(rest=rest))
            (_, moved, _), *_ = transfer_frames(driver, transfer, 25.0)
        change[rest] = (moved.numbers - portrait.motion.numbers)[0, brow].item()
    assert change["clip"] == pytest.approx(0, abs=1e-5) and change["neutral"] > 0.15


def test_rest_of_a_clip_is_found_beyond_its_beginning(animator, portrait, tmp_path):
    """A clip whose first second is turned aside, in which later frames face the camera."""
    front = animator.frame(portrait, portrait.motion)
    turned = animator.frame(portrait, portrait.motion._replace(pose=motion(yaw=28).pose))
    clip = tmp_path / "clip.mp4"
    with VideoWriter(clip, Fraction(10), (256, 256)) as writer:
        for index in range(30):
            writer.write(turned if index < 20 else front)
    with open_driver(clip, max_frames=5) as driver:
        assert abs(angles_from_rotation(driver.rest().pose.rotation)[0].item()) < 8
    assert len(list(VideoReader(clip).samples(12))) == 12


def test_a_long_clip_is_sampled_at_its_key_frames(tmp_path):
    """Without decoding all of it: at its key frames, and where they are few, in its first frames too."""
    clip = tmp_path / "long.mp4"
    with VideoWriter(clip, Fraction(50), (64, 48)) as writer:
        for index in range(1100):
            writer.write(np.full((48, 64, 3), index // 5, np.uint8))
    levels = [int(frame.mean()) for frame in VideoReader(clip).samples(48)]
    count = 1 + int(np.argmax(levels))  # of key frames
    assert len(levels) == 48 and 3 <= count and levels[count - 1] > 150
    assert levels[:count] == sorted(set(levels[:count]))
    further = levels[count:]
    assert further == sorted(further) and further[0] < 10 and 80 < further[-1] <= MAX_SAMPLED_FRAMES // 5
    assert len(list(VideoReader(clip).samples(2))) == 2


# Huge and cut-out pictures


def test_a_huge_picture_is_written_smaller_with_a_note(animator, tmp_path):
    """Row 15: 25 megapixels are beyond any level of H.264."""
    image = cv2.resize(read_image(SOURCE), (4400, 5700), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(image).save(tmp_path / "huge.jpg", quality=80)
    with pytest.warns(UserWarning, match="4400 x 5700 pixels; frames are written at"):
        animator.animate(tmp_path / "huge.jpg", EXAMPLES / "turn.json", tmp_path / "o.mp4", Options(max_frames=2))
    reader = VideoReader(tmp_path / "o.mp4")
    assert 7.5e6 < reader.width * reader.height <= 3840 * 2160 + 2 * 8000
    with pytest.warns(UserWarning, match="written at 494 x 640"):
        options = Options(max_frames=1, largest_side=640)
        animator.animate(tmp_path / "huge.jpg", EXAMPLES / "turn.json", tmp_path / "p", options)
    assert Image.open(tmp_path / "p" / "000000.png").size == (494, 640)


@pytest.fixture(scope="module")
def cut_out_file(portrait, tmp_path_factory):
    """The portrait without its background."""
    path = tmp_path_factory.mktemp("cut") / "cut.png"
    image = read_image(SOURCE)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    head = np.hypot(x - portrait.crop.x, y - portrait.crop.y) < 0.9 * portrait.crop.radius
    body = (y > portrait.crop.y) & (np.abs(x - portrait.crop.x) < portrait.crop.radius)
    alpha = cv2.GaussianBlur(((head | body) * 255).astype(np.uint8), None, 1.5)
    Image.fromarray(np.dstack([image, alpha])).save(path)
    return path


@pytest.mark.parametrize("far", [0.0, 0.9])
def test_a_cut_out_stays_cut_out(animator, cut_out_file, tmp_path, far):
    """Row 17. At rest, frames of PNG have the picture's own alpha; a head that moves away leaves nothing behind."""
    source = np.asarray(Image.open(cut_out_file)).astype(int)
    first, second = animated(animator, cut_out_file, tmp_path, [motion(), motion(far)])
    assert first.shape == source.shape and np.abs(first[..., 3].astype(int) - source[..., 3]).max() <= 10  # resampled
    opaque = source[..., 3] == 255
    assert np.abs(first[opaque].astype(int) - source[opaque]).mean() < 1
    if far:
        shift = round(far * animator.portrait(cut_out_file).crop.radius)
        expected = np.roll(source[..., 3], shift, 1)[:150]
        assert np.abs(second[:150, :, 3].astype(int) - expected).mean() < 12
    animator.animate(cut_out_file, EXAMPLES / "turn.json", tmp_path / "o.mp4", Options(max_frames=1))
    ((_, frame),) = VideoReader(tmp_path / "o.mp4")
    assert frame[2, 2].min() > 250  # white elsewhere


def test_transparent_corners_do_not_make_a_picture_a_cut_out(animator, portrait, tmp_path):
    """The person is found as in the opaque picture, and alpha stays where it is."""
    image = read_image(SOURCE)
    alpha = np.full(image.shape[:2], 250, np.uint8)
    alpha[:5, :5] = 0
    made = animator.portrait(np.dstack([image, alpha]), size=256)
    assert not made.cut_out and np.array_equal(made.lay_alpha(animator.head(made, motion(0.5))), alpha)
    assert (made.picture - portrait.picture).abs()[:, 3].mean() < 0.02


@pytest.mark.parametrize("angles", [(0, 0, -18), (0, 30, 0), (25, 0, 0)])
def test_a_head_that_leans_is_not_at_rest(angles):
    """Else portraits would lean to the other side whenever such a driver is upright."""
    rotation = rotation_from_angles(*torch.tensor(angles, dtype=torch.float32)[:, None])
    leaning = motion()._replace(pose=identity_pose()._replace(rotation=rotation))
    bounded = torch.stack(angles_from_rotation(rest_of([leaning]).pose.rotation))
    assert bounded.abs().max() == pytest.approx(10, abs=1e-3)


def test_a_cut_at_which_the_head_turns_is_found(portrait):
    transfer = Transfer(portrait.motion, controls=Controls(smoothing=0.5))
    transfer.reference = motion()
    shots = [motion(roll=20), motion(roll=20), motion(roll=-20), motion(roll=-20)]
    moved = [frame for _, frame, _ in transfer_frames([(None, shot) for shot in shots], transfer, 25.0)]
    torch.testing.assert_close(moved[2].pose.rotation, moved[3].pose.rotation, atol=1e-5, rtol=0)  # nothing is mixed
