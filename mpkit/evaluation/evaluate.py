"""Measures a model and two baselines on a set: motion, identity, flicker, self-reenactment. `mpkit evaluate`.

The set is a folder with a manifest.tsv: tab-separated, a header line, at least the columns `path` (inside the folder)
and `use`. The rows with the use `evaluate`, or another that is asked for, are measured in the manifest's order: stills
are portraits, videos are drivers.

Frames      The first 240 frames of each clip are tracked as `mpkit animate` tracks them. Moments whose motions differ
            most are chosen; each has three frames: one, the one before and the one after (evaluation_set.py).
Cross       Every portrait is animated by every clip, with absolute motion, in a head crop of 256 px. The tracker reads
            the driver's crop and the output, each frame by itself. POOLED correlations, the headline, run over all
            frames of all pairs: they count motion within a clip and differences between clips. PER PAIR is the mean of
            the correlations of single pairs of a portrait and a clip, over clips in which the driver's signal moves
            (its standard deviation is above 3 degrees, or 0.03). ERROR is the mean absolute error over all frames.
            Flicker is the acceleration of the landmarks in a moment, divided by the driver's: 1 is ideal.
            Portraits are corrected by the same tracker (`Animator.portrait`); the mesh is not.
Self        The first frame with a face is animated by later moments of its clip; PSNR and SSIM inside the matte of the
            true frame. The portrait is not corrected, because the tracker reads one face alike in all frames. Its
            shoulders move as in the clip (faces/shoulders.py); those of the mesh do not.
Encoder     What E_mtn reads in the driver's crops, compared to what the tracker reads: `--motion-from pixels`.
Baselines   The landmark mesh of mesh_warp.py, and for self-reenactment also the unchanged source.

It gives the same figures again on the same machine. 12 portraits, 6 clips and 24 frames take 6 to 10 minutes on two
cores.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mpkit.actions import ACTIONS
from mpkit.animation.animator import Animator
from mpkit.animation.portrait import NO_CORRECTION
from mpkit.animation.transfer import FrameMotion, Transfer
from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.errors import MediaError, NoFaceError
from mpkit.evaluation import metrics
from mpkit.evaluation.evaluation_set import MOMENT_FRAMES, SIZE, Clip, EvaluationSize, read_clip, read_set
from mpkit.evaluation.mesh_warp import MeshWarp
from mpkit.evaluation.metrics import ANGLES, SIGNALS, FaceEmbedder
from mpkit.faces.crop import cut
from mpkit.faces.face import Face, Tracker, central_face, select_face
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.files import write_json
from mpkit.media.images import read_image

# Standard deviation above which a signal moves
MIN_DEVIATION = np.array([3.0] * ANGLES + [0.03] * (len(SIGNALS) - ANGLES))


class MotionComparison:
    """Collects the faces of drivers and of one kind of output, and computes the measures of cross-reenactment."""

    def __init__(self):
        self.pairs, self.accelerations, self.identity = [], [], []

    def add(self, driver: list[Face | None], output: list[Face | None]) -> None:
        """Adds one pair of a portrait and a clip: the faces of all chosen frames."""
        self.pairs.append([np.stack([metrics.signals(face) for face in faces]) for faces in (driver, output)])
        for i in range(0, len(driver), MOMENT_FRAMES):
            moments = (faces[i : i + MOMENT_FRAMES] for faces in (driver, output))
            self.accelerations.append([metrics.acceleration(*moment) for moment in moments])

    def summary(self) -> dict:
        """The measures of all pairs, NaN for what could not be measured."""
        driver, output = (np.concatenate(part) for part in zip(*self.pairs))
        accelerations = np.array(self.accelerations)
        accelerations = accelerations[np.isfinite(accelerations).all(1)]
        distance, cosine = np.mean(self.identity, 0) if self.identity else (np.nan, np.nan)
        return {
            "motion": compare(self.pairs),
            "faces": np.isfinite(output[:, 0]).mean(),
            "identity_distance": distance,
            "identity_cosine": cosine,
            "flicker": accelerations[:, 1].mean() / accelerations[:, 0].mean() if len(accelerations) else np.nan,
        }


def compare(pairs: list) -> dict:
    """Correlations and mean absolute error of each signal, over pairs of a driver's and an output's series (N, 8)."""
    driver, output = (np.concatenate(part) for part in zip(*pairs))
    rows = {}
    for index, name in enumerate(SIGNALS):
        series = [(a[:, index], b[:, index]) for a, b in pairs if np.isfinite(a[:, index]).any()]
        within = np.array([metrics.correlation(a, b) for a, b in series if np.nanstd(a) > MIN_DEVIATION[index]])
        within = within[np.isfinite(within)]
        errors = np.abs(driver[:, index] - output[:, index])
        rows[name] = {
            "pooled": metrics.correlation(driver[:, index], output[:, index]),
            "per_pair": within.mean() if len(within) else np.nan,
            "pairs": len(within),
            "error": errors[np.isfinite(errors)].mean() if np.isfinite(errors).any() else np.nan,
        }
    return rows


def evaluate(
    set_dir: str | Path,
    weights: str | Path = DEFAULT_WEIGHTS,
    size: EvaluationSize = EvaluationSize(),
    use: str = "evaluate",
    output: str | Path | None = None,
    device: str = "auto",
    progress: Callable[[str], None] = lambda doing: None,
) -> dict:
    """Measures the model of a weights file on those rows of a set that have a use; the module docstring says what.

    Returns plain JSON, with None for what could not be measured, and writes it to `output` too; `format_table` prints
    it. `progress` is called with what comes next. Raises MediaError, NoFaceError, WeightsError, DeviceError.
    """
    begin = time.monotonic()
    if output is not None and not Path(output).absolute().parent.is_dir():
        raise MediaError(f"cannot write {output}: there is no such folder")
    stills, videos = read_set(set_dir, use)
    animator = Animator.load(weights, device=device)
    measures = measure(animator, stills[: size.portraits], videos[: size.clips], size.moments, progress)
    header = {"weights": Path(weights).name, "preset": animator.model.config.preset}
    result = _plain(header | measures | {"seconds": round(time.monotonic() - begin)})
    if output is not None:
        try:
            write_json(Path(output), result)
        except OSError as error:
            raise MediaError(f"cannot write {output}: {error.strerror}") from None
    return result


def measure(
    animator: Animator, stills: list[Path], videos: list[Path], moments: int, progress: Callable[[str], None]
) -> dict:
    """The measures of a model on portraits and clips. Leaves out files without a face; NoFaceError if none is left."""
    compared, without_face = {"model": MotionComparison(), "mesh": MotionComparison()}, []
    embedder = FaceEmbedder.load()

    def each(kind: str, paths: list[Path], measure_one: Callable) -> list:
        results = []
        for path in paths:
            progress(f"{kind} {path.name}")
            try:
                results.append(measure_one(path))
            except NoFaceError:
                without_face.append(path.name)
        if not results:
            raise NoFaceError(f"no face in any {kind} of the set; the people in it must face the camera")
        return results

    with make_tracker() as tracker, Matte() as matte:
        clips = each("clip", videos, lambda path: read_clip(path, animator, tracker, moments))
        reenacted = {clip.name: reenact(clip, animator, matte) for clip in clips}
        portraits = each("portrait", stills, lambda path: cross(path, clips, animator, tracker, embedder, compared))
        encoder = compare([read_by_encoder(clip, animator, matte) for clip in clips])
    return {
        "portraits": len(portraits),
        "clips": [clip.name for clip in clips],
        "frames": sum(len(clip.motions) for clip in clips),
        "without_face": without_face,
        "cross": {kind: comparison.summary() for kind, comparison in compared.items()},
        "self": {kind: np.mean([row[kind] for row in reenacted.values()], 0) for kind in ("model", "still", "mesh")},
        "self_per_clip": reenacted,
        "encoder": encoder,
    }


def cross(
    path: Path,
    clips: list[Clip],
    animator: Animator,
    tracker: Tracker,
    embedder: FaceEmbedder | None,
    compared: dict[str, MotionComparison],
) -> None:
    """Animates one portrait by every clip, with the model and with the mesh, and adds the faces to `compared`.

    Raises NoFaceError."""
    image = read_image(path)
    portrait = animator.portrait(image, size=SIZE)
    picture = cut(image, portrait.crop, SIZE)
    face = select_face(tracker.detect(image))
    warp = MeshWarp(picture, face, portrait.crop)
    own_face = central_face(tracker, picture)
    own = embedder(picture, own_face) if embedder and own_face else None
    transfer = Transfer(portrait.motion, "absolute")
    mesh_transfer = Transfer(FrameMotion.of(face, portrait.crop), "absolute")
    for clip in clips:
        outputs = {kind: [] for kind in compared}
        transfer.reference = mesh_transfer.reference = clip.reference
        transfer.place = mesh_transfer.place = clip.place
        for index, (driver, shape) in enumerate(zip(clip.motions, clip.shapes)):
            frames = {
                "model": animator.frame(portrait, transfer(driver)),
                "mesh": warp(shape - clip.reference_shape, mesh_transfer(driver).pose),
            }
            for kind, frame in frames.items():
                found = central_face(tracker, frame)
                outputs[kind].append(found)
                # only the middle frame of a moment: the other two are nearly the same picture
                if found and own is not None and index % MOMENT_FRAMES == 1:
                    compared[kind].identity.append(metrics.distance_and_cosine(own, embedder(frame, found)))
        for kind, faces in outputs.items():
            compared[kind].add(clip.faces, faces)


def reenact(clip: Clip, animator: Animator, matte: Matte) -> dict[str, list[float]]:
    """Mean PSNR and SSIM of a clip's moments, animated from its first frame with a face, for each kind of output."""
    still = cut(clip.still.image, clip.still.crop, SIZE)
    warp = MeshWarp(still, clip.still_face, clip.still.crop)
    portrait = dataclasses.replace(clip.still, correction=NO_CORRECTION)
    rows = {"model": [], "still": [], "mesh": []}
    for motion, shape, truth in list(zip(clip.motions, clip.shapes, clip.pictures))[1::MOMENT_FRAMES]:
        weight = matte(truth) * clip.in_frame
        outputs = {
            "model": animator.frame(portrait, motion),
            "still": still,
            "mesh": warp(shape - warp.shape, motion.pose),
        }
        for kind, picture in outputs.items():
            rows[kind].append((metrics.psnr(truth, picture, weight), metrics.ssim(truth, picture, weight)))
    return {kind: np.mean(values, 0).tolist() for kind, values in rows.items()}


