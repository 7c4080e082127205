"""One training loop for every stage. Fetch, step, critic, EMA, upkeep: each under its banner. A killed run resumes
bit-equal. Started by `accelerate launch`, several processes share each batch; their gradients are averaged.
"""

import copy
import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mpkit.data.pairs import PairSet
from mpkit.errors import MpkitError
from mpkit.files import write_json
from mpkit.training.grid import save_grid
from mpkit.training.run_state import load_run, save_run
from mpkit.training.stages.objective import BaseWeights, Objective
from mpkit.training.stages.registry import STAGES
from mpkit.weights import load_network, save_tensors, save_weights


@dataclass(frozen=True)
class TrainConfig:
    """One run of a stage. The same config and data give the same run, however often it is killed."""

    data: tuple[str, ...]  # shard folders, each optionally "FOLDER:WEIGHT"
    run: str  # folder of the run: state, weights, stats.jsonl, grids
    validation: tuple[str, ...] = ()  # folders never trained on: their losses go to validation.jsonl at each save
    preset: str = "tiny"
    steps: int = 10_000
    batch_size: int = 4  # people in a batch, of all processes together
    drivers: int = 2  # driver frames of each
    learning_rate: float = 5e-4
    last_learning_rate: float = 1e-6  # of the cosine schedule
    warmup: int = 200  # steps
    betas: tuple[float, float] = (0.9, 0.999)  # the paper's 0.5 stalls W in small batches (docs/training-log.md)
    weight_decay: float = 1e-2
    clip: float = 1.0  # gradient norm
    ema: float = 0.998
    seed: int = 0
    save_every: int = 250
    grid_every: int = 500
    log_every: int = 25
    workers: int = 0  # processes that load data
    freeze: tuple[str, ...] = ()  # parts of the network that stay as they are, e.g. warp_driver appearance.vector
    weights: BaseWeights = BaseWeights()


def learning_rate(config: TrainConfig, step: int) -> float:
    """Linear warm-up, then a cosine from `learning_rate` to `last_learning_rate`."""
    progress = min(1.0, step / max(1, config.steps))
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    rate = config.last_learning_rate + (config.learning_rate - config.last_learning_rate) * cosine
    return rate * min(1.0, (step + 1) / max(1, config.warmup))


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """ema <- decay * ema + (1 - decay) * model, with a shorter memory in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)


def freeze(network: nn.Module, parts: tuple[str, ...]) -> None:
    """Keeps these parts as they are: no gradient is computed for them. Raises MpkitError for one that is not there."""
    known = dict(network.named_modules())
    for part in parts:
        if part not in known or not part:
            names = ", ".join(name for name, _ in network.named_children())
            raise MpkitError(f"there is no part {part!r} to freeze; the parts are {names}, and parts of these")
        known[part].requires_grad_(False)


def clip_gradients(network: nn.Module, limit: float) -> Tensor:
    """Clips E_mtn apart from the rest: they share no gradient, and E_mtn's first ones are a hundred times larger.
    Returns the norm of all of it before."""
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        groups[name.startswith(("motion.", "read_actions."))].append(parameter)
    return torch.stack([nn.utils.clip_grad_norm_(group, limit) for group in groups.values() if group]).norm()


def average_gradients(accelerator: Accelerator, network: nn.Module) -> None:
    """The mean of each gradient over all processes, sent as one tensor."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if accelerator.num_processes > 1 and gradients:
        flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(mean.view_as(gradient))


def shard_weights(data: tuple[str, ...]) -> dict[str, float]:
    """("runs/heads", "runs/clips:2") -> {"runs/heads": 1.0, "runs/clips": 2.0}"""
    weights = {}
    for entry in data:
        folder, _, weight = entry.rpartition(":")
        weights[folder or entry] = float(weight) if folder else 1.0
    return weights


def named_tensors(batch, name: str = "batch"):
    """(name, tensor) of every tensor in nested named tuples."""
    if isinstance(batch, Tensor):
        yield name, batch
    else:
        for field, value in batch._asdict().items():
            yield from named_tensors(value, f"{name}.{field}")


