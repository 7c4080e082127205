"""The whole state of a training run as one safetensors file, from which it resumes bit-equal."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from mpkit.errors import MpkitError
from mpkit.weights import load_into, load_tensors, save_tensors

# the settings of a run that may change when it goes on; all others would make it another run
MAY_CHANGE = ("run", "steps", "minutes", "validation", "save_every", "grid_every", "log_every", "workers")


def check_settings(run: Path, settings: dict) -> None:
    """Raises MpkitError if a folder holds the state of a run of another stage or with other settings: it could not go
    on bit-equal."""
    if not (run / "state.safetensors").exists():
        return
    before, now = (_flat(json.loads(text)) for text in ((run / "config.json").read_text(), json.dumps(settings)))
    if before["stage"] != now["stage"]:
        raise MpkitError(f"{run} is a run of stage {before['stage']}; give another --run")
    for name, value in now.items():
        if name not in MAY_CHANGE and before.get(name, value) != value:
            option, old, new = name.replace("_", "-"), _shown(before[name]), _shown(value)
            raise MpkitError(f"{run} is a run with --{option} {old}, not {new}; give another --run")


def _shown(value) -> str:
    value = " ".join(map(str, value)) if isinstance(value, list) else value
    return "none" if value in (None, "") else str(value)


def _flat(settings: dict) -> dict:
    """Settings with each weight of the loss as one of them, as on the command line."""
    return settings | {f"weights.{name}": weight for name, weight in (settings.pop("weights") or {}).items()}


def save_run(path: Path, networks: dict[str, nn.Module], optimizers: dict, step: int) -> None:
    """Writes the state of a run after `step` steps: networks, optimizer moments, random number generator. The position
    in the data is `step` itself."""
    tensors = {"rng": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda_rng"] = torch.cuda.get_rng_state()
    for kind, network in networks.items():
        tensors |= {f"{kind}.{name}": value for name, value in network.state_dict().items()}
    for kind, optimizer in optimizers.items():
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"{kind}.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    save_tensors(path, tensors, {"step": str(step)})


def load_run(path: Path, networks: dict[str, nn.Module], optimizers: dict) -> int:
    """Restores what `save_run` wrote and returns the step. Raises WeightsError when it does not fit."""
    tensors, metadata = load_tensors(path)

    def part(kind: str) -> dict[str, Tensor]:
        return {name[len(kind) + 1 :]: value for name, value in tensors.items() if name.startswith(kind + ".")}

    for kind, network in networks.items():
        load_into(network, part(kind), path)
    for kind, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in part(kind).items():
            index, moment = name.split(".")
            state.setdefault(int(index), {})[moment] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        for parameter, moments in optimizer.state.items():  # fused kernels want the memory format of the weights
            for name, value in moments.items():
                if value.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    torch.set_rng_state(tensors["rng"])
    if "cuda_rng" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda_rng"])
    return int(metadata["step"])
