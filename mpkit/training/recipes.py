"""What `mpkit train base` does unless told otherwise.

base256, base512   the paper's recipe, with our supervision by labels beside its losses. There are no weights of these.
tiny               the last joint run on two CPU cores that the bundled weights went through. It starts from earlier
                   weights (`--init`) with `--freeze mouth`.

RECIPES DO NOT REBUILD THE BUNDLED WEIGHTS. Those went through about 40 runs whose data, losses and networks changed in
between (docs/training-log.md). The last ones, each from the weights of the one before:
    base     two CPU cores, 2,500 steps x 9, 2.5e-4 -> 1e-5, --freeze mouth, gaze 0.3, mask 0.3
    motion   two CPU cores, 450 steps x 64: E_mtn alone
    by hand  columns of the action encoder's first layer for jaw and lips scaled by 1.2 to 1.4
    base     one H100, 2,211 steps x 48, adversarial 0.05, matching 1, without E_mtn and mouth
    real     two CPU cores, 2,400 steps x 7, 4e-4 -> 1e-5, only mouth and G_2D: photographs as targets, a small mouth
             discriminator. Its code was an experiment and is not in this repository.
No run used L_cos or the identity loss; only the last two used a GAN loss.
"""

from mpkit.training.stages.base import BaseWeights

PAPER_WEIGHTS = BaseWeights(perceptual=20.0, identity=4.0, gaze=5.0, adversarial=1.0, matching=40.0, cycle=2.0)
PAPER = {
    "drivers": 1,
    "learning_rate": 2e-4,
    "last_learning_rate": 1e-6,
    "betas": (0.5, 0.999),
    "weights": PAPER_WEIGHTS,
}
RECIPES: dict[str, dict] = {
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
    "base256": {**PAPER, "steps": 200_000, "batch_size": 24},
    "base512": {**PAPER, "steps": 300_000, "batch_size": 16},
}
