"""What a selector stands for: the five points of docs/decisions/0010-what-a-selector-means.md."""

from __future__ import annotations

import copy
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core, backends
from clemcore.arguments.parameter import SAMPLING_FIELDS
from clemcore.errors import ModelNotFoundError, SpecError
from clemcore.registry import ModelRegistry, ModelSpec, resolve
from clemcore.registry.spec import ResolvedSpec
from support.clem import Clem

ENTRIES: list[dict[str, Any]] = [
    {"model_name": "far", "backend": "openai", "model_id": "far-1", "release_date": "2024-01-01"},
    {"model_name": "near", "backend": "huggingface_local", "huggingface_id": "org/near", "aliases": ["close"]},
    {
        "model_name": "near",
        "backend": "openai_compatible",
        "model_id": "near-api",
        "base_url": "http://127.0.0.1/v1",
    },
    {"model_name": "far-again", "backend": "openrouter", "model_id": "far-1", "context_size": "8k"},
    {"model_name": "ours", "backend": "lab", "model_config": {"speed": 3}},
]


@pytest.fixture(autouse=True)
def _registry() -> None:
    Path("model_registry.json").write_text(json.dumps(ENTRIES, indent=1))


def found(selector: Any) -> tuple[str, Any]:
    resolution = resolve(selector)
    return resolution.outcome, (resolution.spec.get("model_name"), resolution.spec.get("backend"))


# -- rule 1 and resolved specifications --------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mock", "human", "terminal", "dry_run", "replay:record.json#m"])
def test_a_special_name_needs_no_entry(name: str) -> None:
    assert resolve(name).outcome == resolve({"model_name": name, "temperature": 1}).outcome == "special"


@pytest.mark.parametrize("field", ["model_confg", "temprature"])
def test_a_misspelt_field_of_a_special_name_is_refused(field: str) -> None:
    with pytest.raises(SpecError, match=f"nothing reads '{field}': did you mean"):
        resolve({"model_name": "mock", field: {}})


def test_a_resolved_specification_stands_for_itself() -> None:
    spec = resolve({"model_name": "near", "backend": "openai_compatible"}).spec
    Path("model_registry.json").write_text("[]")
    for same in (
        spec,
        copy.deepcopy(spec),
        pickle.loads(pickle.dumps(spec)),  # noqa: S301 - our own bytes
        backends.resolve(spec),
    ):
        assert resolve(same).outcome == "resolved"
        assert resolve(same).spec == spec
    assert resolve(spec.rename("other")).spec["model_name"] == "other"
    with pytest.raises(ModelNotFoundError):
        resolve({"model_name": spec["model_name"]})


def test_what_the_registry_gives_is_resolved_and_what_is_made_of_it_is_not() -> None:
    registry = ModelRegistry.from_packaged_and_cwd_files()
    second = registry.model_specs[2]
    assert isinstance(registry.get_first_model_spec_that_unify_with("near"), ResolvedSpec)
    assert resolve(second, registry).spec["model_id"] == "near-api"
    assert not isinstance(ModelSpec.from_dict(second.to_dict()), ResolvedSpec)
    with pytest.raises(SpecError, match="'modle_id'"):
        resolve({**second.to_dict(), "modle_id": "x"}, registry)


# -- rule 2 ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("selector", "entry"),
    [
        ("near", ("near", "huggingface_local")),
        ("close", ("near", "huggingface_local")),
        ({"model_name": "near", "backend": "openai_compatible"}, ("near", "openai_compatible")),
        ({"model_id": "far-1"}, ("far", "openai")),
        ({"model_id": "far-1", "backend": "openrouter"}, ("far-again", "openrouter")),
        ({"model_id": "far-1", "context_size": "8k", "seed": 1}, ("far", "openai")),
        ({"huggingface_id": "org/near"}, ("near", "huggingface_local")),
        ('{"model_id": "near-api"}', ("near", "openai_compatible")),
        ({"model_name": "ours", "model_config": {"speed": 3}}, ("ours", "lab")),
    ],
)
def test_a_name_an_alias_or_an_id_finds_the_first_entry(selector: Any, entry: tuple[str, str]) -> None:
    assert found(selector) == ("entry", entry)


