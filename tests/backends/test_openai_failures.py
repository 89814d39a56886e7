"""What goes wrong, and what is said about it: refusals, faults of the network, time, attempts, secrets."""

from __future__ import annotations

import gzip
import json
import logging
import re
import socket
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, secrets
from clemcore.backends.service.http.verdict import wait_asked
from clemcore.errors import ContextExceededError, RemoteCallError
from support.leaks import shown_by
from support.remote import CANARY, HELLO, make_model, open_model, write_keys
from support.wire_server import Answer, WireServer, completion, refusal, reply

NOW = {"Retry-After-Ms": "1"}  # so that tests of repeated attempts do not wait


def fail(model: Any) -> RemoteCallError:
    with pytest.raises(RemoteCallError) as caught:
        model.generate_response(HELLO)
    return caught.value


def with_key(server: WireServer, **config: Any) -> Any:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{server.url}/v1"})
    return make_model("openai_compatible", model_config=config)


# -- refusals ----------------------------------------------------------------------------------------------------
def test_a_refusal_says_what_where_why_and_what_to_do(wire_server: WireServer) -> None:
    wire_server.script = [refusal(401, f"Incorrect API key provided: {CANARY}.", code="invalid_api_key")]
    error = fail(with_key(wire_server))
    assert str(error) == (
        f"model 'remote-model' (backend openai_compatible): POST {wire_server.url}/v1/chat/completions "
        f"answered 401: Incorrect API key provided: ***.; check the key (found in {Path.cwd() / 'key.json'}) "
        "(request id req_123)"
    )
    assert (error.status, error.request_id) == (401, "req_123")
    assert error.prompt == wire_server.only.json
    assert error.response["error"] == {
        "message": "Incorrect API key provided: ***.",
        "type": "some_error",
        "code": "invalid_api_key",
    }
    assert error.facts["sent"] == {"temperature": 0.0, "max_tokens": 300}
    assert (error.facts["wire"]["attempts"], error.facts["wire"]["status"]) == (1, 401)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_will_not_change_costs_one_request(wire_server: WireServer, status: int) -> None:
    wire_server.script = [refusal(status, "no")]
    assert fail(open_model(wire_server.url)).status == status
    assert len(wire_server.requests) == 1


def test_a_spent_account_costs_one_request(wire_server: WireServer) -> None:
    wire_server.script = [refusal(429, "You exceeded your current quota.", code="insufficient_quota")]
    assert fail(open_model(wire_server.url)).status == 429
    assert len(wire_server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "attempts"),
    [
        (408, "timeout", 4),
        (409, "server", 6),
        (429, "rate_limit", 40),
        (500, "server", 6),
        (502, "server", 6),
        (503, "overloaded", 12),
        (529, "overloaded", 12),
    ],
)
def test_what_may_pass_is_tried_again(wire_server: WireServer, status: int, kind: str, attempts: int) -> None:
    wire_server.script = [refusal(status, "busy", headers=NOW)]
    error = fail(open_model(wire_server.url))
    assert len(wire_server.requests) == attempts
    assert (error.kind, error.retryable, error.retry_after) == (kind, True, 0.001)
    assert "busy" in str(error)
    assert f"({attempts} attempts, request id req_123)" in str(error)
    wire = error.facts["wire"]
    assert wire["attempts"] == attempts
    assert [attempt["status"] for attempt in wire["failed_attempts"]] == [status] * (attempts - 1)
    assert len({received.body for received in wire_server.requests}) == 1


def test_the_record_counts_the_attempts_of_a_call_that_went_well(wire_server: WireServer, tmp_path: Path) -> None:
    wire_server.script = [refusal(503, "busy", headers=NOW), Answer(fault="close"), completion()]
    model = open_model(wire_server.url)
    with backends.record(tmp_path / "requests.json"):
        assert model.generate_response(HELLO)[2] == "Canberra."
    (call,) = json.loads((tmp_path / "requests.json").read_text())
    wire = call["clemcore"]["wire"]
    assert (wire["attempts"], wire["status"]) == (3, 200)
    assert wire["failed_attempts"][0]["status"] == 503
    assert "closed the connection without a reply" in wire["failed_attempts"][1]["error"]
    assert wire["seconds"]["total"] > wire["seconds"]["attempt"]


