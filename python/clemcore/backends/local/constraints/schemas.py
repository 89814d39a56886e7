"""Finds keywords of JSON schemas that look misspelt, because a schema with an unknown keyword is valid.

Only keywords that change which answers fit are looked for. Others, such as notes and those that tools add (``x-…``,
``$…``, ``example``), have no effect however they are spelt. It knows neither tokens nor grammars.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from clemcore.spelling import misspelling_of

_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_PARTS = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_OTHERS = """
$dynamicRef $ref additionalItems const dependentRequired enum exclusiveMaximum exclusiveMinimum format maxContains
maxItems maxLength maxProperties maximum minContains minItems minLength minProperties minimum multipleOf pattern
required type unevaluatedItems unevaluatedProperties uniqueItems x-guidance
"""
# The last one is the name that draft 4 has for $id.
_NOTES = """
$anchor $comment $dynamicAnchor $id $schema $vocabulary contentEncoding contentMediaType contentSchema default
deprecated description examples readOnly title writeOnly id
"""
_KEYWORDS = frozenset((*_OF_SCHEMAS, *_LISTS, *_PARTS, *_OTHERS.split()))
_LOWER = {name.lower(): name for name in _KEYWORDS}
_OWN = ("x-", "$")  # prefixes of names that nobody else gives a meaning
# "propertys" and "properties" are as alike as this.
_ALIKE = 0.84


def fault_of_schema(schema: Any, place: str = "") -> str | None:
    """Return which keyword in a JSON schema is nearly a known one, and so would have no effect, or None.

    Args:
        schema: the schema or a part of it.
        place: where the part stands, with a dot at its end.
    """
    if not isinstance(schema, dict):
        return None
    for name in schema:
        near = _meant(name)
        if near is not None:
            return f"'{place}{name}' is not a keyword of JSON schemas: did you mean {near!r}?"
    return next((fault for where, part in _parts(schema, place) if (fault := fault_of_schema(part, where))), None)


def _meant(name: str) -> str | None:
    """Return the keyword that a name nearly is, or None where it is one, or is like none."""
    if name in _KEYWORDS or name in _NOTES.split():
        return None
    plain = name.lower()
    near = misspelling_of(name, _LOWER)
    if near is None and not plain.startswith(_OWN):
        near = next(iter(difflib.get_close_matches(plain, _LOWER, n=1, cutoff=_ALIKE)), None)
    return None if near is None else _LOWER[near]


def _parts(schema: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for name, value in schema.items():
        if name in _OF_SCHEMAS and isinstance(value, dict):
            yield from ((f"{place}{name}.{key}.", part) for key, part in value.items())
        elif name in _LISTS and isinstance(value, list):
            yield from ((f"{place}{name}.{index}.", part) for index, part in enumerate(value))
        elif name in _PARTS:
            yield f"{place}{name}.", value
