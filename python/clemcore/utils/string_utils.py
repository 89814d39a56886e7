"""Texts: what games do with the words of a response."""

from __future__ import annotations

import json
import string
from collections.abc import Callable, Sequence
from typing import Any

_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def remove_punctuation(text: str) -> str:
    """Return the text without ASCII punctuation.

    Examples:
        >>> remove_punctuation("Well, yes!")
        'Well yes'
    """
    return text.translate(_WITHOUT_PUNCTUATION)


def to_pretty_json(data: Any) -> str:
    r"""Return a value as indented JSON in which line feeds are shown as such.

    Examples:
        >>> print(to_pretty_json({"a": "1\n2"}))
        {
          "a": "1
        2"
        }
    """
    text = json.dumps(data, indent=2, sort_keys=True, default=str, ensure_ascii=False)
    return text.replace("\\n", "\n")


def str_to_bool(s: str) -> bool:
    """Read true/false, yes/no, on/off or 1/0.

    Raises:
        ValueError: it is none of them.
    """
    word = s.lower()
    if word in ("true", "yes", "on", "1"):
        return True
    if word in ("false", "no", "off", "0"):
        return False
    raise ValueError(f"{s!r} is not a truth value: write true, yes, on, 1, false, no, off or 0")


def try_convert(value: str, data_types: Sequence[Callable[[str], Any]]) -> Any:
    """Return the value as the first of these types that takes it, else as it is."""
    for convert in data_types:
        try:
            return convert(value)
        except ValueError:
            continue
    return value


def read_query_string(query_string: str | None) -> dict[str, Any] | None:
    """Read ``key=value,key=value``; values become bools and numbers where they can.

    Examples:
        >>> read_query_string("split=train, shots=3")
        {'split': 'train', 'shots': 3}

    Raises:
        ValueError: a part has no ``=``.
    """
    if query_string is None:
        return None
    pairs: dict[str, Any] = {}
    for part in query_string.split(",") if query_string else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} is not of the form key=value")
        pairs[key.strip()] = try_convert(value.strip(), (str_to_bool, int, float))
    return pairs
