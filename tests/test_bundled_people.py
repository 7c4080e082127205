"""The people that come with mpkit: small, complete, varied, and what mpkit's own code renders."""

import subprocess
import sys

import numpy as np

from mpkit.data import bundled_people
from mpkit.data.bundled_people import FRAMES, PEOPLE_FILE, SEEDS, SIZE, load_people
from mpkit.synthetic.heads import render_identity


def test_there_are_24_people_of_4_frames_in_less_than_6_megabytes():
    people = load_people()
    assert len(people) == len(set(SEEDS)) == 24 and PEOPLE_FILE.stat().st_size < 6e6
    for person in people:
        assert person["images"].shape == (4, 64, 64, 4) and person["images"].dtype == np.uint8
        assert all(np.isfinite(values).all() for values in person.values())
        assert person["faces"].max() < len(person["neutral"]) == person["vertices"].shape[1]


def test_people_are_visible_and_first_look_at_the_camera():
    for person in load_people():
        coverage = (person["images"][..., 3] > 128).mean((1, 2))
        assert (coverage > 0.2).all() and (coverage < 0.9).all()
        nose = -person["rotation"][:, :, 2]  # where canonical -z points
        angles = np.degrees(np.arccos(-nose[:, 2]))
        assert angles[0] < 12 and angles.max() < 60 and not person["actions"][0].any()


def test_no_two_people_are_alike():
    heads = np.stack([person["neutral"] for person in load_people()])
    colours = np.stack([person["images"][0, ..., :3].mean((0, 1)) for person in load_people()])
    for values in (heads, colours):
        distance = np.abs(values[:, None] - values).reshape(24, 24, -1).mean(-1)
        assert distance[~np.eye(24, dtype=bool)].min() > 1e-3
    assert colours.std(0).min() > 15  # grey levels
    poses = np.stack([person["rotation"] for person in load_people()])
    assert (poses.std(1).max((1, 2)) > 0.01).all()  # everybody moves


def test_the_pack_is_what_the_code_renders():
    """Coordinates come back within 1e-4 canonical units, and all else exactly, on the processor that made the pack. On
    another, the last bit of a float16 coordinate and single pixels may differ."""
    number = 5
    packed, fresh = load_people()[number], render_identity(SEEDS[number], FRAMES, SIZE)
    assert packed.keys() == fresh.keys()
    for name in ("vertices", "neutral"):
        difference = np.abs(packed[name] - fresh[name].astype(np.float32))
        assert difference.mean() < 1e-4 and (difference < 1e-4 + np.spacing(np.abs(fresh[name]))).all()
    assert np.abs(packed["images"].astype(int) - fresh["images"]).mean() < 0.5
    assert (packed["triangle"] == fresh["triangle"]).mean() > 0.99
    for name in ("rotation", "translation", "scale", "actions", "gaze", "faces"):
        assert np.allclose(packed[name], fresh[name], atol=1e-6)


def test_points_survive_their_way_through_integers():
    points = np.random.default_rng(0).uniform(-3.9, 3.9, (2, 50, 3)).astype(np.float32)
    again = bundled_people._from_integers(bundled_people._to_integers(points))
    assert again.shape == points.shape and np.abs(again - points).max() <= 0.51 / bundled_people.STEPS


def test_batches_of_them_need_neither_anny_nor_numba():
    code = """
import sys
from mpkit.data.bundled_people import load_people
from mpkit.data.pairs import PairSet
assert PairSet.from_people(load_people(), 2)[0].source.picture.shape == (2, 4, 64, 64)
print(sorted({"anny", "numba"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
