"""Every error of the Rust core arrives in Python as its exception, with its fields; conversion is exact."""

from __future__ import annotations

import collections
import enum
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from clemcore import _core
from clemcore.errors import ClemcoreError, RegistryError

FIXTURES = Path(__file__).parent / "fixtures" / "registries"
INVALID = sorted((FIXTURES / "invalid").glob("*.json"))
EXPECTED = json.loads((FIXTURES / "expected.json").read_text(encoding="utf-8"))
GOOD = b'[{"model_name": "m", "backend": "mock"}]'


# -- problems ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_every_fault_arrives_with_its_place(path: Path) -> None:
    report = _core.check(path.name, path.read_bytes())
    found = [f"{problem.code} {problem.line}:{problem.column}" for problem in report.problems]
    assert found == EXPECTED[path.name]
    as_json = json.loads(report.render("json"))
    assert as_json["problems"] == [problem.to_dict() for problem in report.problems]
    assert (as_json["errors"], as_json["warnings"], as_json["hints"]) == (
        report.errors,
        report.warnings,
        report.hints,
    )


# What loading has no time for: see the core's `examine`.
ONLY_CHECKED = {
    "R056",
    "R057",
    "R066",
    "R067",
    "R069",
    "R070",
    "R071",
    *(f"R0{number}" for number in range(73, 84)),
}


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_errors_stop_a_load_and_warnings_do_not(path: Path) -> None:
    report = _core.check(path.name, path.read_bytes())
    layers = [(path.name, path.read_bytes()), ("good", GOOD)]
    loaded = [problem for problem in report.problems if problem.code not in ONLY_CHECKED]
    if not report.errors:
        # R071 hides R064 where both would say it of one key.
        found = [each for each in _core.Registry.load(layers).warnings().problems if each.code != "R064"]
        assert found == [each for each in loaded if each.code != "R064"]
        return
    with pytest.raises(RegistryError) as caught:
        _core.Registry.load(layers)
    assert list(caught.value.problems) == loaded
    errors = [problem for problem in loaded if problem.severity == "error"]
    assert str(caught.value).count("error[R") == len(errors)
    assert all(problem.message in str(caught.value) for problem in errors)
    assert "warning[R" not in str(caught.value)
    assert isinstance(caught.value, ClemcoreError)
    assert isinstance(caught.value, ValueError)


def test_a_problem_has_every_field() -> None:
    (problem,) = _core.check(
        "r.json", b'[{"model_name": "m", "backend": "mock", "release_date": "1/2/24"}]'
    ).problems
    assert problem.to_dict() == {
        "code": "R060",
        "kind": "release-date",
        "severity": "warning",
        "message": '"1/2/24" is not an ISO date',
        "help": "it can mean 2024-02-01 (day first) or 2024-01-02 (month first) or 2001-02-24 (year first); "
        "write the one that is meant",
        "source": "r.json",
        "line": 1,
        "column": 57,
        "end_line": 1,
        "end_column": 65,
        "entry": 0,
        "model": "m",
        "field": "release_date",
    }
    assert all(getattr(problem, name) == value for name, value in problem.to_dict().items())
    assert str(problem) == 'r.json:1:57: warning[R060]: "1/2/24" is not an ISO date'
    assert repr(problem) == f"<Problem {problem}>"
    with pytest.raises(AttributeError):
        problem.line = 2  # type: ignore[misc]


def test_all_layers_are_reported_together() -> None:
    with pytest.raises(RegistryError) as caught:
        _core.Registry.load([("a.json", b"[1]"), ("b.json", b""), ("c.json", GOOD)])
    assert [problem.source for problem in caught.value.problems] == ["a.json", "b.json"]


def test_known_backends_can_be_given() -> None:
    other = GOOD.replace(b"mock", b"other")
    assert _core.check("r.json", other).warnings == 1
    assert _core.check("r.json", other, backends=["other"]).problems == []
    assert _core.check("r.json", GOOD, backends=["other"]).problems == []


