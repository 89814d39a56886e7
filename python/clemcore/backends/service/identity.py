"""Who answers: whether the model that a service says it served is still the one of the first answer.

It knows what services say about themselves (``served_model``, ``system_fingerprint``), and no wire format.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)

_FIELDS = ("served_model", "system_fingerprint")


class Identity:
    """What the answers of one model say about who gave them.

    Args:
        spec: the entry; ``on_identity_change`` is read from it.

    Raises:
        SpecError: it is none of ``warn``, ``error`` and ``ignore``.
    """

    def __init__(self, spec: ModelSpec) -> None:
        """Know nobody yet."""
        self._name = spec["model_name"]
        self._policy = setting(spec, "on_identity_change", "warn")
        self._first: dict[str, Any] = {}
        # What the last answer said, where it was no change: the usual case needs no further look.
        self.last: tuple[Any, Any] | None = None
        self._told: set[tuple[str, Any]] = set()

    def change(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Compare an answer with the first one that said anything.

        Returns:
            The changes: field → ``{"first": …, "now": …}``. A field that the service leaves out is not a change.
        """
        found = {}
        for field in _FIELDS:
            now = facts.get(field)
            if not isinstance(now, str):
                continue
            first = self._first.setdefault(field, now)
            if first != now:
                found[field] = {"first": first, "now": now}
        if not found:
            self.last = facts.get(_FIELDS[0]), facts.get(_FIELDS[1])
        return found

    def verdict(self, change: Mapping[str, Any]) -> str | None:
        """Return what is wrong with an answer by another, or None where it may be used; warn once about each."""
        if not change or self._policy == "ignore":
            return None
        words = ", ".join(f"{field} was {each['first']!r} and is {each['now']!r}" for field, each in change.items())
        if self._policy == "error":
            return f"another answers than before: {words} (model_config.on_identity_change)"
        seen = {(field, each["now"]) for field, each in change.items()}
        if not seen <= self._told:
            self._told |= seen
            logger.warning("model '%s': another answers than before: %s", self._name, words)
        return None