def test_a_call_that_failed_is_recorded_with_what_was_sent(wire_server: WireServer, tmp_path: Path) -> None:
    wire_server.script = [refusal(400, "bad")]
    with backends.record(tmp_path / "requests.json"):
        fail(open_model(wire_server.url))
    (call,) = json.loads((tmp_path / "requests.json").read_text())
    assert call["manipulated_prompt_obj"] == wire_server.only.json
    assert call["raw_response_obj"]["error"]["message"] == "bad"
    assert call["clemcore"]["error"]["type"] == "BadRequestError"
    assert call["clemcore"]["wire"]["status"] == 400
    assert call["clemcore"]["gen_args"]["sent"] == {"temperature": 0.0, "max_tokens": 300}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "Unexpected fields in the request: {'top_k'}"}, r"answered 422: Unexpected fields .*'top_k'"),
        ({"detail": [{"loc": ["body"], "msg": "missing"}]}, r'answered 422: \[\{"loc"'),
        ({"object": "error", "message": "Conversation roles must alternate", "code": 400}, "roles must alternate"),
        ({"error": "model not loaded"}, "answered 422: model not loaded"),
        ({"odd": 1}, "answered 422: '{"),
    ],
)
def test_messages_of_servers_of_other_people(wire_server: WireServer, body: Any, words: str) -> None:
    wire_server.script = [reply(422, body)]
    error = fail(open_model(wire_server.url))
    assert re.search(words, str(error)), str(error)
    assert error.response == body


# -- replies that are none ---------------------------------------------------------------------------------------
JSON = {"Content-Type": "application/json"}
PAGE = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            Answer(200, b'{"id": "x", "choices', JSON),
            r"answered 200, but the body is not JSON \(application/json\): '{",
        ),
        (Answer(200, b"", JSON), r"answered 200, but the body is not JSON \(application/json\): an empty body"),
        (
            Answer(200, PAGE, {"Content-Type": "text/html"}),
            r"not JSON \(text/html\): an HTML page \('502 Bad Gateway'\)",
        ),
        (Answer(400, PAGE), r"answered 400: an HTML page \('502 Bad Gateway'\)"),
        (Answer(400, b""), "answered 400: an empty body"),
        (Answer(200, b"\xff\xfe", JSON), "the body is not JSON"),
        (
            Answer(302, b"", {"Location": "http://elsewhere.example/"}),
            "answered 302, a redirect, which is not followed",
        ),
        (Answer(200, b"plain", {"Content-Encoding": "gzip"}), "the reply's compression is broken"),
    ],
)
def test_replies_that_are_no_answer_say_so(wire_server: WireServer, answer: Answer, words: str) -> None:
    wire_server.script = [answer]
    error = fail(open_model(wire_server.url))
    assert re.search(words, str(error)), str(error)
    assert len(wire_server.requests) == 1
    assert error.prompt == wire_server.requests[0].json
    assert {received.body for received in wire_server.requests} == {wire_server.requests[0].body}


def test_a_compressed_reply_is_read_and_its_bytes_hashed_as_they_came(wire_server: WireServer) -> None:
    plain = completion()
    packed = gzip.compress(plain.body, mtime=0)
    wire_server.script = [Answer(200, packed, {**JSON, "Content-Encoding": "gzip"})]
    result = open_model(wire_server.url).generate_response(HELLO)
    assert dict(result[1]) == json.loads(plain.body)
    wire = getattr(result, "facts")["wire"]  # noqa: B009
    assert (wire["response_bytes"], wire["content_encoding"]) == (len(packed), "gzip")
    assert wire_server.only.headers["accept-encoding"] == "identity"


# -- faults of the network ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fault", "words"), [("close", "closed the connection"), ("reset", "connection was reset")]
)
def test_a_connection_that_breaks_is_tried_again(wire_server: WireServer, fault: str, words: str) -> None:
    wire_server.script = [Answer(fault=fault), completion()]
    reply = open_model(wire_server.url).generate_response(HELLO)
    assert words in getattr(reply, "facts")["wire"]["failed_attempts"][0]["error"]  # noqa: B009
    assert len(wire_server.requests) == 2


