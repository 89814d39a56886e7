"""Tells whether a model that was loaded before a fork can compute in the child."""

from __future__ import annotations

from typing import Any

from clemcore.errors import ModelLoadError


def refusal_after_fork(name: str, device: Any) -> Exception | None:
    """Return why a forked process cannot compute, or None: threads of OpenMP and CUDA do not survive a fork.

    Args:
        name: the model's name in the registry.
        device: the torch device of its weights.
    """
    import torch

    threads = torch.get_num_threads()
    if device.type == "cpu" and threads == 1:
        return None
    why = f"with {threads} threads of torch" if device.type == "cpu" else f"on {device}"
    remedy = "Start processes with the method 'spawn' and load the model in each of them" + (
        "; or set model_config.torch_num_threads to 1." if device.type == "cpu" else "."
    )
    return ModelLoadError(
        f"model '{name}' was loaded {why} before this process was forked, and would never answer here. {remedy}"
    )
