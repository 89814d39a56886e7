"""Keys that a backend of somebody's own declares: judged as the known ones, and read without running its code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from clemcore.backends.custom_keys import declared, read_keys
from clemcore.errors import BackendLoadError
from support.clem import Clem

BACKEND = """
raise RuntimeError("a check runs no code of a backend")
REGISTRY_KEYS: dict[str, dict[str, object]] = {
    "model_config.contxt_size": {"type": "integer", "meaning": "Not what it seems."},
    "voice": {"type": ["string", "null"], "values": ["low", "high"], "meaning": "Who speaks.", "unit": "persons"},
}
"""


def entry(**fields: Any) -> str:
    return json.dumps([{"model_name": "m", "backend": "mine", **fields}])


def codes(clem: Clem, text: str) -> list[tuple[str, str]]:
    report = json.loads(clem("registry", "check", "-", "--format", "json", stdin=text).stdout)
    return [(problem["code"], problem["field"]) for problem in report["problems"]]


def test_they_are_judged_in_entries_of_the_backend(clem: Clem) -> None:
    good = entry(voice="low", model_config={"contxt_size": 5})
    assert codes(clem, good) == [("R052", "backend"), ("R053", "model_config.contxt_size")]
    Path("mine_api.py").write_text(BACKEND)
    assert codes(clem, good) == []
    assert codes(clem, entry(voice=None)) == []
    bad = entry(voice="hihg", model_config={"contxt_size": "5"})
    assert codes(clem, bad) == [("R054", "voice"), ("R044", "model_config.contxt_size")]
    assert codes(clem, entry(voce="low")) == [("R053", "voce")]
    assert codes(clem, good.replace("mine", "mock")) == [("R053", "model_config.contxt_size")]


def test_they_are_explained_and_in_the_schema(clem: Clem) -> None:
    assert "no key 'voice'" in clem.fails("registry", "explain", "voice")
    before = clem.ok("registry", "schema")
    Path("mine_api.py").write_text(BACKEND)
    page = clem.ok("registry", "explain", "voice")
    assert page.startswith("voice: string or null\n\n    Who speaks.\n")
    assert "one of:        low, high" in page
    assert "read by:       mine" in page
    schema = json.loads(clem.ok("registry", "schema"))
    assert len(schema["$defs"]["entry"]["allOf"]) == len(json.loads(before)["$defs"]["entry"]["allOf"]) + 1
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(json.loads(entry(voice="low")))
    assert not validator.is_valid(json.loads(entry(model_config={"contxt_size": "5"})))
    assert validator.is_valid(json.loads(entry(model_config={"contxt_size": "5"}).replace("mine", "other")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("REGISTRY_KEYS = dict(a=1)", "must be a literal dict"),
        ("REGISTRY_KEYS = ['a']", "must be a dict of keys, not list"),
        ("\nREGISTRY_KEYS = {'a': 1}", ":2: REGISTRY_KEYS: 'a' must be described by a dict"),
        ("REGISTRY_KEYS = {'a': {'typ': 'string'}}", "'a' has 'typ'; a key has type"),
        ("REGISTRY_KEYS = {'a': {'type': 'text'}}", "'a' has the type 'text'; types are boolean"),
        ("REGISTRY_KEYS = {'a': {'values': [1]}}", "the values of 'a' must be texts"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, message: str) -> None:
    Path("mine_api.py").write_text(text)
    with pytest.raises(BackendLoadError) as caught:
        declared()
    assert message in str(caught.value)


def test_a_module_that_declares_nothing_has_no_keys() -> None:
    for text in ("x = 1", "def broken(", "REGISTRY_KEYS: dict"):
        Path("mine_api.py").write_text(text)
        assert read_keys(Path("mine_api.py")) == {}
    assert read_keys(Path("nowhere.py")) == {}