def test_reports_have_three_formats() -> None:
    report = _core.check("r.json", b"[,]")
    assert "\x1b[" in report.render(color=True)
    assert report.render("github").startswith("::error file=r.json,line=1,")
    with pytest.raises(ValueError, match="human, json, github"):
        report.render("xml")


def test_codes_are_explained() -> None:
    kinds = _core.catalogue()
    assert len({kind["code"] for kind in kinds}) == len(kinds)
    for kind in kinds:
        page = _core.explain(kind["code"])
        assert page is not None
        assert kind["explanation"] in page
        assert _core.explain(kind["kind"]) == page
    assert _core.explain("R999") is None


# -- the registry --------------------------------------------------------------------------------------------------
def test_indices_out_of_range() -> None:
    registry = _core.Registry.load([("r.json", GOOD)])
    for call in (registry.entry, registry.location):
        with pytest.raises(IndexError, match="no entry 1 in a registry of 1"):
            call(1)


def test_refusals_say_why() -> None:
    registry = _core.Registry.load([("r.json", b'[\n  {"model_name": "m", "backend": "mock", "x": {"y": [1]}}\n]')])
    (refusal,) = registry.refusals({"model_name": "m", "backend": "openai", "x": {"y": [True]}})
    assert (refusal.entry, refusal.source, refusal.line) == (0, "r.json", 2)
    assert refusal.mismatches == [("backend", "openai", "mock"), ("x.y[0]", True, 1)]
    assert str(refusal) == "entry 0 (r.json:2): backend is 'mock', not 'openai'; x.y[0] is 1, not True"
    assert registry.refusals({"model_name": "n"}) == []


def test_the_packaged_registry_is_the_file() -> None:
    path = Path(__file__).parent.parent / "model_registry.json"
    assert _core.packaged_registry() == path.read_bytes()
    problems = _core.check("model_registry.json", path.read_bytes()).problems
    assert not problems


def test_entries_are_read_as_json_reads_them() -> None:
    for path in (FIXTURES / "valid").glob("*.json"):
        read = json.loads(path.read_bytes())
        entries = read if isinstance(read, list) else [read]
        registry = _core.Registry.load([("r.json", path.read_bytes())])
        for index, entry in enumerate(entries):
            assert repr(registry.entry(index)) == repr({**entry, "lookup_source": "r.json"})


# -- objects -------------------------------------------------------------------------------------------------------
def test_values_come_back_as_they_were() -> None:
    spec: dict[str, Any] = {
        "none": None,
        "flags": [True, False],
        "ints": [0, -1, 2**63 - 1, -(2**63), 2**63, 2**64, -(2**200)],
        "floats": [0.1, -0.0, 5e-324, 1.7976931348623157e308, float("inf")],
        "text": "é e\u0301 \U0001f600 \x00",
        "nested": {"": {"b": [[], {}], "a": None}},
    }
    assert repr(_core.unify(spec, {})) == repr(spec)
    assert repr(_core.Registry.from_specs([spec]).entry(0)) == repr(spec)


def test_other_objects_travel_as_they_are() -> None:
    class Callback:
        pass

    things: list[Any] = [(1, 2), {1}, b"x", Callback(), len, 1j, range(3), "\ud800", 10**5000, Path("x")]
    merged = _core.unify({"things": things}, {})
    assert merged is not None
    assert all(ours is theirs for ours, theirs in zip(merged["things"], things, strict=True))
    registry = _core.Registry.from_specs([{"model_name": "m", "f": things[3], "t": (1, 2)}])
    found = registry.resolve({"f": things[3], "t": (1, 2), "g": len})
    assert found is not None
    assert found[1]["f"] is things[3]
    assert found[1]["g"] is len
    assert registry.resolve({"f": Callback()}) is None
    assert registry.entry(0)["f"] is things[3]


def test_subclasses_count_as_what_they_extend() -> None:
    class Size(enum.IntEnum):
        SMALL = 1

    class Name(str):
        __slots__ = ()

    merged = _core.unify({"a": Size.SMALL, "b": Name("x"), "c": collections.OrderedDict(z=1)}, {"c": {"y": 2}})
    assert repr(merged) == "{'a': 1, 'b': 'x', 'c': {'z': 1, 'y': 2}}"


