"""From a backend's name to its class: where backends are looked for, and how their module is loaded.

Looked for in this order: ``<name>_api.py`` in the working directory, the packaged ``clemcore/backends/<name>.py``
or ``<name>/__init__.py``,
entry points of installed packages in the group ``clemcore.backends``. Nothing is imported before it is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from clemcore import _core
from clemcore.errors import BackendLoadError, BackendNotFoundError
from clemcore.plugins import entry_points_of
from clemcore.registry.judgement import BACKEND_SUFFIX as SUFFIX

if TYPE_CHECKING:
    from clemcore.backends.base import Backend

GROUP = "clemcore.backends"

# Names that registry entries of 3.7.2 carry for what is not a language model.
ALIASES = {"_player_human": "human", "_player_programmed": "mock"}

_HERE = Path(__file__).parent
# Modules and folders here that are not backends.
_NOT_BACKENDS = frozenset(
    {
        "__init__",
        "base",
        "lookup",
        "utils",
        "custom_keys",
        "requirements",
        "shadowing",
        "usability",
        "service",
        "local",
        "compared",
        "replicas",
    }
)


def packaged_backends() -> list[str]:
    """Return the names of the backends that come with clemcore."""
    names = {path.stem for path in _HERE.glob("*.py")} | {path.parent.name for path in _HERE.glob("*/__init__.py")}
    return sorted(name for name in names if name not in _NOT_BACKENDS and not name.startswith("_"))


def packaged_file(name: str) -> Path:
    """Return the file of a packaged backend: ``NAME.py``, or ``NAME/__init__.py`` where it needs a folder."""
    folder = _HERE / name / "__init__.py"
    return folder if folder.is_file() else _HERE / f"{name}.py"


def packaged_backend(name: str) -> type[Backend] | None:
    """Return the class of a backend that comes with clemcore, or None; files of a user are not looked at."""
    if name not in packaged_backends():
        return None
    row = _row(name, packaged_file(name).name, str(packaged_file(name)), "packaged")
    return _backend_class(importlib.import_module(f"clemcore.backends.{name}"), row)


def to_backend_name(file_name: str) -> str:
    """Return the backend name that a file in the working directory stands for."""
    return file_name.removesuffix(SUFFIX)


def is_backend_file(file_name: str) -> bool:
    """Tell whether a file name is that of a backend."""
    return file_name.endswith(SUFFIX) and file_name != SUFFIX


def is_backend(obj: object) -> bool:
    """Tell whether an object is a backend class, other than the base class itself."""
    from clemcore.backends.base import Backend  # only here: names are listed without any model

    # In Python 3.10 list[int] says that it is a class; its own type tells.
    return issubclass(type(obj), type) and issubclass(obj, Backend) and obj is not Backend  # type: ignore[arg-type]


class BackendRegistry:
    """The backends that can be loaded, as rows ``{backend, file_name, file_path, lookup_source}``."""

    def __init__(
        self, backend_files: list[dict[str, str]], plugins: Callable[[], list[dict[str, str]]] | None = None
    ) -> None:
        """Take the rows; the two internal names of 3.7.2 are added.

        Args:
            backend_files: rows, in the order in which they are tried.
            plugins: gives the rows that are tried last. It is called when all rows are asked for, or when no
                other has the name: looking through all installed packages costs more than everything else.
        """
        self._backend_files = [
            *backend_files,
            *(_row(name, "_internal", "_internal", "packaged") for name in ALIASES),
        ]
        self._plugins = plugins

    def _all(self) -> list[dict[str, str]]:
        if self._plugins is not None:
            plugins, self._plugins = self._plugins, None
            self._backend_files += plugins()
        return self._backend_files

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._all())

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Iterate over the rows."""
        return iter(self._all())

    @staticmethod
    def list_backend_files(dir_path: str | Path, *, lookup_source: str | None = None) -> list[dict[str, str]]:
        """Return a row for each ``<name>_api.py`` of a folder, sorted by name."""
        files = sorted(path for path in Path(dir_path).iterdir() if is_backend_file(path.name))
        return [_row(to_backend_name(p.name), p.name, str(p), lookup_source or str(p)) for p in files]

    @classmethod
    def from_directory(cls, dir_path: str | Path) -> BackendRegistry:
        """Look only in one folder."""
        return cls(cls.list_backend_files(dir_path))

    @classmethod
    def from_packaged_and_cwd_files(cls) -> BackendRegistry:
        """Look in the working directory, in this package, and in installed packages, in this order."""
        rows = cls.list_backend_files(Path.cwd(), lookup_source="cwd")
        files = {name: packaged_file(name) for name in packaged_backends()}
        rows += [_row(name, str(path.relative_to(_HERE)), str(path), "packaged") for name, path in files.items()]
        return cls(rows, _plugin_rows)

    def is_supported(self, backend_name: str) -> bool:
        """Tell whether there is a backend of that name."""
        return self._find(backend_name) is not None

    def _find(self, backend_name: str) -> dict[str, str] | None:
        return next(
            (row for rows in (self._backend_files, self) for row in rows if row["backend"] == backend_name),
            None,
        )

    def names(self) -> list[str]:
        """Return the names of all backends, sorted, without the second names of 3.7.2."""
        return sorted({row["backend"] for row in self if not row["backend"].startswith("_")})

    def nearest(self, backend_name: str, likeness: float = 0.6) -> str | None:
        """Return the name that is most like another, or None where none is like it (1.0 is equal)."""
        import difflib

        return next(iter(difflib.get_close_matches(backend_name, self.names(), n=1, cutoff=likeness)), None)

    def get_first_file_matching(self, backend_selector: str) -> dict[str, str]:
        """Return the first row of that name.

        Raises:
            BackendNotFoundError: there is none; the message lists those there are, nearest first.
        """
        row = self._find(backend_selector)
        if row is not None:
            return row
        from clemcore.visible import visible  # only here: most programs never show an error

        if (sentence := _core.absence(visible(str(backend_selector)))) is not None:
            raise BackendNotFoundError(sentence)
        known, near = self.names(), self.nearest(str(backend_selector))
        hint = f"did you mean '{near}'? " if near else ""
        raise BackendNotFoundError(
            f"no backend '{backend_selector}': {hint}known are {', '.join(known)}; "
            f"a custom backend is a file {backend_selector}{SUFFIX} in {Path.cwd()}"
        )

    def get_backend_for(self, backend_selector: str) -> Backend:
        """Load a backend's module and make the backend.

        Raises:
            BackendNotFoundError: there is no backend of that name.
            BackendLoadError: its module does not define exactly one backend class.
            ModuleNotFoundError: it imports what is not installed.
        """
        return self.get_backend_class(backend_selector)()

    def get_backend_class(self, backend_selector: str) -> type[Backend]:
        """Load a backend's module and return its class; making the backend itself may need a key.

        Raises:
            BackendNotFoundError: there is no backend of that name.
            BackendLoadError: its module does not define exactly one backend class.
        """
        row = self.get_first_file_matching(backend_selector)
        if row["lookup_source"].startswith("entry point"):
            return _from_entry_point(backend_selector)
        if row["lookup_source"] == "packaged":
            name = ALIASES.get(backend_selector, backend_selector)
            return _backend_class(importlib.import_module(f"clemcore.backends.{name}"), row)
        return _backend_class(_load_file(Path(row["file_path"])), row)


