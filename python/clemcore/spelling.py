"""Names that are nearly known ones: a misspelt name must not count as another, unknown name."""

from __future__ import annotations

from collections.abc import Iterable

# Shorter names are one letter away from too many others.
_SHORTEST = 3
_ALIKE = 0.85


def misspelling_of(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, or None where the name is known itself or is like none.

    Two names are alike if they differ in case, in dashes, in one letter (one too many, missing, replaced, or two
    swapped), or in a small part of a long name.

    Examples:
        >>> misspelling_of("temprature", ["temperature", "top_p"]), misspelling_of("max-tokens", ["max_tokens"])
        ('temperature', 'max_tokens')
        >>> misspelling_of("top_k", ["top_k", "top_p"]) is misspelling_of("seed", ["stop"]) is None
        True
    """
    names = set(known)
    if name in names or len(name) < _SHORTEST:
        return None
    plain = name.strip().lower().replace("-", "_").replace(" ", "_")
    if plain in names:
        return plain
    near = sorted(each for each in names if len(each) >= _SHORTEST and is_one_edit_away(plain, each))
    if near:
        return near[0]
    import difflib

    return next(iter(difflib.get_close_matches(plain, names, n=1, cutoff=_ALIKE)), None)


def is_one_edit_away(left: str, right: str) -> bool:
    """Tell whether one letter makes the difference: added, left out, replaced, or swapped with its neighbour.

    Examples:
        >>> [is_one_edit_away("user", other) for other in ("usr", "users", "uses", "usre", "human")]
        [True, True, True, True, False]
    """
    if abs(len(left) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    left, right = left[start:], right[start:]
    while left and right and left[-1] == right[-1]:
        left, right = left[:-1], right[:-1]
    is_swapped = len(left) == len(right) == 2 and left == right[::-1]  # noqa: PLR2004 - two letters
    return is_swapped or (len(left) <= 1 and len(right) <= 1)
