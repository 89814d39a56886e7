"""Honest records verify, whatever came over the wire; a record that was changed does not."""

from __future__ import annotations

import copy
import dataclasses
import gzip
import io
import json
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.calls.encoding import sha256_of_value
from clemcore.errors import ClemcoreError, RecordError
from clemcore.verify import first_difference, verify
from support.clem import Clem
from support.formats import FORMATS
from support.remote import DIALOGUE, HELLO
from support.streams import streamed
from support.tiny import CAPITAL, load
from support.wire_server import Answer, WireServer, completion, refusal

PRICES = {"input": 1.25, "cached_input": 0.2, "output": 2.5, "date": "2026-11-12"}
Calls = list[dict[str, Any]]
# How the same reply may stand in a body.
WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda body: body,
    "whitespace": lambda body: b" \t" + body + b"  ",
    "lines": lambda body: b"\r\n\n" + body + b"\r\n",
    "mark": lambda body: b"\xef\xbb\xbf" + body,
    "mark and lines": lambda body: b"\xef\xbb\xbf \n" + body + b"\n",
    "compact": lambda body: json.dumps(json.loads(body), separators=(",", ":")).encode(),
    "comments": lambda body: b": waiting\n\n: waiting\r\n" + body + b"\n\ndata: [DONE]\n\n",
    "comments and not a number": lambda body: b": a\n" + body.rstrip()[:-1] + b', "logprob": -Infinity}',
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "not a number": lambda body: body.rstrip()[:-1] + b', "logprob": NaN}',
    "words": lambda body: body.rstrip()[:-1] + b', "note": "NaN and Infinity"}',
    "escapes": lambda body: body.rstrip()[:-1] + b', "note": "\\u00e4\\/\\ud83d\\ude00"}',
    "numbers": lambda body: body.rstrip()[:-1] + b', "n": [1.10, 1E2, -0.0, 1e400, 12345678901234567890123]}',
    "deep": lambda body: body.rstrip()[:-1] + b', "x": ' + b"[" * 300 + b"]" * 300 + b"}",
    "long number": lambda body: body.rstrip()[:-1] + b', "x": ' + b"7" * 3000 + b"}",
}
# By the label of the content encoding; the last three are labels alone.
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "UTF-8": bytes,
    "br": bytes,
    "identity": bytes,
}
REFUSALS = [
    refusal(400, "no"),
    refusal(400, "no", headers={"Content-Type": "text/plain"}),
    Answer(400, b'  {"error": {"message": "whitespace"}}\r\n\r\n'),
    Answer(400, b"\xef\xbb\xbf" + b'{"error": {"message": "a mark"}}'),
    Answer(403, b"<html><title>Forbidden</title></html>\n"),
    Answer(404, b""),
    Answer(400, b"not UTF-8: \xff\xfe"),
    Answer(400, b'{"error": {"message": "deep", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}}"),
    Answer(400, b'{"error": {"message": "long", "x": ' + b"7" * 5000 + b"}}"),
    Answer(400, b'"only a text"'),
    Answer(400, b': a comment\n\n{"error": {"message": "behind it"}}\n\ndata: [DONE]\n'),
]


def packed(answer: Answer, encoding: str = "gzip") -> Answer:
    """A reply that is compressed, or only labelled so."""
    headers = {**answer.headers, "Content-Encoding": encoding}
    return dataclasses.replace(answer, body=ENCODINGS[encoding](answer.body), headers=headers)


def wrapped(answer: Answer, kind: str) -> Answer:
    return dataclasses.replace(answer, body=WRAPPINGS[kind](answer.body))


def ask_all(name: str, server: WireServer, answers: list[Answer]) -> None:
    """Ask a model of a format once for each answer; some of them are failures."""
    server.script = [*answers]
    server.requests.clear()
    path = "/v1" if FORMATS[name].backend not in ("google", "anthropic", "cohere") else ""
    model: Any = FORMATS[name].model(server.url + path, prices=PRICES)
    for number, _ in enumerate(answers):
        try:
            model.generate_response(DIALOGUE if number % 2 else HELLO)
        except ClemcoreError:
            continue


@pytest.mark.parametrize("name", FORMATS)
def test_honest_records_of_every_format_are_proven(wire_server: WireServer, name: str) -> None:
    whole = FORMATS[name].answer()
    with backends.record("requests.json"):
        ask_all(name, wire_server, [wrapped(whole, kind) for kind in WRAPPINGS])
        ask_all(name, wire_server, [packed(wrapped(whole, "whitespace"), encoding) for encoding in ENCODINGS])
        ask_all(name, wire_server, REFUSALS)
    report = verify("requests.json")
    assert report.findings == []
    assert report.calls == report.linked == len(WRAPPINGS) + len(ENCODINGS) + len(REFUSALS)
    assert report.failed == len(REFUSALS)
    for call in report.each[: len(WRAPPINGS) + len(ENCODINGS)]:
        assert {"request", "response"} <= set(call.proven)
        read = {"response_text", "usage", "finish_reason", "outcome", "cost", "gen_args.sent"}
        assert {f"clemcore.{field}" for field in read} <= set(call.consistent), call


@pytest.mark.parametrize("name", FORMATS)
def test_streamed_answers_are_proven_by_their_events(wire_server: WireServer, name: str) -> None:
    wire_server.script = [streamed(FORMATS[name].answer())]
    path = "/v1" if FORMATS[name].backend not in ("google", "anthropic", "cohere") else ""
    model: Any = FORMATS[name].model(wire_server.url + path, prices=PRICES)
    with backends.record("requests.json"):
        for _ in model.stream_response(HELLO):
            pass
    report = verify("requests.json")
    assert report.findings == []
    assert {"raw_response_obj", "clemcore.response_text"} <= set(report.each[0].consistent)
    text = Path("requests.json").read_text()
    Path("requests.json").write_text(text.replace('"Canberra', '"Sydney', 1))
    assert verify("requests.json").wrong


@pytest.mark.slow
def test_a_thousand_honest_calls_are_accepted(
    wire_server: WireServer, tiny_chat: Path, monkeypatch: pytest.MonkeyPatch, clem: Clem
) -> None:
    draw = random.Random(20)
    with backends.record("requests.json"):
        for name, form in FORMATS.items():
            answers = [wrapped(form.answer(), draw.choice(list(WRAPPINGS))) for _ in range(70)]
            answers += [draw.choice(REFUSALS) for _ in range(10)]
            draw.shuffle(answers)
            ask_all(name, wire_server, answers)
        mock: Any = backends.get_model_for("mock")
        for _ in range(20):
            words = " \n".join(draw.choice(["a", "ä", "\u2028", "\ud800", '"', "\\", " "]) for _ in range(5))
            mock.generate_response([{"role": "user", "content": words + "x"}])
        monkeypatch.setattr(sys, "stdin", io.StringIO(" one line \r\nanother\n"))
        human: Any = backends.get_model_for("human")
        for _ in range(2):
            human.generate_response(HELLO)
        local: Any = load(tiny_chat)
        local.set_gen_args(temperature=0.0, max_tokens=5)
        for _ in range(5):
            local.generate_response(CAPITAL)
        local.generate_batch_response([CAPITAL, HELLO])
    report = verify("requests.json")
    assert report.findings == []
    assert report.calls == report.linked == len(FORMATS) * 80 + 29
    clem.ok("verify", "requests.json", "--strict")


# -- planted changes -------------------------------------------------------------------------------------------
def plain(**changes: Any) -> Answer:
    """A reply whose bytes are the same after Python's json has read and written the record."""
    answer = completion(**changes)
    return dataclasses.replace(answer, body=json.dumps(json.loads(answer.body), ensure_ascii=False).encode())


def write(calls: Calls) -> None:
    lines = ",\n".join(json.dumps(call, ensure_ascii=False) for call in calls)
    Path("requests.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def read() -> Calls:
    calls: Calls = json.loads(Path("requests.json").read_text(encoding="utf-8"))
    return calls


def at(path: str) -> Callable[[Any], tuple[Any, Any]]:
    """Find the holder of a value and its name or index in it."""

    def find(call: Any) -> tuple[Any, Any]:
        *outer, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in outer:
            call = call[step]
        return call, last

    return find


SET: list[tuple[str, Any, str]] = [
    ("clemcore/response_text", "Sydney.", "response_text"),
    ("clemcore/usage/input_tokens", 8, "usage"),
    ("clemcore/usage/output_tokens", 5, "usage"),
    ("clemcore/usage/reasoning_tokens", 3, "usage"),
    ("clemcore/usage", {}, "usage"),
    ("clemcore/finish_reason", "length", "finish_reason"),
    ("clemcore/outcome", "refusal", "outcome"),
    ("clemcore/served_model", "another-model", "served_model"),
    ("clemcore/system_fingerprint", "fp_2", "system_fingerprint"),
    ("clemcore/reasoning", "What nobody thought.", "reasoning"),
    ("clemcore/refusal", "No.", "refusal"),
    ("clemcore/cost/usd", 0.0, "cost"),
    ("clemcore/cost/date", "2025-01-01", "cost"),
    ("clemcore/model_spec/prices/output", 25.0, "cost"),
    ("clemcore/gen_args/sent/temperature", 1.0, "gen_args.sent"),
    ("clemcore/gen_args/sent/seed", 7, "gen_args.sent"),
    ("clemcore/gen_args/sent", None, "gen_args.sent"),
    ("manipulated_prompt_obj/messages/0/content", "Hello?", "wire.request_sha256"),
    ("manipulated_prompt_obj/temperature", 1.0, "wire.request_sha256"),
    ("raw_response_obj/choices/0/message/content", "Sydney.", "wire.response_sha256"),
    ("raw_response_obj/usage/completion_tokens", 5, "wire.response_sha256"),
    ("clemcore/wire/response_sha256", "0" * 64, "wire.response_sha256"),
    ("clemcore/wire/request_bytes", 1, "wire.request_bytes"),
    ("clemcore/wire/response_after", " ", "wire.response_sha256"),
    ("clemcore/previous_sha256", "0" * 64, "previous_sha256"),
    ("clemcore/previous_sha256", None, "previous_sha256"),
]


@pytest.fixture
def remote(wire_server: WireServer) -> Calls:
    """Five calls; the last is one that nothing follows, so that no link shows a change of it."""
    texts = ["Canberra.", "Vienna.", "Zürich.", "Bern.", "Canberra."]
    wire_server.script = [plain(text=text) for text in texts]
    model: Any = FORMATS["openai_compatible"].model(wire_server.url + "/v1", prices=PRICES)
    model.set_gen_args(temperature=0.0, max_tokens=20)
    with backends.record("requests.json"):
        for _ in texts:
            model.generate_response(HELLO)
    write(read())
    assert verify("requests.json").findings == []
    return read()


def findings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for finding in verify("requests.json").wrong:
        found.setdefault(finding.place, []).append(finding.field.removeprefix("clemcore."))
    return found


@pytest.mark.parametrize(("path", "value", "field"), SET, ids=[f"{path}={value}" for path, value, _ in SET])
def test_a_changed_value_of_a_remote_call_is_found(remote: Calls, path: str, value: Any, field: str) -> None:
    holder, name = at(path)(remote[-1])
    assert holder.get(name) != value
    holder[name] = value
    write(remote)
    assert field in findings()["requests.json[4]"]


@pytest.mark.parametrize("field", ["cost", "usage", "finish_reason", "outcome", "served_model"])
def test_a_removed_fact_is_found(remote: Calls, field: str) -> None:
    del remote[-1]["clemcore"][field]
    write(remote)
    assert field in findings()["requests.json[4]"]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(leaf for name, inner in items for leaf in _leaves(inner, (*path, name)))][0 if path else 1 :]


def test_whatever_is_changed_is_found_and_breaks_nothing(remote: Calls) -> None:
    draw = random.Random(3)
    odd: list[Any] = [None, True, -1, 7.5, 10**30, "", "***", "a" * 64, [], {}, [[]], {"a": None}, "[", "AAAA"]
    for number in range(400):
        calls = copy.deepcopy(remote)
        index = number % len(calls)
        *outer, name = draw.choice(_leaves(calls[index]))
        holder: Any = calls[index]
        for step in outer:
            holder = holder[step]
        before = copy.deepcopy(holder[name])
        if number % 5:
            holder[name] = draw.choice(odd)
        else:
            del holder[name]
        try:
            write(calls)
            report = verify("requests.json")
        except RecordError:  # it is not a call any more
            continue
        if index < len(calls) - 1 and calls != remote:
            assert report.wrong, (index, outer, name, before)


def _swapped_replies(calls: Calls) -> Calls:
    one, other = calls[1], calls[-1]
    for holder, name in (("", "raw_response_obj"), ("clemcore", "response_text"), ("clemcore", "wire")):
        mine, yours = (call[holder] if holder else call for call in (one, other))
        mine[name], yours[name] = yours[name], mine[name]
    return calls


ORDER: dict[str, Callable[[Calls], Calls]] = {
    "the first call removed": lambda calls: calls[1:],
    "a call removed": lambda calls: [*calls[:2], *calls[3:]],
    "two calls removed": lambda calls: [calls[0], *calls[3:]],
    "neighbours swapped": lambda calls: [calls[0], calls[2], calls[1], *calls[3:]],
    "first and last swapped": lambda calls: [calls[4], *calls[1:4], calls[0]],
    "the first call twice": lambda calls: [calls[0], *calls],
    "a call twice": lambda calls: [*calls[:3], *calls[2:]],
    "the last call twice": lambda calls: [*calls, calls[-1]],
    "a call copied to the end": lambda calls: [*calls, calls[1]],
    "all calls twice": lambda calls: [*calls, *calls],
    "reversed": lambda calls: calls[::-1],
    "replies swapped": _swapped_replies,
    "a link removed": lambda calls: [
        *calls[:1],
        {
            **calls[1],
            "clemcore": {name: value for name, value in calls[1]["clemcore"].items() if name != "previous_sha256"},
        },
        *calls[2:],
    ],
}


@pytest.mark.parametrize("kind", ORDER)
def test_moved_copied_and_removed_calls_are_found(remote: Calls, kind: str) -> None:
    write(ORDER[kind](remote))
    assert any("previous_sha256" in fields for fields in findings().values())


def test_what_is_removed_at_the_end_shows_by_the_hash_of_the_end(remote: Calls, clem: Clem) -> None:
    end = verify("requests.json").ends["requests.json"]
    assert end == sha256_of_value(remote[-1])
    assert f"ends in {end}" in clem.ok("verify", "requests.json", "--end", end)
    write(remote[:-1])
    assert findings() == {}
    done = clem("verify", "requests.json", "--end", end)
    assert done.returncode == 1
    assert "calls at the end were changed, added or removed" in done.stderr


def test_writing_the_file_anew_breaks_no_link(remote: Calls) -> None:
    for layout in ({"indent": 2}, {"separators": (",", ":")}, {"sort_keys": True, "ensure_ascii": True}):
        Path("requests.json").write_text(json.dumps(remote, **layout))
        report = verify("requests.json")
        assert report.linked == 5
        assert report.wrong == []
    with backends.record("requests.json"):
        backends.get_model_for("mock").generate_response(HELLO)
    assert verify("requests.json").linked == 6


def test_every_file_has_links_of_its_own(wire_server: WireServer) -> None:
    model: Any = FORMATS["openai_compatible"].model(wire_server.url + "/v1")
    with backends.record("a.json"):
        model.generate_response(HELLO)
        with backends.record("b.json"), backends.record("folder/requests.json"):
            model.generate_batch_response([HELLO, DIALOGUE] * 3)
        model.generate_response(DIALOGUE)
    for path, size in (("a.json", 8), ("b.json", 6), ("folder", 6)):
        report = verify(path)
        assert report.findings == []
        assert report.linked == report.calls == size


def test_a_record_of_an_older_release_is_continued_with_links(clem: Clem) -> None:
    old = {"timestamp": "2025-03-01T12:00:00", "manipulated_prompt_obj": HELLO, "raw_response_obj": {"text": "x"}}
    Path("requests.json").write_text(json.dumps([old, old], indent=4))
    for _ in range(2):
        with backends.record("requests.json"):
            backends.get_model_for("mock").generate_response(HELLO)
    assert "2 calls linked" in clem.ok("verify", "requests.json", "--strict")
    calls = read()
    calls[1]["raw_response_obj"]["text"] = "y"
    write(calls)
    assert findings() == {"requests.json[2]": ["previous_sha256"]}


def test_a_failure_of_a_service_is_compared_with_its_body(wire_server: WireServer) -> None:
    answer = refusal(400, "the first reason")
    wire_server.script = [dataclasses.replace(answer, body=json.dumps(json.loads(answer.body)).encode())]
    model: Any = FORMATS["openai_compatible"].model(wire_server.url + "/v1")
    with backends.record("requests.json"), pytest.raises(ClemcoreError):
        model.generate_response(HELLO)
    (call,) = read()
    call["clemcore"]["error"]["provider_message"] = "another reason"
    write([call])
    assert findings() == {"requests.json[0]": ["error.provider_message"]}


LOCAL: list[tuple[str, Any]] = [
    ("clemcore/response_text", "Sydney."),
    ("manipulated_prompt_obj/inputs", "Something else"),
    ("manipulated_prompt_obj/input_ids/0", 7),
    ("manipulated_prompt_obj/max_new_tokens", 9),
    ("raw_response_obj/response", "Something else"),
    ("raw_response_obj/output_ids/0", 7),
    ("raw_response_obj/finish_reason", "stop_string"),
    ("clemcore/finish_reason", "stop_string"),
    ("clemcore/usage/input_tokens", 1),
    ("clemcore/usage/output_tokens", 1),
    ("clemcore/hashes/response_text", "0" * 64),
]


@pytest.mark.slow
def test_a_changed_value_of_a_local_call_is_found(tiny_chat: Path) -> None:
    model: Any = load(tiny_chat)
    model.set_gen_args(temperature=0.0, max_tokens=5)
    with backends.record("requests.json"):
        model.generate_response(CAPITAL)
    calls = read()
    report = verify("requests.json")
    assert report.findings == []
    assert {"prompt", "input_ids", "response", "output_ids", "response_text"} <= set(report.each[0].proven)
    for path, value in LOCAL:
        changed = copy.deepcopy(calls)
        holder, name = at(path)(changed[0])
        assert holder[name] != value
        holder[name] = value
        write(changed)
        assert findings(), path


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("clemcore/response_text", "Sydney."),
        ("manipulated_prompt_obj/0/content", "Hello?"),
        ("raw_response_obj/text", "Sydney."),
        ("clemcore/hashes", {}),
    ],
)
def test_a_changed_value_of_a_mock_call_is_found(clem: Clem, path: str, value: Any) -> None:
    with backends.record("requests.json"):
        backends.get_model_for("mock").generate_response(HELLO)
    calls = read()
    holder, name = at(path)(calls[0])
    holder[name] = value
    write(calls)
    assert clem("verify", "requests.json", "--strict").returncode == 1


