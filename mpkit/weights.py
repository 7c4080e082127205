"""Networks as files: safetensors, with the network's config as JSON in the metadata. Nothing is ever unpickled.

A network class that can be saved has its config's class as `Config`, takes a config, and keeps it as `config`.
"""

import re
import textwrap
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mpkit.errors import WeightsError
from mpkit.files import write_bytes

FORMAT = "mpkit-weights-1"


def save_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes a safetensors file whole or not at all."""
    write_bytes(path, save({name: value.detach().contiguous().cpu() for name, value in tensors.items()}, metadata))


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises WeightsError when it is missing or damaged."""
    if not Path(path).is_file():
        raise WeightsError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError):
        raise WeightsError(f"{path} is not a readable safetensors file: weights load from safetensors only") from None


def save_weights(path: str | Path, network: nn.Module, half: bool = True, **notes: str) -> None:
    """The weights, in half precision unless told otherwise, with the config and `notes` in the file's metadata."""
    state = {name: value.half() if half else value for name, value in network.state_dict().items()}
    kind = {"format": FORMAT, "network": type(network).__name__, "config": network.config.to_json()}
    save_tensors(Path(path), state, kind | notes)


def load_network(path: str | Path, kind: type[nn.Module], preset: str | None = None) -> nn.Module:
    """The network of a weights file, of class `kind`, on the CPU in fp32, in eval mode.

    Raises WeightsError when the file is missing, damaged, not mpkit's, of another class, or of another preset.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT or "config" not in metadata:
        raise WeightsError(f"{path} holds no mpkit weights ({FORMAT} expected in its metadata)")
    if metadata.get("network", "BaseModel") != kind.__name__:
        made, wanted = map(_in_words, (metadata["network"], kind.__name__))
        raise WeightsError(f"{path} holds weights of {made}, not of {wanted}")
    config = kind.Config.from_json(metadata["config"])
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
        difference = textwrap.shorten(str(error).splitlines()[-1], 120, placeholder=" ...")
        raise WeightsError(f"{path} does not fit the network: {difference}") from None
    if not all(torch.isfinite(value).all() for value in tensors.values()):
        raise WeightsError(f"{path} is damaged: it holds values that are not finite")


def _in_words(name: str) -> str:
    """ "BaseModel" -> "a base model"."""
    words = re.sub("(?<!^)(?=[A-Z])", " ", name).lower()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
