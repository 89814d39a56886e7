"""Sets of weights, each held once for all models that compute with it.

It knows engines by their interface. It does not know how weights are loaded, nor what makes two sets equal: a key
says it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from clemcore import forks
from clemcore.backends.local.engine import Engine
from clemcore.backends.local.prefixes import Prefixes

EngineT_co = TypeVar("EngineT_co", bound=Engine, covariant=True)

_lock = threading.Lock()
forks.guard(sys.modules[__name__], "_lock")


class HeldWeights(Generic[EngineT_co]):
    """One set of weights, and whatever all models share that compute with it. The last ``del`` closes the engine.

    Attributes:
        engine: computes with the weights.
        facts: what identifies the weights, for the record.
        model: the engine's own model, for those who train it.
        prefixes: states of earlier prompts.
    """

    def __init__(
        self, engine: EngineT_co, facts: Mapping[str, Any] = MappingProxyType({}), model: Any = None
    ) -> None:
        """Take an engine, which nobody else closes."""
        self.engine = engine
        self.facts = facts
        self.model = model
        self.prefixes = Prefixes()

    def __del__(self) -> None:
        """Give the memory back."""
        self.model = None
        self.prefixes.forget()
        self.engine.close()


class _Loading:
    """Lets one thread load a set of weights while others wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_held: WeakValueDictionary[Hashable, HeldWeights[Any]] = WeakValueDictionary()
_loading: WeakValueDictionary[Hashable, _Loading] = WeakValueDictionary()


def hold(key: Hashable | None, load: Callable[[], HeldWeights[EngineT_co]]) -> HeldWeights[EngineT_co]:
    """Return the weights of a key: those that a model already holds, else new ones.

    Args:
        key: equal for weights that may be shared; None for weights that belong to one model alone.
        load: loads the weights.
    """
    if key is None:
        return load()
    with _lock:
        turn = _loading.setdefault(key, _Loading())
    with turn.lock:
        held: HeldWeights[EngineT_co] | None = _held.get(key)
        if held is None:
            held = _held[key] = load()
        return held
