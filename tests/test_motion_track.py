"""Properties of tracks that are made of motions, as the puppet of the demo page records them."""

import numpy as np
import pytest
import torch
from PIL import Image
from support import some_pose

from mpkit import Animator, Motion, Options
from mpkit.actions import ACTIONS, NUMBERS, vector
from mpkit.animation.transfer import FrameMotion, Transfer, transfer_frames
from mpkit.errors import MediaError
from mpkit.faces import Crop
from mpkit.faces.canonical import CANONICAL_FACE

CROP = Crop(150.0, 120.0, 80.0)


@pytest.fixture(scope="module")
def animator(weights):
    return Animator.load(weights, device="cpu")


@pytest.fixture(scope="module")
def puppet(animator, portrait):
    """A portrait, and motions of it as sliders make them, none of them its own, the most neutral one not the first."""
    made = animator.portrait(portrait, size=96)
    motions = []
    for yaw, shift, size, jaw in ((12, 0.10, 1.1, 0.8), (0, -0.05, 0.9, 0.0), (-15, 0.0, 1.2, 0.4), (3, 0.2, 1.0, 1.0)):
        place = torch.tensor([[shift, shift / 2, 0]])
        pose = some_pose(yaw=yaw)._replace(translation=place, scale=torch.tensor([size]))
        numbers = torch.from_numpy(vector(jawOpen=jaw, smile=0.3, gaze_x=jaw - 0.5))[None]
        motions.append(FrameMotion(pose, numbers, torch.tensor([[shift / 3, 0]])))
    return made, motions


def test_a_recorded_track_drives_its_portrait_through_just_its_motions(animator, puppet, tmp_path):
    made, motions = puppet
    size = made.image.shape[1::-1]
    track = Motion.from_motions(motions, made.crop, "25", size, "puppet", reference=made.motion)
    track.save(tmp_path / "puppet.json")
    options = Options(motion="absolute", paste_back=False)
    result = animator.animate(made, tmp_path / "puppet.json", tmp_path / "frames", options)
    assert (result.frames, result.rate) == (4, 25)
    for path, motion in zip(sorted((tmp_path / "frames").iterdir()), motions):
        difference = np.asarray(Image.open(path)).astype(int) - animator.frame(made, motion)
        assert np.abs(difference).max() <= 2 and np.abs(difference).mean() < 0.05
    frames = [animator.frame(made, motion).astype(int) for motion in motions]
    assert all(np.abs(a - b).mean() > 1 for a, b in zip(frames, frames[1:]))


def test_a_track_gives_back_its_motions_before_and_after_it_is_saved(puppet, tmp_path):
    made, motions = puppet
    track = Motion.from_motions(motions, made.crop, "30000/1001", (512, 600), "puppet", made.motion)
    assert np.allclose(np.diff(track.times), 1001 / 30000) and track.found.all() and len(track) == 4
    track.save(tmp_path / "a.json")
    loaded = Motion.load(tmp_path / "a.json")
    assert (loaded.rate, loaded.source, loaded.width, loaded.height) == ("30000/1001", "puppet", 512, 600)
    for one, tolerance in ((track, 0), (loaded, 2e-5)):
        pairs = [(one.motion(index), motion) for index, motion in enumerate(motions)]
        if one is loaded:
            pairs.append((loaded.reference, made.motion))
        for back, motion in pairs:
            for x, y in zip((*back.pose, *back[1:3]), (*motion.pose, *motion[1:3])):
                assert torch.allclose(x, y, rtol=0, atol=tolerance)


def test_the_reference_of_a_track_is_where_relative_motion_starts(animator, puppet, tmp_path):
    made, motions = puppet
    Motion.from_motions(motions, made.crop, "25/1", (512, 600), reference=motions[2]).save(tmp_path / "a.json")
    transfer = Transfer(made.motion)
    transfer.reference = transfer.place = Motion.load(tmp_path / "a.json").reference
    moved = [moved for _, moved, _ in transfer_frames([(None, motion) for motion in motions], transfer, 25.0)]
    for x, y in zip(moved[2].pose, made.motion.pose):
        assert torch.allclose(x, y, atol=1e-4)


def test_tracks_without_a_reference_have_none(puppet, tmp_path):
    track = Motion.from_motions(puppet[1], CROP, "25/1", (300, 240))
    track.save(tmp_path / "a.json")
    assert track.reference is None and Motion.load(tmp_path / "a.json").reference is None
    assert '"reference"' not in (tmp_path / "a.json").read_text()


def test_a_damaged_reference_is_refused(puppet, tmp_path):
    path = tmp_path / "a.json"
    Motion.from_motions(puppet[1], CROP, "25/1", (300, 240), reference=puppet[1][0]).save(path)
    text = path.read_text()
    for wrong in ('"reference": 5, "x": {', '"reference": {"y": 1}, "x": {'):
        path.write_text(text.replace('"reference": {', wrong))
        with pytest.raises(MediaError, match="its reference"):
            Motion.load(path)


def test_the_box_surrounds_the_average_face():
    motion = FrameMotion(some_pose(), torch.zeros(1, NUMBERS))
    box = Motion.from_motions([motion], CROP, "25/1", (300, 240)).box[0]
    corners = np.stack([CANONICAL_FACE[:, :2].min(0), CANONICAL_FACE[:, :2].max(0)])
    assert np.allclose(box, CROP.to_picture(corners).ravel())


def test_actions_beyond_1_are_limited_as_in_every_transfer(tmp_path):
    numbers = torch.from_numpy(vector(pucker=1))[None]  # the tracker reads 1.6 there
    track = Motion.from_motions([FrameMotion(some_pose(), numbers)], CROP, "25/1", (300, 240))
    assert track.actions[0, ACTIONS.index("mouthPucker")] == 1
    track.save(tmp_path / "a.json")
    assert Motion.load(tmp_path / "a.json").actions.max() == 1


def test_nothing_and_latents_are_no_track(puppet):
    with pytest.raises(MediaError, match="no motion to save"):
        Motion.from_motions([], CROP, "25/1", (300, 240))
    latent = puppet[1][0]._replace(latent=torch.zeros(1, 4))
    for motions, reference in (([latent], None), (puppet[1], latent)):
        with pytest.raises(MediaError, match="read from pixels"):
            Motion.from_motions(motions, CROP, "25/1", (300, 240), reference=reference)
