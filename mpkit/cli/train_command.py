"""`mpkit train`: its options are the settings of a run and the weights of a stage's losses."""

import dataclasses
import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import tyro

from mpkit.cli.commands import Device, Precision
from mpkit.cli.parsing import parse
from mpkit.errors import MpkitError

TRAINING_STAGES = {
    "warps": "both warp generators alone, from exact labels; quick",
    "mouth": "the network of the mouth interior alone, on crops of mouths; quick",
    "motion": "E_mtn alone: it reads head pose and expression from pixels; quick",
    "gaze": "the network whose features are the gaze loss of stage base",
    "identity": "the network whose features are the identity loss of stage base",
    "base": "the whole base model",
    "enhancer": "G_enh, which doubles the resolution of the base model's pictures",
}


def train(arguments: list[str]) -> None:
    """Train one stage. An interrupted run continues when the same command is given again.

    {stages}

    A run's folder gets its state, weights.safetensors, stats.jsonl and grids of pictures. --data are shard folders of
    `mpkit heads` and `mpkit prepare`, for the enhancer folders of pictures. Without --data a stage learns from the 24
    people that come with mpkit (64 px, --preset nano), the enhancer from the example portraits. With --preset base256
    or base512, stages base and enhancer follow the paper's recipe unless told otherwise.

    examples
      mpkit heads --output runs/heads --identities 200
      mpkit train warps --data runs/heads --run runs/warps --steps 400 --batch-size 8 --drivers 4 --learning-rate 1e-3
      mpkit train mouth --data runs/heads --run runs/mouth --init runs/warps/weights.safetensors --steps 600
      mpkit train motion --data runs/heads --run runs/motion --init runs/mouth/weights.safetensors --steps 400
      mpkit train gaze --data runs/heads --run runs/gaze --steps 400
      mpkit train identity --data runs/heads --run runs/identity --steps 400
      mpkit train base --preset nano --run runs/nano --steps 20 --batch-size 2
      mpkit train base --data runs/heads --run runs/first --init runs/mouth/weights.safetensors
      mpkit train enhancer --preset nano --base runs/nano/weights.safetensors --run runs/nano-enhancer --steps 20
      mpkit train enhancer --data my_photos --run runs/enhancer --steps 5000
      accelerate launch --num_processes 4 -m mpkit train base --data runs/heads --run runs/large --preset base512
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        usage = f"usage: mpkit train {'|'.join(TRAINING_STAGES)} ...        help on it: mpkit train base --help"
        print(f"{usage}\n\n{_train_help(TRAINING_STAGES)}")
        return
    stage = arguments[0]
    if stage not in TRAINING_STAGES:
        raise MpkitError(f"there is no stage '{stage}' to train; choose one of {', '.join(TRAINING_STAGES)}")

    from mpkit.training.config import TrainConfig
    from mpkit.training.recipes import RECIPES
    from mpkit.training.stages.registry import STAGES

    kind = STAGES[stage].Weights
    recipe = {"preset": _preset_among(arguments)}
    recipe |= RECIPES.get(stage, {}).get(recipe["preset"], {})
    weights = recipe.pop("weights", kind() if kind else None)
    default = TrainConfig(run=tyro.MISSING, **recipe)

    def settings(
        config: Annotated[TrainConfig, tyro.conf.arg(name="")] = default,
        weights: kind or Annotated[None, tyro.conf.Suppress] = weights,
        init: Annotated[Path | None, tyro.conf.arg(help="weights to start from, a safetensors file")] = None,
        device: Device = "auto",
        precision: Precision = "fp32",
    ) -> tuple:
        return dataclasses.replace(config, weights=weights), init, device, precision

    config, init, device, precision = parse(settings, f"train {stage}", _train_help((stage,)), arguments[1:])

    from mpkit.device import check_precision, choose_device
    from mpkit.training.loop import train as train_stage

    check_precision(precision, choose_device(device))
    train_stage(config, stage, init, str(choose_device(device)), precision)


def _train_help(stages: Iterable[str]) -> str:
    """The help of `mpkit train` on some of the stages: what they are, and their examples."""
    text = inspect.cleandoc(train.__doc__)
    others = [f"train {name} " for name in TRAINING_STAGES if name not in stages]
    lines = [line for line in text.splitlines() if not any(name in line for name in others)]
    described = "\n".join(f"{name:<10}{TRAINING_STAGES[name]}" for name in stages)
    return "\n".join(lines).replace("{stages}", described)


def _preset_among(arguments: list[str]) -> str:
    """The value of --preset, before anything is parsed: what is left out depends on it. Without --preset, tiny; nano
    where a stage learns from the people that come with mpkit, which are small."""
    from mpkit.config import PRESETS

    words = [word for argument in arguments for word in argument.split("=", 1)]
    if "--preset" in words[:-1]:
        name = words[words.index("--preset") + 1]
        return name if name in PRESETS else "tiny"
    return "tiny" if "--data" in words or arguments[0] == "enhancer" else "nano"
