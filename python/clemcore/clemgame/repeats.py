"""Says once what holds for many episodes, such as that the store which they are in is damaged.

It does not know what is said.
"""

from __future__ import annotations

from collections.abc import Iterable

_DAMAGE = " is damaged: "


def without_repeats(lines: Iterable[str]) -> list[str]:
    """Return problems; of those that name the same damage, the first one and how many more there are.

    Examples:
        >>> without_repeats(["a: x is damaged: y", "b: z", "c: x is damaged: y", "d: z"])
        ['a: x is damaged: y (and 1 more)', 'b: z', 'd: z']
    """
    shown: list[str] = []
    places: dict[str, int] = {}
    more: dict[str, int] = {}
    for line in lines:
        at = line.find(_DAMAGE)
        damage = line[line.rfind(": ", 0, at) + 1 :] if at >= 0 else ""
        if damage and damage in places:
            more[damage] = more.get(damage, 0) + 1
            continue
        if damage:
            places[damage] = len(shown)
        shown.append(line)
    for damage, count in more.items():
        shown[places[damage]] += f" (and {count} more)"
    return shown
