"""Makes `mpkit/assets/face_model.npz`, the linear face model to which facial actions are fitted (`faces.face_model`).

    python -m mpkit.data.find_face_model OUTPUT.npz NEUTRAL CLIPS

NEUTRAL is a folder of frontal portraits of different people without an expression, one of each; CLIPS one of clips of
people who look at the camera while their heads turn, and who blink. The bundled file was made of the 52 neutral
portraits with even numbers of the Face Research Lab London Set (CC BY 4.0), while those with odd numbers were kept to
measure the fit, and of five clips: demo1 to demo3 of LatentSync (Apache-2.0) and two weekly addresses of the White
House (public domain). It renders and tracks synthetic people and lifts the portraits, see `data.calibration`, which
takes about twenty minutes.

offsets   what an action moves on the average synthetic head, plus how the tracker sees it differently: a regression
          over pictures of people with few actions, against the mean of the same people. Blinks, and irises as the gaze
          turns, are those of the clips (`data.real_eyes`)
mean      the average head, moved to the mean of the portraits, because the tracker sees real faces differently
shapes    principal components of synthetic people and portraits, and of smooth deformations of any place; then where
          irises of portraits are beyond them
errors    principal components of what the regression does not explain
response  the slope of the most probable gaze over the true one in the clips
"""

import sys
from pathlib import Path

import numpy as np

