"""Replies that came and cannot be read: they are read as far as that is safe, kept, and not bought twice."""

from __future__ import annotations

import base64
import codecs
import gzip
import json
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.http.reading import json_in
from clemcore.errors import (
    AuthenticationError,
    BadReplyError,
    BadRequestError,
    RemoteCallError,
    RemoteTimeoutError,
)
from support.clem import Clem
from support.remote import HELLO, make_model, open_model
from support.wire_server import Answer, WireServer, completion, refusal

BODY = completion().body
RAW_DEFLATE = zlib.compressobj(wbits=-15)
DEFLATED = RAW_DEFLATE.compress(BODY) + RAW_DEFLATE.flush()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {"Content-Encoding": "UTF-8"}),
        (BODY, {"Content-Encoding": "br"}),
        (BODY, {"Content-Encoding": "gzip"}),
        (BODY, {"Content-Encoding": "zstd, br"}),
        (BODY, {"Content-Encoding": ""}),
        (DEFLATED, {"Content-Encoding": "deflate"}),
        (zlib.compress(BODY), {"Content-Encoding": "deflate"}),
        (gzip.compress(gzip.compress(BODY)), {"Content-Encoding": "gzip, gzip"}),
        (gzip.compress(BODY), {"Content-Encoding": "GZip"}),
        (BODY, {"Content-Security-Policy": "a" * 9000}),
        (BODY, {"Set-Cookie": "a" * 60_000}),
        (BODY, {f"X-{number}": "1" for number in range(130)}),
        (BODY, {f"X-{number}": "1" for number in range(900)}),
        (BODY + b"\n\ndata: [DONE]\n\n", {}),
        (BODY + b"\r\n\r\ndata:[DONE]", {}),
        (b": PROCESSING\n\n: PROCESSING\n\n" + BODY, {}),
        (b"data: " + BODY.replace(b"\n", b"") + b"\n\n: end\n\ndata: [DONE]\n\n", {}),
        (codecs.BOM_UTF8 + BODY, {}),
        (codecs.BOM_UTF8 + b"\n: waiting\n" + BODY, {}),
        (b"\n" * 5000 + BODY + b"\n" * 5000, {}),
    ],
)
def test_what_stands_around_an_answer_does_not_cost_it(
    wire_server: WireServer, tmp_path: Path, body: bytes, headers: dict[str, str]
) -> None:
    wire_server.script = [Answer(200, body, {**JSON, **headers})]
    with backends.record(tmp_path / "requests.json"):
        reply: Any = open_model(wire_server.url).generate_response(HELLO)
    assert reply.text == "Canberra."
    assert reply.response["model"] == "served-model-001"
    assert len(wire_server.requests) == 1
    (call,) = json.loads((tmp_path / "requests.json").read_text("utf-8"))
    assert call["raw_response_obj"] == json.loads(BODY)


@pytest.mark.parametrize(
    "body",
    [
        b'{"choices": ',
        b"{}{}",
        BODY + BODY,
        BODY + b"and so on",
        b"data: {}\n\ndata: " + BODY + b"\n\ndata: [DONE]\n\n",
        b"no JSON",
        b"",
        b"\x00\x9f\xff",
        b"<html><title>Welcome</title></html>",
        b"[" * 100_000 + b"]" * 100_000,
        b"9" * 10_000,
        b'{"choices": ' + b"9" * 10_000 + b"}",
        b": only a comment\n\n",
    ],
)
def test_a_reply_that_cannot_be_read_is_kept_and_paid_for_once(
    wire_server: WireServer, tmp_path: Path, body: bytes
) -> None:
    wire_server.script = [Answer(200, body, JSON)]
    with backends.record(tmp_path / "requests.json"), pytest.raises(BadReplyError) as caught:
        open_model(wire_server.url).generate_response(HELLO)
    assert len(wire_server.requests) == 1
    assert not caught.value.retryable
    (call,) = json.loads((tmp_path / "requests.json").read_text("utf-8"))
    assert _recorded(call) == body


def _in_pieces(*pieces: bytes, status: int = 200, fault: str = "truncate") -> Answer:
    return Answer(status, headers=JSON, pieces=pieces, fault=fault)


def test_an_answer_that_breaks_off_is_kept_and_not_bought_again(
    wire_server: WireServer, tmp_path: Path, clem: Clem
) -> None:
    wire_server.script = [_in_pieces(BODY[:40], BODY[40:90]), completion()]
    with backends.record(tmp_path / "requests.json"), pytest.raises(BadReplyError) as caught:
        open_model(wire_server.url).generate_response(HELLO)
    assert len(wire_server.requests) == 1
    assert "ended too early" in str(caught.value)
    assert "not asked for again: model_config.bad_reply_attempts allows that" in str(caught.value)
    assert caught.value.response == BODY[:90].decode()
    (call,) = json.loads((tmp_path / "requests.json").read_text("utf-8"))
    assert _recorded(call) == BODY[:90]
    assert "1 of them failed" in clem("verify", str(tmp_path / "requests.json"), "--strict").stdout


def test_an_answer_that_stalls_is_kept_and_not_bought_again(wire_server: WireServer) -> None:
    wire_server.script = [_in_pieces(BODY[:40], fault="stall"), completion()]
    with pytest.raises(RemoteTimeoutError, match=r"within 0\.3 s \(attempt_timeout\); .* not asked for") as caught:
        open_model(wire_server.url, attempt_timeout=0.3).generate_response(HELLO)
    assert caught.value.response == BODY[:40].decode()
    assert (len(wire_server.requests), caught.value.retryable) == (1, False)


