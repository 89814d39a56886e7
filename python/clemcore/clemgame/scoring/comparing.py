"""Compares scores. It does not know how they were computed."""

from __future__ import annotations

from typing import Any

_NOT_COMPARED = frozenset({"meta", "players", "player_models"})


def first_difference(before: dict[str, Any], now: dict[str, Any]) -> str | None:
    """Return the first difference between kept and new scores, in one line, or None if they are equal.

    Examples:
        >>> first_difference({"episode scores": {"Main Score": 1}}, {"episode scores": {"Main Score": 2}})
        'episode scores, Main Score: 1 → 2'
    """
    for part in dict.fromkeys([*before, *now]):
        if part not in _NOT_COMPARED:
            old, new = _flat(before.get(part), part), _flat(now.get(part), part)
            for name in dict.fromkeys([*old, *new]):
                if old.get(name) != new.get(name):
                    return f"{name}: {old.get(name, 'nothing')} → {new.get(name, 'nothing')}"
    return None


def _flat(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    flat: dict[str, Any] = {}
    for name, item in value.items():
        flat.update(_flat(item, f"{path}, {name}"))
    return flat