def read_by_encoder(clip: Clip, animator: Animator, matte: Matte) -> list[np.ndarray]:
    """The signals of a clip's frames that the tracker reads, and those that E_mtn reads, (N, 8) each."""
    rows = []
    for picture in clip.pictures:
        motion = animator.read_crop(picture, matte(picture))
        actions, gaze = np.split(motion.numbers[0].numpy(), [len(ACTIONS)])
        rows.append(metrics.signals_of(motion.pose.rotation, actions, gaze))
    return [np.stack([metrics.signals(face) for face in clip.faces]), np.stack(rows)]


def format_table(result: dict) -> str:
    """The result of `evaluate` as text."""
    lines = [
        f"{result['weights']} ({result['preset']}): {result['portraits']} portraits x {len(result['clips'])} clips, "
        f"{result['frames']} driver frames, {result['seconds']} s",
        "",
        f"{'driver to output':<18}{'pooled':>9}{'per pair':>10}{'error':>8}"
        f"   {'mesh: pooled':>12}{'per pair':>10}{'error':>8}   {'E_mtn: pooled':>13}{'error':>8}",
    ]
    model, mesh = result["cross"]["model"], result["cross"]["mesh"]
    for name in SIGNALS:
        a, b, c = model["motion"][name], mesh["motion"][name], result["encoder"][name]
        lines.append(
            f"{name:<18}{_text(a['pooled']):>9}{_text(a['per_pair']):>10}{_text(a['error']):>8}   "
            f"{_text(b['pooled']):>12}{_text(b['per_pair']):>10}{_text(b['error']):>8}   "
            f"{_text(c['pooled']):>13}{_text(c['error']):>8}"
        )
    lines += ["", f"{'cross-reenactment':<34}{'model':>9}{'mesh':>9}"]
    for key, label in (
        ("faces", "share of frames with a face"),
        ("identity_distance", "identity: distance to the source"),
        ("identity_cosine", "identity: cosine"),
        ("flicker", "flicker: acceleration / driver's"),
    ):
        lines.append(f"{label:<34}{_text(model[key], 3):>9}{_text(mesh[key], 3):>9}")
    own = result["self"]
    lines += ["", f"{'self-reenactment':<34}{'model':>9}{'mesh':>9}{'still':>9}"]
    for index, label in enumerate(("PSNR in the matte, dB", "SSIM in the matte")):
        row = "".join(f"{_text(own[kind][index], 2 + index):>9}" for kind in ("model", "mesh", "still"))
        lines.append(f"{label:<34}{row}")
    if result["without_face"]:
        lines += ["", f"left out, no face: {', '.join(result['without_face'])}"]
    return "\n".join(lines)


def _text(value: float | None, digits: int = 2) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"


def _plain(value):
    """A nested value as plain JSON: numbers rounded, no arrays, None for NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return value