def test_half_a_reply_is_none(wire_server: WireServer) -> None:
    wire_server.script = [Answer(**{**vars(completion()), "fault": "truncate"})]
    error = fail(open_model(wire_server.url))
    assert "answered 200, but the reply ended too early: the connection was closed; it may have been" in str(error)
    assert (error.status, len(wire_server.requests), error.retryable) == (200, 1, False)
    assert error.prompt == wire_server.requests[0].json
    assert str(error.response).startswith('{\n "id"')


def test_no_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    error = fail(open_model(url))
    assert f"got no reply: cannot connect: Connection refused; is the server at {url}/v1 up?" in str(error)
    assert error.prompt is None, "nothing was sent"
    assert error.facts["wire"]["attempts"] == 6


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_call_ends_when_its_time_is_up(wire_server: WireServer, fault: str) -> None:
    wire_server.script = [Answer(**{**vars(completion()), "fault": fault})]
    error = fail(open_model(wire_server.url, total_timeout=0.4))
    assert "had no whole reply within 0.4 s (total_timeout)" in str(error)
    assert len(wire_server.requests) == 1


@pytest.mark.parametrize("hint", [{"Retry-After": "30"}, {"Retry-After-Ms": "20000"}])
def test_a_wait_longer_than_the_time_left_is_not_begun(wire_server: WireServer, hint: dict[str, str]) -> None:
    wire_server.script = [refusal(429, "slow down", headers=hint)]
    assert fail(open_model(wire_server.url, timeout=5)).status == 429
    assert len(wire_server.requests) == 1


def test_how_long_the_server_asks_to_wait() -> None:
    assert wait_asked({"retry-after": "7"}) == 7
    assert wait_asked({"retry-after": "soon"}) is None
    in_a_minute = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=60), usegmt=True)
    assert 55 < (wait_asked({"retry-after": in_a_minute}) or 0) <= 60


# -- the context window ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "error", "used", "size"),
    [
        (
            400,
            {
                "message": "This model's maximum context length is 8192 tokens. However, you requested 9100 tokens "
                "(8800 in the messages, 300 in the completion). Please reduce the length of the messages.",
                "code": "context_length_exceeded",
            },
            9100,
            8192,
        ),
        (
            400,
            {
                "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in "
                "9000 tokens. Please reduce the length of the messages.",
                "code": "context_length_exceeded",
            },
            9300,
            8192,
        ),
        (
            400,
            {
                "message": "This model's maximum context length is 2048 tokens. However, your request has "
                "1900 input tokens plus 300 'max_tokens'. Please reduce one or the other.",
                "code": 400,
            },
            2200,
            2048,
        ),
        (
            400,
            {
                "message": "'max_tokens' or 'max_completion_tokens' is too large: 300. This model's "
                "maximum context length is 512 tokens and your request has 250 input tokens (300 > 512 - 250).",
                "code": 400,
            },
            550,
            512,
        ),
        (
            400,
            {
                "message": "request (5000 tokens) exceeds the available context size (4096 tokens)",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5000,
                "n_ctx": 4096,
            },
            5300,
            4096,
        ),
        (
            500,
            {
                "message": "the request exceeds the available context size. try increasing the context size",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 1407,
                "n_ctx": 256,
            },
            1707,
            256,
        ),
        (500, {"message": "Requested tokens (2285) exceed context window of 2048"}, 2285, 2048),
        (
            400,
            {
                "message": "Requested token count exceeds the model's maximum context length of 512 tokens. You "
                "requested a total of 1020 tokens: 20 tokens from the input messages and 1000 tokens for the "
                "completion."
            },
            1020,
            512,
        ),
        (
            400,
            {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"},
            40300,
            32768,
        ),
        (400, {"message": "Your input exceeds the context window of this model."}, None, None),
    ],
)
def test_a_full_window_is_told_with_its_numbers(
    wire_server: WireServer, status: int, error: dict[str, Any], used: int | None, size: int | None
) -> None:
    wire_server.script = [reply(status, {"error": error})]
    with pytest.raises(ContextExceededError) as caught:
        open_model(wire_server.url).generate_response(HELLO)
    fault = caught.value
    left = None if used is None or size is None else size - used
    assert (fault.tokens_used, fault.tokens_left, fault.context_size) == (used, left, size)
    assert fault.prompt == wire_server.only.json
    assert fault.response["error"] == error
    assert error["message"] in str(fault)
    assert str(fault).startswith("model 'remote-model' (backend openai_compatible): POST ")


