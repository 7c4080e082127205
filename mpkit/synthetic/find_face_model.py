"""Makes `mpkit/assets/face_model.npz`, the linear face model to which facial actions are fitted (`faces.face_model`).

    python -m mpkit.synthetic.find_face_model OUTPUT.npz NEUTRAL

NEUTRAL is a folder of frontal portraits of different people without an expression, one of each. The bundled file was
made of the 52 neutral portraits with even numbers of the Face Research Lab London Set (CC BY 4.0); those with odd
numbers were kept to measure the fit. It renders and tracks CALIBRATED people, which takes about twenty minutes.

offsets   what an action moves on the average synthetic head, plus how the tracker sees it differently: a regression
          over renders of people with single actions, against the same people without an expression
mean      the average head, moved to the mean of the portraits, because the tracker sees real faces differently
shapes    principal components of synthetic people and portraits, and of smooth deformations of any place
errors    principal components of what the regression does not explain
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mpkit.actions import ACTIONS, with_gaze
from mpkit.faces.canonical import CANONICAL_FACE, FACE_TRIANGLES
from mpkit.faces.face import Face, Tracker
from mpkit.faces.face_model import (
    DEPTH_WEIGHT,
    FITTED,
    FITTED_ACTIONS,
    FaceModel,
    fitted_points,
    irises_in_eyes,
    pose_columns,
)
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import is_still, read_image
from mpkit.synthetic.anatomy import (
    MAX_EYE_TURN,
    average_identity,
    landmarks_on,
    load_template,
    sample_identity,
)
from mpkit.synthetic.heads import Person, render_person, sample_person
from mpkit.synthetic.poses import rotation_matrix, sample_motion

PEOPLE = range(610_000, 610_600)  # seeds of people without renders
CALIBRATED, CALIBRATION_SEED, FRAMES = 263, 540_000, 9  # people that are rendered, in so many frames each
SIZE = 256  # pixels of a render
RIDGE = 4.0  # of the regression, in frames that show the action whole
SHAPES, ERRORS = 60, 15  # components
REAL_SHARE = 0.7  # of the portraits' covariance
SMOOTH_SHAPES = ((0.006, 0.25), (0.004, 0.06))  # standard deviation and length of deformations, canonical units
ERROR_SCALE = 0.3  # most of what the regression leaves is a person's own way to do an action, not an error
OUTLINE_WEIGHT = 0.5  # the tracker's landmarks slide along the outline of the face
# fmt: off
OUTLINE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
# fmt: on
SIDEWAYS = ("jawLeft", "jawRight", "jawForward", "mouthLeft", "mouthRight")  # actions that are drawn less often
HINT = {"mouthSmile": 0.7, "mouthUpperUp": 0.5}  # how far the tracker's own coefficients are believed; 0 for others
# Standard deviations of actions: how far people of 44 clips raise them, less for those that landmarks show poorly. That
# of mouthClose nearly forbids it: an open jaw whose lips are closed is rare, and else closed lips were fitted as one.
SPREAD = {
    "browDown": 0.21, "browInnerUp": 0.3, "browOuterUp": 0.24, "cheekPuff": 0.12, "cheekSquint": 0.29, "eyeBlink": 0.6,
    "eyeSquint": 0.18, "eyeWide": 0.18, "jawForward": 0.12, "jawLeft": 0.12, "jawOpen": 0.6, "jawRight": 0.12,
    "mouthClose": 0.015, "mouthDimple": 0.15, "mouthFrown": 0.12, "mouthFunnel": 0.18, "mouthLeft": 0.24,
    "mouthLowerDown": 0.36, "mouthPress": 0.13, "mouthPucker": 0.3, "mouthRight": 0.24, "mouthRoll": 0.105,
    "mouthShrugLower": 0.18, "mouthShrugUpper": 0.27, "mouthSmile": 0.39, "mouthStretch": 0.24, "mouthUpperUp": 0.3,
    "noseSneer": 0.12, "tongueOut": 0.075, "right": 0.3, "left": 0.3, "down": 0.3, "up": 0.3,
}  # fmt: skip


class Calibration(NamedTuple):
    """K tracked renders of synthetic people."""

    faces: list[Face]
    people: np.ndarray  # (K,) number of the person
    actions: np.ndarray  # (K, A) true ones of FITTED; the first frame that is rendered of each person is at rest


def geometric_offsets() -> np.ndarray:
    """What whole actions of FITTED move on the average head, (A, P, 3)."""
    average, template = average_identity(), load_template()
    directions = {"right": (1, 0), "left": (-1, 0), "down": (0, 1), "up": (0, -1)}
    radius = np.mean([eye_of(average.neutral, eye)[3] for eye in template.eyes])
    offsets = []
    for name in FITTED:
        x, y = directions.get(name, (0, 0))
        shown = [name == action and name != "tongueOut" for action in ACTIONS]  # no landmark shows the tongue
        actions = with_gaze(np.float32(shown), (x, y))
        actions[[ACTIONS.index("eyeWideLeft"), ACTIONS.index("eyeWideRight")]] += 0.5 * (name == "up")  # see `express`
        skin = landmarks_on((actions @ template.actions).reshape(-1, 3) @ average.to_canonical.T)
        turn_x, turn_y = np.sin(np.radians(MAX_EYE_TURN))
        iris = radius * np.float32((x * turn_x, y * turn_y, 0))
        offsets.append(np.concatenate([skin, [iris, iris]]))
    return np.float32(offsets)


def eye_of(vertices: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Centre x, y, z and radius of an eyeball, (4,)."""
    centre = vertices[eye].mean(0)
    return np.append(centre, np.linalg.norm(vertices[eye] - centre, axis=1).mean())