def test_the_place_of_the_entry_is_known() -> None:
    resolution = resolve({"huggingface_id": "org/near"})
    assert resolution.source == str(Path("model_registry.json").resolve())
    line = json.dumps(ENTRIES, indent=1)[: json.dumps(ENTRIES, indent=1).index('"near"')].count("\n")
    assert resolution.line == line


@pytest.mark.parametrize(
    "selector",
    [
        {"model_nam": "far"},
        {"model": "far"},
        {"name": "near"},
        {"backend": "openai"},
        {"backend": "openai", "release_date": "2024-01-01"},
        {"lookup_source": "packaged"},
        {"temperature": 0.5},
        {"filename": "far-1"},
        {"model_id": "far-2"},
        {"model_id": "org/near"},
        {"huggingface_id": "org/near", "backend": "openai"},
        {"model_id": ["far-1"]},
    ],
)
def test_what_does_not_name_a_model_finds_none(selector: dict[str, Any]) -> None:
    with pytest.raises(ModelNotFoundError):
        resolve(selector)
    with pytest.raises(ModelNotFoundError):
        backends.get_model_for(selector)
    assert ModelRegistry.from_packaged_and_cwd_files().explain(selector).outcome == "nothing"


def test_plain_unification_is_still_there() -> None:
    registry = ModelRegistry.from_packaged_and_cwd_files()
    assert registry.get_first_model_spec_that_unify_with({"backend": "openai"})["model_name"] == "far"
    assert registry.find({"model_nam": "near"}) is not None


@pytest.mark.parametrize("name", [None, 5, "", "  ", ["far"]])
def test_a_name_that_is_none_is_refused(name: Any) -> None:
    with pytest.raises(SpecError, match="'model_name' must be a non-empty string"):
        resolve({"model_name": name, "backend": "mock"})


# -- rule 3 and 5: fields that a selector adds -------------------------------------------------------------------
@pytest.mark.parametrize(
    "added",
    [
        *(
            {name: value}
            for name, value in [("temperature", 0.5), ("seed", 7), ("stop", ["x"]), ("logprobs", True)]
        ),
        {"prices": {"input": 1, "output": 2}},
        {"languages": ["en"]},
        {"multimodality": {"single_image": True}},
        {"base_url": "https://api.openai.com/v1"},
        {"model_config": {"reasoning_effort": "low", "total_timeout": 5}},
    ],
)
def test_a_field_that_counts_may_be_added(added: dict[str, Any]) -> None:
    spec = resolve({"model_name": "far", **added}).spec
    assert {name: spec[name] for name in added} == added


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"model_name": "far", "huggingface_id": "x"}, "backend 'openai' does not read 'huggingface_id'"),
        ({"model_name": "far", "filename": "x.gguf"}, "does not read 'filename'"),
        ({"huggingface_id": "org/near", "model_id": "x"}, "'huggingface_local' does not read 'model_id'"),
        ({"model_name": "far", "slurk_host": "http://x"}, "does not read 'slurk_host'"),
        ({"model_name": "far", "model_config": {"load_in_8bit": True}}, "not read 'model_config.load_in_8bit'"),
        ({"model_name": "far", "tempreature": 0}, "nothing reads 'tempreature': did you mean 'temperature'"),
        ({"model_name": "far", "modle_config": {}}, "nothing reads 'modle_config': did you mean 'model_config'"),
        ({"model_name": "far", "top_logprob": 2}, "did you mean 'top_logprobs'"),
        (
            {"model_name": "far", "model_config": {"total_timout": 2}},
            "nothing reads 'model_config.total_timout': did you mean 'model_config.total_timeout'",
        ),
        ({"model_name": "far", "favourite": 1}, "nothing reads 'favourite'"),
        ({"model_name": "far", "model_config": {"favourite": 1}}, "nothing reads 'model_config.favourite'"),
        ({"model_name": "far", "model_config": {"temperature": 1}}, "write 'temperature' outside of model_config"),
        ({"model_name": "far", "model_config": {"context_size": 1}}, "outside of model_config"),
        ({"model_name": "far", "seed": "x"}, "seed must be an integer"),
        ({"model_name": "far", "model_config": {"on_unsupported": "drpo"}}, 'did you mean "drop"'),
        ({"model_name": "far", "model_config": {"tools": []}}, "write 'tools' outside of model_config"),
        ({"model_name": "near", "response_format": {}}, "'huggingface_local' does not read 'response_format'"),
    ],
)
def test_a_field_that_has_no_effect_is_refused(selector: dict[str, Any], message: str) -> None:
    for ask in (resolve, backends.get_model_for):
        with pytest.raises(SpecError) as caught:
            ask(selector)
        assert message in str(caught.value)
        assert "model_registry.json:" in str(caught.value)


