"""How a synthetic person is coloured and lit, and how such a `Look` is drawn at random."""

import math
from typing import NamedTuple

import numpy as np


class FeatureLayout(NamedTuple):
    """Where the painted features of the average head are, canonical coordinates (float32)."""

    brow: np.ndarray  # (5, 2): |x| and y along the brow's middle, from the nose outwards
    lips: np.ndarray  # (11, 3): x, upper y and lower y of the lips' outline
    eye: np.ndarray  # (2,): |x| and y
    nose: np.ndarray  # (3,): y of tip and of base; half width
    crown: np.ndarray  # (3,): y and z of the skull's middle; the y of the collar's height


class Look(NamedTuple):
    """One person's colours and light. Colours (3,) float32, linear; the rest are scalars unless noted."""

    skin: np.ndarray
    lips: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    iris: np.ndarray
    cover: np.ndarray
    cover_trim: np.ndarray
    cloth: np.ndarray
    cloth_trim: np.ndarray
    frame: np.ndarray  # of the glasses
    hairline: np.ndarray  # (8,) polar angle, radians, at wear's azimuth knots; 0 where bald
    knots: np.ndarray  # (8,) those azimuths
    iris_radius: float  # radians, seen from the eye's centre
    pupil: float  # of the iris
    brow_thickness: float
    brow_strength: float
    make_up: float  # of lids and lashes
    blush: float
    freckles: float
    wrinkles: float
    mottling: float
    beard: float
    neckline: float  # how far below the collar's height cloth begins
    plunge: float  # how much deeper in the middle
    pattern: int  # of the cloth: 0 plain, 1 stripes, 2 checks, 3 damask
    frequency: float
    gloss: float
    offset: np.ndarray  # (3,) shifts every noise
    light: np.ndarray  # (3,) unit, towards the key light
    key: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


def linear(colour) -> np.ndarray:
    """Display colour in [0, 1] -> linear light, float32."""
    return np.clip(np.asarray(colour, np.float32), 0.0, 1.0) ** np.float32(2.2)


SKIN_TONES = (
    (0.95, 0.81, 0.73), (0.91, 0.74, 0.63), (0.86, 0.67, 0.54), (0.77, 0.58, 0.44),
    (0.62, 0.44, 0.32), (0.46, 0.31, 0.23), (0.33, 0.22, 0.17),
)  # fmt: skip
DARK_FROM = 3.5  # skin tones beyond this go with dark hair and dark eyes
HAIR_TONES = (
    (0.09, 0.07, 0.06), (0.19, 0.12, 0.08), (0.34, 0.22, 0.13),
    (0.55, 0.40, 0.22), (0.78, 0.65, 0.42), (0.50, 0.22, 0.10),
)  # fmt: skip
IRIS_TONES = (
    (0.27, 0.16, 0.09), (0.17, 0.10, 0.06), (0.36, 0.27, 0.12),
    (0.34, 0.46, 0.56), (0.37, 0.45, 0.34), (0.45, 0.50, 0.52),
)  # fmt: skip


STONES = ((0.88, 0.86, 0.82), (0.80, 0.70, 0.56), (0.62, 0.62, 0.60))  # marble, sandstone, granite


def carved(look: Look, rng: np.random.Generator) -> Look:
    """The same person in stone: one colour for everything, with nothing painted on."""
    stone = linear(np.array(STONES[rng.integers(len(STONES))]) * rng.uniform(0.9, 1.05))
    parts = ("skin", "lips", "hair", "brow", "iris", "cover", "cover_trim", "cloth", "cloth_trim", "frame")
    plain = dict.fromkeys(("make_up", "blush", "freckles"), 0.0)
    return look._replace(**dict.fromkeys(parts, stone), **plain, pupil=0.12, gloss=rng.uniform(0.05, 0.4))


