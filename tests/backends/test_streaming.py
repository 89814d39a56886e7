"""Answers in pieces: for every wire format, streamed and whole replies are the same answer."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.streaming.events import EventReader, events_of
from clemcore.errors import MessagesError, RemoteCallError
from clemcore.model import Model
from support import anthropic_wire, google_wire, mistral_wire
from support.formats import FORMATS
from support.remote import HELLO, open_model
from support.streams import in_pieces, streamed
from support.wire_server import WireServer, completion, refusal, response

LONG = "  Canberra is the capital.\n\nSydney is larger — but not the capital. 🏛️\n"
ITEM = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
WHOLE = {
    "chat": ("openai_compatible", completion(LONG)),
    "chat-reasoning": ("openai_compatible", completion(LONG, message={"reasoning_content": "Let me think."})),
    "chat-cut": ("openai_compatible", completion("Canb", finish_reason="length")),
    "chat-empty": ("openai_compatible", completion("")),
    "openrouter": ("openrouter", completion(LONG, provider="P", message={"reasoning": "Let me think."})),
    "azure": ("azure", completion(LONG)),
    "responses": ("openai_compatible-responses", response(LONG, items=[ITEM])),
    "responses-cut": ("openai_compatible-responses", response("Canb", status="incomplete")),
    "anthropic": (
        "anthropic",
        anthropic_wire.message(anthropic_wire.thinking("Let me think."), LONG, " And more."),
    ),
    "anthropic-cut": ("anthropic", anthropic_wire.message("Canb", stop_reason="max_tokens")),
    "google": ("google", google_wire.generated(google_wire.thought("Let me think."), LONG)),
    "google-blocked": ("google", google_wire.blocked("SAFETY")),
    "mistral": ("mistral", mistral_wire.completion(LONG)),
    "mistral-thinking": (
        "mistral",
        mistral_wire.completion([mistral_wire.thoughts("Let me"), {"type": "text", "text": LONG}]),
    ),
    "cohere": ("cohere", mistral_wire.chat({"type": "thinking", "thinking": "Let me think."}, LONG)),
}
FACTS = (
    "usage",
    "finish_reason",
    "outcome",
    "reasoning",
    "served_model",
    "system_fingerprint",
    "refusal",
    "served_by",
)


def _base(name: str, server: WireServer) -> str:
    path = {"openrouter": "/api/v1", "openai_compatible": "/v1", "mistral": "/v1", "azure": "/openai/v1"}
    return server.url + path.get(FORMATS[name].backend, "")


@pytest.mark.parametrize("case", WHOLE)
def test_a_streamed_reply_is_the_whole_reply(case: str, wire_server: WireServer) -> None:
    name, whole = WHOLE[case]
    wire_server.script = [whole, streamed(whole)]
    model = FORMATS[name].model(_base(name, wire_server))
    expected = model.generate_response(HELLO)
    stream = model.stream_response(HELLO)
    pieces = list(stream)
    assert "".join(pieces) == expected.text == stream.reply.text
    assert len(pieces) > 2 or len(expected.text) < 8
    for fact in FACTS:
        assert stream.reply.facts.get(fact) == expected.facts.get(fact), fact


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_sent_asks_for_a_stream_and_is_the_prompt(name: str, wire_server: WireServer) -> None:
    wire_server.script = [FORMATS[name].answer(), streamed(FORMATS[name].answer())]
    model = FORMATS[name].model(_base(name, wire_server))
    whole = model.generate_response(HELLO).prompt
    stream = model.stream_response(HELLO)
    assert "".join(stream) == "Canberra."
    first, second = wire_server.requests
    assert stream.reply.prompt == second.json
    asks = {field: value for field, value in second.json.items() if field not in first.json}
    if FORMATS[name].backend == "google":
        assert second.target == first.target.replace(":generateContent", ":streamGenerateContent?alt=sse")
        assert asks == {}
    else:
        assert second.target == first.target
        assert asks.pop("stream") is True
        assert asks in ({}, {"stream_options": {"include_usage": True}})
    assert whole == {field: value for field, value in second.json.items() if field in first.json}


def test_pieces_come_while_the_answer_is_written(wire_server: WireServer) -> None:
    answer = streamed(completion("One two three four five six."), pause=0.1)
    wire_server.script = [answer]
    begin, times = time.monotonic(), []
    for _ in open_model(wire_server.url).stream_response(HELLO):
        times.append(time.monotonic() - begin)
    assert len(times) >= 5
    assert times[-1] - times[0] > 0.3


def test_the_record_has_the_events_as_they_came(wire_server: WireServer, tmp_path: Path) -> None:
    answer = streamed(completion(LONG))
    wire_server.script = [answer]
    with backends.record(tmp_path / "r.json"):
        stream = open_model(wire_server.url).stream_response(HELLO)
        text = "".join(stream)
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    wire = entry["clemcore"]["wire"]
    assert wire["events"].encode() == b"".join(answer.pieces)
    assert wire["response_sha256"] == hashlib.sha256(b"".join(answer.pieces)).hexdigest()
    joined = entry["raw_response_obj"]
    assert joined == stream.reply.response
    assert joined["choices"][0]["message"]["content"].strip() == text == LONG.strip()
    assert joined["object"] == "chat.completion"


@pytest.mark.parametrize("fault", ["truncate", ""])
def test_a_stream_that_is_cut_is_an_error_with_what_came(
    fault: str, wire_server: WireServer, tmp_path: Path
) -> None:
    pieces = list(streamed(completion("One two three four.")).pieces)[:4]
    wire_server.script = [in_pieces(pieces, fault=fault)]
    got: list[str] = []
    with backends.record(tmp_path / "r.json"):
        stream = open_model(wire_server.url).stream_response(HELLO)
        with pytest.raises(RemoteCallError) as caught:
            got.extend(stream)
    assert "".join(got) == "One two t"
    assert len(wire_server.requests) == 1  # nothing is repeated after the first piece
    assert caught.value.response == b"".join(pieces).decode()
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    assert entry["raw_response_obj"] == b"".join(pieces).decode()
    with pytest.raises(RemoteCallError):
        _ = stream.reply


def test_a_stream_that_fails_before_its_first_piece_is_repeated(wire_server: WireServer) -> None:
    nothing = in_pieces([b": wait\n\n"], fault="truncate")
    wire_server.script = [refusal(503, "busy", headers={"retry-after": "0.01"}), nothing, streamed(completion())]
    assert list(open_model(wire_server.url).stream_response(HELLO)) != []
    assert len(wire_server.requests) == 3


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("openai_compatible", {"error": {"message": "the engine broke", "code": 500}}),
        (
            "openrouter",
            {"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": "the engine broke"}}]},
        ),
        ("anthropic", {"type": "error", "error": {"type": "api_error", "message": "the engine broke"}}),
        ("openai_compatible-responses", {"type": "error", "code": "server_error", "message": "the engine broke"}),
        ("google", {"error": {"code": 500, "message": "the engine broke", "status": "INTERNAL"}}),
        ("mistral", {"object": "error", "message": "the engine broke", "type": "internal_error"}),
        ("cohere", {"id": "1", "message": "the engine broke"}),
    ],
)
def test_an_error_in_the_middle_of_a_stream_is_an_error(
    name: str, event: dict[str, Any], wire_server: WireServer
) -> None:
    begun = list(streamed(FORMATS[name].answer()).pieces)[:4]
    wire_server.script = [in_pieces([*begun, f"data: {json.dumps(event)}\n\n".encode()])]
    stream = FORMATS[name].model(_base(name, wire_server)).stream_response(HELLO)
    with pytest.raises(RemoteCallError, match="the engine broke"):
        list(stream)
    assert len(wire_server.requests) == 1


def test_a_stream_that_stops_coming_ends_by_the_idle_deadline(wire_server: WireServer) -> None:
    pieces = list(streamed(completion("One two three.")).pieces)[:3]
    wire_server.script = [in_pieces(pieces, fault="stall")]
    stream = open_model(wire_server.url, idle_timeout=0.3).stream_response(HELLO)
    assert next(stream) == "One"
    with pytest.raises(RemoteCallError, match="idle_timeout"):
        list(stream)


def test_a_server_that_does_not_stream_gives_one_piece(wire_server: WireServer) -> None:
    wire_server.script = [completion(LONG)]
    stream = open_model(wire_server.url).stream_response(HELLO)
    assert list(stream) == [LONG.strip()]


@pytest.mark.parametrize("part", ["erra", {"text": "erra"}, {"type": "output_text", "text": "erra"}], ids=str)
def test_parts_of_every_form_are_pieces(wire_server: WireServer, part: Any) -> None:
    contents: list[Any] = [["Canb"], [part], "."]
    chunks = [{"choices": [{"index": 0, "delta": {"content": content}}]} for content in contents]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    wire_server.script = [in_pieces([b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks])]
    stream = open_model(wire_server.url).stream_response(HELLO)
    assert list(stream) == ["Canb", "erra", "."]
    assert (stream.reply.text, stream.reply.facts["outcome"]) == ("Canberra.", "answer")


def test_thoughts_between_tags_are_no_piece_of_the_answer(wire_server: WireServer) -> None:
    wire_server.script = [completion("<think>Sydney is larger.</think>Canberra.")]
    stream = open_model(wire_server.url, cot_start_tag="<think>", cot_end_tag="</think>").stream_response(HELLO)
    assert list(stream) == ["Canberra."]
    assert stream.reply.facts["reasoning"] == "Sydney is larger."


def test_a_kept_answer_is_one_piece(wire_server: WireServer, tmp_path: Path) -> None:
    wire_server.script = [streamed(completion(LONG))]
    with backends.cache(tmp_path / "c.sqlite3"):
        model = open_model(wire_server.url)
        first = "".join(model.stream_response(HELLO))
        again = model.stream_response(HELLO)
        assert list(again) == [first]
    assert again.reply.facts["cache"] == "hit"
    assert len(wire_server.requests) == 1


def test_a_closed_stream_stops_its_call_and_the_record_says_so(wire_server: WireServer, tmp_path: Path) -> None:
    pieces = list(streamed(completion("One two three.")).pieces)[:3]
    wire_server.script = [in_pieces(pieces, fault="stall")]
    with backends.record(tmp_path / "r.json"), open_model(wire_server.url).stream_response(HELLO) as stream:
        assert next(stream) == "One"
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    assert entry["clemcore"]["error"]["type"] == "InterruptedCallError"
    assert "One" in entry["raw_response_obj"]
    assert list(stream) == []


def test_malformed_messages_are_refused_without_a_request(wire_server: WireServer) -> None:
    with pytest.raises(MessagesError, match="content"):
        list(open_model(wire_server.url).stream_response([{"role": "user"}]))
    assert wire_server.requests == []


def test_a_model_that_cannot_stream_gives_one_piece() -> None:
    class Mine(Model):
        def generate_response(self, messages: Any) -> Any:
            return messages, {"text": "Hi!"}, "Hi!"

    stream = Mine(backends.ModelSpec(model_name="mine", backend="mine")).stream_response(HELLO)
    assert list(stream) == ["Hi!"]
    assert stream.reply.text == "Hi!"


def test_a_subclass_that_changes_the_text_streams_what_the_service_sent(wire_server: WireServer) -> None:
    wire_server.script = [streamed(completion("One two."))]
    parent: Any = type(open_model(wire_server.url))

    class Loud(parent):  # type: ignore[misc]
        def generate_response(self, messages: Any) -> Any:
            prompt, reply, text = super().generate_response(messages)
            return prompt, reply, text + "!"

    model = open_model(wire_server.url)
    model.__class__ = Loud
    stream = model.stream_response(HELLO)
    assert "".join(stream) == "One two.!" == stream.reply.text


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_are_read_wherever_the_network_cuts(ends: bytes, size: int) -> None:
    lines = [
        "\ufeffdata: one",
        "",
        ": a comment",
        "event: named",
        "data: two",
        "data:three",
        "",
        "data",
        "",
        "data: ü",
        "",
    ]
    data = b"".join(line.encode() + ends for line in lines) + b"data: cut"
    reader = EventReader()
    got = [event for start in range(0, len(data), size) for event in reader.feed(data[start : start + size])]
    assert [(event.kind, event.data) for event in got] == [
        ("message", "one"),
        ("named", "two\nthree"),
        ("message", ""),
        ("message", "ü"),
    ]
    assert got == events_of(data)
