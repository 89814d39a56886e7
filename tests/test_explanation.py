"""How a selector came to its specification, told in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clemcore.errors import ModelNotFoundError, SpecError
from clemcore.loading import resolve
from clemcore.registry.explanation import Explanation
from clemcore.registry.registry import ModelRegistry
from clemcore.registry.spec import ModelSpec

HERE = """[
  {"model_name": "m", "backend": "lab", "model_config": {"a": 1, "b": {"c": 2}}, "seed": 1},
  {"model_name": "n", "backend": "lab", "aliases": ["m", "x"]},
  {"model_name": "m", "backend": "lab"}
]"""


def explain(selector: Any, text: str = HERE) -> Explanation:
    return ModelRegistry.from_layers([("here.json", text.encode()), ("packaged", None)]).explain(selector)


def test_order_layers_and_refusals() -> None:
    told = explain({"model_name": "m", "model_config": {"a": 2, "b": {"c": 2}}, "seed": 2})
    assert told.layers == [("here.json", 3), ("packaged", 525)]
    assert (told.outcome, told.omitted, told.passed) == ("entry", 0, 526)
    first, second = told.tried
    assert (first["line"], first["by"], second["line"], second["refused"]) == (2, "name", 4, [])
    assert first["refused"] == [
        {"field": "model_config.a", "asked": 2, "found": 1},
        {"field": "seed", "asked": 2, "found": 1},
    ]
    assert told.taken == {
        "entry": 2,
        "model_name": "m",
        "source": "here.json",
        "line": 4,
        "also": [
            {"entry": 1, "model_name": "n", "source": "here.json", "line": 3},
        ],
    }


def test_fields_say_where_they_come_from() -> None:
    told = explain(
        {"model_name": "m", "model_config": {"b": {"d": 3}}, "override": {"model_config": {"a": 5}, "t": {}}}
    )
    assert {row["field"]: row["from"] for row in told.fields} == {
        "model_name": "selector and entry",
        "model_config.a": "override",
        "model_config.b.c": "entry",
        "model_config.b.d": "selector",
        "backend": "entry",
        "seed": "entry",
        "lookup_source": "layer",
        "t": "override",
    }
    assert told.overridden == [{"field": "model_config.a", "old": 1, "new": 5}, {"field": "t", "new": {}}]
    assert "  model_config.a    5  from override (was 1)" in str(told).splitlines()


def test_an_alias_is_told() -> None:
    told = explain("x")
    assert [(trial["model_name"], trial["by"]) for trial in told.tried] == [("n", "alias")]
    assert told.fields[0] == {"field": "model_name", "value": "n", "from": "entry"}


def test_of_thousands_the_near_ones_are_shown() -> None:
    entries = [{"model_name": "m", "backend": "lab", "seed": at, "own": at % 100 == 0} for at in range(1000)]
    text = json.dumps(entries)
    told = explain({"model_name": "m", "seed": -1, "own": True}, text)
    assert (told.outcome, len(told.tried), told.omitted, told.passed) == ("nothing", 10, 990, 525)
    assert [trial["entry"] for trial in told.tried] == list(range(0, 1000, 100))
    assert all(len(trial["refused"]) == 1 for trial in told.tried)
    told = explain({"model_name": "m", "own": True, "seed": 900}, text)
    assert (told.tried[-1]["entry"], told.tried[-1]["refused"], told.omitted) == (900, [], 891)
    assert "compared: 901 entries; 624 passed; the 10 with the fewest contradictions:" in str(told)


def test_names_that_need_no_entry_and_names_that_nothing_has() -> None:
    assert (explain("mock").outcome, explain("mock").fields[1]["from"]) == ("special", "the name")
    assert explain({"model_name": "own", "backend": "mock", "seed": 1}).outcome == "inline"
    told = explain("gpt4o")
    assert (told.outcome, told.spec, told.tried, told.near[0]) == ("nothing", None, [], "gpt-4o")


def test_the_file_of_a_backend_completes_the_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    registry, selector = ModelRegistry(), ModelSpec(model_name="sage")
    assert '{"model_name": "sage", "backend": "…", …}' in registry.why_not_found(selector)
    Path("sage_api.py").touch()
    assert '{"model_name": "sage", "backend": "sage"}' in registry.why_not_found(selector)
    assert '"backend": "…"' in registry.why_not_found(ModelSpec(model_name="x" * 5000))


def test_secrets_are_masked() -> None:
    registry = ModelRegistry().register_from_list({"model_name": "m", "backend": "b", "x": {"api_key": "hunter22"}})
    for selector in (
        {"model_name": "m", "x": {"api_key": "hunter23"}},
        {"model_name": "m", "override": {"x": {"api_key": "hunter24"}}},
        "m",
    ):
        told = registry.explain(selector)
        assert "hunter" not in str(told) + json.dumps(told.to_dict()) + repr(told.spec) + repr(told)
    assert "hunter" not in registry.why_not_found(ModelSpec(model_name="m", x={"api_key": "hunter23"}))


SMALL = st.sampled_from([1, 2, "a", True, {"k": 1}, {"k": 2, "l": 1}, [1]])
ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"model_name": st.sampled_from("mno"), "backend": st.just("lab")},
        optional={"x": SMALL, "y": SMALL, "aliases": st.lists(st.sampled_from("mnop"), max_size=2)},
    ),
    max_size=6,
)
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "model_name": st.sampled_from("mnopq"),
        "x": SMALL,
        "backend": st.sampled_from(["lab", "elsewhere"]),
        "override": st.dictionaries(st.sampled_from("xz"), st.none() | SMALL, max_size=2),
    },
)


@given(ENTRIES, SELECTORS)
def test_it_tells_what_happens(entries: list[dict[str, Any]], selector: dict[str, Any]) -> None:
    registry = ModelRegistry().register_from_list(entries)
    if not selector.keys() - {"override"}:
        for ask in (registry.explain, lambda nothing: resolve(nothing, registry)):
            with pytest.raises(SpecError, match="an empty selector"):
                ask(selector)
        return
    told = registry.explain(selector)
    try:
        spec = resolve(selector, registry)
    except ModelNotFoundError:
        assert (told.outcome, told.rule) == ("nothing", 5)
        return
    assert told.spec == spec
    assert list(told.spec) == list(spec)
    rebuilt: dict[str, Any] = {}
    for row in told.fields:
        *path, last = row["field"].split(".")
        inner = rebuilt
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = row["value"]
    assert rebuilt == spec.to_dict()
    if told.outcome == "entry":
        assert [not trial["refused"] for trial in told.tried] == [False] * (len(told.tried) - 1) + [True]
    assert len(told.tried) + told.omitted + told.passed == len(entries)
    assert isinstance(str(told), str)


def test_files_are_left_alone() -> None:
    assert not list(Path().iterdir())


@pytest.mark.parametrize("selector", [{"model_name": "m", "override": 5}, 7])
def test_a_selector_that_is_none_is_an_error(selector: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a dict|given as a name"):
        explain(selector)