def test_an_entry_can_ask_to_buy_a_broken_answer_again(wire_server: WireServer) -> None:
    wire_server.script = [_in_pieces(BODY[:40]), completion()]
    reply: Any = open_model(wire_server.url, bad_reply_attempts=2).generate_response(HELLO)
    assert (reply.text, reply.facts["wire"]["attempts"]) == ("Canberra.", 2)


@pytest.mark.parametrize("fault", ["truncate", "stall"])
def test_a_whole_answer_counts_although_its_transport_did_not_end(wire_server: WireServer, fault: str) -> None:
    wire_server.script = [_in_pieces(BODY[:40], BODY[40:], fault=fault)]
    reply: Any = open_model(wire_server.url, attempt_timeout=0.3).generate_response(HELLO)
    assert (reply.text, len(wire_server.requests)) == ("Canberra.", 1)


@pytest.mark.parametrize("before", [(b"  \n",), (b": PROCESSING\n\n", b": PROCESSING\n\n")])
def test_a_connection_that_breaks_before_an_answer_is_tried_again(
    wire_server: WireServer, quick_repeats: None, before: tuple[bytes, ...]
) -> None:
    wire_server.script = [_in_pieces(*before), completion()]
    reply: Any = open_model(wire_server.url).generate_response(HELLO)
    assert (reply.text, reply.facts["wire"]["attempts"]) == ("Canberra.", 2)


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (400, BadRequestError)])
def test_a_refusal_that_breaks_off_is_a_refusal(
    wire_server: WireServer, status: int, error: type[RemoteCallError]
) -> None:
    wire_server.script = [_in_pieces(refusal(status, "no such thing").body[:30], status=status)]
    with pytest.raises(error):
        open_model(wire_server.url).generate_response(HELLO)
    assert len(wire_server.requests) == 1


def test_of_several_servers_another_one_is_asked(wire_server: WireServer) -> None:
    with WireServer() as other:
        other.script = [completion()]
        wire_server.script = [_in_pieces(BODY[:40])]
        model = make_model(
            "openai_compatible",
            base_url=[f"{wire_server.url}/v1", f"{other.url}/v1"],
            model_config={"requires_api_key": False},
        )
        texts = {model.generate_response([{"role": "user", "content": f"{n}"}])[2] for n in range(3)}
    assert texts == {"Canberra."}


def test_a_compression_that_is_not_known_is_kept_as_it_came(wire_server: WireServer, tmp_path: Path) -> None:
    packed = b"\x1b\x2a\x00\xf8" + bytes(range(200, 256))
    wire_server.script = [Answer(200, packed, {"Content-Encoding": "br"})]
    with backends.record(tmp_path / "requests.json"), pytest.raises(BadReplyError, match="compressed as 'br'"):
        open_model(wire_server.url).generate_response(HELLO)
    assert len(wire_server.requests) == 1
    (call,) = json.loads((tmp_path / "requests.json").read_text("utf-8"))
    assert _recorded(call) == packed


def _recorded(call: dict[str, Any]) -> bytes:
    """Return the bytes of a reply that a record holds."""
    wire, shown = call["clemcore"]["wire"], call["raw_response_obj"]
    if "response_base64" in wire:
        return base64.b64decode(wire["response_base64"])
    assert isinstance(shown, str)
    return shown.encode()


def test_an_entry_can_ask_to_pay_again(wire_server: WireServer) -> None:
    wire_server.script = [Answer(200, b"{", JSON), Answer(200, b"{", JSON), completion()]
    reply: Any = open_model(wire_server.url, bad_reply_attempts=3).generate_response(HELLO)
    assert (reply.text, reply.facts["wire"]["attempts"]) == ("Canberra.", 3)
    wire_server.script = [Answer(200, b"{", {**JSON, "Retry-After-Ms": "1"})]
    with pytest.raises(BadReplyError, match=r"\(2 attempts\)") as caught:
        open_model(wire_server.url, bad_reply_attempts=2).generate_response(HELLO)
    assert caught.value.retryable


def test_a_reply_that_cannot_be_read_costs_its_worst_case_once(wire_server: WireServer) -> None:
    wire_server.script = [Answer(200, b"{", JSON)]
    model = make_model(
        "openai_compatible",
        {"max_tokens": 100},
        base_url=f"{wire_server.url}/v1",
        prices={"input": 0, "output": 1000},
        model_config={"requires_api_key": False},
    )
    with backends.budget(1) as limit, pytest.raises(BadReplyError):
        model.generate_response(HELLO)
    assert limit.spent == pytest.approx(0.1)
    assert limit.left == pytest.approx(0.9)


def test_an_error_in_a_stream_of_comments_is_an_error(wire_server: WireServer) -> None:
    error = refusal(400, "no such thing").body
    wire_server.script = [Answer(400, b": PROCESSING\n\n" + error, {"Content-Encoding": "utf-8"})]
    with pytest.raises(Exception, match="answered 400: no such thing"):
        open_model(wire_server.url).generate_response(HELLO)


def test_long_bodies_without_json_are_given_up_quickly() -> None:
    begin = time.process_time()
    for body in (b": x\n" * 5_000_000, b" " * 20_000_000, b"{}" + b": x\n" * 5_000_000, b"data: " * 3_000_000):
        assert json_in(body) is None
    assert time.process_time() - begin < 30  # it hangs, or it takes well under a second
