"""The record: its format, what JSON cannot hold, and secrets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clemcore
from clemcore import _core, backends, secrets
from clemcore.calls import recorder
from clemcore.calls.encoding import (
    JsonText,
    encoded_once,
    is_hard_to_read,
    linked,
    sha256_of_value,
    to_json,
    unlinked,
)
from clemcore.calls.recorder import FinishedCall
from clemcore.calls.scope import capture
from clemcore.errors import RecordError

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


def _put(**fields: Any) -> FinishedCall:
    """Put a call with these values; the rest is plain."""
    known: dict[str, Any] = {"prompt": None, "response": None, "text": "x", "facts": {}, **fields}
    call = recorder.finished(started=datetime.now(timezone.utc), duration=0.5, **known)
    recorder.put(call, capture().sinks)
    return call


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=8,
)


@given(
    JSON,
    st.dictionaries(st.text(min_size=1).filter(lambda name: name.isidentifier() and name.isascii()), JSON),
    st.data(),
)
def test_what_is_encoded_before_reads_as_what_is_not(prompt: Any, facts: dict[str, Any], data: Any) -> None:
    encoded = {
        name: encoded_once(value) if data.draw(st.booleans()) else value  # some of them, in any order
        for name, value in facts.items()
    }
    fields = {"manipulated_prompt_obj": prompt, "raw_response_obj": [1.5, "ä"], "clemcore": facts}
    entry = FinishedCall(
        {"manipulated_prompt_obj": prompt, "raw_response_obj": JsonText('[1.50,"ä"]'.encode()), "clemcore": encoded}
    )
    read = json.loads(entry.to_json())
    hashes = read["clemcore"].pop("hashes")
    assert hashes["response"] == sha256_of_value([1.5, "ä"])
    assert read == fields
    assert list(read["clemcore"]) == list(facts)


@given(JSON, JSON)
def test_only_what_is_written_alike_is_encoded_once(one: Any, two: Any) -> None:
    assert [encoded_once(one), encoded_once(two)] == [to_json(one), to_json(two)]


def test_bytes_stand_in_the_record_as_they_were() -> None:
    with backends.record() as recorder:
        entry = _put(prompt=JsonText(b'{"n":1.0,\n "a":1e2}'))
        recorder.flush()
        entry.check()
    assert b'"manipulated_prompt_obj": {"n":1.0,\n "a":1e2}' in Path(recorder.path).read_bytes()
    assert _calls()[0]["manipulated_prompt_obj"] == {"n": 1.0, "a": 100.0}


def test_bytes_that_hold_a_key_are_left_out() -> None:
    secrets.remember("sk-canary-bytes-ä")
    with backends.record():
        _put(prompt=JsonText('"sk-canary-bytes-ä"'.encode()), response=JsonText(b'"sk-canary-bytes-\\u00e4"'))
    assert "canary" not in Path("requests.json").read_text()
    (call,) = _calls()
    assert call["manipulated_prompt_obj"] is call["raw_response_obj"] is None
    assert call["clemcore"]["left_out"] == ["manipulated_prompt_obj", "raw_response_obj"]


def test_a_longer_secret_goes_before_one_that_it_holds() -> None:
    secrets.remember("canary-inside")
    secrets.remember("canary-inside-and-more")
    assert secrets.scrub("canary-inside-and-more") == "***"
    assert secrets.scrub_json(b'"canary-inside-and-more"') == b'"***"'


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_the_canonical_form_is_that_of_python(value: Any, is_ascii: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode()
    digest = hashlib.sha256(_core.canonical_json(text) or b"").hexdigest()
    assert digest == sha256_of_value(json.loads(text)) == sha256_of_value(value)


ODD = [
    *('{"b": 1, "a": 2, "b": 3}', '{"\\ud83d\\ude00": 3, "ﬀ": 2, "\\ud83d": 1, "\\u0061": 0}', '"\\u00E4\\/\x7f"'),
    *("[-0, -0.0, 1E2, 1e999, 2190386050976700.25, 5e-324, 1.50]", f"[{10**400}]", '"\\ud800"', " [ ] "),
]


@pytest.mark.parametrize("text", ODD)
def test_the_canonical_form_of_odd_json_is_that_of_python(text: str) -> None:
    digest = hashlib.sha256(_core.canonical_json(text.encode()) or b"").hexdigest()
    assert digest == sha256_of_value(json.loads(text))


@pytest.mark.parametrize(
    "text", ["", "[1,]", "[NaN]", "[01]", '{"a" 1}', '"\x01"', "[] []", "[" * 5000 + "]" * 5000]
)
def test_what_is_not_json_has_no_canonical_form(text: str) -> None:
    assert _core.canonical_json(text.encode()) is None


@pytest.mark.parametrize("levels", [95, 99, 101, 127, 200, 5000])
def test_a_part_that_is_hard_to_read_has_the_hash_of_what_is_recorded(levels: int) -> None:
    prompt = JsonText(b"[" * levels + b"]" * levels)
    entry = FinishedCall({"manipulated_prompt_obj": prompt, "raw_response_obj": None, "clemcore": {"a": 1}})
    text, digest = linked(entry.to_json(), None)
    read = json.loads(text)
    assert isinstance(read["manipulated_prompt_obj"], str) == (levels > 100)
    assert read["clemcore"]["hashes"] == {"prompt": sha256_of_value(read["manipulated_prompt_obj"])}
    assert digest == sha256_of_value(read)


@settings(max_examples=50, deadline=None)
@given(st.integers(90, 110), st.lists(st.text('[]{}"\\\n a', max_size=9), min_size=101, max_size=120))
def test_brackets_in_texts_are_no_levels(levels: int, texts: list[str]) -> None:
    value: Any = [texts]
    for text in texts[: levels - 2]:
        value = {text: value}
    assert is_hard_to_read(json.dumps(value).encode()) == (levels > 100)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(_JSON)
def test_the_core_writes_a_line_as_python_does(value: Any) -> None:
    line = _core.json_line(value)
    try:
        wanted: bytes | None = json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
    except ValueError:
        wanted = None
    assert line == wanted or (line is None and any(len(part) > 18 for part in re.findall(rb"\d+", wanted or b"")))


class _Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [{1: "a"}, {1}, b"a", _Text("a"), 2**64, float("inf"), "\ud800", {"\ud800": 1}])
def test_the_core_leaves_to_python_what_is_not_plain(value: Any) -> None:
    assert _core.json_line(value) is None
    assert _core.json_line([{"a": value}]) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(590, 610), st.text('0123456789"\\ ', max_size=700))
def test_digits_in_texts_are_no_number(digits: int, text: str) -> None:
    assert is_hard_to_read(json.dumps([text, int("1" * digits)]).encode()) == (digits >= 600)


LINKED = [
    ('{"a": 1, "clemcore": {"b": 2, "previous_sha256": "x"}}', '{"a": 1, "clemcore": {"b": 2}}'),
    ('{"clemcore": {"previous_sha256": null, "b": 2}, "a": 1}', '{"a": 1, "clemcore": {"b": 2}}'),
    ('{ "clemcore": {"a":[1,\n2], "previous_sha256":"x" , "b": 2}}', '{"clemcore": {"a": [1,\n2], "b": 2}}'),
    ('{"a": {"previous_sha256": 1}, "clemcore": {"b": 2}}', '{"a": {"previous_sha256": 1}, "clemcore": {"b": 2}}'),
    ('{"clemcore": {"b": {"previous_sha256": "x"}}}', '{"clemcore": {"b": {"previous_sha256": "x"}}}'),
    ('{"a": "\\"previous_sha256\\": 1", "clemcore": 7}', '{"a": "\\"previous_sha256\\": 1", "clemcore": 7}'),
    ('{"a\\"b": 1, "clemcore": {"c d": 2}}', '{"a\\"b": 1, "clemcore": {"c d": 2}}'),
    ('{"timestamp": "x"}', '{"timestamp": "x"}'),
]


@pytest.mark.parametrize(("entry", "bare"), LINKED)
def test_a_link_is_taken_out_and_nothing_else(entry: str, bare: str) -> None:
    assert unlinked(entry.encode()).decode() == bare
    again, digest = linked(bare.encode(), "y")
    assert digest == sha256_of_value(json.loads(again))
    assert json.loads(unlinked(again)) == json.loads(bare)
    facts = json.loads(bare).get("clemcore")
    assert (again.decode() != bare) == (isinstance(facts, dict) and facts != {})


def test_what_was_put_is_written_by_closing() -> None:
    with backends.record() as recorder:
        _put(text="put and left")
        assert recorder.count == 0
    assert [call["clemcore"]["response_text"] for call in _calls()] == ["put and left"]


def test_calls_that_end_together_share_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one write is under way, the others gather: 20 threads need far fewer than 20 renames."""
    replaced: list[Any] = []
    replace = os.replace

    def slow_replace(source: Any, target: Any) -> None:
        replaced.append(target)
        time.sleep(0.01)
        replace(source, target)

    model = backends.get_model_for("mock")
    with backends.record() as recorder:
        threads = [threading.Thread(target=model.generate_response, args=(ASK,)) for _ in range(20)]
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", slow_replace)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert recorder.count == len(_calls()) == 20
    assert len(replaced) < 20


