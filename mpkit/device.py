"""Which device and which number format to compute in."""

import torch

from mpkit.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """auto | cpu | cuda | mps -> the device; auto is the best there is. Raises DeviceError for one that is absent."""
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if present[device])
    if name not in present:
        raise DeviceError(f"unknown device {name!r}: choose auto, cpu, cuda or mps")
    if not present[name]:
        raise DeviceError(f"--device {name}: this machine or its PyTorch has no {name}; use --device auto")
    return torch.device(name)


def check_precision(name: str, device: torch.device) -> torch.dtype:
    """fp32 | bf16 | fp16 -> dtype. Raises DeviceError where the device cannot compute in it."""
    kinds = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name not in kinds:
        raise DeviceError(f"unknown precision {name!r}: choose fp32, bf16 or fp16")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("--precision fp16 needs a GPU; the CPU computes in fp32 (fast) or bf16 (slow)")
    return kinds[name]
