"""The schema of the core against what the backends read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clemcore import _core
from clemcore.backends.local import entry as huggingface
from clemcore.backends.slurk import settings as slurk
from clemcore.registry import settings as remote

SCHEMA: dict[str, Any] = json.loads(_core.json_schema())
NAMES = {bool: "boolean", int: "integer", float: "number", str: "string", dict: "object"}


def types_of(backend: str) -> dict[str, Any]:
    """Return the types that the schema demands of keys in entries of a backend, `model_config` included."""
    entry = SCHEMA["$defs"]["entry"]
    found = {name: field.get("type") for name, field in entry["properties"].items()}
    for rule in entry["allOf"]:
        if backend in rule["if"]["properties"]["backend"]["enum"]:
            found.update(
                {name: field["type"] for name, field in rule["then"]["properties"].items() if "type" in field}
            )
    return found


@pytest.mark.parametrize("backend", ["openai", "openai_compatible"])
def test_what_remote_backends_read_is_in_the_schema(backend: str) -> None:
    types = types_of(backend)
    for name, allowed in remote.SETTINGS.items():
        assert types[name] in {NAMES[each] for each in allowed}, name


def test_what_the_backend_slurk_reads_is_in_the_schema() -> None:
    types = types_of("slurk")
    read = {**slurk.SETTINGS, **{name: remote.SETTINGS[name] for name in slurk.SHARED}}
    for name, allowed in read.items():
        assert types[name] in {NAMES[each] for each in allowed}, name
    known = {
        name
        for rule in SCHEMA["$defs"]["entry"]["allOf"]
        if "slurk" in rule["if"]["properties"]["backend"]["enum"]
        for name in rule["then"]["properties"]["model_config"]["properties"]
    }
    assert known <= read.keys()


def test_what_the_local_backend_reads_is_in_the_schema() -> None:
    types = types_of("huggingface_local")
    for name, wanted in huggingface._SETTINGS.items():
        assert types[name] == NAMES[wanted], name
    # And nothing that it would refuse is said to be read by it.
    conditional = [
        rule["then"]["properties"]["model_config"]["properties"]
        for rule in SCHEMA["$defs"]["entry"]["allOf"]
        if "huggingface_local" in rule["if"]["properties"]["backend"]["enum"]
    ]
    known = {*huggingface._SETTINGS, *huggingface._NOT_HONOURED}
    assert {name for properties in conditional for name in properties} <= known