def test_every_call_is_told_what_is_proven_of_it(remote: Calls, clem: Clem) -> None:
    shown = clem.ok("verify", "requests.json", "--strict")
    assert shown.count("proven request, response, previous_sha256; consistent wire.request_bytes") == 5
    each = json.loads(clem.ok("verify", "requests.json", "--json"))["each"]
    assert [call["place"] for call in each] == [f"requests.json[{index}]" for index in range(5)]
    del remote[-1]["clemcore"]["previous_sha256"]
    write(remote)
    assert "not proven previous_sha256" in clem.ok("verify", "requests.json")
    assert clem("verify", "requests.json", "--strict").returncode == 1


def test_another_version_may_have_read_a_reply_in_another_way(remote: Calls) -> None:
    remote[-1]["clemcore"]["versions"]["clemcore"] = "4.0.0.dev0"
    remote[-1]["clemcore"]["usage"]["output_tokens"] = 99
    write(remote)
    report = verify("requests.json")
    assert report.wrong == []
    assert "recorded by clemcore 4.0.0.dev0" in str(report.unproven[0])


def test_links_of_a_replay_are_its_own(remote: Calls) -> None:
    with backends.record("again.json"):
        backends.get_model_for("mock").generate_response(HELLO)
        model: Any = backends.get_model_for("replay:requests.json")
        for _ in remote:
            model.generate_response(HELLO)
    assert verify("again.json").findings == []
    calls = json.loads(Path("again.json").read_text())
    Path("again.json").write_text(json.dumps(calls[1:], ensure_ascii=False))
    assert first_difference("requests.json", "again.json") is None
