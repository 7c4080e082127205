"""Painted spots beside the person: G_2D sometimes paints parts of shoulders or hair where no part of the body is near.
There, the source is shown instead, which has background at that place."""

import cv2
import numpy as np
import torch
from torch import Tensor

from mpkit.networks.detail import Detail

MIN_ALPHA = 0.1  # from which on a pixel counts as the person
MARGIN = 4  # pixels of the networks' picture: around a spot, its faint rim


def without_islands(detail: Detail) -> Detail:
    """The detail path's layers (batch 1) with the mask 1 where what is shown is not connected to the largest part."""
    alpha = torch.lerp(detail.colour[:, 3:], detail.warped[:, 3:].float(), detail.mask)
    islands = _islands(alpha)
    if islands is None:
        return detail
    return detail._replace(mask=torch.where(islands.to(detail.mask.device), 1.0, detail.mask))


def _islands(alpha: Tensor) -> Tensor | None:
    """The pixels of an alpha (1, 1, S, S) that are not connected to its largest part, bool; None if all are."""
    shown = (alpha[0, 0] > MIN_ALPHA).to(torch.uint8).cpu().numpy()
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(shown)
    if count < 3:  # the background and one part
        return None
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    islands = ((labels != largest) & (labels > 0)).astype(np.uint8)
    islands = cv2.dilate(islands, np.ones((2 * MARGIN + 1,) * 2, np.uint8)).astype(bool) & (labels != largest)
    return torch.from_numpy(islands)[None, None]
