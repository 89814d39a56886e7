"""The entries of a registry while some are put in: found by name without a look at all others.

It knows which entry one is meant to change. It knows no files, and nothing of how selectors find entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clemcore.errors import SpecError
from clemcore.registry.override import joined
from clemcore.registry.spec import ModelSpec


class Entries:
    """Specifications in order, of which any can be replaced and others put to the front."""

    def __init__(self, specs: Iterable[ModelSpec]) -> None:
        """Take the specifications, first to last."""
        # Kept from the last to the first, so that one that is put to the front moves no other.
        self._specs = list(specs)[::-1]
        self._named: dict[str | None, list[int]] = {}
        for place, spec in enumerate(self._specs):
            self._named.setdefault(_name(spec), []).append(place)

    def __contains__(self, spec: ModelSpec) -> bool:
        """Tell whether there is an equal one."""
        return any(self._specs[place] == spec for place in self._named.get(_name(spec), ()))

    def index_of(self, entry: Mapping[str, Any], source: str | None = None) -> int | None:
        """Find the one that an entry is meant to change: same name and, if several have it, same backend.

        Args:
            entry: the fields.
            source: the ``lookup_source`` that it must have; None for any.
        """
        same = [
            place
            for place in reversed(self._named.get(_name(entry), ()))
            if self._specs[place].get("model_name") == entry.get("model_name")
            and (source is None or self._specs[place].get("lookup_source") == source)
        ]
        exact = [place for place in same if self._specs[place].get("backend") == entry.get("backend")]
        chosen = exact or same
        return len(self._specs) - 1 - chosen[0] if chosen else None

    def put(self, spec: ModelSpec, index: int | None) -> None:
        """Put one in place of the one at an index, which has its name; without an index to the front."""
        if index is None:
            self._named.setdefault(_name(spec), []).append(len(self._specs))
            self._specs.append(spec)
        else:
            self._specs[-1 - index] = spec

    def merged(self, new: dict[str, Any], reset: bool) -> tuple[int | None, dict[str, Any]]:
        """Say which entry new fields change, and what it is then.

        Args:
            new: the fields; with a ``lookup_source`` only an entry of that source is changed.
            reset: take the new fields alone; otherwise the others stay, and nested dicts are merged.

        Raises:
            SpecError: no backend is given, and no entry of that name has one.
        """
        index = self.index_of(new, new.get("lookup_source"))
        if "backend" not in new:
            other = index if index is not None else self.index_of(new)
            if other is None:
                raise SpecError(
                    f"model '{new.get('model_name')}' needs a 'backend': no entry of that name has one to take over"
                )
            backend = self._specs[-1 - other]["backend"]
            new = {"model_name": new.get("model_name"), "backend": backend, **new}
        if index is None or reset:
            return index, new
        return index, joined(self._specs[-1 - index].to_dict(), new)


def _name(fields: Mapping[str, Any] | ModelSpec) -> str | None:
    """Return the name, if it is one."""
    name = fields.get("model_name")
    return name if isinstance(name, str) else None
