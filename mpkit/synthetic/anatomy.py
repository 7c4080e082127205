"""The geometry of synthetic people, with exact labels: the head, its identity, its expressions and poses.

The body model is Anny (CC0 MakeHuman data): a mesh whose identity comes from phenotypes and local changes, and whose 52
facial actions are linear vertex offsets with the names that trackers use. Only head and shoulders are kept; teeth,
hair, head covering and glasses are added (mpkit/synthetic/wear.py). All people share one topology. Only new identities
need Anny itself; what people share, and the average head, are in TEMPLATE_FILE.

Canonical coordinates of a person: the canonical face of the tracker is fitted to the person's neutral landmarks, so
that rotation, translation and scale mean the same as those that are tracked in real pictures.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mpkit.actions import ACTIONS
from mpkit.faces.canonical import STABLE_WEIGHTS, fit_pose
from mpkit.faces.shoulders import expected_shift
from mpkit.synthetic import wear
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix

LANDMARKS_FILE = Path(__file__).parents[1] / "assets" / "anny_landmarks.npz"  # made by find_landmarks.py
TEMPLATE_FILE = LANDMARKS_FILE.with_name("head_template.npz")  # made by find_template.py
AVERAGE_PHENOTYPE = {"age": 0.67}  # the average head is a young adult; Anny has defaults for all else
MAX_EYE_TURN = (34.0, 25.0)  # degrees that an eyeball turns for an eyeLook action of 1: sideways, up or down
# The local changes of Anny that vary between people are those with one of these in their names.
HEAD_CHANGES = ("eye", "nose", "mouth", "chin", "cheek", "head", "forehead", "ear-", "neck")


class BareHead(NamedTuple):
    """One person without what may be worn: M vertices of Anny, canonical coordinates."""

    neutral: np.ndarray  # (M, 3) float32 vertices of the neutral head
    to_canonical: np.ndarray  # (3, 3) float32 matrix that takes offsets in metres, our axes, to canonical ones
    neck: np.ndarray  # (3,) float32 joint about which the shoulders turn


class Template(NamedTuple):
    """What all people share. N vertices, of which the first M are Anny's, the others worn; T triangles."""

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
    average: BareHead


def from_anny_axes(points: np.ndarray) -> np.ndarray:
    """Points (..., 3) in Anny's axes (x to its left, y backwards, z up) -> ours (x right in a frontal picture, y down,
    z away), float32."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1).astype(np.float32)


@functools.lru_cache(maxsize=1)
def load_template() -> Template:
    """The shared mesh, read from TEMPLATE_FILE without Anny."""
    with np.load(TEMPLATE_FILE, allow_pickle=False) as file:
        stored = dict(file)
    count = len(stored["kept"])
    return Template(
        kept=stored["kept"],
        faces=np.concatenate([stored["faces"], wear.TRIANGLES + np.int32(count)]),
        part=np.concatenate([stored["part"], wear.TRIANGLE_PARTS]),
        actions=stored["actions"] * stored["action_step"],
        head_share=stored["head_share"],
        joint=int(stored["joint"]),
        eyes=(stored["eye_left"], stored["eye_right"]),
        lid_rim=np.concatenate([stored["lid_rim"], np.zeros(wear.VERTICES, np.float32)]),
        mouth_ring=stored["mouth_ring"],
        chin=stored["chin"],
        scalp=stored["scalp"],
        average=BareHead(stored["average"], stored["average_to_canonical"], stored["average_neck"]),
    )


@functools.lru_cache(maxsize=1)
def load_anny():
    """The body model, an `anny.Anny`, of which new identities are made. Takes seconds, and minutes at the first call on
    a machine, when Anny builds its cache.

    ValueError if the installed version of Anny has other facial actions than `ACTIONS`.
    """
    import anny

    model = anny.Anny(local_changes="default", facial_actions="all", phenotypes="all").to(dtype=torch.float32)
    if tuple(model.facial_action_labels) != ACTIONS:
        raise ValueError("this version of anny names its facial actions differently; install anny 0.6.2")
    return model


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
    model = load_anny()
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
    head = bare_head(template.kept, template.joint, phenotype, changes)
    age, femininity = phenotype.get("age", AVERAGE_PHENOTYPE["age"]), 1 - phenotype.get("gender", 0.5)
    return dressed(head, age, femininity, wear.sample_wear(rng, age, femininity))


def bare_head(kept: np.ndarray, joint: int, phenotype: dict[str, float], changes: dict[str, float]) -> BareHead:
    """The head that Anny makes of phenotypes and local changes: name -> value. kept and joint: see `Template`."""
    with torch.no_grad():
        output = load_anny()(
            phenotype_kwargs={key: torch.tensor([value]) for key, value in phenotype.items()},
            local_changes_kwargs={key: torch.tensor([value]) for key, value in changes.items()},
        )
    metric = from_anny_axes(output["vertices"][0].numpy()[kept])
    neck = from_anny_axes(output["bone_poses"][0, joint, :3, 3].numpy())
    rotation, centre, radius = fit_pose(landmarks_on(metric), STABLE_WEIGHTS)
    to_canonical = (rotation.T / radius).astype(np.float32)
    neutral, neck = (((points - centre) @ to_canonical.T).astype(np.float32) for points in (metric, neck))
    return BareHead(neutral, to_canonical, neck)


def dressed(head: BareHead, age: float, femininity: float, worn: wear.Wear) -> Identity:
    """The person with this head who wears this. age and femininity: see `Identity`."""
    template, neutral = load_template(), head.neutral
    eye_centres = np.stack([neutral[eye].mean(0) for eye in template.eyes])
    added, share = wear.worn_vertices(worn, neutral, template.scalp, neutral[template.mouth_ring], eye_centres)
    return Identity(
        neutral=np.concatenate([neutral, added]).astype(np.float32),
        to_canonical=head.to_canonical,
        head_share=np.concatenate([template.head_share, share]),
        neck=head.neck,
        age=age,
        femininity=femininity,
        wear=worn,
    )


@functools.lru_cache(maxsize=1)
def average_identity() -> Identity:
    """The average head, on which texture coordinates are defined. The result is cached: copy arrays before you change
    them."""
    age, femininity = AVERAGE_PHENOTYPE["age"], 0.5
    worn = wear.sample_wear(np.random.default_rng(0), age, femininity)
    return dressed(load_template().average, age, femininity, worn)


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
