"""The faces of an uploaded picture: outlined before the run, chosen by a click, with advice."""

from typing import NamedTuple

import gradio as gr
import numpy as np
from jobs import plain
from PIL import Image, ImageDraw

from mpkit.errors import MpkitError
from mpkit.faces.advice import advice
from mpkit.faces.face import Face, from_left_to_right
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image

SIDE = 640  # pixels of the outlined picture's longer side
# No figure at hand tells a hat well enough. A classifier of 28 (height and width of the matte above the eyes, colours
# there against the skin), cross-validated on 804 paintings and photographs with 34 hats, found 26 to 47 % of them; 50
# to 65 % of its warnings were wrong, and no threshold made 80 % of them right.
HATS = "A hat, or a hand at the face, bends with the head or stays behind; pictures without look better."
CHOSEN, OTHER = (40, 215, 110), (250, 246, 235)  # RGB of outlines


class PictureFile(gr.Image):
    """An image component that gives the path of the file as it was uploaded, whatever it holds. gr.Image would decode
    it first, without our limits, and fail without a sentence."""

    is_template = True  # it has the front end of gr.Image

    def preprocess(self, payload):
        return None if payload is None else payload.path


class FoundFace(NamedTuple):
    """A face of a picture as the page remembers it. Faces are counted from the left, from 1."""

    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in shares of the picture's width and height
    advice: list[str]  # what will look bad

    @property
    def area(self) -> float:
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


def find_faces(portrait: str | None) -> tuple[Image.Image | None, list[FoundFace], int, gr.Radio, str]:
    """(outlined picture, its faces, number of the chosen one, the choice among several, a text about it) of an uploaded
    picture."""
    none = [], 0, gr.Radio(visible=False)
    if portrait is None:
        return None, *none, ""
    try:
        image = read_image(portrait)
        with make_tracker() as tracker:
            found = from_left_to_right(tracker.detect_all(image))
    except MpkitError as error:
        return None, *none, f"{plain(error, portrait)}. Choose another picture."
    if not found:
        return small(image), *none, "No face found. Choose a picture where a face looks roughly towards the viewer."
    faces = [FoundFace(_in_shares(face, image), advice(face, image.shape[1::-1])) for face in found]
    chosen = 1 + max(range(len(faces)), key=lambda index: faces[index].area)
    picture, *rest = choose_face(portrait, faces, chosen)
    return picture, faces, *rest


def choose_face(portrait: str, faces: list[FoundFace], chosen: int) -> tuple[Image.Image, int, gr.Radio, str]:
    """(outlined picture, number of the chosen face, the choice, a text about it) for face number `chosen`."""
    numbers = list(range(1, len(faces) + 1))
    choice = gr.Radio(numbers, value=chosen if faces else None, visible=len(faces) > 1)
    return outlined(portrait, faces, chosen), chosen, choice, describe(faces, chosen)


def click_face(portrait: str, faces: list[FoundFace], event: gr.SelectData) -> tuple[Image.Image, int, gr.Radio, str]:
    """The same after a click at a pixel of the outlined picture: the nearest face is chosen."""
    image = small(read_image(portrait))
    x, y = event.index[0] / image.width, event.index[1] / image.height

    def distance(index: int) -> float:
        x0, y0, x1, y1 = faces[index].box
        return (x - (x0 + x1) / 2) ** 2 + (y - (y0 + y1) / 2) ** 2

    return choose_face(portrait, faces, 1 + min(range(len(faces)), key=distance) if faces else 0)


def outlined(portrait: str, faces: list[FoundFace], chosen: int) -> Image.Image:
    """The picture with a box around each face."""
    image = small(read_image(portrait))
    draw = ImageDraw.Draw(image)
    for number, face in enumerate(faces, 1):
        box = np.array(face.box) * [image.width, image.height, image.width, image.height]
        colour, width = (CHOSEN, 5) if number == chosen else (OTHER, 2)
        draw.rounded_rectangle([*map(float, box)], 6, outline=colour, width=width)
        if len(faces) > 1:
            draw.text((box[0] + 5, box[1] + 3), str(number), fill=colour, font_size=16)
    return image


def describe(faces: list[FoundFace], chosen: int) -> str:
    """What the page says of the chosen face."""
    if not faces:
        return ""
    which = f"Face {chosen} of {len(faces)} will move. " if len(faces) > 1 else ""
    return which + " ".join([*(f"Note: {sentence}" for sentence in faces[chosen - 1].advice), HATS])


def small(image: np.ndarray) -> Image.Image:
    """The picture at most SIDE pixels large."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE))
    return picture


def _in_shares(face: Face, image: np.ndarray) -> tuple[float, float, float, float]:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = face.box
    return x0 / width, y0 / height, x1 / width, y1 / height
