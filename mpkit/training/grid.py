"""Sample grids: rows of pictures as one PNG."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def save_grid(path: Path, rows: list[Tensor], columns: int = 8) -> None:
    """Writes rows of pictures (B, 1 or 3, S, S) in [0, 1], the first `columns` of each; nothing where there are
    none."""
    if rows:
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