from mpkit.actions import ACTIONS, with_gaze
from mpkit.data.calibration import Calibration, calibrate
from mpkit.data.real_eyes import EyeClip, iris_slopes, whole_blink
from mpkit.faces.action_fit import GAZE, SHAPE_FACES, ActionFitter, equations_of, shape_of
from mpkit.faces.canonical import CANONICAL_FACE, EYE_LANDMARKS, FACE_TRIANGLES
from mpkit.faces.face import Face
from mpkit.faces.face_model import (
    BLINKS,
    FITTED,
    LANDMARK_ERROR,
    FaceModel,
    fitted_points,
    irises_in_eyes,
    lid_gaps,
    pose_columns,
    without_pose,
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

PEOPLE = range(610_000, 610_600)  # seeds of people without renders
RIDGE = 4.0  # of the regression, in frames that show the action whole
SHAPES, ERRORS = 60, 15  # components
REAL_SHARE = 0.7  # of the portraits' covariance
SMOOTH_SHAPES = ((0.006, 0.25), (0.004, 0.06))  # standard deviation and length of deformations, canonical units
# Chosen by the correlation of fitted and true actions
ERROR_SCALE = 0.5  # part of what the regression leaves is a person's own way to do an action, not an error
IRIS_WEIGHT = 16.0  # beside the gaze, irises of clips err by a quarter of LANDMARK_ERROR
SIDE_WIDTH = 0.03  # canonical units beside the middle, within which a blink of both eyes passes from one to the other
OUTLINE_WEIGHT = 0.5  # the tracker's landmarks slide along the outline of the face
# fmt: off
OUTLINE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
# fmt: on
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


def seen_offsets(geometric: np.ndarray, mean: np.ndarray, data: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """The offsets (A, P, 3) as the tracker sees them, and what is left in each picture, (K, P, 3).

    Each picture counts against the mean of its person's, and once more mirrored."""
    points, actions = np.stack([fitted_points(face) for face in data.faces]), data.actions
    views = np.stack([face.rotation[2] for face in data.faces])
    sizes = np.bincount(data.people)[data.people]
    change = _less_mean(actions, data.people)
    rest = _less_mean(points - np.tensordot(actions, geometric, 1), data.people)
    rest = np.stack([without_pose(r, mean, view) for r, view in zip(rest, views)])
    orders, landmarks = mirror_orders()
    change = np.concatenate([change, change[:, orders]])
    rest = np.concatenate([rest, rest[:, landmarks] * np.float32((-1, 1, 1))])
    slopes = _slopes(change, rest.reshape(len(rest), -1)).reshape(geometric.shape)
    left = rest - np.tensordot(change, slopes, 1)
    left *= np.sqrt(1 / (1 - 1 / np.maximum(np.tile(sizes, 2), 2)))[:, None, None]
    return geometric + slopes, left[: len(points)]


def _slopes(change: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The slopes (A, V) of a ridge regression of values (K, V) on actions (K, A)."""
    return np.linalg.solve(change.T @ change + RIDGE * np.eye(change.shape[1]), change.T @ values)


def _less_mean(values: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Values (K, ...) less the mean of the same person's."""
    return values - np.stack([values[people == person].mean(0) for person in people])


def mirror_orders() -> tuple[np.ndarray, np.ndarray]:
    """For each action of FITTED, and each point, the one that takes its place in a mirrored face."""
    sides = {"Left": "Right", "Right": "Left", "left": "right", "right": "left"}
    actions = []
    for name in FITTED:
        side = next((side for side in sides if name.endswith(side)), "")
        actions.append(FITTED.index(name.removesuffix(side) + sides.get(side, "")))
    distance = np.linalg.norm(CANONICAL_FACE[:, None] - CANONICAL_FACE * (-1, 1, 1), axis=-1)
    return np.array(actions), np.append(distance.argmin(0), (469, 468))


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


def iris_shapes(shapes: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Where people who look at the camera have their irises beyond what shapes (K, P, 3) of the face explain: four more
    components (4, P, 3), from deviations of portraits (M, P, 3)."""
    skin = shapes[:, :-2].reshape(len(shapes), -1)
    precision = skin @ skin.T / LANDMARK_ERROR**2 + np.eye(len(shapes))
    weights = np.linalg.solve(precision, skin @ real[:, :-2].reshape(len(real), -1).T / LANDMARK_ERROR**2)
    left = (real - np.tensordot(weights.T, shapes, 1))[:, -2:, :2].reshape(len(real), -1)
    _, scale, vectors = np.linalg.svd(left, full_matrices=False)
    components = np.zeros((4, *shapes.shape[1:]))
    components[:, -2:, :2] = (scale[:, None] / np.sqrt(len(real)) * vectors).reshape(4, 2, 2)
    return components


def error_components(left: np.ndarray) -> np.ndarray:
    """The ERRORS principal components (E, P, 3) of what the regression leaves (K, P, 3); irises have none."""
    skin = left[:, :-2].reshape(len(left), -1)
    _, scale, vectors = np.linalg.svd(skin, full_matrices=False)
    errors = np.zeros((ERRORS, *left.shape[1:]))
    errors[:, :-2] = (ERROR_SCALE * scale[:ERRORS, None] / np.sqrt(len(left)) * vectors[:ERRORS]).reshape(ERRORS, -1, 3)
    return errors


def with_real_eyes(offsets: np.ndarray, mean: np.ndarray, clips: list[EyeClip]) -> np.ndarray:
    """Offsets (A, P, 3) whose irises and blinks are those of real people in clips. mean: (P, 3)."""
    offsets = offsets.copy()
    sideways, down = iris_slopes(clips)
    offsets[GAZE, -2:] = np.float32([(sideways, 0, 0), (-sideways, 0, 0), (0, down, 0), (0, -down, 0)])[:, None]
    both, closed = whole_blink(clips, mean)
    both = (both + both[mirror_orders()[1]] * np.float32((-1, 1, 1))) / 2
    change = both * (lid_gaps(mean).mean() - closed) - offsets[BLINKS].sum(0)
    x = np.append(mean[:-2, 0], [mean[list(corners[:2]), 0].mean() for corners in EYE_LANDMARKS])
    share = 1 / (1 + np.exp(-x / SIDE_WIDTH))  # of the eye on the picture's right
    offsets[BLINKS] += np.stack([1 - share, share])[..., None] * change
    return offsets


def gaze_response(model: FaceModel, clips: list[EyeClip]) -> np.ndarray:
    """The slope (A,) of the fitted gaze over the true one, sideways and up or down, in frames of the clips with open
    eyes; 1 for actions."""
    alone, shared = (equations_of(model, own_shape) for own_shape in (True, False))
    products = np.zeros((2, 2))
    for clip in clips:
        some = [ActionFitter(equations=alone)(face) for face in clip.faces[:: max(1, len(clip.faces) // SHAPE_FACES)]]
        fitter = ActionFitter(shape_of(some, alone), equations=shared)
        right, left, down, up = np.stack([fitter.fit(face)[GAZE] for face in clip.faces], 1)
        shown = clip.open_eyes()
        fitted, true = np.stack([right - left, down - up], 1)[shown], clip.expected_gaze()[shown]
        true = true - true.mean(0)
        products += (fitted * true).sum(0), (true**2).sum(0)
    response = np.ones(len(FITTED))
    response[GAZE] = np.repeat(products[0] / products[1], 2)
    return response


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


def find_face_model(portraits: list[Face], data: Calibration, clips: list[EyeClip]) -> FaceModel:
    """The model from tracked neutral portraits, tracked renders, and clips."""
    head = neutral_points(average_identity().neutral)
    offsets, left = seen_offsets(geometric_offsets(), head, data)
    real = [without_pose(fitted_points(face) - head, head, np.zeros(3)) for face in portraits]
    mean = head + np.mean(real, 0)
    people = np.stack([neutral_points(sample_identity(np.random.default_rng(seed)).neutral) for seed in PEOPLE])
    deviations = np.stack(real) - np.mean(real, 0)
    shapes = shape_components(people - people.mean(0), deviations, head)
    weights = np.ones(len(mean))
    weights[list(OUTLINE)] = OUTLINE_WEIGHT
    weights[-2:] = IRIS_WEIGHT
    model = FaceModel(
        mean=mean,
        normals=outward_normals(mean),
        weights=weights,
        offsets=with_real_eyes(offsets, mean, clips),
        shapes=np.concatenate([shapes, iris_shapes(shapes, deviations)]),
        errors=error_components(left),
        spread=by_name(SPREAD),
        hint=by_name(HINT),
        response=np.ones(len(FITTED)),
    )
    model = FaceModel(*(np.float32(part) for part in model))
    return model._replace(response=gaze_response(model, clips))


def main(output: str, portraits: str, clips: str) -> None:
    """Writes the file."""
    with make_tracker() as tracker:
        pictures = [read_image(path) for path in sorted(Path(portraits).iterdir()) if is_still(path)]
        stills = [(picture, found[0]) for picture in pictures if (found := tracker.detect(picture))]
        data = calibrate(tracker, stills)
    filmed = [EyeClip.read(path) for path in sorted(Path(clips).iterdir())]
    model = find_face_model([face for _, face in stills], data, filmed)
    np.savez_compressed(output, **{name: part.astype(np.float16) for name, part in model._asdict().items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
