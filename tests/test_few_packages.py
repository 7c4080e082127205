"""Training, lifting and rendering saved people work where Anny, MediaPipe and PyAV are not installed."""

import subprocess
import sys

import numpy as np

from mpkit.synthetic.anatomy import average_identity, load_template, sample_identity
from mpkit.synthetic.find_template import bust
from mpkit.synthetic.heads import render_identity
from mpkit.synthetic.identities import load_identities, save_identities
from mpkit.synthetic.poses import sample_actions


def run_without(modules, code):
    """Runs Python code in a process in which these modules cannot be imported; returns what it prints."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
    return subprocess.run([sys.executable, "-c", blocked + code], capture_output=True, text=True, check=True).stdout


def test_training_imports_few_packages():
    """Trackers, video and the body model are for preparing data and for animation."""
    modules = [
        "training.loop",
        "training.stages.registry",
        "data.prepare",
        "synthetic.identities",
        "animation.animator",
    ]
    code = "\n".join(f"import mpkit.{module}" for module in modules)
    run_without(["anny", "av", "gradio", "mediapipe", "plotly"], code)


def test_the_template_in_the_assets_is_that_of_anny():
    """Expressions move no vertex 1e-4 canonical units farther or less far than Anny's own offsets."""
    template, made = load_template(), bust()
    assert np.array_equal(template.kept, made["kept"]) and np.array_equal(template.scalp, made["scalp"])
    expressions = np.stack([sample_actions(np.random.default_rng(seed)) for seed in range(50)])
    offsets = (expressions @ (template.actions - made["actions"])).reshape(50, -1, 3)
    assert np.linalg.norm(offsets @ template.average.to_canonical.T, axis=-1).max() < 1e-4


def test_pictures_are_lifted_without_anny():
    """A tracker has to read them first."""
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
    assert run_without(["anny", "av"], code) == "True True\n"


def test_saved_people_are_the_same(tmp_path):
    people = [average_identity(), *(sample_identity(np.random.default_rng(seed)) for seed in range(6))]
    save_identities(tmp_path / "people.npz", people)
    assert (tmp_path / "people.npz").stat().st_size < 40_000 * len(people)
    for person, loaded in zip(people, load_identities(tmp_path / "people.npz"), strict=True):
        for name, value in person._asdict().items():
            if isinstance(value, np.ndarray):
                assert getattr(loaded, name).dtype == value.dtype and np.abs(getattr(loaded, name) - value).max() < 5e-5
            else:
                assert getattr(loaded, name) == value


def test_saved_people_are_rendered_without_anny(tmp_path):
    """But for single pixels on edges, the pictures are those of the people that were saved."""
    person = sample_identity(np.random.default_rng(1))
    save_identities(tmp_path / "people.npz", [person])
    code = f"""
import numpy as np
from mpkit.synthetic.heads import render_identity
from mpkit.synthetic.identities import load_identities

np.savez("{tmp_path}/rendered.npz", **render_identity(3, 2, 96, load_identities("{tmp_path}/people.npz")[0]))
"""
    run_without(["anny", "av", "mediapipe"], code)
    wanted = render_identity(3, 2, 96, person)
    with np.load(tmp_path / "rendered.npz") as rendered:
        difference = np.abs(rendered["images"].astype(int) - wanted["images"])
        assert (difference > 3).mean() < 1e-3 and difference.mean() < 0.02
        assert np.abs(rendered["vertices"].astype(float) - wanted["vertices"]).max() < 2e-3
        assert np.array_equal(rendered["actions"], wanted["actions"])