def test_the_entry_that_has_the_field_is_named() -> None:
    with pytest.raises(
        SpecError, match=r"has this model_id: add 'backend': 'openai_compatible' to mean that entry"
    ):
        resolve({"model_name": "near", "model_id": "near-api"})


def test_a_field_that_the_entry_has_is_never_unknown() -> None:
    entry = {**ENTRIES[0], "favourite": 1, "model_config": {"own": {"a": 1}}}
    Path("model_registry.json").write_text(json.dumps([entry]))
    assert resolve({"model_name": "far", "favourite": 1, "model_config": {"own": {"b": 2}}}).outcome == "entry"


def test_custom_backends_take_any_field() -> None:
    assert resolve({"model_name": "ours", "modle_id": 1, "model_config": {"sped": 1}}).outcome == "entry"
    with pytest.raises(SpecError):
        resolve({"model_name": "far", "own": 1})
    Path("openai_api.py").write_text("")
    assert resolve({"model_name": "far", "own": 1}).spec["own"] == 1


def test_every_generation_argument_that_loading_reads_may_be_added() -> None:
    added = _core.added_fields(dict.fromkeys(SAMPLING_FIELDS, 1), {"model_name": "far", "backend": "openai"})
    assert added == [(name, None) for name in SAMPLING_FIELDS]


