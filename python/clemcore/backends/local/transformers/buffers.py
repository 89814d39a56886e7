"""Restores the buffers of a model's own code that are in no file.

transformers 5 builds a model without memory, and then gives such buffers memory but no values. The library's own
models fill them. Code from the hub computes them when a model is built, so they would hold whatever was in that
memory, for example as the frequencies of positions.

Source: https://github.com/huggingface/transformers/issues/48892
"""

from __future__ import annotations

import contextlib
import copy
import functools
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from clemcore import forks
from clemcore.backends.local.failures import reason_of
from clemcore.backends.local.transformers.quiet import quietly

logger = logging.getLogger(__name__)

_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")


def restore_buffers(model: Any, name: str) -> None:
    """Give buffers that are in no file the values that the model's own code computes.

    Models of the library itself have the right values.

    Args:
        model: the transformers model.
        name: the model's name, for messages.
    """
    import torch

    names = {
        f"{prefix}.{buffer}" if prefix else buffer
        for prefix, module in model.named_modules()
        for buffer in module._non_persistent_buffers_set
    }
    if not names or not type(model).is_remote_code():
        return
    before = torch.get_default_dtype()
    try:
        with quietly(), torch.random.fork_rng(devices=[]), torch.device("cpu"), _without_parameters():
            torch.set_default_dtype(model.dtype)  # as the library does while it builds a model
            own = dict(type(model)(copy.deepcopy(model.config)).named_buffers())
    except Exception as error:  # noqa: BLE001 - code of a model may do anything
        logger.warning(
            "model '%s': it is not known whether %s have the right values: the model's code cannot be run without "
            "its weights (%s)",
            name,
            ", ".join(sorted(names)),
            reason_of(error),
        )
        return
    finally:
        torch.set_default_dtype(before)
    for buffer, value in model.named_buffers():
        right = own.get(buffer)
        if buffer not in names or right is None or right.is_meta or value.is_meta or right.shape != value.shape:
            continue
        right = right.to(device=value.device, dtype=value.dtype)
        if not torch.equal(value, right):
            logger.info("model '%s': transformers left %s without values; they are restored", name, buffer)
            with torch.no_grad():
                value.copy_(right)


@contextlib.contextmanager
def _without_parameters() -> Iterator[None]:
    """Build modules without memory for their parameters within the block, in this thread alone.

    torch has no such switch for one thread, so the method that all modules call is replaced for the length of the
    block. In other threads it works as usual. After the block it works as usual in this thread too, even if other
    code has kept a reference to it. Only one thread at a time replaces it; otherwise the original might not come
    back.
    """
    from torch import nn

    with _lock:
        mine: int | None = threading.get_ident()
        register = nn.Module.register_parameter

        @functools.wraps(register)
        def without_memory(module: Any, name: str, parameter: Any) -> None:
            register(module, name, parameter)
            if parameter is not None and threading.get_ident() == mine:
                module._parameters[name] = nn.Parameter(parameter.to("meta"), requires_grad=False)

        nn.Module.register_parameter = without_memory
        try:
            yield
        finally:
            mine = None
            if nn.Module.__dict__["register_parameter"] is without_memory:
                nn.Module.register_parameter = register
