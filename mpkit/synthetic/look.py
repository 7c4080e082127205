"""How a synthetic person is coloured and lit, and how such a `Look` is drawn at random.

Numbers that belong together are tuples of np.float32, not arrays: numba counts the references to an array wherever it
is used, which doubled the time of shading.
"""

import math
from typing import NamedTuple

import numpy as np

Floats = tuple[np.float32, ...]


class FaceLayout(NamedTuple):
    """Where the parts of a face that are painted lie on the average head. Canonical coordinates."""

    brow_x: Floats  # (5,) |x| along the middle of a brow, from the nose outwards
    brow_y: Floats  # (5,) y there
    lips_x: Floats  # (11,) x along the lips, from the left corner of the mouth in the picture to the right one
    upper_lip_y: Floats  # (11,) y of the upper outline there
    lower_lip_y: Floats  # (11,) y of the lower outline there
    eye: Floats  # (2,) |x| and y
    nose: Floats  # (2,) y of the tip, y of the base
    skull: Floats  # (2,) y and z of its middle
    collar: np.float32  # y at which clothes begin, before a `Look` moves it


class Look(NamedTuple):
    """Colours of one person and the light on them. Colours and lights are (3,), linear RGB. A float without a comment
    is a strength: 0 is none, about 1 is full."""

    skin: Floats
    lips: Floats
    hair: Floats
    brow: Floats
    iris: Floats
    cover: Floats  # head covering
    cover_trim: Floats
    cloth: Floats
    cloth_trim: Floats
    glasses: Floats
    hairline: Floats  # (8,) polar angles of the hairline in radians from the crown; 0 without hair
    hairline_azimuths: Floats  # (8,) azimuths of those angles in radians, 0 is the direction of the face
    iris_radius: float  # radians, seen from the centre of the eyeball
    pupil_radius: float  # share of the iris radius
    brow_thickness: float  # canonical units
    brow_strength: float
    make_up: float  # on eyelids and lashes
    blush: float
    freckles: float
    wrinkles: float
    mottling: float
    beard: float
    neckline: float  # how much lower than FaceLayout.collar cloth begins, canonical units
    neckline_depth: float  # how much lower still it begins in the middle of the chest, canonical units
    pattern: int  # of cloth and covering: 0 plain, 1 stripes, 2 checks, 3 damask
    pattern_frequency: float  # radians per canonical unit
    gloss: float
    noise_offset: Floats  # (3,) shifts the noise, so that no two people have the same
    light_direction: Floats  # (3,) unit vector towards the key light, view coordinates
    key_light: Floats
    sky_light: Floats  # ambient light from above
    ground_light: Floats  # ambient light from below


def floats(values) -> Floats:
    """A sequence of numbers (n,) as a tuple of np.float32."""
    return tuple(np.asarray(values, np.float32))


def linear(colour) -> Floats:
    """A display colour (3,), clipped to [0, 1], as linear RGB."""
    return floats(np.clip(np.asarray(colour, np.float32), 0.0, 1.0) ** np.float32(2.2))


# Display colours: of skin from light to dark; of hair and irises, with the two that go with dark skin first.
SKIN_TONES = (
    (0.95, 0.81, 0.73), (0.91, 0.74, 0.63), (0.86, 0.67, 0.54), (0.77, 0.58, 0.44),
    (0.62, 0.44, 0.32), (0.46, 0.31, 0.23), (0.33, 0.22, 0.17),
)  # fmt: skip
MIN_DARK_TONE = 3.5  # index into SKIN_TONES above which hair and irises are dark
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
    """The look of the same person as a sculpture: everything has the colour of one stone, without make-up or spots."""
    stone = linear(np.array(STONES[rng.integers(len(STONES))]) * rng.uniform(0.9, 1.05))
    parts = ("skin", "lips", "hair", "brow", "iris", "cover", "cover_trim", "cloth", "cloth_trim", "glasses")
    unpainted = dict.fromkeys(("make_up", "blush", "freckles"), 0.0)
    return look._replace(**dict.fromkeys(parts, stone), **unpainted, pupil_radius=0.12, gloss=rng.uniform(0.05, 0.4))


def sample_look(
    rng: np.random.Generator, age: float, femininity: float, beard: float, hairline: np.ndarray, azimuths: np.ndarray
) -> Look:
    """Random colours and light for a person with that age, femininity and beard (each 0 ... 1) and that hairline: polar
    angles (8,) in radians at `azimuths` (8,)."""
    tone = rng.uniform(0, len(SKIN_TONES) - 1.001)
    below = int(tone)
    skin = np.array(SKIN_TONES[below]) * (1 - tone + below) + np.array(SKIN_TONES[below + 1]) * (tone - below)
    skin = skin * rng.uniform(0.92, 1.05) + rng.normal(0, 0.012, 3)
    dark = tone > MIN_DARK_TONE
    hair = np.array(HAIR_TONES[rng.integers(2 if dark else len(HAIR_TONES))])
    grey = rng.uniform(0.3, 1.0) if rng.random() < max(0.04, (age - 0.8) * 4) else 0.0
    hair = hair * (1 - grey) + grey * rng.uniform(0.45, 0.85) * np.array((1.0, 0.98, 0.95))
    if rng.random() < 0.04:
        hair = rng.uniform(0.1, 0.9, 3)
    made_up = rng.random() < 0.6 * femininity
    lips = skin * np.array((0.92, 0.66, 0.64)) * rng.uniform(0.8, 1.0)
    if made_up:
        lips = 0.4 * lips + 0.6 * np.array((rng.uniform(0.5, 0.85), rng.uniform(0.1, 0.3), rng.uniform(0.15, 0.35)))
    azimuth, elevation = rng.normal(0, 0.75), rng.uniform(0.05, 1.1)
    level = math.cos(elevation)
    direction = np.array((math.sin(azimuth) * level, -math.sin(elevation), -math.cos(azimuth) * level))
    warmth = rng.normal(0, 0.08)
    exposure = rng.uniform(0.75, 1.2) * (0.34 / float(np.mean(linear(skin)))) ** 0.45  # darker skin is exposed longer
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
        glasses=linear(rng.uniform(0.02, 0.5) * np.ones(3) * (1, 0.9, 0.7)),
        hairline=floats(hairline), hairline_azimuths=floats(azimuths),
        iris_radius=rng.uniform(0.32, 0.38), pupil_radius=rng.uniform(0.3, 0.5),
        brow_thickness=rng.uniform(0.028, 0.055) * (1.0 - 0.3 * femininity),
        brow_strength=rng.uniform(0.65, 1.0),
        make_up=rng.uniform(0.4, 1.0) if made_up else rng.uniform(0.0, 0.25), blush=rng.uniform(0.2, 1.0),
        freckles=rng.uniform(0.3, 1.0) if rng.random() < 0.15 and tone < 3 else 0.0,
        wrinkles=max(0.0, age - 0.7) * rng.uniform(0.5, 3.0), mottling=rng.uniform(0.3, 1.0), beard=beard,
        neckline=rng.uniform(-0.12, 0.12), neckline_depth=rng.uniform(0.0, 0.3), pattern=int(rng.integers(4)),
        pattern_frequency=rng.uniform(12, 45), gloss=rng.uniform(0.1, 1.0),
        noise_offset=floats(rng.uniform(0, 90, 3)),
        light_direction=floats(direction), key_light=floats(strength * tint),
        sky_light=floats(fill * rng.uniform(0.8, 1.2, 3)),
        ground_light=floats(fill * rng.uniform(0.35, 0.8) * rng.uniform(0.8, 1.2, 3)),
    )  # fmt: skip
