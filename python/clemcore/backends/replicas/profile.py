"""What an answer of a replica depends on besides the question, and how the replicas of a model differ in it.

It knows local models, and nothing about where they run.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

from clemcore._core import __version__
from clemcore.backends.local.audit.result import fingerprint_of
from clemcore.backends.local.measured import MeasuredModel
from clemcore.errors import SpecError
from clemcore.model import Model

Profile = Mapping[str, Any]
_FIX = (
    "Use machines with the same devices and packages, give all replicas the same threads (threads_per_replica), or "
    'set exactness to "fast" in the model\'s entry if answers may depend on the replica'
)


def profile_of(model: Model) -> dict[str, Any]:
    """Return what the answers of a loaded model depend on.

    Returns:
        Weights, format, device, threads and libraries of a local model; versions of every model.
    """
    found: dict[str, Any] = {"python": platform.python_version(), "clemcore": __version__}
    if isinstance(model, MeasuredModel):
        found |= fingerprint_of(model._require_engine().describe(), model._weights.facts)
    return found


def differences(one: Profile, other: Profile, place: str = "") -> list[str]:
    """Return where two profiles differ, in words.

    Examples:
        >>> differences({"threads": 1, "libraries": {"torch": "1"}}, {"threads": 2, "libraries": {"torch": "2"}})
        ['threads 1 and 2', 'libraries.torch 1 and 2']
    """
    found = []
    for name in dict.fromkeys((*one, *other)):
        before, now = one.get(name), other.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found += differences(before, now, f"{place}{name}.")
        elif before != now:
            found.append(f"{place}{name} {before} and {now}")
    return found


def require_alike(model_name: str, profiles: Sequence[Profile], nodes: Sequence[str], first: Profile) -> None:
    """Refuse replicas whose answers could differ.

    Args:
        model_name: for the message.
        profiles: one for each replica.
        nodes: where each runs.
        first: the profile with which each is compared.

    Raises:
        SpecError: some differ; all of them are listed.
    """
    faults = []
    for number, (profile, node) in enumerate(zip(profiles, nodes, strict=True)):
        if found := differences(first, profile):
            faults.append(f"replica {number} on {node} differs from the first ({'; '.join(found)})")
    if faults:
        raise SpecError(f"model '{model_name}': exact answers need equal replicas, but {'; '.join(faults)}. {_FIX}")
