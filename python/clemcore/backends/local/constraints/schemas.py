"""Finds keywords of JSON schemas that look misspelt, because a schema with an unknown keyword is valid.

It knows neither tokens nor grammars.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clemcore.spelling import misspelling_of

_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_PARTS = ("items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else")
_OTHERS = """
$anchor $comment $dynamicRef $id $ref $schema $vocabulary additionalItems const contentEncoding contentMediaType
contentSchema default dependentRequired deprecated description enum examples exclusiveMaximum exclusiveMinimum
format maxContains maxItems maxLength maxProperties maximum minContains minItems minLength minProperties minimum
multipleOf pattern readOnly required title type unevaluatedItems unevaluatedProperties uniqueItems writeOnly
x-guidance
"""
_KEYWORDS = frozenset((*_OF_SCHEMAS, *_LISTS, *_PARTS, *_OTHERS.split()))
_LOWER = {name.lower(): name for name in _KEYWORDS}


def fault_of_schema(schema: Any, place: str = "") -> str | None:
    """Return which keyword in a JSON schema is nearly a known one, and so would have no effect, or None.

    Args:
        schema: the schema or a part of it.
        place: where the part stands, with a dot at its end.
    """
    if not isinstance(schema, dict):
        return None
    for name in schema:
        near = None if name in _KEYWORDS else misspelling_of(name, _LOWER)
        if near is not None:
            return f"'{place}{name}' is not a keyword of JSON schemas: did you mean {_LOWER[near]!r}?"
    return next((fault for where, part in _parts(schema, place) if (fault := fault_of_schema(part, where))), None)


def _parts(schema: dict[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    for name, value in schema.items():
        if name in _OF_SCHEMAS and isinstance(value, dict):
            yield from ((f"{place}{name}.{key}.", part) for key, part in value.items())
        elif name in _LISTS and isinstance(value, list):
            yield from ((f"{place}{name}.{index}.", part) for index, part in enumerate(value))
        elif name in _PARTS:
            yield f"{place}{name}.", value
