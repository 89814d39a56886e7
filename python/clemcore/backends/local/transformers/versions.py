"""Tells whether a model still computes what it computed before: weights, adapter, attention, settings of torch.

States that were made before a change are worthless. Each tensor of torch counts the writes into it, so a look takes
microseconds. A write through ``.data`` is not counted: nothing can see it.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Hashable, Iterator
from typing import Any

from clemcore.backends.local.transformers.continuous import plain

_training, _version = operator.attrgetter("training"), operator.attrgetter("_version")


class Watched:
    """The weights of one model and how it computes."""

    def __init__(self, model: Any) -> None:
        """Note where the model keeps its weights.

        Args:
            model: a transformers or PEFT model.
        """
        self._model = model
        self._look()
        self._at_load = self._of_weights()

    def version(self) -> Hashable:
        """Return what changes with weights, adapter, attention or the way that torch computes."""
        import torch

        weights = self._of_weights()
        first = self._first
        is_on_cpu = first is not None and first.device.type == "cpu"
        return (
            *weights,
            None if first is None else (first.data_ptr(), first.dtype, first.device),
            plain(self._model.config),
            tuple(_adapter_of(module) for module in self._adapters),
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
            # On CUDA, exact answers are always computed deterministically.
            is_on_cpu and torch.are_deterministic_algorithms_enabled(),
            torch.backends.mkldnn.enabled,
            *_contexts(torch, "cpu" if first is None else first.device.type),
            tuple(number for module in self._hooked for number in _hooks_of(module)),
        )

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Have the model in evaluation mode within the block; afterwards each module is in its mode from before.

        In training mode, dropout would make an answer a matter of chance.
        """
        # Of a model that is as it should be, only this is asked in every call.
        is_training = any(map(_training, self._hooked))
        training = [module for module in self._hooked if module.training] if is_training else []
        if training:
            self._model.eval()
        try:
            yield
        finally:
            for module in training:
                module.training = True  # not train(), which would change the modules inside, too

    def is_changed(self) -> bool:
        """Tell whether the weights were written to or replaced since they were loaded."""
        return self._of_weights() != self._at_load

    def _of_weights(self) -> tuple[int, int]:
        if self._is_rebuilt():
            self._look()
        return self._number, sum(map(_version, self._tensors))

    def _look(self) -> None:
        """Note all modules and tensors; a tensor or module that took the place of another one is found by that."""
        places: list[tuple[dict[str, Any], str, Any]] = []
        self._adapters: list[Any] = []
        for module in self._model.modules():
            found = [
                *_weights_of(module),
                *((module._modules, name, part) for name, part in module._modules.items()),
            ]
            places += found
            if hasattr(module, "_active_adapter"):
                self._adapters.append(module)
        self._hooked = list(self._model.modules())
        self._modules = [module._modules for module in self._hooked]
        self._counts = [len(parts) for parts in self._modules]
        # One list of each, because a look at them is a part of every call.
        self._owners = [owner for owner, _, _ in places]
        self._names = [name for _, name, _ in places]
        self._things = [thing for _, _, thing in places]
        self._tensors = [thing for thing in self._things if _is_counted(thing)]
        self._first = next(iter(self._tensors), None)
        # Equal sums of two sets of tensors mean nothing.
        self._number = getattr(self, "_number", 0) + 1

    def _is_rebuilt(self) -> bool:
        now = map(dict.get, self._owners, self._names)
        return self._counts != list(map(len, self._modules)) or not all(map(operator.is_, now, self._things))


def _contexts(torch: Any, device: str) -> tuple[Hashable, ...]:
    """Return what a block around a call can change: automatic formats, and which kernels attention may use."""
    is_automatic = torch.is_autocast_enabled(device)
    sdp = torch.backends.cuda
    return (
        is_automatic and torch.get_autocast_dtype(device),
        sdp.math_sdp_enabled(),
        sdp.flash_sdp_enabled(),
        sdp.mem_efficient_sdp_enabled(),
    )


def _hooks_of(module: Any) -> tuple[int, ...]:
    """Return the numbers of a module's hooks; torch never uses one again."""
    return *module._forward_pre_hooks, *module._forward_hooks


def _is_counted(thing: Any) -> bool:
    """Tell whether torch counts the writes into it; not those of modules, nor of tensors made in inference mode."""
    import torch

    return isinstance(thing, torch.Tensor) and not thing.is_inference()


def _weights_of(module: Any) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Yield where a module keeps its own weights; quantised ones are buffers."""
    for name, parameter in module._parameters.items():
        yield module._parameters, name, parameter
    for name, buffer in module._buffers.items():
        if name not in module._non_persistent_buffers_set:
            yield module._buffers, name, buffer


def _adapter_of(module: Any) -> Hashable:
    """Return which adapters a layer of PEFT applies, and how strongly."""
    names = ("_active_adapter", "_disable_adapters", "merged_adapters", "scaling")
    return tuple(str(getattr(module, name, None)) for name in names)
