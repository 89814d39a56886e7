"""Of which files a model registry is made, in the order in which a selector tries them.

The working directory, ``$CLEMCORE_REGISTRY``, ``~/.clemcore``, plugins, and what comes along. It finds and reads
files and does not know what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clemcore.errors import RegistryError
from clemcore.plugins import entry_points_of

FILE_NAME = "model_registry.json"
PACKAGED = "packaged"
VARIABLE = "CLEMCORE_REGISTRY"
GROUP = "clemcore.registries"


def layers() -> list[tuple[str, bytes | None]]:
    """Read all layers, earlier ones first.

    Returns:
        Pairs of a source (a path, or ``packaged``) and the text; None for the packaged text.

    Raises:
        RegistryError: a file that was named cannot be read, or a plugin's registry cannot be found.
    """
    found: dict[str, bytes] = {}
    for path in _paths():
        name = str(path)
        if name not in found:  # one file in two layers counts in the first
            found[name] = read(path)
    return [*found.items(), (PACKAGED, None)]


def read(path: Path) -> bytes:
    """Read a registry file."""
    try:
        return path.read_bytes()
    except OSError as fault:
        raise RegistryError(f"{path}: cannot be read: {fault.strerror}") from fault


def _paths() -> Iterator[Path]:
    here = Path.cwd() / FILE_NAME
    if here.exists():
        yield here
    yield from _named(os.environ.get(VARIABLE, ""))
    home = Path(os.path.expanduser("~")) / ".clemcore" / FILE_NAME  # noqa: PTH111 - Path.home() raises without HOME
    if home.exists():
        yield home
    yield from _of_plugins()


def _named(value: str) -> Iterator[Path]:
    """Give the files that the variable names; a folder stands for the file in it."""
    for part in value.split(os.pathsep):
        if not part.strip():
            continue
        path = Path(part).expanduser().absolute()
        path = path / FILE_NAME if path.is_dir() else path
        if not path.exists():
            raise RegistryError(f"${VARIABLE} names {part}, but there is no file {path}")
        yield path


def _of_plugins() -> Iterator[Path]:
    """Give the files of installed packages that provide registries, in the order of their entry points' names."""
    for point in entry_points_of(GROUP):
        try:
            given = point.load()
            given = given() if callable(given) else given
        except Exception as fault:
            raise RegistryError(f"the registry plugin '{point.name}' ({point.value}) failed: {fault!r}") from fault
        yield _file_of(point.name, given)


def _file_of(name: str, given: Any) -> Path:
    if not isinstance(given, (str, os.PathLike)):
        raise RegistryError(f"the registry plugin '{name}' must give the path of a file, not {given!r}")
    path = Path(given).absolute()
    path = path / FILE_NAME if path.is_dir() else path
    if not path.exists():
        raise RegistryError(f"the registry plugin '{name}' names {path}, which is not there")
    return path
