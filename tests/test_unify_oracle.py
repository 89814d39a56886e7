"""Our unification against nltk's, which clemcore 3.7.2 used.

The two may differ only where the repairs of ``rust/clemcore/src/unify.rs`` apply: a dict meets a list, or a boolean
meets a number. There ours must say no; everywhere else the results are equal, down to types and the order of keys.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nltk.featstruct import unify as nltk_unify

from clemcore import _core

# Few different leaves and keys, so that many pairs meet and many of those agree.
LEAVES = st.sampled_from(
    [
        *(None, True, False, 0, 1, 2, -1, 1.0, 0.0, -0.0, 0.5, float("inf"), float("nan")),
        *(2**53 + 1, float(2**53), 2**70, float(2**70), -(2**70), 10**22, 1e22),
        *("", "a", "b", "1", "?x", "é", "e\u0301", (1, 2), (1, "a"), b"a", frozenset({1}), 1j),
    ]
)
KEYS = st.sampled_from(["a", "b", "c", "B", "é", "\U0001f600", "\uffff", "model_name"])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=6,
)
SPECS = st.dictionaries(KEYS, VALUES, max_size=5)


@st.composite
def families(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw specs of which some are parts of one, so that they unify."""
    whole = draw(SPECS)
    parts = [_part(whole, draw(st.integers(0, 2**16 - 1))) for _ in range(5)]
    return [whole, *parts, draw(SPECS), draw(SPECS)]


def _part(value: Any, choice: int) -> Any:
    """Leave out keys by the bits of a number, and turn the order around."""
    if not isinstance(value, dict):
        return value
    kept = [(key, _part(inner, choice >> 3)) for at, (key, inner) in enumerate(value.items()) if choice >> at & 1]
    return dict(reversed(kept))


def _repaired(left: Any, right: Any) -> bool:
    """Tell whether a repair applies somewhere in a pair."""
    if isinstance(left, dict) and isinstance(right, dict):
        return any(_repaired(left[key], right[key]) for key in left.keys() & right.keys())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and any(map(_repaired, left, right))
    kinds = {type(left), type(right)}
    return kinds == {dict, list} or (bool in kinds and bool(kinds & {int, float, complex}))


def _compare(left: dict[str, Any], right: dict[str, Any]) -> str:
    before = repr((left, right))
    ours = _core.unify(left, right)
    assert repr((left, right)) == before, "the inputs were changed"
    if _repaired(left, right):
        assert ours is None
        return "repaired"
    theirs = nltk_unify(copy.deepcopy(left), copy.deepcopy(right))
    # repr tells 1 from 1.0 and from True, -0.0 from 0.0, and one order of keys from another.
    assert repr(ours) == repr(theirs)
    return "refused" if ours is None else "unified"


def _compare_all(specs: list[dict[str, Any]], seen: dict[str, int]) -> None:
    for left, right in itertools.product(specs, specs):
        kind = _compare(left, right)
        seen[kind] = seen.get(kind, 0) + 1


def test_a_few_hundred_pairs_unify_as_in_nltk() -> None:
    seen: dict[str, int] = {}

    @settings(max_examples=10, derandomize=True, deadline=None, database=None)
    @given(families())
    def compare(specs: list[dict[str, Any]]) -> None:
        _compare_all(specs, seen)

    compare()
    assert sum(seen.values()) >= 10 * 64


@pytest.mark.slow
def test_twenty_thousand_pairs_unify_as_in_nltk() -> None:
    seen: dict[str, int] = {}

    @settings(
        max_examples=500, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(families())
    def compare(specs: list[dict[str, Any]]) -> None:
        _compare_all(specs, seen)

    compare()
    assert sum(seen.values()) >= 20_000, seen
    # None of the three outcomes is rare, so the comparison means something.
    assert min(seen["unified"], seen["refused"], seen["repaired"]) >= 500, seen


@pytest.mark.parametrize(
    ("left", "right", "merged"),
    [
        ({"x": True}, {"x": 1}, None),
        ({"x": 0.0}, {"x": False}, None),
        ({"x": {}}, {"x": []}, None),
        ({"x": {"a": 1}}, {"x": [1]}, None),
        ({"x": True}, {"x": True}, {"x": True}),
        ({"x": float("nan")}, {"x": float("nan")}, None),
        ({"x": {}}, {"x": {"b": 1, "a": 2}}, {"x": {"a": 2, "b": 1}}),
        ({}, {"x": {"b": 1, "a": 2}}, {"x": {"b": 1, "a": 2}}),
    ],
)
def test_the_repairs_and_the_order(
    left: dict[str, Any], right: dict[str, Any], merged: dict[str, Any] | None
) -> None:
    assert repr(_core.unify(left, right)) == repr(merged)