def _row(backend: str, file_name: str, file_path: str, lookup_source: str) -> dict[str, str]:
    return {
        "backend": backend,
        "file_name": file_name,
        "file_path": file_path,
        "lookup_source": lookup_source,
    }


def _plugin_rows() -> list[dict[str, str]]:
    return [
        _row(point.name, point.value, point.value, f"entry point of {_distribution(point)}")
        for point in entry_points_of(GROUP)
    ]


def _distribution(point: Any) -> str:
    return str(point.dist.name if point.dist is not None else point.value)


def _from_entry_point(name: str) -> type[Backend]:
    point = next(point for point in entry_points_of(GROUP) if point.name == name)
    target = point.load()
    if isinstance(target, ModuleType):
        return _backend_class(target, _row(name, point.value, point.value, "entry point"))
    if not is_backend(target):
        raise BackendLoadError(
            f"the entry point '{name} = {point.value}' must name a subclass of clemcore.backends.Backend "
            "or a module that defines one"
        )
    cls: type[Backend] = target
    return cls


def _load_file(path: Path) -> ModuleType:
    """Import a file of the working directory once, under its own name, so that its objects can be pickled."""
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BackendLoadError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as fault:
        del sys.modules[name]
        # Files written for 3.7.2 import what that release brought along (`retry`, the SDKs, …).
        told = str(fault)
        if told == f"No module named {fault.name!r}":
            told = f"it needs the module '{fault.name}', which is not installed"
        raise ModuleNotFoundError(f"{path} cannot be imported: {told}", name=fault.name) from fault
    except BaseException:
        del sys.modules[name]
        raise
    return module


# Where clemcore keeps classes to derive from: a module that imports one offers it as little as `Backend`.
_BASES = ("clemcore.backends.base", "clemcore.backends.service.")


def _backend_class(module: ModuleType, row: dict[str, str]) -> type[Backend]:
    """Return the one backend class of a module: defined there, or else the only one that it imports."""
    # One class may have two names in a module; dict keys keep the order and the first of each.
    classes = dict.fromkeys(value for value in list(vars(module).values()) if is_backend(value))
    visible = [cls for cls in classes if not getattr(cls, "__abstractmethods__", None)]
    own = [cls for cls in visible if cls.__module__ == module.__name__]
    candidates = own or [cls for cls in visible if not cls.__module__.startswith(_BASES)]
    if len(candidates) != 1:
        found = ", ".join(cls.__name__ for cls in candidates) or "none"
        raise BackendLoadError(
            f"{row['file_path']} must define exactly one subclass of clemcore.backends.Backend "
            f"for backend '{row['backend']}'; found: {found}"
        )
    cls: type[Backend] = candidates[0]
    return cls
