"""What a model's modules carry from one call to the next, put back before each call.

Some modules remember what they were fed: rotary embeddings of the kind ``dynamic`` the longest prompt, recurrent
blocks their last state. Then an answer depends on earlier calls. What is remembered stands in buffers that are not
weights, or in attributes of modules. It is noted once, and found by looking at what a call has changed, not by a
list of architectures.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Larger tensors are not copied: tables like masks, which no call changes.
_LARGEST = 2**22
_ABSENT = object()
_PLAIN = (bool, int, float, str, type(None))
# A change of these alone is a mark such as "initialised", which must not be taken back.
_MARKS = (bool, str, type(None))
# Attributes that callers set, and that are no trace of a call.
_SET_BY_CALLERS = frozenset({"training", "gradient_checkpointing", "_attn_implementation"})


class CarriedState:
    """The modules of a model as they were when it was loaded."""

    def __init__(self, model: Any) -> None:
        """Note what each module holds.

        Args:
            model: a transformers model that was just loaded.
        """
        self._model = model
        self._note()

    def _note(self) -> None:
        self._weights = _versions(self._model)
        self._noted = {module: _Noted(module) for module in self._model.modules()}
        # Those that are put back before each call. Buffers that are not weights are watched from the beginning.
        self._carriers = {module: noted for module, noted in self._noted.items() if noted.buffers}

    def restore(self) -> None:
        """Put everything back that calls are known to change."""
        for module, noted in self._carriers.items():
            noted.restore(module)

    def changed(self) -> list[str]:
        """Return the names of all that differs now, ``Class.name``, and put it back from now on, too.

        Where a call has changed the weights themselves, as RWKV does once, its marks belong to the new weights:
        then everything is noted anew.
        """
        if _versions(self._model) != self._weights:
            self._note()
            return []
        found = []
        for module, noted in self._noted.items():
            names = noted.changed(module)
            if names:
                self._carriers[module] = noted
                found += [f"{type(module).__name__}.{name}" for name in names]
        return found


class _Noted:
    """What one module held."""

    __slots__ = ("attributes", "buffers", "seen")

    def __init__(self, module: Any) -> None:
        temporary = module._non_persistent_buffers_set
        self.buffers = {
            name: _Tensor(buffer)
            for name, buffer in module._buffers.items()
            if name in temporary and buffer is not None
        }
        self.attributes = {name: _as_noted(value) for name, value in _attributes(module)}
        self._see(module)

    def _see(self, module: Any) -> None:
        """Note what the module holds now by identity, so that a look at a module that nobody changed is short."""
        own, buffers = module.__dict__, module._buffers
        found = [(own, name, own[name]) for name in self.attributes]
        found += [(buffers, name, buffers[name]) for name in self.buffers]
        noted = {**self.attributes, **self.buffers}
        tensors = [thing for _, name, thing in found if isinstance(noted[name], _Tensor)]
        self.seen = len(own), found, [(tensor, _version(tensor)) for tensor in tensors]

    def _is_as_seen(self, module: Any) -> bool:
        count, found, tensors = self.seen
        return (
            len(module.__dict__) == count
            and all(owner.get(name) is thing for owner, name, thing in found)
            and all(_version(tensor) == version for tensor, version in tensors)
        )

    def changed(self, module: Any) -> list[str]:
        """Return the names of buffers and attributes that differ, unless these are only marks."""
        found = [name for name, noted in self.buffers.items() if not noted.is_same(module._buffers.get(name))]
        now, marks = dict(_attributes(module)), 0
        for name in self.attributes.keys() | now.keys():
            if not _is_same(self.attributes.get(name, _ABSENT), now.get(name, _ABSENT)):
                found.append(name)
                marks += isinstance(now.get(name), _MARKS)
        return sorted(found) if marks < len(found) else []

    def restore(self, module: Any) -> None:
        """Put buffers and attributes back."""
        if self._is_as_seen(module):
            return
        for name, noted in self.buffers.items():
            if not noted.is_same(module._buffers.get(name)):
                module._buffers[name] = noted.original()
        now = dict(_attributes(module))
        for name in now.keys() - self.attributes.keys():
            del module.__dict__[name]
        for name, value in self.attributes.items():
            if not _is_same(value, now.get(name, _ABSENT)):
                module.__dict__[name] = value.original() if isinstance(value, _Tensor) else value
        self._see(module)


class _Tensor:
    """A tensor as it was."""

    __slots__ = ("_tensor", "_value", "_version")

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor
        self._value = tensor.detach().clone() if tensor.nbytes <= _LARGEST else None
        self._version = _version(tensor)

    def is_same(self, other: Any) -> bool:
        """Tell whether it is that tensor, and nobody wrote into it."""
        return other is self._tensor and _version(other) == self._version

    def original(self) -> Any:
        """Return the tensor with its old values."""
        if self._value is not None and _version(self._tensor) != self._version:
            import torch

            with torch.no_grad():
                self._tensor.copy_(self._value)
            self._version = _version(self._tensor)
        return self._tensor


def _version(tensor: Any) -> int:
    try:
        return int(tensor._version)
    except RuntimeError:  # a tensor of inference mode has none, and cannot be written into outside of it
        return 0


def _versions(model: Any) -> list[tuple[int, int]]:
    return [(id(parameter), _version(parameter)) for parameter in model.parameters()]


def _attributes(module: Any) -> Iterator[tuple[str, Any]]:
    import torch

    kinds = (*_PLAIN, torch.Tensor)
    for name, value in module.__dict__.items():
        if isinstance(value, kinds) and name not in _SET_BY_CALLERS:
            yield name, value


def _as_noted(value: Any) -> Any:
    return value if isinstance(value, _PLAIN) else _Tensor(value)


def _is_same(noted: Any, now: Any) -> bool:
    if isinstance(noted, _Tensor):
        return noted.is_same(now)
    return noted is now or (type(noted) is type(now) and isinstance(now, _PLAIN) and noted == now)
