import pytest
import torch
from clips import clip, portrait, weights  # noqa: F401  fixtures
from support import meta

from mpkit.config import preset
from mpkit.networks import BaseModel


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def paper_model():
    return meta(BaseModel, preset("base512"))
