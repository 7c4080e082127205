"""How good is a model? `mpkit evaluate --set FOLDER`: motion, identity, flicker, self-reenactment, beside baselines.

The set is a folder with a manifest.tsv: tab-separated, a header line, at least the columns `path` (inside the folder)
and `use`. Its rows with the use `evaluate` count: stills are portraits, videos are drivers. Nothing of it is copied.

Frames      The beginning of each clip is tracked as `mpkit animate` tracks it. Of that, moments are chosen whose
            motions differ most, each with the frame before and the one after. See mpkit.evaluation_set.
Cross       Every portrait by every clip, absolute motion, a head crop of 256 px. The tracker, fresh on every frame,
            reads the driver's crop and the output. POOLED correlations run over all frames of all pairs: they count
            how far a portrait follows within a clip and from clip to clip, and are the headline. PER PAIR is the mean
            of the correlations within one portrait and one clip, over the clips where the driver's own signal moves: a
            standard deviation above 3 degrees, or 0.03. ERROR is the mean absolute one, over all frames.
            Flicker is the acceleration of the landmarks in a moment, over the driver's: 1 is ideal.
            Portraits settle by the same tracker (`Animator.portrait`), the mesh does not.
Self        The first frame with a face animates the later moments; PSNR and SSIM inside the matte of the true frame.
            Here the portrait does not settle: the same face is read alike in all frames. Its shoulders move as the
            clip shows them (mpkit.faces.shoulders), those of the mesh do not.
Encoder     What E_mtn reads from the drivers' crops beside what the tracker reads: driving by pixels, not numbers.
Baselines   The landmark mesh of `mpkit.meshwarp`, and for self-reenactment also the still source.

Deterministic on one machine. 12 portraits, 6 clips and 24 frames take 6 to 10 minutes on two cores.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from mpkit.actions import ACTIONS
from mpkit.animation.animator import NO_CORRECTION, Animator
from mpkit.animation.transfer import FrameMotion, Transfer
from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.errors import MediaError, NoFaceError
from mpkit.evaluation import metrics
from mpkit.evaluation.evaluation_set import SIZE, Clip, read_clip, read_set
from mpkit.evaluation.mesh_warp import MeshWarp
from mpkit.evaluation.metrics import ANGLES, SIGNALS, FaceEmbedder
from mpkit.faces.crop import cut
from mpkit.faces.face import Face, Tracker, central_face, select_face
from mpkit.faces.matte import Matte
from mpkit.faces.trackers import make_tracker
from mpkit.files import write_json
from mpkit.media.images import read_image

MOVES = np.array([3.0] * ANGLES + [0.03] * (len(SIGNALS) - ANGLES))  # standard deviation above which a signal moves


class MotionComparison:
    """Collects, for one kind of output, what driver and output do, and computes the measures of it."""

    def __init__(self):
        self.pairs, self.accelerations, self.identity = [], [], []

    def add(self, driver: list[Face | None], output: list[Face | None]) -> None:
        """One pair of a portrait and a clip: the faces of all chosen frames."""
        self.pairs.append([np.stack([metrics.signals(face) for face in faces]) for faces in (driver, output)])
        for i in range(0, len(driver), 3):
            self.accelerations.append([metrics.acceleration(*faces[i : i + 3]) for faces in (driver, output)])

    def summary(self) -> dict:
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
    """Per signal: correlations and mean absolute error over pairs of a driver's and an output's series (N, 8)."""
    driver, output = (np.concatenate(part) for part in zip(*pairs))
    rows = {}
    for index, name in enumerate(SIGNALS):
        series = [(a[:, index], b[:, index]) for a, b in pairs if np.isfinite(a[:, index]).any()]
        within = np.array([metrics.correlation(a, b) for a, b in series if np.nanstd(a) > MOVES[index]])
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
    portraits: int = 12,
    clips: int = 6,
    frames: int = 24,
    quick: bool = False,
    output: str | Path | None = None,
    device: str = "auto",
    progress: Callable[[str], None] = lambda doing: None,
) -> dict:
    """Measures the model of a weights file on a set; see the module docstring for what, and `format_table`.

    `frames` per clip, rounded down to moments of three; `quick` is 3 portraits, 2 clips and 12 frames. The result is
    plain JSON, None for what could not be measured, written to `output` too. `progress` hears what comes next.
    Raises MediaError, NoFaceError, WeightsError, DeviceError.
    """
    begin = time.monotonic()
    if quick:
        portraits, clips, frames = 3, 2, 12
    if min(portraits, clips) < 1 or frames < 3:
        raise MediaError("evaluate needs at least 1 portrait, 1 clip and 3 frames a clip")
    if output is not None and not Path(output).absolute().parent.is_dir():
        raise MediaError(f"cannot write {output}: there is no such folder")
    stills, videos = read_set(set_dir)
    animator = Animator.load(weights, device=device)
    embedder = FaceEmbedder.load()
    with make_tracker() as tracker, Matte() as matte:
        drivers, skipped = [], []
        for path in videos[:clips]:
            progress(f"tracking {path.name}")
            try:
                drivers.append(read_clip(path, animator, tracker, frames // 3))
            except NoFaceError:
                skipped.append(path.name)
        measured, reenactment, count = {"model": MotionComparison(), "mesh": MotionComparison()}, [], 0
        for clip in drivers:
            progress(f"self-reenactment of {clip.name}")
            reenactment.append(reenact(clip, animator, matte))
        for path in stills[:portraits]:
            progress(f"portrait {path.name}")
            try:
                cross(path, drivers, animator, tracker, embedder, measured)
                count += 1
            except NoFaceError:
                skipped.append(path.name)
        if not drivers or not count:
            raise NoFaceError(f"{set_dir}: no face in any {'portrait' if drivers else 'clip'} that was looked at")
        encoder = compare([read_by_encoder(clip, animator, matte) for clip in drivers])
    result = {
        "weights": Path(weights).name,
        "preset": animator.model.config.preset,
        "portraits": count,
        "clips": [clip.name for clip in drivers],
        "frames": sum(len(clip.motions) for clip in drivers),
        "without_face": skipped,
        "cross": {kind: motions.summary() for kind, motions in measured.items()},
        "self": {kind: np.mean([row[kind] for row in reenactment], 0) for kind in ("model", "still", "mesh")},
        "self_per_clip": {clip.name: row for clip, row in zip(drivers, reenactment)},
        "encoder": encoder,
        "seconds": round(time.monotonic() - begin),
    }
    result = _plain(result)
    if output is not None:
        try:
            write_json(Path(output), result)
        except OSError as error:
            raise MediaError(f"cannot write {output}: {error.strerror}") from None
    return result


def cross(
    path: Path,
    clips: list[Clip],
    animator: Animator,
    tracker: Tracker,
    embedder: FaceEmbedder | None,
    measured: dict[str, MotionComparison],
) -> None:
    """Animates one portrait by every clip, with the model and with the mesh. Raises NoFaceError."""
    image = read_image(path)
    portrait = animator.portrait(image, size=SIZE)
    picture = cut(image, portrait.crop, SIZE)
    face = select_face(tracker.detect(image))
    warp = MeshWarp(picture, face, portrait.crop)
    own_face = central_face(tracker, picture)
    own = embedder(picture, own_face) if embedder and own_face else None
    transfer = Transfer(portrait.motion, "absolute")
    of_mesh = Transfer(FrameMotion.of(face, portrait.crop), "absolute")
    for clip in clips:
        outputs = {kind: [] for kind in measured}
        transfer.reference = of_mesh.reference = clip.reference
        for index, (driver, shape) in enumerate(zip(clip.motions, clip.shapes)):
            frames = {
                "model": animator.frame(portrait, transfer(driver)),
                "mesh": warp(shape - clip.reference_shape, of_mesh(driver).pose),
            }
            for kind, frame in frames.items():
                seen = central_face(tracker, frame)
                outputs[kind].append(seen)
                if seen and own is not None and index % 3 == 1:  # the middle of a moment: its neighbours look the same
                    measured[kind].identity.append(metrics.distance_and_cosine(own, embedder(frame, seen)))
        for kind, faces in outputs.items():
            measured[kind].add(clip.faces, faces)


def reenact(clip: Clip, animator: Animator, matte: Matte) -> dict[str, list[float]]:
    """Mean PSNR and SSIM of the clip's moments from its own first face, for each kind of output."""
    still = cut(clip.still.image, clip.still.crop, SIZE)
    warp = MeshWarp(still, clip.still_face, clip.still.crop)
    portrait = dataclasses.replace(clip.still, correction=NO_CORRECTION)
    rows = {"model": [], "still": [], "mesh": []}
    for motion, shape, truth in list(zip(clip.motions, clip.shapes, clip.pictures))[1::3]:
        weight = matte(truth) * clip.inside
        outputs = {
            "model": animator.frame(portrait, motion),
            "still": still,
            "mesh": warp(shape - warp.shape, motion.pose),
        }
        for kind, picture in outputs.items():
            rows[kind].append((metrics.psnr(truth, picture, weight), metrics.ssim(truth, picture, weight)))
    return {kind: np.mean(values, 0).tolist() for kind, values in rows.items()}


@torch.inference_mode()
def read_by_encoder(clip: Clip, animator: Animator, matte: Matte) -> list[np.ndarray]:
    """The tracker's signals of a clip's frames and those that E_mtn reads, both (N, 8)."""
    model, size = animator.model, animator.model.config.image_size
    rows = []
    for picture in clip.pictures:
        foreground = torch.from_numpy(picture * matte(picture)[..., None]).movedim(-1, 0)[None].float() / 255
        small = F.interpolate(foreground.to(animator.device), size=(size, size), mode="area")
        motion = model.motion(small)
        numbers = model.read_actions(motion.expression)[0].cpu().numpy()
        rows.append(metrics.signals_of(motion.pose.rotation.cpu(), numbers[: len(ACTIONS)], numbers[len(ACTIONS) :]))
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
    lines += ["", f"{'cross':<34}{'model':>9}{'mesh':>9}"]
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
    """Numbers rounded, and numpy and NaN gone, so that it is plain JSON."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return value
