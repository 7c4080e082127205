"""Training runs that are interrupted, for tests that resume them."""

import pytest

from mpkit.training.loop import train
from mpkit.training.run_state import save_run


def train_until_first_save(config, stage, monkeypatch):
    """A run that ends right after it has saved its state for the first time."""

    class Killed(Exception):
        pass

    def save_then_end(*arguments):
        save_run(*arguments)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("mpkit.training.trainer.save_run", save_then_end)
        with pytest.raises(Killed):
            train(config, stage, progress=False)
