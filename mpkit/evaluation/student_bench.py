"""The speed of a student beside that of its teacher, for one driven frame at the networks' own size: `mpkit bench
--student`. The driver is an example portrait that holds still, which takes both as long as one that moves."""

from pathlib import Path

import torch

from mpkit.animation.animator import Animator
from mpkit.animation.student_animator import StudentAnimator
from mpkit.assets import DEFAULT_WEIGHTS
from mpkit.evaluation.bench import Stopwatch, check_frames, circumstances, example_portrait, format_circumstances
from mpkit.faces.crop import cut
from mpkit.faces.trackers import make_tracker
from mpkit.media.images import read_image

STAGES = {
    "track": "teacher: tracker",
    "G_base": "teacher: G_base",
    "teacher": "teacher: whole crop, with its background",
    "G_DT": "student: G_DT",
    "student": "student: whole crop, with its background",
}


@torch.inference_mode()
def bench_student(
    student: str | Path,
    weights: str | Path = DEFAULT_WEIGHTS,
    frames: int = 100,
    device: str = "auto",
    precision: str = "fp32",
) -> dict:
    """Times `frames` driven frames (10 or more) of a student and of a base model at the student's size.

    Returns plain JSON, see `format_student_bench`. Raises WeightsError, DeviceError, MediaError."""
    check_frames(frames)
    pupil = StudentAnimator.load(student, device=device, precision=precision)
    teacher = Animator.load(weights, device=device, precision=precision)
    image, size = read_image(example_portrait()), pupil.student.config.image_size
    portrait = teacher.portrait(image, size=size)
    pixels = cut(image, portrait.crop, size)
    watch = Stopwatch(teacher.device)
    with make_tracker(video=True) as tracker:
        for _ in range(frames):
            watch.mark()
            tracker.detect(image)
            watch.mark("track")
            teacher.drive(portrait, portrait.motion)
            watch.mark("G_base")
            teacher.frame(portrait, portrait.motion)
            watch.mark("teacher")
            pupil.draw(pixels)
            watch.mark("G_DT")
            pupil.frame(portrait, pixels)
            watch.mark("student")
    return {
        "student": Path(student).name,
        "teacher": Path(weights).name,
        "size": size,
        "avatars": pupil.student.config.avatars,
        **circumstances(teacher.device, precision, frames),
        "stages": {stage: watch.milliseconds(stage) for stage in STAGES},
    }


def format_student_bench(result: dict) -> str:
    """The result of `bench_student` as a text table."""
    stages = result["stages"]
    lines = [
        f"{result['student']} ({result['avatars']} avatars, {result['size']} px) and its teacher {result['teacher']}",
        format_circumstances(result),
        "",
        "ms per driven frame",
        *(f"{label:<44}{stages[stage]:>8.1f}" for stage, label in STAGES.items()),
        "",
        f"{'G_base / G_DT':<44}{stages['G_base'] / stages['G_DT']:>8.1f}",
        f"{'(tracker + teacher) / student':<44}{(stages['track'] + stages['teacher']) / stages['student']:>8.1f}",
    ]
    return "\n".join(lines)
