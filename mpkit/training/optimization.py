"""What a training step does to weights: learning rate, frozen parts, gradient clipping, EMA."""

import math

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from mpkit.errors import MpkitError
from mpkit.training.config import TrainConfig


def make_optimizer(accelerator: Accelerator, network: nn.Module, config: TrainConfig):
    """AdamW on the parameters that are not frozen."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    fused = bool(parameters) and parameters[0].is_cuda or None  # one kernel for all parameters
    options = {"weight_decay": config.weight_decay, "fused": fused}
    adamw = torch.optim.AdamW(parameters, config.learning_rate, config.betas, **options)
    return accelerator.prepare_optimizer(adamw)


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Linear warm-up, then a cosine from `learning_rate` to `last_learning_rate`, with the share of the run that is
    done, [0, 1]."""
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    rate = config.last_learning_rate + (config.learning_rate - config.last_learning_rate) * cosine
    return rate * min(1.0, (step + 1) / max(1, config.warmup))


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """ema <- decay * ema + (1 - decay) * model, with a shorter memory in the first steps."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)


def freeze(network: nn.Module, parts: tuple[str, ...]) -> None:
    """Keeps these parts as they are: no gradient is computed for them. Raises MpkitError for one that does not
    exist."""
    known = dict(network.named_modules())
    for part in parts:
        if part not in known or not part:
            names = ", ".join(name for name, _ in network.named_children())
            raise MpkitError(f"there is no part {part!r} to freeze; the parts are {names}, and parts of these")
        known[part].requires_grad_(False)


def clip_gradients(network: nn.Module, limit: float) -> Tensor:
    """Clips the gradient norm of E_mtn and of the rest, each by itself: they share no gradient, and E_mtn's first ones
    are a hundred times larger. Returns the norm of both together before clipping."""
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            groups[name.startswith(("motion.", "read_actions."))].append(parameter)
    return torch.stack([nn.utils.clip_grad_norm_(group, limit) for group in groups.values() if group]).norm()


def average_gradients(accelerator: Accelerator, network: nn.Module) -> None:
    """The mean of each gradient over all processes, sent as one tensor."""
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    if accelerator.num_processes > 1 and gradients:
        flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), "mean")
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
            gradient.copy_(mean.view_as(gradient))
