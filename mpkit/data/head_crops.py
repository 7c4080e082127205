"""Tracked head crops: all that training data are made of, small enough to carry to another machine.

A `CroppedPerson` is a still that will be lifted, or real frames of one person. `data.prepare` reads them from files;
`data.lifted` makes training frames of them, which needs no tracker and no segmenter. `save_people` packs them.
"""

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mpkit.errors import MediaError
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face, bounding_box
from mpkit.files import write_bytes

PICTURE_QUALITY, ALPHA_QUALITY = 88, 80  # of WebP, 0 ... 100


class HeadCrop(NamedTuple):
    """One square picture of a head, X pixels a side."""

    picture: np.ndarray  # (X, X, 3) uint8
    alpha: np.ndarray  # (X, X) uint8, the matte
    face: Face  # in the pixels of `picture`

    @property
    def square(self) -> Crop:
        """The whole picture as a crop of itself."""
        half = len(self.picture) / 2
        return Crop(half, half, half)


class CroppedPerson(NamedTuple):
    """One person."""

    crops: list[HeadCrop]  # all of one size
    lifted: bool  # one still, to be lifted; else real frames, whose actions were fitted with one shape


def face_in(face: Face, crop: Crop, side: int) -> Face:
    """The face in the pixels of an upright crop of its picture, `side` a side."""
    scale = np.float32(side / 2 / crop.radius)
    corner = np.float32((crop.x - crop.radius, crop.y - crop.radius))
    landmarks = (face.landmarks - np.append(corner, 0)) * scale
    return replace(
        face,
        landmarks=landmarks.astype(np.float32),
        box=bounding_box(landmarks),
        centre=((face.centre - corner) * scale).astype(np.float32),
        radius=float(face.radius * scale),
    )


def save_people(path: str | Path, people: Iterable[CroppedPerson]) -> None:
    """Writes people as one compressed .npz, about 25 kB for a crop of 384 pixels: pictures as WebP, mattes as WebP of
    half their side, landmarks as float16 relative to the head. Raises OSError."""
    crops, counts, lifted = [], [], []
    for person in people:
        crops += person.crops
        counts.append(len(person.crops))
        lifted.append(person.lifted)
    files = [_encoded(crop.picture, PICTURE_QUALITY) for crop in crops]
    files += [_encoded(cv2.resize(crop.alpha, None, fx=0.5, fy=0.5), ALPHA_QUALITY) for crop in crops]
    faces = [crop.face for crop in crops]
    heads = [np.append(face.centre, 0) for face in faces]
    fields = {
        "count": np.array(counts),
        "lifted": np.array(lifted),
        "files": np.concatenate(files),
        "ends": np.cumsum([len(file) for file in files]),
        "landmarks": np.float16([(f.landmarks - head) / f.radius for f, head in zip(faces, heads)]),
        "centre": np.float32([face.centre for face in faces]),
        "radius": np.float32([face.radius for face in faces]),
        "rotation": np.float32([face.rotation for face in faces]),
        "actions": np.float16([face.actions for face in faces]),
        "gaze": np.float16([face.gaze for face in faces]),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **fields)
    write_bytes(path, buffer.getvalue())


class PackedPeople:
    """People of a file of `save_people`, decoded when they are asked for."""

    def __init__(self, path: str | Path):
        """Raises MediaError for a file that holds no people."""
        try:
            with np.load(path, allow_pickle=False) as file:
                self._fields = dict(file)
            self._starts = np.cumsum(self._fields["count"]) - self._fields["count"]
        except (OSError, ValueError, KeyError) as error:
            raise MediaError(f"{path} holds no packed people: {error}") from None

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, person: int) -> CroppedPerson:
        start = int(self._starts[person])
        crops = [self._crop(start + frame) for frame in range(int(self._fields["count"][person]))]
        return CroppedPerson(crops, bool(self._fields["lifted"][person]))

    def _crop(self, number: int) -> HeadCrop:
        picture = cv2.cvtColor(self._decoded(number, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        alpha = self._decoded(len(self._fields["radius"]) + number, cv2.IMREAD_GRAYSCALE)
        alpha = cv2.resize(alpha, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        centre, radius = self._fields["centre"][number], self._fields["radius"][number]
        landmarks = self._fields["landmarks"][number].astype(np.float32) * radius + np.append(centre, np.float32(0))
        face = Face(
            landmarks,
            bounding_box(landmarks),
            self._fields["actions"][number].astype(np.float32),
            self._fields["gaze"][number].astype(np.float32),
            self._fields["rotation"][number],
            centre,
            float(radius),
        )
        return HeadCrop(picture, alpha, face)

    def _decoded(self, number: int, flags: int) -> np.ndarray:
        end = self._fields["ends"][number]
        start = self._fields["ends"][number - 1] if number else 0
        return cv2.imdecode(self._fields["files"][start:end], flags)


def _encoded(picture: np.ndarray, quality: int) -> np.ndarray:
    """A picture (X, X, 3) or (X, X) uint8 as the bytes of a WebP file, (N,) uint8."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return cv2.imencode(".webp", bgr, (cv2.IMWRITE_WEBP_QUALITY, quality))[1].ravel()
