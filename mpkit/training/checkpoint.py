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

from mpkit.config import ModelConfig
from mpkit.errors import WeightsError
from mpkit.networks.base import BaseModel

FORMAT = "mpkit-weights-1"


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


def save_weights(path: str | Path, model: BaseModel, half: bool = True, **notes: str) -> None:
    """The weights, in half precision unless told otherwise, with the config and `notes` in the file's metadata."""
    state = {name: value.half() if half else value for name, value in model.state_dict().items()}
    save_tensors(Path(path), state, {"format": FORMAT, "config": model.config.to_json(), **notes})


def load_weights(path: str | Path, preset: str | None = None) -> BaseModel:
    """The model of a weights file, on the CPU in fp32, in eval mode.

    Raises WeightsError when the file is missing, damaged, not mpkit's, or of another preset than `preset`.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise WeightsError(f"{path} holds no mpkit weights ({FORMAT} expected in its metadata)")
    config = ModelConfig.from_json(metadata["config"])
    if preset is not None and config.preset != preset:
        raise WeightsError(f"{path} holds weights of preset {config.preset}, not {preset}")
    model = BaseModel(config)
    load_into(model, tensors, path)
    return model.eval()


def load_into(model: nn.Module, tensors: dict[str, Tensor], path: str | Path) -> None:
    """Copies tensors into a model. Raises WeightsError when names or shapes differ or a value is not finite."""
    try:
        model.load_state_dict({name: value.float() for name, value in tensors.items()})
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit the network: {str(error).splitlines()[-1].strip()}") from None
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise WeightsError(f"{path} is damaged: it holds values that are not finite")


def save_run(path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """The state of a run after `step` steps: model, EMA, optimizer moments. The data position is `step` itself."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"ema.{name}": value for name, value in ema.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    tensors["rng"] = torch.get_rng_state()
    save_tensors(path, tensors, {"step": str(step)})


def load_run(path: Path, model: nn.Module, ema: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restores what `save_run` wrote and returns the step. Raises WeightsError when it does not fit."""
    tensors, metadata = load_tensors(path)

    def part(prefix):
        return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

    load_into(model, part("model."), path)
    load_into(ema, part("ema."), path)
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in part("optimizer.").items():
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
