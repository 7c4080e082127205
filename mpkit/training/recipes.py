"""What `mpkit train` and `mpkit distil` do unless told otherwise: settings by stage and preset. What is not listed has
the defaults of `TrainConfig`.

base256, base512   the paper's recipes. Stage base has our supervision by labels beside the paper's losses. No weights
                   that these made come with mpkit.
tiny               base: the last joint run on two CPU cores that the bundled weights went through. It starts from
                   earlier weights (`--init`) with `--freeze mouth`. student: without GAN losses.

RECIPES DO NOT REBUILD THE BUNDLED WEIGHTS. Those went through about 40 runs whose data, losses and networks changed in
between (docs/training-log.md). The last ones, each from the weights of the one before:
    base     two CPU cores, 2,500 steps x 9, 2.5e-4 -> 1e-5, --freeze mouth, gaze 0.3, mask 0.3
    motion   two CPU cores, 450 steps x 64: E_mtn alone
    by hand  columns of the action encoder's first layer for jaw and lips scaled by 1.2 to 1.4
    base     one H100, 2,211 steps x 48, adversarial 0.05, matching 1, without E_mtn and mouth
    real     two CPU cores, 2,400 steps x 7, 4e-4 -> 1e-5, only mouth and G_2D: photographs as targets, a small mouth
             discriminator. Its code was an experiment and is not in this repository.
No run used L_cos or the identity loss. Only the last two used a GAN loss, and their discriminators took colours in
[0, 1], with which a discriminator hardly learns (docs/training-log.md, 14.).
"""

from mpkit.training.stages.base import BaseWeights
from mpkit.training.stages.enhancer import EnhancerWeights
from mpkit.training.stages.student import StudentWeights

PAPER = {"learning_rate": 2e-4, "last_learning_rate": 1e-6, "betas": (0.5, 0.999)}
PAPER_BASE = PAPER | {
    "drivers": 1,
    "weights": BaseWeights(perceptual=20.0, identity=4.0, gaze=5.0, adversarial=1.0, matching=40.0, cycle=2.0),
}
PAPER_ENHANCER = PAPER | {
    "steps": 50_000,
    "batch_size": 16,
    "weights": EnhancerWeights(l1=100.0, adversarial=1.0, matching=100.0, cross_adversarial=1.0, cycle=10.0),
}
PAPER_STUDENT = PAPER | {
    "steps": 170_000,
    "batch_size": 8,
    "weights": StudentWeights(
        reconstruction=0.0, perceptual=20.0, identity=4.0, gaze=5.0, adversarial=1.0, matching=0.0
    ),
}
SMALL_STUDENT = {
    "steps": 0,  # as many as `mpkit distil --minutes` allows
    "batch_size": 8,
    "learning_rate": 2e-3,
    "warmup": 20,
    "ema": 0.99,
    "save_every": 100,
    "grid_every": 100,
    # no GAN: on a CPU it more than doubles the time of a step of `tiny`, and after the same time the student was worse;
    # measured while discriminators took colours in [0, 1] (docs/training-log.md, 14.)
    "weights": StudentWeights(adversarial=0.0, matching=0.0),
}
RECIPES: dict[str, dict[str, dict]] = {
    "base": {
        "nano": {},
        "tiny": {
            "steps": 2500,
            "batch_size": 3,
            "drivers": 3,
            "learning_rate": 2.5e-4,
            "last_learning_rate": 1e-5,
            "warmup": 40,
            "weights": BaseWeights(gaze=0.3, mask=0.3),
        },
        "base256": PAPER_BASE | {"steps": 200_000, "batch_size": 24},
        "base512": PAPER_BASE | {"steps": 300_000, "batch_size": 16},
    },
    "enhancer": {"base256": PAPER_ENHANCER, "base512": PAPER_ENHANCER},
    "student": {"nano": SMALL_STUDENT, "tiny": SMALL_STUDENT, "base256": PAPER_STUDENT, "base512": PAPER_STUDENT},
}
