import numpy as np
import pytest
import torch
from browser import chromium  # noqa: F401  fixture
from clips import clip, portrait, weights  # noqa: F401  fixtures
from media_files import bad_inputs, shared_clips  # noqa: F401  fixtures
from page import address, app, new_client  # noqa: F401  fixtures
from support import meta

from mpkit.config import preset
from mpkit.networks import BaseModel

HEAD_VERTICES = 6000  # at least as many as Anny's head has


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def paper_model():
    return meta(BaseModel, preset("base512"))


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Three people of four frames: moving noise on a mesh of two triangles, beside them the vertices of a head."""
    folder = tmp_path_factory.mktemp("shards") / "shard-00000"
    folder.mkdir()
    rng = np.random.default_rng(0)
    people, frames, size = 3, 4, 64
    square = np.float32([(-0.8, -0.8, 0), (0.8, -0.8, 0), (-0.8, 0.8, 0), (0.8, 0.8, 0)])
    head = rng.uniform(-0.5, 0.5, (HEAD_VERTICES, 3)).astype(np.float32)
    head[:4] = square
    fields = {
        "images": rng.integers(0, 255, (people, frames, size, size, 4), dtype=np.uint8),
        "triangle": rng.integers(-1, 2, (people, frames, size // 2, size // 2)).astype(np.int32),
        "barycentric": np.full((people, frames, size // 2, size // 2, 2), 0.3, np.float16),
        "vertices": np.tile(head, (people, frames, 1, 1)).astype(np.float16),
        "neutral": np.tile(head, (people, 1, 1)),
        "rotation": np.tile(np.eye(3, dtype=np.float32), (people, frames, 1, 1)),
        "translation": np.zeros((people, frames, 3), np.float32),
        "scale": np.ones((people, frames), np.float32),
        "actions": rng.random((people, frames, 52), dtype=np.float32),
        "gaze": rng.random((people, frames, 2), dtype=np.float32),
        "numbers": rng.random((people, frames, 54), dtype=np.float32),
        "found": np.ones((people, frames), bool),
    }
    for name, array in fields.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder.parent / "faces.npy", np.int32([(0, 1, 2), (1, 3, 2)]))
    return folder.parent
