"""What the check of registries finds wrong with fields of a selector.

Some of what is a warning in a file is an error here, because its author can correct it at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clemcore import _core

# A file NAME_api.py in the working directory is backend NAME, also in place of a packaged one.
BACKEND_SUFFIX = "_api.py"

# A field that a selector adds to an entry, and why it may not: what kind of reason, the nearest name, who reads it.
Added = tuple[str, tuple[str, str | None, list[str]] | None]

UNKNOWN_BACKEND, NEAR_MISS, UNKNOWN_VALUE = "R052", "R053", "R054"
# They stand in for other models, and so take their settings.
_STAND_INS = frozenset({"mock", "human", "replay", "_player_programmed", "_player_human"})
_IDS = frozenset({"model_id", "huggingface_id", "filename"})
_MISSING_ID, _ABSENT_BACKEND = "R045", "R071"
# A secret is masked wherever it is shown, and no file holds it here.
_MASKED_ANYWAY = "R065"


def problems_of(fields: dict[str, Any]) -> list[_core.Problem]:
    """Return what the check of registries says about an entry of these fields; a secret is not a problem here."""
    return [problem for problem in _core.judge(fields) if problem.code != _MASKED_ANYWAY]


def is_refused(problem: _core.Problem) -> bool:
    """Tell whether a selector with this problem is refused; whether its backend exists is found out on loading."""
    if problem.code in (UNKNOWN_BACKEND, _ABSENT_BACKEND):
        return False
    return problem.severity == "error" or problem.stops_model or problem.code == _MISSING_ID


def sentence(problem: _core.Problem) -> str:
    """Return a problem and its help in one line."""
    return (problem.message + (f": {problem.help}" if problem.help else "")).rstrip(".")


def is_within(field: str, paths: set[str]) -> bool:
    """Tell whether a field is one of these, or a part of one."""
    return any(field == path or field.startswith((f"{path}.", f"{path}[")) for path in paths)


def denials(added: list[Added], backend: str) -> list[str]:
    """Say which fields a selector may not add to an entry of a backend, and why."""
    faults = [_denial(field, *denied, backend) for field, denied in added if denied is not None]
    return [] if faults and Path(f"{backend}{BACKEND_SUFFIX}").exists() else faults


def _denial(field: str, kind: str, near: str | None, readers: list[str], backend: str) -> str:
    name = field.rpartition(".")[2]
    if kind == "unread":
        return f"backend '{backend}' does not read '{field}' (read by {', '.join(readers)})"
    if kind == "misplaced":
        return f"'{field}' has no effect: write '{name}' outside of model_config"
    path = field.removesuffix(name)
    return f"nothing reads '{field}'" + (f": did you mean '{path}{near}'?" if near else "")


def near_misses(added: list[Added]) -> list[Added]:
    """Return the fields that are nearly the name of a known one; other unknown ones are legal in an entry."""
    return [(field, denied) for field, denied in added if denied is not None and denied[1] is not None]


def misspelt(added: list[Added], backend: str) -> list[str]:
    """Say which fields of an entry are nearly the name of a known one."""
    return denials(near_misses(added), backend)


def unread(added: list[Added], backend: str) -> list[str]:
    """Say which fields of an entry written inline only other backends read; ids may describe the model."""
    if backend in _STAND_INS:
        return []
    found: list[Added] = [
        (field, why) for field, why in added if why is not None and why[0] == "unread" and field not in _IDS
    ]
    return denials(found, backend)