def neutral_points(vertices: np.ndarray) -> np.ndarray:
    """The points (P, 3) of `FaceModel` on a head."""
    irises = [eye_of(vertices, eye)[:3] - (0, 0, eye_of(vertices, eye)[3]) for eye in load_template().eyes]
    return irises_in_eyes(np.concatenate([landmarks_on(vertices), irises])).astype(np.float32)


def calibrate(tracker: Tracker) -> Calibration:
    """Renders CALIBRATED photographed people, each at rest and in FRAMES - 1 random combinations of a few actions."""
    faces, people, actions = [], [], []
    seed, person_count = CALIBRATION_SEED, 0
    while person_count < CALIBRATED:
        rng = np.random.default_rng(seed)
        seed, person = seed + 1, sample_person(rng)
        if person.style.kind != "photo":
            continue
        for face, shown in _tracked_frames(person, rng, tracker):
            faces.append(face)
            people.append(person_count)
            actions.append(shown)
        person_count += 1
    return Calibration(faces, np.array(people), np.float32(actions))


def _tracked_frames(person: Person, rng: np.random.Generator, tracker: Tracker):
    nearness = rng.uniform(0, 0.2)
    for index in range(FRAMES):
        motion, gaze = sample_motion(rng, neutral=True), np.zeros(2)
        if index:
            shown, gaze = few_actions(rng)
            yaw, pitch, roll = rng.normal(0, (12, 7, 5)).tolist()
            motion = motion._replace(actions=with_gaze(shown, gaze), rotation=rotation_matrix(yaw, pitch, roll))
        picture = render_person(person, motion, SIZE, nearness, np.zeros(2))["images"][..., :3]
        if found := tracker.detect(np.ascontiguousarray(picture)):
            yield found[0], fitted_actions(motion.actions, gaze)


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


