"""Finds keywords of JSON schemas that look misspelt, because a schema with an unknown keyword is valid.

It also leaves out keywords that say nothing, because the library refuses some of them.

Only keywords that change which answers fit are looked for. Others, such as notes and those that tools add (``x-…``,
``$…``, ``example``), have no effect however they are spelt. It knows neither tokens nor grammars.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
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
# Options of the library, at the top of a schema.
OPTIONS = "x-guidance"
_LIMITS = ("exclusiveMinimum", "exclusiveMaximum")
_NOT_EMPTY = ("enum", "anyOf", "oneOf", "type")
_DEFINITIONS = ("$defs", "definitions")
# Values with which a keyword says nothing, and keywords that say nothing without another one.
_NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "uniqueItems": (False,),
    "not": (False,),
    **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems", "propertyNames"), (True, {})),
    **dict.fromkeys(("dependentRequired", "dependentSchemas"), ({},)),
}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "minContains": ("contains",),
    "maxContains": ("contains",),
    "if": ("then", "else"),
    "then": ("if",),
    "else": ("if",),
}
_OWN = ("x-", "$")  # prefixes of names that nobody else gives a meaning
# "propertys" and "properties" are as alike as this.
_ALIKE = 0.84


def without_neutral(schema: Any) -> Any:
    """Return a schema without keywords that leave every answer allowed, such as ``uniqueItems`` false.

    The library refuses keywords that it cannot enforce, whatever they say. The given schema is not changed.
    """
    if not isinstance(schema, dict):
        return schema
    found: dict[str, Any] = {}
    for name, value in schema.items():
        if _is_neutral(name, value, schema):
            continue
        if name in _OF_SCHEMAS and isinstance(value, dict):
            found[name] = {key: without_neutral(part) for key, part in value.items()}
        elif name in _LISTS and isinstance(value, list):
            found[name] = [without_neutral(part) for part in value]
        else:
            found[name] = without_neutral(value) if name in _PARTS else value
    return found


def _is_neutral(name: str, value: Any, schema: Mapping[str, Any]) -> bool:
    if name in _NEEDED:
        return not any(needed in schema for needed in _NEEDED[name])
    return any(value is neutral or (neutral == {} and value == neutral) for neutral in _NEUTRAL.get(name, ()))


def fault_of_schema(schema: Any, place: str = "") -> str | None:
    """Return which keyword in a JSON schema has no effect or lets no answer fit, or None.

    That is one that is nearly a known one, options of the library anywhere but at the top, and an empty list.

    Args:
        schema: the schema or a part of it.
        place: where the part stands, with a dot at its end.
    """
    if not isinstance(schema, dict):
        return None
    for name, value in schema.items():
        fault = _fault_of(name, value, place) or _fault_of_definitions(name, value, place)
        if fault is not None:
            return fault
    if schema.get("nullable") is True and not _may_be_null(schema):
        return (
            f"'{place}nullable' is of OpenAPI 3.0 and does not allow null here: write it into the type, as "
            '["string", "null"], or as a part {"type": "null"} of anyOf'
        )
    return next((fault for where, part in _parts(schema, place) if (fault := fault_of_schema(part, where))), None)


def _fault_of(name: str, value: Any, place: str) -> str | None:
    """Return what is wrong with one keyword, or None."""
    where, near = f"'{place}{name}'", _meant(name)
    is_of_patterns = name == "patternProperties" and isinstance(value, dict)
    patterns = [value] if name == "pattern" else value if is_of_patterns else ()
    odd = next((each for each in patterns if isinstance(each, str) and ends_with_escape(each)), None)
    fault = None
    if name == OPTIONS and (place or not isinstance(value, (dict, type(None)))):
        fault = f"{where} must be an object, and stand at the top of the schema"
    elif name in _NOT_EMPTY and value == []:
        fault = f"{where} is an empty list, so that no answer fits"
    elif name in _LIMITS and isinstance(value, bool):
        fault = f"{where} must be a number; {value} is of draft 4: write the limit itself there"
    elif odd is not None:
        fault = f"{where} has {odd!r:.60}, which ends with a single backslash, and that escapes nothing"
    elif near is not None:
        fault = f"{where} is not a keyword of JSON schemas: did you mean {near!r}?"
    return fault


def _fault_of_definitions(name: str, value: Any, place: str) -> str | None:
    """Return what is wrong with definitions, of which the library looks only at those that are used."""
    if name not in _DEFINITIONS:
        return None
    if not isinstance(value, dict):
        return f"'{place}{name}' must be an object of schemas by their names, not {value!r:.60}"
    odd = next((key for key, part in value.items() if not isinstance(part, (dict, bool))), None)
    return None if odd is None else f"'{place}{name}.{odd}' must be a schema (an object), not {value[odd]!r:.60}"


def _may_be_null(schema: Mapping[str, Any]) -> bool:
    """Tell whether a schema seems to allow null, as far as that can be seen without references."""
    values, kinds = schema.get("enum"), schema.get("type")
    if "const" in schema or isinstance(values, list):
        return None in (schema.get("const", 0), *(values or ()))
    if kinds is not None:
        return kinds == "null" or (isinstance(kinds, list) and "null" in kinds)
    parts = [part for name in ("anyOf", "oneOf") for part in schema.get(name) or () if isinstance(part, dict)]
    return any(map(_may_be_null, parts)) if parts else "$ref" not in schema and "allOf" not in schema


def ends_with_escape(pattern: str) -> bool:
    """Tell whether a pattern ends with a backslash that escapes nothing; the library leaves it out."""
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1


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
