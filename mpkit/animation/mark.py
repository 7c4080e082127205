"""The mark: the word "synthetic" in a corner of a picture, so that a viewer knows that it is no recording."""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WORD = "synthetic"
TEXT_SHARE = 0.03  # height of the font, of the picture's shorter side
MIN_TEXT_HEIGHT = 10  # pixels; smaller letters cannot be read
BOX_ALPHA = 0.7  # of the black box behind the white letters: over white, their contrast is 8.6 : 1


def marked(picture: np.ndarray, corner: str) -> np.ndarray:
    """A copy of a picture (H, W, 3), or straight RGBA (H, W, 4), uint8 with the word in a corner, e.g. "bottom-right";
    the picture itself for "none". White letters on a dark box: legible on every picture. A picture smaller than the
    word gets a part of it."""
    if corner == "none":
        return picture
    height, width = picture.shape[:2]
    letters, alpha = _label(max(MIN_TEXT_HEIGHT, round(TEXT_SHARE * min(height, width))))
    rows, columns = (min(side, full) for side, full in zip(alpha.shape, (height, width)))
    vertical, horizontal = corner.split("-")
    place = (
        slice(0, rows) if vertical == "top" else slice(height - rows, height),
        slice(0, columns) if horizontal == "left" else slice(width - columns, width),
    )
    result = picture.copy()
    letters, alpha = letters[:rows, :columns, None], alpha[:rows, :columns, None]
    below = result[place].astype(np.float32)
    opacity = below[..., 3:] / 255 if picture.shape[2] == 4 else np.float32(1)
    opacity_below = opacity * (1 - alpha)
    colour = (below[..., :3] * opacity_below + letters) / (opacity_below + alpha)
    result[place] = np.dstack([colour, 255 * (opacity_below + alpha)])[..., : picture.shape[2]].round()
    return result


@functools.lru_cache(maxsize=4)  # all frames of a clip have the same
def _label(text_height: int) -> tuple[np.ndarray, np.ndarray]:
    """The word in a font of that height: white in [0, 255], premultiplied, and alpha in [0, 1], both (h, w) float32."""
    font, margin = ImageFont.load_default(text_height), max(2, text_height // 4)
    left, top, right, bottom = font.getbbox(WORD)
    image = Image.new("L", (round(right - left) + 2 * margin, round(bottom - top) + 2 * margin))
    ImageDraw.Draw(image).text((margin - left, margin - top), WORD, fill=255, font=font)
    letters = np.asarray(image, np.float32)
    return letters, np.maximum(letters / 255, BOX_ALPHA)