def fitted_actions(actions: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """The actions (A,) of FITTED for 52 actions and a gaze."""
    x, y = gaze
    listed = actions[[ACTIONS.index(name) for name in FITTED_ACTIONS]]
    return np.append(listed, np.maximum((x, -x, y, -y), 0)).astype(np.float32)


def seen_offsets(geometric: np.ndarray, mean: np.ndarray, data: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """The offsets (A, P, 3) as the tracker sees them, and what is left in each frame, (K, P, 3).

    Each frame counts against its person's first one, and once more mirrored."""
    points = np.stack([fitted_points(face) for face in data.faces])
    first = {person: index for index, person in reversed(list(enumerate(data.people)))}
    later = np.array([index for index, person in enumerate(data.people) if index != first[person]])
    base = np.array([first[data.people[index]] for index in later])
    change = data.actions[later] - data.actions[base]
    rest = points[later] - points[base] - np.tensordot(change, geometric, 1)
    rest = np.stack([without_pose(r, mean, data.faces[index].rotation[2]) for r, index in zip(rest, later)])
    actions, landmarks = _mirror_orders()
    mirrored = rest[:, landmarks] * np.float32((-1, 1, 1))
    change, rest = np.concatenate([change, change[:, actions]]), np.concatenate([rest, mirrored])
    flat = rest.reshape(len(rest), -1)
    slopes = np.linalg.solve(change.T @ change + RIDGE * np.eye(change.shape[1]), change.T @ flat)
    offsets = geometric + slopes.reshape(geometric.shape)
    offsets[-4:] = geometric[-4:]
    offsets[:-4, -2:] = 0  # the gaze alone moves irises
    return offsets, (flat - change @ slopes).reshape(rest.shape)[: len(later)] / np.sqrt(2)


def _mirror_orders() -> tuple[np.ndarray, np.ndarray]:
    """For each action of FITTED, and each point, the one that takes its place in a mirrored face."""
    sides = {"Left": "Right", "Right": "Left", "left": "right", "right": "left"}
    actions = []
    for name in FITTED:
        side = next((side for side in sides if name.endswith(side)), "")
        actions.append(FITTED.index(name.removesuffix(side) + sides.get(side, "")))
    distance = np.linalg.norm(CANONICAL_FACE[:, None] - CANONICAL_FACE * (-1, 1, 1), axis=-1)
    return np.array(actions), np.append(distance.argmin(0), (469, 468))


def without_pose(rest: np.ndarray, mean: np.ndarray, view: np.ndarray) -> np.ndarray:
    """Offsets (P, 3) without what a small change of the pose explains. Errors along the view axis (3,) count less;
    if it is 0, all count alike."""
    columns = pose_columns(mean)

    def weighted(points):
        along = (points @ view)[..., None] * view
        return (points - (1 - np.sqrt(DEPTH_WEIGHT)) * along).reshape(*points.shape[:-2], -1)

    change, *_ = np.linalg.lstsq(weighted(columns).T, weighted(rest), rcond=None)
    return rest - np.tensordot(change, columns, 1)


def shape_components(synthetic: np.ndarray, real: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """SHAPES components (K, P, 3) of deviations of people (M, P, 3), without those that are a change of the pose."""
    size = mean.size
    covariance = np.zeros((size, size))
    for people, share in ((synthetic, 1.0), (real, REAL_SHARE)):
        flat = people.reshape(len(people), -1)
        covariance += share / len(flat) * flat.T @ flat
    distance = np.linalg.norm(mean[:-2, None] - mean[:-2], axis=-1)
    kernel = np.zeros((len(mean), len(mean)))
    kernel[:-2, :-2] = sum(spread**2 * np.exp(-((distance / length) ** 2) / 2) for spread, length in SMOOTH_SHAPES)
    covariance += np.kron(kernel, np.eye(3))
    poses, _ = np.linalg.qr(pose_columns(mean).reshape(7, -1).T)
    others = np.eye(size) - poses @ poses.T
    values, vectors = np.linalg.eigh(others @ covariance @ others)
    return (vectors[:, -SHAPES:] * np.sqrt(values[-SHAPES:])).T[::-1].reshape(SHAPES, -1, 3)


def error_components(left: np.ndarray) -> np.ndarray:
    """ERRORS components (E, P, 3) of what the regression leaves (K, P, 3); irises have none."""
    flat = left.reshape(len(left), -1).copy()
    flat[:, -6:] = 0
    _, values, vectors = np.linalg.svd(flat[::3], full_matrices=False)
    scale = ERROR_SCALE * values[:ERRORS, None] / np.sqrt(len(flat) / 3)
    return (scale * vectors[:ERRORS]).reshape(ERRORS, -1, 3)


def outward_normals(points: np.ndarray) -> np.ndarray:
    """Unit normals (P, 3) of a face; those of irises point to the camera."""
    corners = points[FACE_TRIANGLES]
    normals = np.zeros((len(points) - 2, 3))
    for corner in range(3):
        np.add.at(
            normals, FACE_TRIANGLES[:, corner], np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return np.concatenate([normals * -np.sign(normals[1, 2]), np.tile((0, 0, -1), (2, 1))])


def by_name(values: dict[str, float]) -> np.ndarray:
    """For each action of FITTED the value of the key that it is, without its side; (A,)."""
    return np.array([next((value for key, value in values.items() if name.startswith(key)), 0.0) for name in FITTED])


def find_face_model(portraits: list[Face], data: Calibration) -> FaceModel:
    """The model from tracked neutral portraits and tracked renders."""
    head = neutral_points(average_identity().neutral)
    offsets, left = seen_offsets(geometric_offsets(), head, data)
    real = [without_pose(fitted_points(face) - head, head, np.zeros(3)) for face in portraits]
    mean = head + np.mean(real, 0)
    people = np.stack([neutral_points(sample_identity(np.random.default_rng(seed)).neutral) for seed in PEOPLE])
    weights = np.ones(len(mean))
    weights[list(OUTLINE)] = OUTLINE_WEIGHT
    return FaceModel(
        mean=mean,
        normals=outward_normals(mean),
        weights=weights,
        offsets=offsets,
        shapes=shape_components(people - people.mean(0), np.stack(real) - np.mean(real, 0), head),
        errors=error_components(left),
        spread=by_name(SPREAD),
        hint=by_name(HINT),
    )


def main(output: str, folder: str) -> None:
    """Writes the file."""
    with make_tracker() as tracker:
        pictures = [read_image(path) for path in sorted(Path(folder).iterdir()) if is_still(path)]
        portraits = [found[0] for picture in pictures if (found := tracker.detect(picture))]
        model = find_face_model(portraits, calibrate(tracker))
    np.savez_compressed(output, **{name: part.astype(np.float16) for name, part in model._asdict().items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
