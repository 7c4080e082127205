"""Tracked pictures with known facial actions, from which `data.find_face_model` learns what the tracker sees of
them: renders of synthetic people, and lifted stills (`data.lifted`) of real ones."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mpkit.actions import ACTIONS, gaze_of, with_gaze
from mpkit.data.lifted import TEXTURE_SIDE, lift, render
from mpkit.faces.crop import Crop
from mpkit.faces.face import Face, Tracker
from mpkit.faces.face_model import FITTED_ACTIONS
from mpkit.faces.matte import Matte
from mpkit.synthetic.heads import render_person, sample_person
from mpkit.synthetic.poses import rotation_matrix, sample_motion

HEADS, HEAD_SEED, HEAD_FRAMES = 263, 540_000, 9  # synthetic people, each in so many frames
LIFT_SEED, LIFT_FRAMES = 560_000, 25  # frames of each still
SIZE = 256  # pixels of a picture
BACKGROUND = 128  # grey level behind lifted stills
SIDEWAYS = ("jawLeft", "jawRight", "jawForward", "mouthLeft", "mouthRight")  # actions that are drawn less often


class Calibration(NamedTuple):
    """K tracked pictures of people; the first one of each person shows no expression."""

    faces: list[Face]
    people: np.ndarray  # (K,) number of the person
    actions: np.ndarray  # (K, A) true ones of FITTED


def calibrate(tracker: Tracker, stills: list[tuple[np.ndarray, Face]]) -> Calibration:
    """Pictures of HEADS synthetic people and of lifted stills (H, W, 3) uint8 of different real ones."""
    faces, people, actions = [], [], []
    for number, pictures in enumerate([*_heads(), *_lifts(stills)]):
        for picture, shown in pictures:
            if found := tracker.detect(picture):
                faces.append(found[0])
                people.append(number)
                actions.append(shown)
    return Calibration(faces, np.array(people), np.float32(actions))


def _heads() -> list[Iterator]:
    """For each synthetic person, an iterator over its pictures (SIZE, SIZE, 3) uint8 and their actions (A,)."""
    people, seed = [], HEAD_SEED
    while len(people) < HEADS:
        rng = np.random.default_rng(seed)
        seed, person = seed + 1, sample_person(rng)
        if person.style.kind == "photo":
            people.append(_head(person, rng))
    return people


def _head(person, rng: np.random.Generator) -> Iterator:
    nearness = rng.uniform(0, 0.2)
    for index in range(HEAD_FRAMES):
        motion = _sample(rng, rest=index == 0)
        picture = render_person(person, motion, SIZE, nearness, np.zeros(2))["images"][..., :3]
        yield np.ascontiguousarray(picture), fitted_actions(motion.actions)


def _lifts(stills: list[tuple[np.ndarray, Face]]) -> Iterator[Iterator]:
    """The same as `_heads` for each still."""
    with Matte() as matte:
        for index, (image, face) in enumerate(stills):
            crop = Crop.of(face)
            lifted = lift(image, face, matte.in_crop(image, crop, TEXTURE_SIDE), crop)
            yield _lift(lifted, np.random.default_rng(LIFT_SEED + index))


def _lift(lifted, rng: np.random.Generator) -> Iterator:
    for index in range(LIFT_FRAMES):
        motion = _sample(rng, rest=index == 0)._replace(translation=lifted.source.translation)
        rgba = render(lifted, motion, SIZE)["images"]
        yield np.where(rgba[..., 3:] > 127, rgba[..., :3], BACKGROUND).astype(np.uint8), fitted_actions(motion.actions)


def _sample(rng: np.random.Generator, rest: bool):
    """A random motion; at `rest` nearly frontal and without an expression, else with a few actions."""
    motion = sample_motion(rng, neutral=True)
    if rest:
        return motion
    actions, gaze = few_actions(rng)
    yaw, pitch, roll = rng.normal(0, (12, 7, 5)).tolist()
    return motion._replace(actions=with_gaze(actions, gaze), rotation=rotation_matrix(yaw, pitch, roll))


def few_actions(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One to three random actions (52,), sometimes with an open jaw or one of SIDEWAYS, and a gaze (2,)."""
    sides = [name for name in ACTIONS if not name.startswith(("eyeLook", "tongue", "jaw", "mouthClose"))]
    groups = sorted({name.replace("Left", "").replace("Right", "") for name in sides} - {"mouth"})
    values = dict.fromkeys(ACTIONS, 0.0)
    for group in rng.choice(groups, rng.integers(1, 4), replace=False):
        for name in [name for name in (group, group + "Left", group + "Right") if name in ACTIONS]:
            values[name] = rng.uniform(0.3, 1) * (rng.random() < 0.88)
    if rng.random() < 0.35:
        values["jawOpen"] = rng.uniform(0.1, 0.8)
        values["mouthClose"] = values["jawOpen"] * (rng.random() < 0.2)
    if rng.random() < 0.12:
        values[str(rng.choice(SIDEWAYS))] = rng.uniform(0.3, 1)
    gaze = rng.uniform(-1, 1, 2) * (rng.random() < 0.7)
    return np.float32(list(values.values())), gaze


def fitted_actions(actions: np.ndarray) -> np.ndarray:
    """The actions (A,) of FITTED for 52 actions."""
    x, y = gaze_of(actions)
    listed = actions[[ACTIONS.index(name) for name in FITTED_ACTIONS]]
    return np.append(listed, np.maximum((x, -x, y, -y), 0)).astype(np.float32)