def train(
    config: TrainConfig,
    stage: str = "base",
    init: str | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    progress: bool = True,
) -> nn.Module:
    """Trains one of STAGES from the run's last state, or `init` weights, or scratch, to `config.steps`. Returns the
    EMA network. `precision`: fp32, or bf16 or fp16 on CUDA. Raises MediaError where the data are not there,
    WeightsError for `init`, MpkitError where the loss is no number any more; the step's inputs are then in the run's
    folder."""
    half = {"fp32": "no"}.get(precision, precision)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=half)
    part, parts = accelerator.process_index, accelerator.num_processes
    pairs = PairSet(shard_weights(config.data), config.batch_size, config.drivers, config.seed, part=part, parts=parts)
    run, first_process = Path(config.run), accelerator.is_main_process
    if first_process:
        run.mkdir(parents=True, exist_ok=True)
        write_json(run / "config.json", dataclasses.asdict(config) | {"stage": stage, "init": init and str(init)})
    torch.manual_seed(config.seed)
    objective = STAGES[stage](config.weights, config.preset).to(accelerator.device)
    model = objective.build(config.preset).to(accelerator.device)
    if init:
        model.load_state_dict(load_network(init, type(model), config.preset).state_dict())
    ema = copy.deepcopy(model).requires_grad_(False)
    freeze(model, config.freeze)
    check = PairSet(shard_weights(config.validation), 8, config.drivers, augment=False) if config.validation else None
    critic = objective.critic
    networks, optimizers = {"model": model, "ema": ema}, {"optimizer": _optimizer(accelerator, model, config)}
    if critic:
        networks["critic"], optimizers["critic_optimizer"] = critic, _optimizer(accelerator, critic, config)
    state = run / "state.safetensors"
    first = load_run(state, networks, optimizers) if state.exists() else 0

    steps = range(first, config.steps)
    apart = torch.Generator()  # else starting the loader would draw from the run's own random numbers
    loader = DataLoader(pairs, batch_size=None, sampler=steps, num_workers=config.workers, generator=apart)
    bar = tqdm(zip(steps, loader), initial=first, total=config.steps, unit="step", disable=not (progress and not part))
    sums, started = {}, time.perf_counter()
    for step, batch in bar:
        # ---- step
        batch = batch.to(accelerator.device)
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(config, step)
            optimizer.zero_grad()
        with accelerator.autocast():
            loss, terms, driven = objective(model, batch)
        terms = {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}}
        terms = {name: accelerator.reduce(term.float().clone(), "mean") for name, term in terms.items()}
        if not torch.isfinite(terms["loss"]):  # of any process: all of them stop
            save_tensors(run / f"nan-{part}.safetensors", dict(named_tensors(batch)), {"step": str(step)})
            raise MpkitError(f"the loss is not finite at step {step}; its inputs are in {run}/nan-*.safetensors")
        accelerator.backward(loss)
        average_gradients(accelerator, model)
        accelerator.unscale_gradients(optimizers["optimizer"])
        terms["gradient_norm"] = clip_gradients(model, config.clip)
        optimizers["optimizer"].step()
        # ---- critic
        if critic:
            with accelerator.autocast():
                terms["critic"] = objective.judge(batch, driven)
            accelerator.backward(terms["critic"])
            average_gradients(accelerator, critic)
            optimizers["critic_optimizer"].step()
        # ---- EMA
        update_ema(ema, model, config.ema, step)
        # ---- upkeep
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        done = step + 1
        if not first_process:
            continue
        if done % config.log_every == 0:
            means = {name: round(value / config.log_every, 5) for name, value in sums.items()}
            seconds, started, sums = time.perf_counter() - started, time.perf_counter(), {}
            rate = config.log_every * config.batch_size * config.drivers / seconds
            _append(run / "stats.jsonl", {"step": done, "samples_per_second": round(rate, 2), **means})
            bar.set_postfix(loss=means["loss"], samples_s=round(rate, 1))
        if driven is not None and done % config.grid_every == 0:
            save_grid(run / f"grid-{done:06d}.png", batch, driven)
        if done % config.save_every == 0 or done == config.steps:
            if check:
                _append(run / "validation.jsonl", {"step": done, **validate(objective, ema, check, accelerator.device)})
            save_run(state, networks, optimizers, done)
            save_weights(run / "weights.safetensors", ema, steps=str(done))
    return ema.eval()


@torch.no_grad()
def validate(objective: Objective, network: nn.Module, pairs: PairSet, device, batches: int = 8) -> dict[str, float]:
    """Mean loss and terms on the first batches of pairs that are never trained on."""
    sums: dict[str, float] = {}
    for index in range(batches):
        loss, terms, _ = objective(network, pairs[index].to(device))
        for name, value in {"loss": loss, **terms}.items():
            sums[name] = sums.get(name, 0.0) + float(value) / batches
    return {name: round(value, 5) for name, value in sums.items()}


def _append(path: Path, line: dict) -> None:
    with open(path, "a") as file:
        file.write(json.dumps(line) + "\n")


def _optimizer(accelerator: Accelerator, network: nn.Module, config: TrainConfig):
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    adamw = torch.optim.AdamW(parameters, config.learning_rate, config.betas, weight_decay=config.weight_decay)
    return accelerator.prepare_optimizer(adamw)
