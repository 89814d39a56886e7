"""What stands in the record of a remote call: the very bytes that were sent and received, without secrets."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from support.remote import CANARY, HELLO, make_model, open_model, write_keys
from support.wire_server import Answer, WireServer, completion

JSON = {"Content-Type": "application/json"}


def answer_with(content: str, encoding: str = "utf-8", **changes: str) -> Answer:
    """A completion whose bytes are written here; `content` is JSON text."""
    text = '{"choices": [{"message": {"role": "assistant",  "content": CONTENT}}], "big": 1e2}'
    text = text.replace("CONTENT", content)
    for old, new in changes.items():
        text = text.replace(old, new)
    return Answer(200, text.encode(encoding), JSON)


def record_of(model: Any) -> tuple[Any, dict[str, Any], bytes]:
    with backends.record("requests.json") as recorder:
        reply = model.generate_response(HELLO)
    text = Path(recorder.path).read_bytes()
    return reply, json.loads(text)[-1], text


def value_in(text: bytes, name: str) -> bytes:
    """The text of a field's value, as it stands in the file."""
    whole = text.decode()
    start = re.search(f'"{name}": ', whole)
    assert start is not None
    return whole[start.end() : json.JSONDecoder().raw_decode(whole, start.end())[1]].encode()


@pytest.mark.parametrize("content", ['"ä\\u00e4 \\/ \\ud83d\\ude00"', '"\\ud800"', '"NotNaNs"'])
def test_bytes_that_were_sent_and_received_stand_in_the_record(wire_server: WireServer, content: str) -> None:
    wire_server.script = [answer_with(content)]
    reply, call, text = record_of(open_model(wire_server.url))
    wire = call["clemcore"]["wire"]
    sent, received = value_in(text, "manipulated_prompt_obj"), value_in(text, "raw_response_obj")
    assert sent == wire_server.only.body
    assert hashlib.sha256(sent).hexdigest() == wire["request_sha256"]
    assert call["manipulated_prompt_obj"] == reply.prompt
    assert call["raw_response_obj"] == reply.response
    if content != '"NotNaNs"':  # this one looks like what JSON does not have: it is written anew
        assert received == wire_server.script[0].body  # type: ignore[union-attr]
        assert hashlib.sha256(received).hexdigest() == wire["response_sha256"]


@pytest.mark.parametrize(
    "answer",
    [
        answer_with('"x"', big='more": NaN, "big'),
        answer_with('"x"', encoding="utf-8-sig"),
        answer_with('"x"', encoding="utf-16"),
        answer_with('"x"', encoding="utf-16-le"),
        answer_with('"x"', encoding="utf-32-be"),
        Answer(
            200, answer_with('"X"').body.replace(b"X", b"\xed\xa0\x80"), JSON
        ),  # a surrogate, as no UTF-8 has it
    ],
)
def test_a_body_that_is_no_strict_json_in_utf_8_is_written_anew(wire_server: WireServer, answer: Answer) -> None:
    wire_server.script = [answer]
    reply, call, text = record_of(open_model(wire_server.url))
    text.decode("utf-8")
    assert b"NaN" not in text.replace(b'"NaN"', b"")
    assert call["raw_response_obj"]["choices"] == reply.response["choices"]


def escaped(secret: str, form: str) -> str:
    """A secret as JSON text with escapes that Python does not write."""
    if form == "slash":
        return json.dumps(secret).replace("/", "\\/")
    return '"' + "".join(f"\\u{ord(character):04X}" for character in secret) + '"'


@pytest.mark.parametrize("form", ["slash", "unicode"])
def test_a_key_that_a_server_sends_back_in_escapes_is_found(wire_server: WireServer, form: str) -> None:
    secret = f"{CANARY}/with/slashes"
    write_keys(openai_compatible={"api_key": secret})
    wire_server.script = [answer_with(escaped(secret, form))]
    model: Any = make_model("openai_compatible", base_url=f"{wire_server.url}/v1", key_name="openai_compatible")
    _, call, text = record_of(model)
    assert call["raw_response_obj"] is call["clemcore"]["response_text"] is None
    assert call["clemcore"]["left_out"] == ["raw_response_obj", "response_text"]
    assert escaped(secret, form).encode() not in text
    assert CANARY.encode() not in text


def test_what_a_subclass_makes_of_an_answer_is_recorded(wire_server: WireServer) -> None:
    wire_server.script = [completion("quiet")]
    base: Any = type(open_model(wire_server.url))

    class Loud(base):  # type: ignore[misc]
        def generate_response(self, messages: Any) -> Any:
            prompt, _, text = super().generate_response(messages)
            return prompt, {"loud": True}, text.upper()

    model: Any = open_model(wire_server.url)
    model.__class__ = Loud
    _, call, _ = record_of(model)
    assert call["raw_response_obj"] == {"loud": True}
    assert call["clemcore"]["response_text"] == "QUIET"
