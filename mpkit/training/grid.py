"""Sample grids: what a training step saw and made, one person a column."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mpkit.batch import Pairs
from mpkit.networks.base import Driven


def save_grid(path: Path, pairs: Pairs, driven: Driven, columns: int = 8) -> None:
    """Rows: source, driver, prediction, warped source, mask, alpha, flow (x red, y green)."""
    count = len(pairs.driver.picture) // len(pairs.source.picture)
    rows = [
        pairs.source.picture.repeat_interleave(count, 0)[:, :3],
        pairs.driver.picture[:, :3],
        driven.rendering.image,
    ]
    if (detail := driven.rendering.detail) is not None:
        flow = F.pad(detail.flow / 2 + 0.5, (0, 0, 0, 0, 0, 1), value=0.5)
        rows += [detail.warped[:, :3], detail.mask, driven.rendering.alpha, flow]
    Image.fromarray(tile(rows, columns)).save(path)


@torch.no_grad()
def tile(rows: list[Tensor], columns: int = 8) -> np.ndarray:
    """Rows of pictures (B, 1 or 3, S, S) in [0, 1] -> one picture (rows * S, columns * S, 3) uint8."""
    size = rows[0].shape[-1]
    lines = []
    for row in rows:
        row = F.interpolate(row[:columns].float().cpu(), size=(size, size), mode="nearest")
        lines.append(torch.cat(list(row.expand(-1, 3, -1, -1)), dim=2))
    return (torch.cat(lines, dim=1).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy()
