"""What the tests of animation share: random weights, and clips made from a bundled picture."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch

from mpkit.assets import EXAMPLES
from mpkit.config import preset
from mpkit.media.images import read_image
from mpkit.media.video_writer import VideoWriter
from mpkit.networks import BaseModel
from mpkit.weights import save_weights

NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A weights file of the nano preset, random: no test depends on the bundled weights."""
    path = tmp_path_factory.mktemp("weights") / "nano.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_weights(path, BaseModel(preset("nano")))
    return path


@pytest.fixture(scope="session")
def portrait():
    """A still with one face, 512 x 600 pixels."""
    return EXAMPLES / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A driver clip: ten frames of a head that sways, at 30000/1001 a second."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", sway(10))


def sway(count: int, size: int = 256, missing: range = range(0)) -> list[np.ndarray]:
    """Frames (size, size, 3) uint8 of a head that sways; those in `missing` are grey."""
    image = read_image(EXAMPLES / "grace_hopper.jpg")[:440, 60:500]
    image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    frames = []
    for index in range(count):
        turn = cv2.getRotationMatrix2D((size / 2, size / 2), 8 * np.sin(index / 3), 1)
        frame = cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REPLICATE)
        frames.append(np.full_like(frame, 128) if index in missing else frame)
    return frames


def write_clip(path, frames: list[np.ndarray], rate=NTSC, audio_from=None):
    """Writes frames as a video and returns its path."""
    height, width = frames[0].shape[:2]
    with VideoWriter(path, rate, (width, height), audio_from) as writer:
        for frame in frames:
            writer.write(frame)
    return path
