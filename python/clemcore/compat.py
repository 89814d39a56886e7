"""Module names of other releases, answered by today's modules.

Games and backends written for 3.7.2 import some modules of ``clemcore.backends`` by names that are gone; scripts
of 2024 say ``import backends``. An alias gives the very same module object, so that classes stay the same
classes. It does not change what any module contains, and it does not know which names a module has.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # as typing's, whose import alone would cost more than all of this package
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

# The one table of modules that moved: old name → new name. First those of 3.7.2, then those of earlier states of
# clemcore 4. Pickles name the module of a class, so they find it here as well.
RENAMED = {
    "clemcore.backends.model_registry": "clemcore.backends",
    "clemcore.backends.backend_registry": "clemcore.backends",
    "clemcore.backends.key_registry": "clemcore.backends",
    "clemcore.spec": "clemcore.registry.spec",
    "clemcore.layers": "clemcore.registry.layers",
    "clemcore.override": "clemcore.registry.override",
    "clemcore.explanation": "clemcore.registry.explanation",
    "clemcore.prices": "clemcore.registry.prices",
    "clemcore.templates": "clemcore.prompts.templates",
    "clemcore.proof": "clemcore.prompts.proof",
    "clemcore.recording": "clemcore.calls.recorder",
    "clemcore.records": "clemcore.calls.reader",
    "clemcore.callcache": "clemcore.calls.cache",
    "clemcore.verification": "clemcore.verify",
    "clemcore.clemeval": "clemcore.cli.clemeval",
    "clemcore.clemgame.episodes": "clemcore.clemgame.layout.episodes",
    "clemcore.clemgame.replaying": "clemcore.clemgame.runs.replaying",
    "clemcore.clemgame.run": "clemcore.clemgame.runs.run",
    "clemcore.clemgame.settings": "clemcore.clemgame.runs.settings",
    "clemcore.clemgame.spec": "clemcore.clemgame.reading.spec",
    "clemcore.clemgame.until": "clemcore.clemgame.runs.until",
    "clemcore.clemgame.watching": "clemcore.clemgame.runs.watching",
    # Games of 2024 and of 1.x.
    "clemcore.clemgame.clemgame": "clemcore.clemgame",
    "clemcore.clemgame.file_utils": "clemcore.utils.file_utils",
    "clemcore.clemgame.string_utils": "clemcore.utils.string_utils",
}
# Top-level packages of 2024, for scripts run by ``python -m clemcore`` and programs that call :func:`install`.
TOP_LEVEL = {"backends": "clemcore.backends", "clemgame": "clemcore.clemgame"}


class _AliasLoader:
    """Loads nothing: hands out the module that is there already."""

    def __init__(self, target: str) -> None:
        self._target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002 - the protocol of loaders
        module = importlib.import_module(self._target)
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec  # the import system has just put the alias's there


class _AliasFinder:
    """Finds alias names; for all other names it is not responsible."""

    def __init__(self) -> None:
        self.top_level = False

    def target(self, name: str) -> str | None:
        """Return the name of today's module, which need not exist, or None where the name is not an alias."""
        first, dot, rest = name.partition(".")
        if self.top_level and first in TOP_LEVEL:
            name = TOP_LEVEL[first] + dot + rest
            return _renamed(name) or _without_api(name) or name
        return _renamed(name) or _without_api(name)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol of finders
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        found = self.target(name)
        if found is None or not _exists(found):
            return None  # the import system then complains about the name that the script wrote
        return ModuleSpec(name, _AliasLoader(found))  # type: ignore[arg-type]


class _Adviser:
    """Comes last: says what to do about a module of another release that no other finder has found."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol of finders
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if name not in TOP_LEVEL or _finder.top_level:
            return None
        raise ModuleNotFoundError(
            f"No module named '{name}': {TOP_LEVEL[name]} had this name in 2024. Start the script with "
            "'python -m clemcore SCRIPT.py', or call clemcore.compat.install() before this import.",
            name=name,
        )


def _renamed(name: str) -> str | None:
    """Return today's name of a module that moved, or of a module inside a package that moved."""
    if name in RENAMED:
        return RENAMED[name]
    package, _, rest = name.rpartition(".")
    return f"{RENAMED[package]}.{rest}" if package in RENAMED else None


def _without_api(name: str) -> str | None:
    """Return ``clemcore.backends.NAME`` for 3.7.2's ``clemcore.backends.NAME_api``."""
    if name.startswith("clemcore.backends.") and name.endswith("_api"):
        return name.removesuffix("_api")
    return None


def _exists(module: str) -> bool:
    if module in sys.modules:
        return True
    import importlib.util  # only here: it is a third of what importing this package costs

    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent does not exist
        return False


_finder = _AliasFinder()
_adviser = _Adviser()


def answer_renamed() -> None:
    """Answer the old names of modules inside clemcore; importing clemcore does this."""
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
        sys.meta_path.append(_adviser)


def install() -> None:
    """Let ``import backends`` mean ``clemcore.backends`` from now on, as in 2024; for notebooks and old programs.

    The name then comes before any module ``backends`` beside the script.

    Raises:
        ImportError: another module of that name is imported already.
    """
    for name, today in TOP_LEVEL.items():
        module = sys.modules.get(name)
        if module is not None and module is not sys.modules.get(today):
            raise ImportError(
                f"another module '{name}' is imported already ({getattr(module, '__file__', None)}): call "
                "clemcore.compat.install() before it, or remove it from the path",
                name=name,
            )
    answer_renamed()
    _finder.top_level = True