@pytest.mark.parametrize(
    "message", ["max_tokens is too large: 100000. This model supports at most 16384 completion tokens.", "context"]
)
def test_other_refusals_are_not_about_the_window(wire_server: WireServer, message: str) -> None:
    wire_server.script = [refusal(400, message)]
    assert message in str(fail(open_model(wire_server.url)))


def test_a_reply_longer_than_the_window_is_not_asked_for(wire_server: WireServer) -> None:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
    model = make_model("openai_compatible", {"max_tokens": 5000}, context_size="4k")
    with pytest.raises(ContextExceededError, match=r"nothing was sent: 5000/4096") as caught:
        model.generate_response(HELLO)
    assert (caught.value.tokens_left, caught.value.prompt) == (-904, None)
    assert not wire_server.requests
    model.set_gen_arg("max_tokens", 4096)
    model.generate_response(HELLO)
    make_model("openai_compatible", {"max_tokens": 5000}, context_size="").generate_response(HELLO)


# -- secrets -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "answer",
    [
        refusal(401, f"bad key {CANARY}", param=CANARY, headers={"X-Echo": CANARY}),
        refusal(500, f"bad key {CANARY}", headers=NOW),
        Answer(200, f"not json {CANARY}".encode(), JSON),
        Answer(302, b"", {"Location": f"http://elsewhere.example/?key={CANARY}"}),
        reply(200, {"error": {"message": f"echo {CANARY}"}}),
        reply(400, {"error": {"message": f"maximum context length is 5 tokens; key {CANARY}"}}),
        Answer(fault="truncate", body=CANARY.encode() * 2),
        Answer(200, b"x", {"X-Request-Id": CANARY, "Content-Type": CANARY}),
        Answer(200, b"x", {"Content-Encoding": CANARY}),
        Answer(fault="raw", body=f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n".encode()),
        Answer(fault="raw", body=f"HTTPS {CANARY}\r\n\r\n".encode()),
        completion(f"your key is {CANARY}"),
    ],
)
def test_no_key_is_seen_anywhere(
    wire_server: WireServer, tmp_path: Path, request: pytest.FixtureRequest, answer: Answer
) -> None:
    caplog: pytest.LogCaptureFixture = request.getfixturevalue("caplog")
    capfd: pytest.CaptureFixture[str] = request.getfixturevalue("capfd")
    wire_server.script = [answer]
    model = with_key(wire_server)
    seen = [
        repr(model),
        repr(vars(model)),
        repr(model._errors.endpoint),
        repr(vars(model._calls)),
        repr(vars(model._calls._lane.engine)),
    ]
    caplog.set_level(logging.DEBUG)
    with backends.record(tmp_path / "requests.json"):
        seen += shown_by_a_call(model)
    received = [request.headers["authorization"] for request in wire_server.requests]
    assert received == [f"Bearer {CANARY}"] * len(received) != [], "the key did go where it belongs"
    seen += [caplog.text, *capfd.readouterr(), (tmp_path / "requests.json").read_text()]
    assert any(len(text) > 200 for text in seen)
    for text in seen:
        assert CANARY not in text, text


def shown_by_a_call(model: Any) -> list[str]:
    """Everything that an error of the call could show."""
    return shown_by(lambda: model.generate_response(HELLO), RemoteCallError, ContextExceededError)


def test_what_was_loaded_as_a_key_is_scrubbed(wire_server: WireServer) -> None:
    with_key(wire_server)
    assert secrets.scrub(CANARY) == "***"
