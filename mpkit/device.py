"""The device and the number format to compute in."""

import torch

from mpkit.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """The device of a name: auto, cpu, cuda or mps. auto prefers cuda to mps to cpu. Raises DeviceError if absent."""
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if present[device])
    if name not in present:
        raise DeviceError(f"unknown device {name!r}: choose auto, cpu, cuda or mps")
    if not present[name]:
        raise DeviceError(f"--device {name}: this machine or its PyTorch has no {name}; use --device auto")
    return torch.device(name)


def check_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of a name: fp32, bf16 or fp16. Raises DeviceError if the device cannot compute in it."""
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name not in dtypes:
        raise DeviceError(f"unknown precision {name!r}: choose fp32, bf16 or fp16")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("--precision fp16 needs a GPU; the CPU computes in fp32 (fast) or bf16 (slow)")
    return dtypes[name]