def sample_look(rng: np.random.Generator, age: float, femininity: float, beard: float, hairline, knots) -> Look:
    """Random colours and light for a person."""
    tone = rng.uniform(0, len(SKIN_TONES) - 1.001)
    below = int(tone)
    skin = np.array(SKIN_TONES[below]) * (1 - tone + below) + np.array(SKIN_TONES[below + 1]) * (tone - below)
    skin = skin * rng.uniform(0.92, 1.05) + rng.normal(0, 0.012, 3)
    dark = tone > DARK_FROM
    hair = np.array(HAIR_TONES[rng.integers(2 if dark else len(HAIR_TONES))])
    grey = rng.uniform(0.3, 1.0) if rng.random() < max(0.04, (age - 0.8) * 4) else 0.0
    hair = hair * (1 - grey) + grey * rng.uniform(0.45, 0.85) * np.array((1.0, 0.98, 0.95))
    if rng.random() < 0.04:
        hair = rng.uniform(0.1, 0.9, 3)
    made_up = rng.random() < 0.6 * femininity
    lips = skin * np.array((0.92, 0.66, 0.64)) * rng.uniform(0.8, 1.0)
    if made_up:
        lips = 0.4 * lips + 0.6 * np.array((rng.uniform(0.5, 0.85), rng.uniform(0.1, 0.3), rng.uniform(0.15, 0.35)))
    azimuth, height = rng.normal(0, 0.75), rng.uniform(0.05, 1.1)
    light = np.array((math.sin(azimuth) * math.cos(height), -math.sin(height), -math.cos(azimuth) * math.cos(height)))
    warmth = rng.normal(0, 0.08)
    exposure = rng.uniform(0.75, 1.2) * (0.34 / float(linear(skin).mean())) ** 0.45  # a photographer's: by the face
    fill = exposure * rng.uniform(0.2, 0.6)
    strength = 1.35 * exposure - 0.6 * fill
    tint = np.array((1 + warmth, 1.0, 1 - warmth))
    colours = rng.uniform(0.05, 0.85, (4, 3))
    greys = colours.mean(1, keepdims=True)
    colours = greys + (colours - greys) * rng.uniform(0.1, 0.75, (4, 1))
    return Look(
        skin=linear(skin), lips=linear(lips), hair=linear(hair),
        brow=linear(np.minimum(hair, 0.75 * skin) * rng.uniform(0.4, 0.85)),
        iris=linear(np.array(IRIS_TONES[rng.integers(2 if dark else len(IRIS_TONES))]) * rng.uniform(0.8, 1.2)),
        cover=linear(colours[0]), cover_trim=linear(colours[1]),
        cloth=linear(colours[2]), cloth_trim=linear(colours[3]),
        frame=linear(rng.uniform(0.02, 0.5) * np.ones(3) * (1, 0.9, 0.7)),
        hairline=np.asarray(hairline, np.float32), knots=np.asarray(knots, np.float32),
        iris_radius=rng.uniform(0.32, 0.38), pupil=rng.uniform(0.3, 0.5),
        brow_thickness=rng.uniform(0.028, 0.055) * (1.0 - 0.3 * femininity),
        brow_strength=rng.uniform(0.65, 1.0),
        make_up=rng.uniform(0.4, 1.0) if made_up else rng.uniform(0.0, 0.25), blush=rng.uniform(0.2, 1.0),
        freckles=rng.uniform(0.3, 1.0) if rng.random() < 0.15 and tone < 3 else 0.0,
        wrinkles=max(0.0, age - 0.7) * rng.uniform(0.5, 3.0), mottling=rng.uniform(0.3, 1.0), beard=beard,
        neckline=rng.uniform(-0.12, 0.12), plunge=rng.uniform(0.0, 0.3), pattern=int(rng.integers(4)),
        frequency=rng.uniform(12, 45), gloss=rng.uniform(0.1, 1.0), offset=rng.uniform(0, 90, 3).astype(np.float32),
        light=light.astype(np.float32), key=(strength * tint).astype(np.float32),
        sky=(fill * rng.uniform(0.8, 1.2, 3)).astype(np.float32),
        ground=(fill * rng.uniform(0.35, 0.8) * rng.uniform(0.8, 1.2, 3)).astype(np.float32),
    )  # fmt: skip
