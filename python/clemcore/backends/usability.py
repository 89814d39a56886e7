"""Whether this installation can run the model of an entry, found out without importing a backend."""

from __future__ import annotations

from pathlib import Path

from clemcore import _core
from clemcore.backends.lookup import BackendRegistry
from clemcore.backends.requirements import missing_packages
from clemcore.errors import BackendNotFoundError
from clemcore.registry.settings import problems_of
from clemcore.registry.spec import ModelSpec


class Usability:
    """Tells for each of many entries why its model cannot be run here; looks at each backend once."""

    def __init__(self, backends: BackendRegistry) -> None:
        """Take the backends that there are."""
        self._backends = backends
        self._packaged = frozenset(_core.known_backends())
        self._known: dict[str, str | None] = {}

    def obstacle(self, spec: ModelSpec) -> str | None:
        """Return why the model of an entry cannot be run, or None if nothing speaks against it.

        A key is not looked for, and nothing is downloaded or connected to.
        """
        name = str(spec.get("backend"))
        if name not in self._known:
            self._known[name] = self._backend(name)
        if self._known[name] is not None:
            return self._known[name]
        if name not in self._packaged or _core.absence(name) is not None:  # a custom backend reads what it likes
            return None
        return next((problem.message for problem in problems_of(spec) if problem.stops_model), None)

    def _backend(self, name: str) -> str | None:
        try:
            row = self._backends.get_first_file_matching(name)
        except BackendNotFoundError as fault:
            return _core.absence(name) or str(fault).partition(":")[0]
        path = Path(row["file_path"])
        missing, command = missing_packages(path) if path.suffix == ".py" else ([], None)
        return f"backend '{name}' needs {', '.join(missing)}: {command}" if missing else None
