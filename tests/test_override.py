"""Fields of an entry that are replaced on purpose: the rule, the trace in the record, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clemcore import backends
from clemcore.errors import ModelNotFoundError, SpecError
from clemcore.loading import resolve
from clemcore.registry.override import OverriddenSpec, changes_of, overridden
from clemcore.registry.registry import ModelRegistry
from clemcore.registry.spec import ModelSpec

ENTRY = {
    "model_name": "m",
    "backend": "mock",
    "aliases": ["em"],
    "context_size": "8k",
    "model_config": {"thinking_mode": True, "responses": ["Yes."], "deep": {"a": 1, "b": 2}},
}
HERE = Path("model_registry.json")
HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(autouse=True)
def _registry() -> None:
    HERE.write_text(json.dumps([ENTRY]))


def spec_of(**override: Any) -> ModelSpec:
    return resolve({"model_name": "m", "override": override})


def test_fields_are_replaced_merged_and_removed() -> None:
    spec = spec_of(context_size=None, seed=7, model_config={"thinking_mode": False, "deep": {"a": None, "c": [1]}})
    assert spec.to_dict() == {
        "model_name": "m",
        "aliases": ["em"],
        "backend": "mock",
        "lookup_source": str(HERE.resolve()),
        "model_config": {"thinking_mode": False, "responses": ["Yes."], "deep": {"b": 2, "c": [1]}},
        "seed": 7,
    }
    assert changes_of(spec) == [
        {"field": "context_size", "old": "8k"},
        {"field": "seed", "new": 7},
        {"field": "model_config.thinking_mode", "old": True, "new": False},
        {"field": "model_config.deep.a", "old": 1},
        {"field": "model_config.deep.c", "new": [1]},
    ]


def test_a_value_that_contradicts_finds_nothing_and_the_message_says_how_to_override() -> None:
    with pytest.raises(ModelNotFoundError, match="put it into the selector's 'override'"):
        resolve({"model_name": "m", "model_config": {"thinking_mode": False}})
    assert spec_of(model_config={"thinking_mode": False}).model_config["thinking_mode"] is False


def test_an_override_plays_no_part_in_finding() -> None:
    HERE.write_text(json.dumps([ENTRY, {"model_name": "m", "backend": "openai", "model_id": "x"}]))
    assert spec_of(backend="openai", model_id="y").model_config["responses"] == ["Yes."]
    with pytest.raises(ModelNotFoundError):
        resolve({"model_name": "nowhere", "override": {"model_name": "m", "backend": "mock"}})


def test_what_changes_nothing_leaves_no_trace() -> None:
    spec = spec_of(context_size="8k", model_config={"deep": {"a": 1}, "absent": None})
    assert not isinstance(spec, OverriddenSpec)
    assert spec == resolve("m")
    assert changes_of(spec) == []


def test_names_without_an_entry_and_specifications_as_they_are_can_be_overridden() -> None:
    assert changes_of(resolve({"model_name": "mock", "override": {"seed": 1}})) == [{"field": "seed", "new": 1}]
    given = {"model_name": "own", "backend": "mock", "override": {"model_config": {"responses": ["No."]}}}
    assert backends.get_model_for(given).generate_response(HI)[2] == "No."


def test_the_trace_goes_along() -> None:
    spec = spec_of(seed=7, context_size=None)
    assert isinstance(spec, OverriddenSpec)
    for same in (
        pickle.loads(pickle.dumps(spec)),  # noqa: S301 - our own
        spec.rename("other").rename("m"),
        resolve(spec),
        backends.get_model_for(spec).model_spec,
        ModelRegistry.from_packaged_and_cwd_files().get_first_model_spec_that_unify_with(spec),
    ):
        assert same == spec
        assert changes_of(same) == changes_of(spec)
    assert spec == ModelSpec(**spec.to_dict())
    assert hash(spec) == hash(ModelSpec(**spec.to_dict()))


def test_the_record_and_the_infos_tell_it() -> None:
    selector = {"model_name": "em", "override": {"model_config": {"responses": ["No."]}, "temperature": 0.5}}
    with backends.record("requests.json"):
        model = backends.get_model_for(selector)
        assert model.generate_response(HI)[2] == "No."
        backends.get_model_for("m").generate_response(HI)
    first, second = (call["clemcore"] for call in json.loads(Path("requests.json").read_text()))
    changes = [
        {"field": "model_config.responses", "old": ["Yes."], "new": ["No."]},
        {"field": "temperature", "new": 0.5},
    ]
    assert first["overridden"] == backends.Model.to_infos([model])[0]["overridden"] == changes
    assert first["gen_args"]["asked"] == {"temperature": 0.5}
    assert "overridden" not in second


def test_secrets_are_masked() -> None:
    spec = overridden(ModelSpec(model_name="m", backend="own"), {"model_config": {"api_key": "hunter22"}})
    assert changes_of(spec) == [{"field": "model_config", "new": {"api_key": "***"}}]
    spec = overridden(spec, {"model_config": {"api_key": "hunter23"}})
    assert changes_of(spec) == [{"field": "model_config.api_key", "old": "***", "new": "***"}]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (5, "must be a dict of fields"),
        ({"lookup_source": "x"}, "cannot set 'lookup_source'"),
        ({"override": {}}, "cannot set 'override'"),
        ({"backend": None}, "without its 'backend'"),
        ({"model_name": " "}, "without its 'model_name'"),
        ({"open_weight": "yes"}, "open_weight must be true or false"),
        ({"model_config": {"on_exhausted": "cycel"}}, 'did you mean "cycle"'),
        ({"model_config": {"respnses": []}}, 'did you mean "responses"'),
        ({"contxt_size": 5}, 'did you mean "context_size"'),
    ],
)
def test_what_cannot_be_is_refused(override: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve({"model_name": "m", "override": override})


def test_only_what_changes_is_judged() -> None:
    odd = {**ENTRY, "contxt_size": "x", "release_date": "spring"}
    HERE.write_text(json.dumps([odd]))
    assert spec_of(contxt_size="y", release_date="summer").release_date == "summer"
    unwritable = {"model_config": {"own": {1, 2}}}
    assert resolve({"model_name": "m", "override": unwritable}).model_config["own"] == {1, 2}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4), st.dictionaries(st.sampled_from("abcd"), VALUES)
)
def test_the_trace_leads_back(entry: dict[str, Any], override: dict[str, Any]) -> None:
    before = ModelSpec(model_name="m", backend="own", **entry)
    after = overridden(before, override)
    fields = after.to_dict()
    for change in reversed(changes_of(after)):
        *path, last = change["field"].split(".")
        inner = fields
        for name in path:
            inner = inner[name]
        assert inner.get(last) == change.get("new")
        if "old" in change:
            inner[last] = change["old"]
        else:
            del inner[last]
    assert fields == before.to_dict()
