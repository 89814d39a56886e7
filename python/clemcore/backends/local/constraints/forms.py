"""The generation argument ``constraint``: its forms, read and checked. It knows no tokens and no library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("choices", "regex", "json_schema", "grammar")


@dataclass(frozen=True)
class Constraint:
    """What an answer must look like.

    Attributes:
        kind: one of ``choices``, ``regex``, ``json_schema`` and ``grammar``.
        text: the choices as a list in JSON, the regular expression, the schema in JSON, or the grammar.
    """

    kind: str
    text: str

    @property
    def choices(self) -> list[str]:
        """The choices; only of a constraint of this kind."""
        found: list[str] = json.loads(self.text)
        return found


def read_constraint(value: Any) -> Constraint:
    """Read a constraint.

    Args:
        value: an object with one of ``choices`` (a list of texts), ``regex`` (a text), ``json_schema`` (an object)
            and ``grammar`` (a text in the notation of Lark).

    Raises:
        ValueError: it is not one; the message says why.
    """
    if not isinstance(value, Mapping) or len(value) != 1 or not value.keys() <= set(KINDS):
        raise ValueError(f"must be an object with one of {', '.join(KINDS)}, not {value!r:.200}")
    ((kind, content),) = value.items()
    if kind == "choices":
        is_right = isinstance(content, list) and bool(content) and all(isinstance(text, str) for text in content)
        if not is_right or not all(content):
            raise ValueError(f"'choices' must be a list of texts that are not empty, not {content!r:.200}")
        return Constraint(kind, json.dumps(content))
    if kind == "json_schema":
        if not isinstance(content, Mapping):
            raise ValueError(f"'json_schema' must be a JSON schema (an object), not {content!r:.200}")
        return Constraint(kind, json.dumps(content))
    if not isinstance(content, str) or not content:
        raise ValueError(f"{kind!r} must be a text that is not empty, not {content!r:.200}")
    return Constraint(kind, content)
