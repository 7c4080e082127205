"""The matte: the alpha of a person, i.e. the share of each pixel that shows the person. And the filled background."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from mpkit.faces.crop import Crop, cut
from mpkit.faces.tasks import MediaPipeTask

SEGMENTER_FILE = Path(__file__).parents[1] / "assets" / "selfie_segmenter.tflite"
SEGMENTER_MARGIN = 1.3  # a head crop is segmented in a view that is larger by this: the segmenter expects shoulders
CERTAIN_MARGIN = 0.06  # alpha up to this becomes 0, from 1 minus this on it becomes 1
MIN_PERSON_ALPHA = 0.3  # alpha above which neighbouring pixels belong to the same person
FOCUS_SHARE = 0.15  # half side of the square around the focus that selects the person, of the picture's shorter side
GUIDE_SIDE = 384  # longer side, in pixels, at which the guided filter computes its coefficients
GUIDE_RADIUS = 6  # half side of its box filter there, in pixels
GUIDE_EPSILON = 4e-4  # variance of colours in [0, 1] below which the filter sees no edge
FILL_SIDE = 256  # longer side, in pixels, at which the background is filled
TINTED_SHARE = 0.02  # of that side: width of the border around a person that hair and shadow tint
MAX_KNOWN_ALPHA = 0.9  # alpha from which on the background of a pixel counts as unknown


class Matte(MediaPipeTask):
    """Person segmentation by MediaPipe's selfie segmenter (256 pixels), refined along the edges of the picture.

    Raises MpkitError if MediaPipe cannot be imported."""

    def __init__(self):
        super().__init__("ImageSegmenter", SEGMENTER_FILE, output_confidence_masks=True, output_category_mask=False)

    def __call__(self, image: np.ndarray, focus: tuple[float, float] | None = None) -> np.ndarray:
        """The alpha (H, W) float32 in [0, 1] of one person in an RGB picture (H, W, 3) uint8.

        focus (x, y): pixels of a point on that person, by default the middle of the picture. It works best on a head
        with shoulders; for a head in a large picture use `in_crop`."""
        alpha = self._run(image).confidence_masks[0].numpy_view().reshape(image.shape[:2]).astype(np.float32)
        height, width = alpha.shape
        alpha = _select_person(alpha, focus or (width / 2, height / 2))
        alpha = guided_filter(image, alpha)
        return ((alpha - CERTAIN_MARGIN) / (1 - 2 * CERTAIN_MARGIN)).clip(0, 1)

    def in_crop(self, image: np.ndarray, crop: Crop, size: int) -> np.ndarray:
        """The alpha (size, size) of `cut(image, crop, size)`, segmented together with the surroundings of the crop, so
        that it changes less from frame to frame."""
        view, view_size = segmented_view(crop, size)
        border = (view_size - size) // 2
        return self(cut(image, view, view_size))[border : border + size, border : border + size]


def segmented_view(crop: Crop, size: int) -> tuple[Crop, int]:
    """The larger view in which a head crop of `size` pixels along each side is segmented, and its side in pixels."""
    side = size + 2 * round(size * (SEGMENTER_MARGIN - 1) / 2)
    return replace(crop, radius=crop.radius * side / size), side


def _select_person(alpha: np.ndarray, focus: tuple[float, float]) -> np.ndarray:
    """The alpha (H, W) of all people with those faded out that are not connected to the one at `focus` (x, y); without
    a person there, all of it."""
    count, labels = cv2.connectedComponents((alpha > MIN_PERSON_ALPHA).astype(np.uint8))
    height, width = alpha.shape
    reach = max(2, round(min(height, width) * FOCUS_SHARE))
    x, y = int(np.clip(focus[0], 0, width - 1)), int(np.clip(focus[1], 0, height - 1))
    near = labels[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    votes = np.bincount(near[near > 0], minlength=count)
    if votes.sum() == 0:
        return alpha
    blur = max(height, width) / 64
    kept = cv2.dilate((labels == votes.argmax()).astype(np.float32), np.ones((3, 3)), iterations=max(1, round(blur)))
    return alpha * cv2.GaussianBlur(kept, None, blur / 2)


def guided_filter(
    image: np.ndarray,
    values: np.ndarray,
    side: int = GUIDE_SIDE,
    radius: int = GUIDE_RADIUS,
    epsilon: float = GUIDE_EPSILON,
) -> np.ndarray:
    """`values` float32 with their edges moved onto those of `image` (H, W, 3) uint8, whatever their own resolution:
    (H, W) float32 in [0, 1].

    The guided filter with a colour guide (He et al. 2010), its coefficients computed at low resolution (He and Sun
    2015): at most `side` pixels along the longer side, where `radius` is half the side of its boxes in pixels.
    epsilon: variance of colours in [0, 1] below which it sees no edge."""
    height, width = image.shape[:2]
    size = reduced_size(width, height, side)
    guide = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    low = cv2.resize(values, size, interpolation=cv2.INTER_AREA)

    def mean(array):
        return cv2.boxFilter(array, -1, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_low = mean(guide), mean(low)
    products = mean((guide[..., :, None] * guide[..., None, :]).reshape(*low.shape, 9)).reshape(*low.shape, 3, 3)
    covariance = products - mean_guide[..., :, None] * mean_guide[..., None, :]
    covariance += epsilon * np.eye(3, dtype=np.float32)
    cross = mean(guide * low[..., None]) - mean_guide * mean_low[..., None]
    slope = np.linalg.solve(covariance, cross[..., None])[..., 0]
    offset = mean_low - (slope * mean_guide).sum(-1)
    slope, offset = (cv2.resize(mean(part), (width, height)) for part in (slope, offset))
    return ((slope * (image.astype(np.float32) / 255)).sum(-1) + offset).clip(0, 1)


def fill_background(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The picture (H, W, 3) uint8 with the person of `alpha` (H, W), [0, 1], replaced by a smooth continuation of the
    colours around them; (H, W, 3) uint8."""
    height, width = alpha.shape
    size = reduced_size(width, height, FILL_SIDE)
    person = cv2.resize(alpha.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    border = max(2, round(max(size) * TINTED_SHARE))
    person = cv2.GaussianBlur(cv2.dilate(person, np.ones((3, 3)), iterations=border), None, border / 2).clip(0, 1)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    filled = push_pull(small, (1 - person) ** 2 * (person < MAX_KNOWN_ALPHA))
    filled = cv2.resize(cv2.GaussianBlur(filled, None, border), (width, height), interpolation=cv2.INTER_CUBIC)
    hole = cv2.resize(person, (width, height))[..., None]
    return (image + hole * (filled - image)).round().clip(0, 255).astype(np.uint8)


def push_pull(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Push-pull interpolation (Gortler et al. 1996) of an image (H, W, 3) float32: where its weight `known` (H, W) in
    [0, 1] is small, it takes the colours around, found at half the resolution."""
    height, width = known.shape
    if min(height, width) <= 2:
        weight = known[..., None]
        mean = (image * weight).sum((0, 1)) / weight.sum() if weight.sum() > 1e-6 else image.mean((0, 1))
        return image * weight + mean * (1 - weight)
    size = (width + 1) // 2, (height + 1) // 2
    half_known = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    half = cv2.resize(image * known[..., None], size, interpolation=cv2.INTER_AREA)
    half = half / np.maximum(half_known, 1e-6)[..., None]
    coarse = push_pull(half, np.minimum(half_known * 2, 1))
    coarse = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return image * known[..., None] + coarse * (1 - known[..., None])


def reduced_size(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) of a picture reduced so that its longer side has at most `side` pixels."""
    scale = min(1.0, side / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))