def test_what_equality_raises_is_raised() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no opinion")

        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(RuntimeError, match="no opinion"):
        _core.unify({"a": Odd()}, {"a": 1})
    with pytest.raises(RuntimeError, match="no opinion"):
        _core.Registry.from_specs([{"a": 1}]).resolve({"a": Odd()})


def test_cycles_depth_and_keys_are_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle]
    with pytest.raises(ValueError, match="contains itself"):
        _core.unify(cycle, {})
    with pytest.raises(TypeError, match="keys of a model spec are str, not int: 1"):
        _core.Registry.from_specs([{"a": {1: 2}}])
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    assert _core.unify(deep, deep) == deep
    for _ in range(200):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="more than 500 deep"):
        _core.unify({}, deep)


def test_inputs_are_copied() -> None:
    left: dict[str, Any] = {"a": {"b": [1]}}
    merged = _core.unify(left, {})
    assert merged is not None
    left["a"]["b"].append(2)
    assert merged == {"a": {"b": [1]}}
    with pytest.raises(TypeError, match="immutable"):
        merged["a"]["b"].append(2)


def test_nothing_is_leaked() -> None:
    thing = object()
    before = sys.getrefcount(thing)
    for _ in range(100):
        _core.unify({"a": thing}, {"a": thing, "b": thing})
        _core.Registry.from_specs([{"a": thing}]).resolve({"a": thing})
    assert sys.getrefcount(thing) == before


def test_a_registry_can_be_used_from_many_threads() -> None:
    thing = (1, 2)
    registry = _core.Registry.from_specs([{"model_name": str(at), "t": thing} for at in range(50)])
    failures: list[object] = []

    def look() -> None:
        for at in range(200):
            found = registry.resolve({"model_name": str(at % 50), "t": (1, 2)})
            if found is None or found[0] != at % 50:
                failures.append(found)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# -- editing and the schema ----------------------------------------------------------------------------------------
def test_an_entry_is_put_into_a_file() -> None:
    text = _core.upsert_entries(GOOD, [({"model_name": "n", "backend": "mock", "lookup_source": "x"}, None)])
    assert [entry["model_name"] for entry in json.loads(text)] == ["n", "m"]
    text = _core.upsert_entries(text.encode(), [({"model_name": "o", "backend": "mock"}, 1)])
    assert [entry["model_name"] for entry in json.loads(text)] == ["n", "o"]
    assert json.loads(_core.upsert_entries(None, [({"a": 2**70}, None)])) == [{"a": 2**70}]


def test_what_cannot_be_put_in_is_refused() -> None:
    with pytest.raises(RegistryError, match=r"mine\.json:1:2") as caught:
        _core.upsert_entries(b"[1]", [({}, None)], source="mine.json")
    assert caught.value.problems[0].code == "R041"
    with pytest.raises(IndexError, match="no entry 1 in a file of 1"):
        _core.upsert_entries(GOOD, [({}, 1)])
    for value in ((1,), float("nan"), {"x": [object()]}):
        with pytest.raises(TypeError, match='the value of "f" cannot be written as JSON'):
            _core.upsert_entries(GOOD, [({"f": value}, None)])


def test_the_schema_accepts_and_refuses() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(_core.json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for path in (FIXTURES / "valid").glob("*.json"):
        validator.validate(json.loads(path.read_bytes()))
    for name in ("R041_not-an-entry", "R042_missing-field", "R043_empty-field", "R044_wrong-type"):
        assert not validator.is_valid(json.loads((FIXTURES / "invalid" / f"{name}.json").read_bytes())), name


def test_sizes_in_tokens() -> None:
    assert [_core.context_tokens(text) for text in ("128k", "1.5K", "1M", "8192", "", "big")] == [
        131_072,
        1_536,
        1_048_576,
        8_192,
        None,
        None,
    ]
