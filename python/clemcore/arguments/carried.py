"""The generation arguments that a specification carries: everything in it that is not a field of an entry.

The schema of the core knows the fields. It does not know how an argument is sent, nor whether it can be.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from clemcore import _core
from clemcore.arguments.parameter import SAMPLING_FIELDS
from clemcore.registry.spec import ModelSpec
from clemcore.spelling import misspelling_of


def carried_by(spec: ModelSpec, known: Collection[str] | None, added: Collection[str]) -> dict[str, Any]:
    """Return the generation arguments that a specification carries.

    An unknown key is an argument where the selector brings it: it is sent, or refused with the nearest
    name. An entry may hold keys of other readers, so only names of arguments count there, also nearly right ones. A
    custom backend may read any key, so only the names that it lists are its arguments.

    Args:
        spec: the specification.
        known: the arguments that its backend knows; None where it keeps no account of arguments: then it gets the
            sampling parameters.
        added: the keys that the selector brings, in contrast to those of the entry.
    """
    found = {name: spec[name] for name in SAMPLING_FIELDS if name in spec}
    backend = spec.get("backend")
    if known is None or not isinstance(backend, str):
        return found
    is_packaged = backend in _core.known_backends()
    for name in spec:
        use = _core.use_of_key(name, backend)
        if name in found or use == "field":
            continue
        is_strange = is_packaged and use == "unknown"
        if name in known or (is_strange and (name in added or misspelling_of(name, known) is not None)):
            found[name] = spec[name]
    return found
