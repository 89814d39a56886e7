"""The record: its format, what JSON cannot hold, and secrets."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import clemcore
from clemcore import backends, secrets
from clemcore.errors import RecordError
from clemcore.recording import to_json

ASK = [{"role": "user", "content": "Hello!"}]


def _calls(path: str | Path = "requests.json") -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return loaded


def test_a_call_has_the_documented_fields_and_one_more() -> None:
    model = backends.get_model_for(
        {"model_name": "mock", "temperature": 0.5, "model_config": {"responses": ["Hi"]}}
    )
    with backends.record() as recorder:
        model.generate_response(ASK)
        (call,) = _calls()  # valid while the record is open
    assert recorder.count == 1
    assert list(call) == ["timestamp", "manipulated_prompt_obj", "raw_response_obj", "clemcore"]
    assert datetime.fromisoformat(call["timestamp"]).tzinfo is not None
    assert call["manipulated_prompt_obj"] == ASK
    assert call["raw_response_obj"] == {"text": "Hi"}
    facts = call["clemcore"]
    assert facts["record_version"] == 1
    assert facts["response_text"] == "Hi"
    assert facts["duration_seconds"] >= 0
    assert facts["model_spec"]["model_name"] == "mock"
    assert facts["gen_args"] == {
        "all": {"temperature": 0.5, "max_tokens": 300},
        "asked": {"temperature": 0.5},
        "defaults": ["max_tokens"],
        "sent": None,
    }
    assert facts["versions"] == {"clemcore": clemcore.__version__}


def test_a_record_is_continued_and_old_records_are_kept() -> None:
    old = {"timestamp": "2025-01-01T00:00:00", "manipulated_prompt_obj": [], "raw_response_obj": {}}
    Path("requests.json").write_text(json.dumps([old], indent=2))
    model = backends.get_model_for("mock")
    for _ in range(2):
        with backends.record():
            model.generate_response(ASK)
    assert len(_calls()) == 3
    assert _calls()[0] == old


def test_nothing_is_recorded_outside() -> None:
    with backends.record():
        pass
    backends.get_model_for("mock").generate_response(ASK)
    assert _calls() == []


def test_a_broken_record_is_not_overwritten() -> None:
    Path("requests.json").write_text("[{]")
    with pytest.raises(RecordError, match=r"requests\.json:1:3"):
        backends.record()
    assert Path("requests.json").read_text() == "[{]"


def test_two_recorders_each_get_every_call() -> None:
    with backends.record("a.json"), backends.record("b.json"):
        backends.get_model_for("mock").generate_response(ASK)
    assert len(_calls("a.json")) == len(_calls("b.json")) == 1


def test_what_json_cannot_hold_is_kept_visibly() -> None:
    value = {"f": [float("nan"), float("inf"), -float("inf")], "b": b"x", "s": "\ud800", "t": (1, 2), "u": "ü"}
    assert json.loads(to_json(value)) == {
        "f": ["NaN", "Infinity", "-Infinity"],
        "b": {"__type__": "builtins.bytes", "repr": "b'x'"},
        "s": "\ud800",
        "t": [1, 2],
        "u": "ü",
    }


def test_no_secret_reaches_the_record() -> None:
    secrets.remember("sk-canary-record-1")
    spec = {
        "model_name": "mock",
        "model_config": {"api_key": "another-canary", "responses": ["you sent sk-canary-record-1"]},
        "backend": "mock",
    }
    with backends.record():
        backends.get_model_for(spec).generate_response([{"role": "user", "content": "sk-canary-record-1"}])
    assert "canary" not in Path("requests.json").read_text()
    assert len(_calls()) == 1
