"""The matte: how much of each pixel is the person, and what the picture might look like without them."""

import threading
from pathlib import Path

import cv2
import numpy as np

from mpkit.faces.crop import Crop, cut
from mpkit.faces.tasks import create_task, media_image

SEGMENTER_FILE = Path(__file__).parents[1] / "assets" / "selfie_segmenter.tflite"
SEGMENTER_MARGIN = 1.3  # the head crop is looked at this much wider: the segmenter knows heads above shoulders
GUIDE_SIDE = 384  # side of the picture at which the guided filter's coefficients are found
GUIDE_RADIUS = 6  # pixels of it
GUIDE_EPSILON = 4e-4  # variance (of colours in [0, 1]) below which the guide counts as flat
FILL_SIDE = 256  # side of the picture at which the background is filled


class Matte:
    """Person segmentation by MediaPipe's selfie segmenter (256 px), refined along the picture's own edges."""

    def __init__(self):
        self._lock = threading.Lock()  # the segmenter takes one picture at a time
        self._segmenter = create_task(
            self, "ImageSegmenter", SEGMENTER_FILE, output_confidence_masks=True, output_category_mask=False
        )

    def close(self) -> None:
        self._segmenter.close()

    def __enter__(self) -> "Matte":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def __call__(self, image: np.ndarray, focus: tuple[float, float] | None = None) -> np.ndarray:
        """The alpha, (H, W) float32 in [0, 1], of the person at `focus` (pixels; default: the middle) of an RGB picture
        (H, W, 3) uint8. Works best on a head and shoulders; use `in_crop` for a head in a large picture."""
        with self._lock:
            result = self._segmenter.segment(media_image(image))
            alpha = result.confidence_masks[0].numpy_view().reshape(image.shape[:2]).astype(np.float32)
        height, width = alpha.shape
        alpha = _only_connected(alpha, focus or (width / 2, height / 2))
        alpha = guided_filter(image, alpha)
        return ((alpha - 0.06) / 0.88).clip(0, 1)  # what is nearly certain is certain

    def in_crop(self, image: np.ndarray, crop: Crop, size: int) -> np.ndarray:
        """The alpha of a head crop at `size` pixels, (size, size): as of `cut(image, crop, size)`, but steadier."""
        wide_size = round(size * SEGMENTER_MARGIN / 2) * 2
        wide = Crop(crop.x, crop.y, crop.radius * wide_size / size)
        alpha = self(cut(image, wide, wide_size))
        border = (wide_size - size) // 2
        return alpha[border : border + size, border : border + size]


def _only_connected(alpha: np.ndarray, focus: tuple[float, float]) -> np.ndarray:
    """Fades out whatever is not connected to the person at `focus`."""
    count, labels = cv2.connectedComponents((alpha > 0.3).astype(np.uint8))
    height, width = alpha.shape
    reach = max(2, round(min(height, width) * 0.15))
    x, y = int(np.clip(focus[0], 0, width - 1)), int(np.clip(focus[1], 0, height - 1))
    near = labels[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    votes = np.bincount(near[near > 0], minlength=count)
    if votes.sum() == 0:
        return alpha
    blur = max(height, width) / 64
    kept = cv2.dilate((labels == votes.argmax()).astype(np.float32), np.ones((3, 3)), iterations=max(1, round(blur)))
    return alpha * cv2.GaussianBlur(kept, None, blur / 2)


def guided_filter(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The guided filter (He et al. 2010) with a colour guide, coefficients found at low resolution (He and Sun 2015):
    `values` (H, W) float32 moved onto the edges of `image` (H, W, 3) uint8; (H, W) float32."""
    height, width = values.shape
    scale = min(1.0, GUIDE_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    guide = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    low = cv2.resize(values, size, interpolation=cv2.INTER_AREA)

    def mean(array):
        return cv2.boxFilter(array, -1, (2 * GUIDE_RADIUS + 1,) * 2, borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_low = mean(guide), mean(low)
    products = mean((guide[..., :, None] * guide[..., None, :]).reshape(*low.shape, 9)).reshape(*low.shape, 3, 3)
    covariance = products - mean_guide[..., :, None] * mean_guide[..., None, :]
    covariance += GUIDE_EPSILON * np.eye(3, dtype=np.float32)
    cross = mean(guide * low[..., None]) - mean_guide * mean_low[..., None]
    slope = np.linalg.solve(covariance, cross[..., None])[..., 0]
    offset = mean_low - (slope * mean_guide).sum(-1)
    slope, offset = (cv2.resize(mean(part), (width, height)) for part in (slope, offset))
    return ((slope * (image.astype(np.float32) / 255)).sum(-1) + offset).clip(0, 1)


def fill_background(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) uint8 without the person of `alpha` (H, W): smooth colours flow in from around them."""
    height, width = alpha.shape
    scale = min(1.0, FILL_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    person = cv2.resize(alpha.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    near = max(2, round(max(size) * 0.02))  # hair and shadow tint the background next to them
    person = cv2.GaussianBlur(cv2.dilate(person, np.ones((3, 3)), iterations=near), None, near / 2).clip(0, 1)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    filled = _flow_in(small, (1 - person) ** 2 * (person < 0.9))
    filled = cv2.resize(cv2.GaussianBlur(filled, None, near), (width, height), interpolation=cv2.INTER_CUBIC)
    hole = cv2.resize(person, (width, height))[..., None]
    return (image + hole * (filled - image)).round().clip(0, 255).astype(np.uint8)


def _flow_in(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Push-pull interpolation (Gortler et al. 1996): pixels where `known` (H, W) is 0 take the colours around them."""
    height, width = known.shape
    if min(height, width) <= 2:
        weight = known[..., None]
        mean = (image * weight).sum((0, 1)) / weight.sum() if weight.sum() > 1e-6 else image.mean((0, 1))
        return image * weight + mean * (1 - weight)
    size = (width + 1) // 2, (height + 1) // 2
    less_known = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    less = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
    less = less / np.maximum(less_known, 1e-6)[..., None]
    coarse = cv2.resize(_flow_in(less, np.minimum(less_known * 2, 1)), (width, height), interpolation=cv2.INTER_LINEAR)
    return image * known[..., None] + coarse * (1 - known[..., None])
