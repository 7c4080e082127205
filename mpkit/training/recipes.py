"""What `mpkit train` and `mpkit distil` do unless told otherwise: settings by stage and preset. What is not listed has
the defaults of `TrainConfig`.

base256, base512   the paper's recipes. Stage base has our supervision by labels beside the paper's losses. No weights
                   that these made come with mpkit.
tiny               base and mouth: runs of the bundled weights on two CPU cores. Both start from earlier weights
                   (`--init`), and their warps were frozen (`--freeze`). student: without GAN losses.

RECIPES DO NOT REBUILD THE BUNDLED WEIGHTS. Those went through about 40 runs whose data, losses and networks changed in
between (docs/training-log.md). The last ones, each from the weights of the one before:
    base     two CPU cores, 2,500 steps x 9, 2.5e-4 -> 1e-5, --freeze mouth, gaze 0.3, mask 0.3
    motion   two CPU cores, 450 steps x 64: E_mtn alone
    by hand  columns of the action encoder's first layer for jaw and lips scaled by 1.2 to 1.4
    base     one H100, 2,211 steps x 48, adversarial 0.05, matching 1, without E_mtn and mouth
    real     two CPU cores, 2,400 steps x 7, 4e-4 -> 1e-5, only mouth and G_2D: photographs as targets, a small mouth
             discriminator. Its code was an experiment and is not in this repository.
    warps    two CPU cores, 360 and 300 steps x 24, 3e-4 -> 1e-5, with pairs of stills of the same people
    mouth    two CPU cores, the mouth layer from scratch: 720 steps x 32, 1e-3 -> 1e-5; about 2,700 x 12; and 1,200 x 14
             with the recipe below, but for the discriminator, which is newer
    base     two CPU cores, 620 steps x 8, with the recipe below but for `painted`, which is newer; all of W, and the
             action encoder, frozen
    base     one H200, 1,467 steps x 72 from `mpkit pack`, all but the action encoder; adversarial 0.1, matching 1
    base     two CPU cores, 290 steps x 8, G_2D and mouth, no GAN
    mouth    two CPU cores, 1,400, 1,500 and 1,700 steps x 14, the last with the recipe below
    base     two CPU cores, 330 steps x 8 without a GAN and 480 x 8 with one, G_2D and mouth; this G_2D is bundled
    warps    two CPU cores, 300 steps x 24, after the readings of real frames had changed; these warps are bundled
    base     two CPU cores, 150 steps x 8, mouth layer
    mouth    two CPU cores, 1,200 steps x 14 with the recipe below, from 3e-4; alpha taught on the whole mouth interior
    base     two CPU cores, 420 steps x 8; the bundled mouth layer is the mean of this one and of that after 150 steps
No run used L_cos or the identity loss. Discriminators of runs before 620 x 8 took colours in [0, 1], with which they
hardly learn (docs/training-log.md, 14.). What was tried and not taken: 18. to 21.
"""

from mpkit.training.stages.base import BaseWeights
from mpkit.training.stages.enhancer import EnhancerWeights
from mpkit.training.stages.mouth import MouthWeights
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
            "steps": 620,
            "batch_size": 4,
            "learning_rate": 2.5e-4,
            "last_learning_rate": 1e-5,
            "betas": (0.5, 0.999),
            "warmup": 60,
            "ema": 0.995,
            "weights": BaseWeights(gaze=0.3, mask=0.3, crops=0.7, adversarial=0.1, matching=1.0),
        },
        "base256": PAPER_BASE | {"steps": 200_000, "batch_size": 24},
        "base512": PAPER_BASE | {"steps": 300_000, "batch_size": 16},
    },
    "mouth": {
        "tiny": {
            "steps": 1200,
            "batch_size": 14,
            "drivers": 1,
            "learning_rate": 5e-4,
            "last_learning_rate": 2e-5,
            "betas": (0.5, 0.999),
            "warmup": 20,
            "ema": 0.995,
            "discriminator_rate": 4.0,
            "weights": MouthWeights(adversarial=0.15, matching=2.0),
        },
    },
    "enhancer": {"base256": PAPER_ENHANCER, "base512": PAPER_ENHANCER},
    "student": {"nano": SMALL_STUDENT, "tiny": SMALL_STUDENT, "base256": PAPER_STUDENT, "base512": PAPER_STUDENT},
}
