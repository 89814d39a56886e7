"""On what torch computes: processor model, instruction sets, and the switches that change its results.

Two machines with the same answers here give the same numbers for the same operations. It loads no model.
"""

from __future__ import annotations

import functools
import platform
from pathlib import Path
from typing import Any


def hardware_of(device: str) -> dict[str, Any]:
    """Return what the numbers that are computed on a device depend on, besides libraries and threads.

    Args:
        device: as torch names it, ``cpu`` or ``cuda:0``.

    Returns:
        ``processor`` and ``instructions`` of the device, and torch's ``flags``.
    """
    return {**_fixed(device), "flags": _flags()}


@functools.cache
def _fixed(device: str) -> dict[str, str]:
    import torch

    if torch.device(device).type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return {"processor": torch.cuda.get_device_name(device), "instructions": f"sm_{major}{minor}"}
    return {"processor": _processor(), "instructions": torch.backends.cpu.get_cpu_capability()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model")))
    return next(names, "") or platform.processor() or platform.machine()


def _flags() -> dict[str, Any]:
    import torch

    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "mkldnn": torch.backends.mkldnn.enabled,
    }
