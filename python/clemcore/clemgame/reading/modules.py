"""Imports the folder of one game, and unloads exactly its modules again.

Games are scripts: they import ``utils`` or ``players`` from their own folder, and the next game has others of these
names. It does not know what is in the modules.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from clemcore.clemgame.reading.fingerprint import code_folders

# Below these, modules belong to installed packages, also if the environment lies in the game's folder.
_INSTALLED = frozenset({"site-packages", "dist-packages"})

# Games that are loaded now; a program can load several.
_loaded: list[GameModules] = []
# The path as it was before the first of them.
_path_before: list[str] = []


class GameModules:
    """The modules of one game while it is loaded.

    The game's folder is on the path from :meth:`load` to :meth:`close`. So is its parent folder, if the game's name
    starts with the name of that folder (``mm_mapworld/mm_mapworld_graphs``).

    Args:
        name: the name of the game.
        folder: its folder.
    """

    def __init__(self, name: str, folder: str) -> None:
        self._name = name
        self._folders = [str(path) for path in code_folders(Path(folder))]
        self._real = [os.path.realpath(path) for path in self._folders]
        self._known: dict[str, Any] = {}

    def load(self) -> ModuleType:
        """Import the game's ``master.py``.

        Raises:
            BaseException: whatever the game's code raises. Nothing of the game stays loaded then.
        """
        for other in _loaded:  # its objects stay alive, but its `utils` must not be taken for ours
            other.unload()
        self._known = dict(sys.modules)
        if not _loaded:
            _path_before[:] = sys.path
        # The game's own folder comes before its parent.
        sys.path[:0] = self._folders
        _loaded.append(self)
        try:
            importlib.invalidate_caches()
            return self._import_master()
        except BaseException:
            self.close()
            raise

    def _import_master(self) -> ModuleType:
        name = self._free_name()
        spec = importlib.util.spec_from_file_location(name, os.path.join(self._folders[0], "master.py"))  # noqa: PTH118
        if spec is None or spec.loader is None:  # pragma: no cover - only for endings that Python does not know
            raise ImportError(f"{self._folders[0]}/master.py cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
        return module

    def _free_name(self) -> str:
        """Return the game's name as the module's name, unless the game could mean another module by it."""
        name = self._name
        is_taken = not name.isidentifier() or name in sys.modules or name in sys.stdlib_module_names
        if is_taken or any(
            # A name that no file can have is not that of one.
            os.path.exists(f"{folder}/{name}{end}")  # noqa: PTH110
            for folder in self._folders
            for end in ("", ".py")
        ):
            return f"_clemgame_{name.replace('.', '_')}"
        return name

    def close(self) -> None:
        """Unload the game's modules, and take its folders off the path."""
        if self not in _loaded:
            return
        _loaded.remove(self)
        self.unload()
        if not _loaded:
            sys.path[:] = _path_before  # also without what the game has added
            return
        for folder in self._folders:
            if folder in sys.path:
                sys.path.remove(folder)  # the first one, which is ours; one that was there before stays

    def unload(self) -> None:
        """Unload the modules whose files lie in the game's folders and that were not loaded before."""
        for name, module in list(sys.modules.items()):
            if self._known.get(name) is not module and self._owns(module):
                del sys.modules[name]

    def modules(self) -> list[ModuleType]:
        """Return the modules of the game that are loaded now."""
        there = list(sys.modules.items())
        return [module for name, module in there if self._known.get(name) is not module and self._owns(module)]

    def _owns(self, module: Any) -> bool:
        try:
            return any(self._holds(path) for path in _paths(module))
        except Exception:  # noqa: BLE001 - a lazy module may raise anything when it is looked at
            return False

    def _holds(self, path: str) -> bool:
        real = os.path.realpath(path)
        for folder in self._real:
            if real.startswith(folder + os.sep):
                return _INSTALLED.isdisjoint(Path(real[len(folder) :]).parts)
        return False


def _paths(module: Any) -> list[str]:
    """Return the file of a module, or the folders of a package without one."""
    fields = getattr(module, "__dict__", {})  # not getattr of the fields: modules that load lazily would run code
    file = fields.get("__file__")
    return [file] if isinstance(file, str) else [str(path) for path in fields.get("__path__") or ()]
