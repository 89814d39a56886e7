"""Random numbers of an episode: in its thread, ``random`` and ``numpy.random`` draw from the episode's own stream.

Calls are dispatched by thread, so nothing is copied when the baton changes hands, and a draw by any other thread
changes no episode. It does not know what an episode is.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from clemcore.clemgame.engine.seeds import derived_seed

_NUMPY = "numpy.random"
# Names of numpy.random that are plain functions and use the shared generator.
_FUNCTIONS = ("seed", "get_state", "set_state")
# Names of random that lead to C code of the shared generator, or change its state directly.
_PRIMITIVES = ("random", "getrandbits", "seed", "getstate", "setstate")


class Stream:
    """The random numbers of one episode, from one seed.

    Examples:
        >>> Stream(1).python.random() == Stream(1).python.random()
        True
    """

    __slots__ = ("_numpy", "_python", "seed")

    def __init__(self, seed: int) -> None:
        """Start the stream of a seed."""
        self.seed = seed
        self._python: random.Random | None = None
        self._numpy: Any = None

    @property
    def python(self) -> random.Random:
        """The stream's generator for ``random``."""
        if self._python is None:
            self._python = random.Random(self.seed)  # noqa: S311 - games draw from it
        return self._python

    @property
    def numpy(self) -> Any:
        """The stream's ``numpy.random.RandomState``; NumPy must be loaded."""
        if self._numpy is None:
            make = sys.modules[_NUMPY].RandomState
            self._numpy = make(derived_seed(self.seed, "numpy") % 2**32)
        return self._numpy


class _Here(threading.local):
    stream: Stream | None = None


_here = _Here()


@contextmanager
def drawing_from(stream: Stream | None) -> Iterator[None]:
    """Let this thread draw from a stream inside the block; None means the process's own generators."""
    before, _here.stream = _here.stream, stream
    try:
        yield
    finally:
        _here.stream = before


def draw_from(stream: Stream | None) -> Stream | None:
    """Let this thread draw from a stream from now on; return the one before."""
    before, _here.stream = _here.stream, stream
    return before


class _Dispatching(random.Random):
    """The class of ``random``'s shared generator while episodes are played.

    Every method of ``random.Random`` ends in one of these primitives. Outside of episodes they use the C state of
    the shared generator itself.
    """

    # No slots of its own: otherwise the class of an existing generator could not be changed to it.
    __slots__ = ()

    def random(self) -> float:
        stream = _here.stream
        return super().random() if stream is None else stream.python.random()

    def getrandbits(self, k: int, /) -> int:
        stream = _here.stream
        return super().getrandbits(k) if stream is None else stream.python.getrandbits(k)

    def seed(self, *args: Any, **kwargs: Any) -> None:
        stream = _here.stream
        return super().seed(*args, **kwargs) if stream is None else stream.python.seed(*args, **kwargs)

    def getstate(self) -> tuple[Any, ...]:
        stream = _here.stream
        return super().getstate() if stream is None else stream.python.getstate()

    def setstate(self, state: tuple[Any, ...]) -> None:
        stream = _here.stream
        return super().setstate(state) if stream is None else stream.python.setstate(state)

    @property
    def gauss_next(self) -> float | None:
        """The second number of a pair that ``gauss`` makes."""
        stream = _here.stream
        if stream is None:
            found: float | None = self.__dict__.get("gauss_next")
            return found
        return stream.python.gauss_next  # type: ignore[attr-defined, no-any-return]

    @gauss_next.setter
    def gauss_next(self, value: float | None) -> None:
        stream = _here.stream
        if stream is None:
            self.__dict__["gauss_next"] = value
        else:
            stream.python.gauss_next = value  # type: ignore[attr-defined]


class Dispatch:
    """Dispatches the functions of ``random`` and ``numpy.random`` between :meth:`install` and :meth:`remove`.

    Several may be installed at once, such as those of a run and of environments: the last one undoes everything.
    """

    # An environment that nobody closed is collected at any time, also by a thread that is in here. Whoever is in
    # here has counted itself, so a call of remove() in between undoes nothing that is needed.
    _lock = threading.RLock()
    _installed: _Replaced | None = None
    _users = 0

    def __init__(self) -> None:
        """Change nothing yet."""
        self._is_installed = False

    def install(self) -> None:
        """Dispatch from now on. NumPy is dispatched too, as soon as anything imports it."""
        with Dispatch._lock:
            if self._is_installed:
                return
            self._is_installed = True
            Dispatch._users += 1
            if Dispatch._installed is None:
                Dispatch._installed = _Replaced()
                Dispatch._installed.install()

    def remove(self) -> None:
        """Undo everything, unless others are still installed."""
        with Dispatch._lock:
            if not self._is_installed:
                return
            self._is_installed = False
            Dispatch._users -= 1
            if not Dispatch._users and Dispatch._installed is not None:
                Dispatch._installed.remove()
                Dispatch._installed = None


class _Replaced:
    """The functions that are dispatched, and how to undo it."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._finder = _NumpyFinder(self._numpy_loaded)

    def install(self) -> None:
        shared: Any = random._inst
        replaced: dict[int, Any] = {}
        former_class = shared.__class__
        shared.__class__ = _Dispatching
        self._undo.append(lambda: setattr(shared, "__class__", former_class))
        for name in _PRIMITIVES:
            replaced[id(getattr(random, name))] = getattr(shared, name)
        self._replace(replaced)
        if _NUMPY in sys.modules:
            self._numpy_loaded(sys.modules[_NUMPY])
        else:
            sys.meta_path.insert(0, self._finder)
            self._undo.append(self._finder.remove)

    def remove(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _numpy_loaded(self, module: ModuleType) -> None:
        shared = module.mtrand._rand
        replaced: dict[int, Any] = {}
        for name, value in vars(module).items():
            if getattr(value, "__self__", None) is shared or name in _FUNCTIONS:
                replaced[id(value)] = _numpy_function(name, value)
        replaced[id(module.default_rng)] = _default_rng(module.default_rng)
        self._replace(replaced)

    def _replace(self, replaced: dict[int, Any]) -> None:
        """Replace functions in every module that has them, also those that imported them by name."""
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            if not isinstance(names, dict):
                continue
            for name, value in list(names.items()):
                new = replaced.get(id(value))
                if new is not None:
                    names[name] = new
                    self._undo.append(functools.partial(names.__setitem__, name, value))


def _numpy_function(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def dispatched(*args: Any, **kwargs: Any) -> Any:
        stream = _here.stream
        return (original if stream is None else getattr(stream.numpy, name))(*args, **kwargs)

    return dispatched


def _default_rng(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def default_rng(seed: Any = None) -> Any:
        stream = _here.stream
        if seed is None and stream is not None:  # NumPy would ask the system for a seed
            seed = stream.python.getrandbits(128)
        return original(seed)

    return default_rng


class _NumpyFinder(importlib.abc.MetaPathFinder):
    """Notices when numpy.random is imported, without importing it."""

    def __init__(self, loaded: Callable[[ModuleType], None]) -> None:
        self._loaded = loaded

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _NUMPY:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader: Any = None if spec is None else spec.loader
        if loader is None:
            return None
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._loaded(module)

        loader.exec_module = exec_module
        return spec

    def remove(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