# -- rule 4 ------------------------------------------------------------------------------------------------------
def test_a_selector_with_name_and_backend_is_an_entry_itself() -> None:
    inline = {"model_name": "new", "backend": "openai", "model_id": "new-1", "own_note": "x"}
    assert resolve(inline).outcome == "inline"
    assert resolve(inline).spec.to_dict() == inline
    assert resolve({"model_name": "near", "backend": "lab"}).outcome == "inline"


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"model_name": "new", "backend": "openai"}, "backend openai needs a model_id"),
        ({"model_name": "new", "backend": "huggingface_local", "model_id": "x"}, "needs a huggingface_id"),
        ({"model_name": "new", "backend": "openai", "modle_id": "x"}, "did you mean 'model_id'"),
        ({"model_name": "new", "backend": "openai", "model_id": "x", "open_weight": "yes"}, "true or false"),
        (
            {"model_name": "new", "backend": "mock", "model_config": {"on_exhausted": "cycel"}},
            'did you mean "cycle"',
        ),
    ],
)
def test_an_inline_entry_is_judged_like_one(selector: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve(selector)


def test_an_inline_entry_that_lacks_a_field_is_compared_with_the_entry_of_its_name() -> None:
    for differing in ({"release_date": "2025-01-01"}, {"lookup_source": "elsewhere"}):
        with pytest.raises(SpecError, match=f"same name and backend, but another {next(iter(differing))}"):
            resolve({"model_name": "far", "backend": "openai", **differing})
    complete = {"model_name": "far", "backend": "openai", "model_id": "far-2"}
    assert resolve(complete).outcome == "inline"


# -- rule 5 ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("faar", "did you mean 'far'"),
        ("mok", "did you mean 'mock'"),
        ("humn", "did you mean 'human'"),
        ({"model_nam": "far"}, "did you mean {'model_name': 'far'}?"),
        ({"model": "near-api"}, "did you mean {'model_id': 'near-api'}?"),
        ({"model_nme": "unheard of"}, "did you mean 'model_name' instead of 'model_nme'?"),
        ({"model_id": "fra-1"}, "did you mean 'far-1'"),
        ({"huggingface_id": "org/naer"}, "did you mean 'org/near'"),
        ({"model_name": "far", "release_date": "2025-01-01"}, "release_date is '2024-01-01', not '2025-01-01'"),
        ({"model_id": "far-1", "backend": "mistral"}, "backend is 'openai', not 'mistral'"),
    ],
)
def test_what_is_not_found_gives_the_nearest(selector: Any, message: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        resolve(selector)
    assert message in str(caught.value)


# -- everywhere --------------------------------------------------------------------------------------------------
def test_the_explanation_says_which_rule_applied() -> None:
    registry = ModelRegistry.from_packaged_and_cwd_files()
    selectors: dict[int, Any] = {
        0: resolve("far").spec,
        1: "mock",
        2: {"model_id": "far-1"},
        3: {"model_name": "far", "huggingface_id": "x"},
        4: {"model_name": "new", "backend": "mock"},
        5: "nobody-knows-this",
    }
    told = {rule: registry.explain(selector) for rule, selector in selectors.items()}
    assert [explanation.rule for explanation in told.values()] == list(told)
    assert [row["model_name"] for row in (told[2].taken or {})["also"]] == ["far-again"]
    assert "by its model_id" in str(told[2])
    assert "matches too, and comes later" in str(told[2])
    assert (told[3].outcome, told[3].spec, told[3].to_dict()["rule"]) == ("refused", None, 3)
    assert "result, by rule 3: refused; " in str(told[3])
    for rule in (1, 4, 5):
        assert f"by rule {rule}" in str(told[rule])


def test_every_command_follows_the_rule(clem: Clem) -> None:
    misspelt = '{"model_nam": "far"}'
    for command in (["registry", "resolve", misspelt], ["doctor", misspelt], ["respond", "-m", misspelt, "Hi"]):
        assert "did you mean {'model_name': 'far'}" in clem.fails(*command)
    foreign = '{"model_name": "far", "huggingface_id": "x"}'
    for command in (["registry", "resolve", foreign], ["render", "-m", foreign, "Hi"], ["doctor", foreign]):
        assert "does not read 'huggingface_id'" in clem.fails(*command)
    assert "does not read 'huggingface_id'" in clem.fails("prove", foreign, status=2)
    done = clem("registry", "resolve", foreign, "--explain")
    assert done.returncode == 1
    assert "refused" in done.stdout


def test_ten_thousand_entries_are_searched_at_once() -> None:
    entries = [{"model_name": f"m{n}", "backend": "openai", "model_id": f"id-{n}"} for n in range(10_000)]
    registry = ModelRegistry.from_layers([("many.json", json.dumps(entries).encode())])
    begin = time.perf_counter()
    for _ in range(10):
        assert resolve({"model_id": "id-9999"}, registry).spec["model_name"] == "m9999"
        assert resolve("m9999", registry).line == 1
    assert time.perf_counter() - begin < 5  # against a quadratic search; it takes some milliseconds


def test_ids_written_with_escapes_are_found() -> None:
    text = r'[{"model_name": "m", "backend": "openai", "a": [1e2, {"model_id": "x"}], "model_id": "org\/\u0061"}]'
    registry = ModelRegistry.from_layers([("escaped.json", text.encode())])
    assert resolve({"model_id": "org/a"}, registry).spec["model_name"] == "m"
    with pytest.raises(ModelNotFoundError):
        resolve({"model_id": "x"}, registry)
    made = ModelRegistry([ModelSpec(model_name="m", backend="openai", model_id="org/a")])
    assert resolve({"model_id": "org/a"}, made).spec["model_name"] == "m"
