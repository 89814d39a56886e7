"""JSON schemas and patterns of constraints, before a model is asked: what says nothing, is odd, or is short."""

from __future__ import annotations

import copy
import itertools
import json
import warnings
from typing import Any

import pytest

from clemcore.backends.local.constraints.forms import read_constraint
from clemcore.backends.local.constraints.schemas import fault_of_schema, without_neutral
from clemcore.backends.local.constraints.widths import least_tokens

LETTERS = frozenset(bytes([byte]) for byte in range(256))
NEUTRAL = [
    {"uniqueItems": False},
    {"not": False},
    {"unevaluatedProperties": True},
    {"unevaluatedItems": {}},
    {"propertyNames": True},
    {"propertyNames": {}},
    {"dependentRequired": {}},
    {"dependentSchemas": {}},
    {"minContains": 2},
    {"maxContains": 1},
    {"if": {"type": "string"}},
    {"then": False},
    {"else": False},
]
STRICT = [
    {"uniqueItems": True},
    {"not": {"type": "string"}},
    {"not": True},
    {"unevaluatedProperties": False},
    {"propertyNames": {"maxLength": 1}},
    {"dependentRequired": {"a": ["b"]}},
    {"contains": {"type": "integer"}, "minContains": 2},
    {"if": {"type": "string"}, "then": False},
    {"enum": [{"uniqueItems": False}]},
    {"const": {"not": False}},
    {"default": {"then": 1}, "properties": {"uniqueItems": {"type": "integer"}}},
]
INSTANCES = [
    None,
    True,
    1,
    1.5,
    "",
    "ab",
    [],
    [1, 1],
    ["a", 2],
    {},
    {"a": 1},
    {"ab": 1, "b": 2},
    {"uniqueItems": 1},
]


@pytest.mark.parametrize("neutral", NEUTRAL, ids=json.dumps)
def test_what_says_nothing_is_left_out(neutral: dict[str, Any]) -> None:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    for place in (neutral, {"items": neutral, "anyOf": [neutral]}, {"properties": {"a": neutral}}):
        before = copy.deepcopy(place)
        left = without_neutral(place)
        assert not neutral.keys() & set(_keywords(left))
        assert place == before
        for instance in INSTANCES:
            assert Draft202012Validator(place).is_valid(instance) is Draft202012Validator(left).is_valid(instance)


@pytest.mark.parametrize("schema", STRICT, ids=json.dumps)
def test_what_says_something_stays(schema: dict[str, Any]) -> None:
    assert without_neutral(schema) == schema


def _keywords(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return list(itertools.chain(*map(_keywords, schema)))
    return [*schema, *itertools.chain(*map(_keywords, schema.values()))] if isinstance(schema, dict) else []


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"x-guidance": 5}, "'x-guidance' must be an object, and stand at the top"),
        (
            {"items": {"x-guidance": {"lenient": True}}},
            "'items.x-guidance' must be an object, and stand at the top",
        ),
        ({"properties": {"a": {"enum": []}}}, "'properties.a.enum' is an empty list"),
        ({"patternProperties": 5, "pattern": None, "anyOf": 5, "enum": "a"}, None),  # the library refuses them
        ({"anyOf": []}, "'anyOf' is an empty list"),
        ({"minimum": 5, "exclusiveMinimum": True}, "'exclusiveMinimum' must be a number; True is of draft 4"),
        ({"items": {"pattern": "a\\"}}, "'items.pattern' has 'a\\\\', which ends with a single backslash"),
        ({"patternProperties": {"a\\": {}}}, "'patternProperties' has 'a\\\\', which ends with a single"),
        ({"pattern": "a\\\\", "properties": {"pattern": {"type": "null"}}}, None),
        ({"x-guidance": {"coerce_one_of": True}, "properties": {"x-guidance": {"type": "integer"}}}, None),
    ],
)
def test_what_has_no_effect_or_allows_nothing(schema: dict[str, Any], words: str | None) -> None:
    fault = fault_of_schema(schema)
    assert fault is None if words is None else words in (fault or "")


@pytest.mark.parametrize(
    ("constraint", "most"),
    [
        ({"regex": "[[:digit:]]{10}"}, 10),  # Python reads one class and ten brackets
        ({"regex": "[a-z&&[^b]]{3}"}, 3),
        ({"regex": "[^[a]b]c"}, 2),
        ({"regex": r"\[[a]\]"}, 3),
        ({"json_schema": {"type": "array", "prefixItems": [{"type": "null"}] * 2, "minItems": 2,
                          "items": {"type": "string", "minLength": 90}}}, len("[null,null]")),
        ({"json_schema": {"type": "object", "required": ["é", "é"],
                          "properties": {"é": {"type": "integer"}}}}, len('{"é":1}'.encode())),
    ],
)  # fmt: skip
def test_the_lower_limit_is_not_above_the_shortest_answer(constraint: dict[str, Any], most: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert least_tokens(read_constraint(constraint), LETTERS) <= most
