"""Has torch compute the same for the same on CUDA, for the time of one call.

The switch is one for the whole process, so what it was before is put back when the last of our calls ends.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

from clemcore import forks
from clemcore.errors import GenerationError

_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"


@contextlib.contextmanager
def deterministic(device: Any, name: str) -> Iterator[None]:
    """Compute with torch's deterministic algorithms in this block; nothing happens on other devices than CUDA.

    Args:
        device: the torch device that computes.
        name: the model's name, for the error.

    Raises:
        GenerationError: cuBLAS is not deterministic without a variable of the environment.
    """
    if device.type != "cuda":
        yield
        return
    _switch.enter()
    try:
        yield
    except RuntimeError as error:
        if _VARIABLE not in str(error):
            raise
        raise GenerationError(
            f"model '{name}': exact answers on CUDA need {_VARIABLE}=:4096:8 in the environment, because cuBLAS is "
            "not deterministic without it: set it before Python starts, or set model_config.exactness to 'fast'"
        ) from error
    finally:
        _switch.leave()


def determinism_facts(device: Any) -> dict[str, Any]:
    """Return what the record says about it; nothing on other devices than CUDA."""
    if device.type != "cuda":
        return {}
    return {"deterministic": {"algorithms": True, _VARIABLE: os.environ.get(_VARIABLE)}}


class _Switch:
    """Torch's switch, which is on while at least one call needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._before = (False, False)
        forks.guard(self, "_lock")

    def enter(self) -> None:
        import torch

        with self._lock:
            if self._calls == 0:
                warns = torch.is_deterministic_algorithms_warn_only_enabled()
                self._before = torch.are_deterministic_algorithms_enabled(), warns
                torch.use_deterministic_algorithms(True)
            self._calls += 1

    def leave(self) -> None:
        import torch

        with self._lock:
            self._calls -= 1
            if self._calls == 0:
                torch.use_deterministic_algorithms(self._before[0], warn_only=self._before[1])


_switch = _Switch()
