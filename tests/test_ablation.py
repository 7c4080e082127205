"""The ablation: one row without each part, all measured alike."""

import dataclasses

import pytest
import torch

from mpkit.config import GAZE, IDENTITY, preset
from mpkit.evaluation import ablation
from mpkit.evaluation.ablation import EVERYTHING, MEASURES, STILLS, WITHOUT, ablate, format_ablation, psnr_inside
from mpkit.networks.gaze import GazeNetwork
from mpkit.networks.identity import IdentityNetwork
from mpkit.weights import save_weights


def test_psnr_counts_the_inside_of_the_matte_alone():
    target, matte = torch.zeros(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    matte[..., :4] = 1
    image = torch.where(matte > 0, 0.1, 0.9).expand(1, 3, 8, 8)
    assert psnr_inside(image, target, matte).item() == pytest.approx(20, abs=1e-3)


def test_each_row_leaves_out_what_it_says():
    for changes in WITHOUT.values():
        assert all(getattr(EVERYTHING, name) > 0 for name in changes)
        assert dataclasses.replace(EVERYTHING, **changes) != EVERYTHING


def test_every_row_is_trained_and_measured(shards, tmp_path, monkeypatch):
    for kind, table, name in ((GazeNetwork, GAZE, "GAZE_WEIGHTS"), (IdentityNetwork, IDENTITY, "IDENTITY_WEIGHTS")):
        save_weights(tmp_path / name, kind(preset("nano", table)))
        for module in (ablation, __import__("mpkit.training.stages.picture_objective", fromlist=["x"])):
            monkeypatch.setattr(module, name, tmp_path / name)
    monkeypatch.setattr(ablation, "MEASURED_BATCHES", 1)
    data = (str(shards),)
    results = ablate(data, data, data, tmp_path / "runs", steps=1, batch_size=2, progress=False)
    assert list(results) == ["everything", *(f"without {part}" for part in (*WITHOUT, STILLS))]
    assert all(set(row) == set(MEASURES) for row in results.values())
    table = format_ablation(results).splitlines()
    assert len(table) == 1 + len(results) and (tmp_path / "runs" / "ablation.json").exists()
    again = ablate(data, data, data, tmp_path / "runs", steps=1, batch_size=2, progress=False)  # nothing left to train
    assert again == results