def test_an_awaited_answer_is_in_the_file() -> None:
    model = backends.get_model_for("mock")

    async def ask() -> None:
        await model.agenerate_response(ASK)
        assert len(_calls()) == 1
        await asyncio.gather(*(model.agenerate_response(ASK) for _ in range(10)))
        assert len(_calls()) == 11

    with backends.record():
        asyncio.run(ask())


def test_a_write_goes_on_when_its_waiter_is_cancelled() -> None:
    async def impatient() -> None:
        _put()
        waiter = asyncio.create_task(recorder.flushed(capture().sinks))
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        await recorder.flushed(capture().sinks)

    with backends.record():
        asyncio.run(impatient())
        assert len(_calls()) == 1


def test_what_cannot_be_written_fails_the_calls_that_wait_for_it() -> None:
    model: Any = backends.get_model_for("mock")

    class Unprintable:
        def __repr__(self) -> str:
            raise ZeroDivisionError("no words")

    with backends.record() as recorder:
        bad = _put(prompt=Unprintable())
        good = _put(text="good")
        recorder.flush()
        with pytest.raises(ZeroDivisionError):
            bad.check()
        good.check()
        assert [call["clemcore"]["response_text"] for call in _calls()] == ["good"]
        Path(recorder.path).write_text("[]")
        with pytest.raises(RecordError, match="changed by another program"):
            model.generate_response(ASK)
        with pytest.raises(RecordError, match="changed by another program"):
            asyncio.run(model.agenerate_response(ASK))
