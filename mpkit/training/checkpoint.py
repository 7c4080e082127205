"""Saving and loading: weights as safetensors with the config in the metadata; a run's whole state, to resume bit-equal.

Nothing is ever unpickled: a run's state is safetensors too, numbers and shapes beside it as JSON.
"""

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mpkit.config import GazeConfig, IdentityConfig, ModelConfig
from mpkit.errors import WeightsError
from mpkit.networks.base import BaseModel
from mpkit.networks.gaze import GazeNetwork
from mpkit.networks.identity import IdentityNetwork

FORMAT = "mpkit-weights-1"
CONFIGS = {BaseModel: ModelConfig, GazeNetwork: GazeConfig, IdentityNetwork: IdentityConfig}


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    save_file({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, temporary, metadata)
    os.replace(temporary, path)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises WeightsError when it is missing or damaged."""
    if not Path(path).is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path} is not a readable safetensors file ({error}): weights load from safetensors only"
        ) from None


def save_weights(path: str | Path, network: nn.Module, half: bool = True, **notes: str) -> None:
    """The weights, in half precision unless told otherwise, with the config and `notes` in the file's metadata."""
    state = {name: value.half() if half else value for name, value in network.state_dict().items()}
    kind = {"format": FORMAT, "network": type(network).__name__, "config": network.config.to_json()}
    save_tensors(Path(path), state, kind | notes)


def load_weights(path: str | Path, preset: str | None = None) -> BaseModel:
    """The model of a weights file: see `load_network`."""
    return load_network(path, BaseModel, preset)


def load_network(path: str | Path, kind: type[nn.Module], preset: str | None = None) -> nn.Module:
    """The network of a weights file, a `kind` of CONFIGS, on the CPU in fp32, in eval mode.

    Raises WeightsError when the file is missing, damaged, not mpkit's, of another kind, or of another preset.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise WeightsError(f"{path} holds no mpkit weights ({FORMAT} expected in its metadata)")
    if metadata.get("network", "BaseModel") != kind.__name__:
        raise WeightsError(f"{path} holds weights of a {metadata['network']}, not of a {kind.__name__}")
    config = CONFIGS[kind].from_json(metadata["config"])
    if preset is not None and config.preset != preset:
        raise WeightsError(f"{path} holds weights of preset {config.preset}, not {preset}")
    network = kind(config)
    load_into(network, tensors, path)
    return network.eval()


def load_into(model: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Copies tensors into a model. Raises WeightsError when names or shapes differ or a value is not finite."""
    try:
        model.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit the network: {str(error).splitlines()[-1].strip()}") from None
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise WeightsError(f"{path} is damaged: it holds values that are not finite")


def save_run(path: Path, networks: dict[str, nn.Module], optimizers: dict, step: int) -> None:
    """The state of a run after `step` steps: networks, optimizer moments, random numbers. The data position is `step`
    itself."""
    tensors = {"rng": torch.get_rng_state()}
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
    torch.set_rng_state(tensors["rng"])
    return int(metadata["step"])


def write_json(path: Path, value) -> None:
    """Writes a JSON file whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(value, indent=1))
    os.replace(temporary, path)
