"""Servers that break the protocol, and programs that fork, copy and drop their models."""

from __future__ import annotations

import copy
import gc
import gzip
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clemcore import backends, secrets
from clemcore.arguments.outcome import Outcome
from clemcore.backends.service.http import engine
from clemcore.errors import (
    BadReplyError,
    BadRequestError,
    ContextExceededError,
    RemoteCallError,
    RemoteConnectionError,
)
from support.certificates import write_certificate
from support.formats import FORMATS
from support.remote import CANARY, HELLO, make_model, open_model, write_keys
from support.wire_server import Answer, WireServer, completion, refusal

OK = b"HTTP/1.1 200 OK\r\n"
BODY = completion().body


def raw(head: bytes, body: bytes = b"") -> Answer:
    return Answer(fault="raw", body=head + b"\r\n" + body)


# -- broken HTTP -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (raw(OK + b"Content-Length: 50\r\n"), RemoteConnectionError, "the reply ended too early"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n", b"40\r\n{"), BadReplyError, "ended too early"),
        (raw(OK + b"Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"), BadReplyError, "not HTTP that"),
        (raw(OK + b"Content-Length: -5\r\n", BODY), BadReplyError, "not HTTP that can be read"),
        (raw(OK + b"Content-Length: 5\r\nContent-Length: 9\r\n", BODY), BadReplyError, "not HTTP that can be read"),
        (raw(OK + b"Content-Length: 20\r\n", BODY), BadReplyError, "not JSON|not HTTP that can be read"),
        (raw(OK + b"X: y\r\n" * 40_000), BadReplyError, "not HTTP that can be read"),
        (raw(b"SSH-2.0-OpenSSH_9\r\n"), BadReplyError, "not HTTP that can be read"),
        (raw(BODY), BadReplyError, "not HTTP that can be read"),
        (raw(b"HTTP/1.1 204 No Content\r\n"), BadReplyError, "answered 204, but the body is not JSON"),
        (raw(OK + b"Content-Encoding: gzip, br\r\n", b"\x8b\x05"), BadReplyError, "compressed as 'br'"),
    ],
)
def test_what_is_no_reply_is_an_error_in_one_line(
    wire_server: WireServer, answer: Answer, error: type[RemoteCallError], words: str
) -> None:
    wire_server.script = [answer]
    with pytest.raises(error, match=words) as caught:
        open_model(wire_server.url, idle_timeout=2).generate_response(HELLO)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    attempts = 1 if error is BadReplyError else 6  # it came, and may have been paid for
    assert len(wire_server.requests) == caught.value.facts["wire"]["attempts"] == attempts


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: %d\r\n" % len(BODY), BODY),
        raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, BODY),
        raw(OK + b"Transfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
        raw(OK, BODY),  # its end is the connection's
        raw(OK + b"Content-Encoding: gzip\r\n", gzip.compress(BODY)),
    ],
)
def test_unusual_replies_are_read(wire_server: WireServer, answer: Answer) -> None:
    wire_server.script = [answer]
    assert open_model(wire_server.url).generate_response(HELLO)[2] == "Canberra."
    assert len(wire_server.requests) == 1


def test_a_reply_that_is_too_large_is_not_kept(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LARGEST_REPLY", 10_000)
    bomb = gzip.compress(b" " * 1_000_000)
    assert len(bomb) < 10_000
    wire_server.script = [Answer(200, bomb, {"Content-Encoding": "gzip"})]
    with pytest.raises(BadReplyError, match="larger than allowed") as caught:
        open_model(wire_server.url).generate_response(HELLO)
    assert caught.value.response is None or len(str(caught.value.response)) < 10_000
    wire_server.script = [Answer(200, b" " * 10_001)]
    with pytest.raises(BadReplyError, match="the reply is larger than 10000 bytes"):
        open_model(wire_server.url).generate_response(HELLO)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_key_elsewhere(wire_server: WireServer, status: int) -> None:
    with WireServer() as elsewhere:
        wire_server.script = [Answer(status, b"", {"Location": f"{elsewhere.url}/v1/chat/completions"})]
        write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
        with pytest.raises(BadRequestError, match="a redirect, which is not followed"):
            make_model("openai_compatible").generate_response(HELLO)
        assert not elsewhere.requests
    assert len(wire_server.requests) == 1


@contextmanager
def talkative() -> Iterator[str]:
    """A server that sends a second reply after each, which nobody has asked for."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection:
            while b"\r\n\r\n" in connection.recv(65536):
                for text in ("asked", "unasked"):
                    body = completion(text).body
                    connection.sendall(OK + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                    time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_a_reply_that_nobody_asked_for_answers_nothing() -> None:
    with talkative() as url:
        model = open_model(url, total_timeout=5)
        answers = []
        for _ in range(3):
            answers.append(model.generate_response(HELLO)[2])
            time.sleep(0.06)  # until the other one has come
    assert answers == ["asked"] * 3


def test_json_that_cannot_be_read_is_asked_for_again_where_the_entry_says_so(wire_server: WireServer) -> None:
    too_deep, too_long = Answer(200, b"[" * 100_000 + b"]" * 100_000), Answer(200, b"9" * 10_000)
    wire_server.script = [too_deep, too_long, completion()]
    reply: Any = open_model(wire_server.url, bad_reply_attempts=3).generate_response(HELLO)
    assert reply.text == "Canberra."
    assert [each["status"] for each in reply.facts["wire"]["failed_attempts"]] == [200, 200]


# -- whatever JSON -----------------------------------------------------------------------------------------------
_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**20),
    st.sampled_from(
        [1e300, -0.5, "", "x", "\ud800", "error", [], {}, [None], [[]], [{}], {"text": 3}, {"error": {}}]
    ),
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for name, item in inside for place in _places(item, (*at, name)))]


def _changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    changed = copy.copy(value)
    changed[place[0]] = _changed(value[place[0]], place[1:], new)
    return changed


@pytest.mark.parametrize("name", FORMATS)
def test_whatever_json_comes_is_an_answer_or_a_typed_error(wire_server: WireServer, name: str) -> None:
    good = json.loads(FORMATS[name].answer().body)
    prices = {"input": 1, "output": 2, "cached_input": 0.5}
    model = FORMATS[name].model(
        wire_server.url, {"max_tokens": 5}, prices=prices, model_config={"total_timeout": 20}
    )

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(place=st.sampled_from(_places(good)), new=_ODD, status=st.sampled_from([200, 200, 200, 400, 429, 500]))
    def holds(place: tuple[Any, ...], new: Any, status: int) -> None:
        wire_server.script = [
            Answer(status, json.dumps(_changed(good, place, new)).encode(), {"X-Should-Retry": "false"})
        ]
        try:
            reply: Any = model.generate_response(HELLO)
        except (RemoteCallError, ContextExceededError):
            return
        assert isinstance(reply.text, str)
        assert all(type(count) is int for count in reply.facts["usage"].values())
        assert reply.facts["outcome"] in get_args(Outcome)

    with backends.record("requests.json"):
        holds()
    calls = json.loads(Path("requests.json").read_text("utf-8"))
    assert len(calls) > 1
    assert all(call["manipulated_prompt_obj"] == wire_server.requests[0].json for call in calls)


# -- words of servers --------------------------------------------------------------------------------------------
def test_half_a_key_is_not_shown_either(wire_server: WireServer) -> None:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
    model = make_model("openai_compatible")
    for before in range(560, 601, 5):
        wire_server.script = [refusal(400, "x" * before + CANARY)]
        with pytest.raises(BadRequestError) as caught:
            model.generate_response(HELLO)
        assert CANARY[:6] not in str(caught.value)


def test_a_key_is_found_in_an_address() -> None:
    secrets.remember("sk/with+signs=in it")
    assert secrets.scrub("?key=sk%2Fwith%2Bsigns%3Din%20it, sk/with%2Bsigns%3Din%20it") == "?key=***, ***"
    assert secrets.scrub_json(b'"?key=sk%2Fwith%2Bsigns%3Din%20it"') == b'"?key=***"'


def test_a_server_does_not_write_to_the_terminal(wire_server: WireServer) -> None:
    wire_server.script = [refusal(400, "\x1b[31mred\x07\r\x9b2J \u202etxt.exe\tä\nline two")]
    with pytest.raises(BadRequestError) as caught:
        open_model(wire_server.url).generate_response(HELLO)
    assert "\\x1b[31mred\\x07\\r\\x9b2J \\u202etxt.exe\tä\nline two" in str(caught.value)


# -- processes and copies ----------------------------------------------------------------------------------------
_FORKS = """
import os, signal, sys
from support.remote import HELLO, open_model
model = open_model(sys.argv[1], total_timeout=20, **({"ca_file": sys.argv[2]} if sys.argv[2:] else {}))
batch = [HELLO] * 8
assert len(model.generate_batch_response(batch)) == 8
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        answers = model.generate_batch_response(batch)
        sys.exit(0 if [answer.text for answer in answers] == ["Canberra."] * 8 else 3)
    assert os.waitpid(child, 0)[1] == 0
    # The parent's connections are still its own.
    for answer in model.generate_batch_response(batch):
        assert answer.text == "Canberra."
        assert answer.facts["wire"]["attempts"] == 1
"""


@pytest.mark.parametrize("with_tls", [False, True])
def test_a_forked_child_leaves_its_parents_connections_alone(tmp_path: Path, with_tls: bool) -> None:
    tls = write_certificate(tmp_path) if with_tls else None
    with WireServer(tls) as server:
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore::DeprecationWarning",
                "-c",
                _FORKS,
                server.url,
                *map(str, (tls or ())[:1]),
            ],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert len(server.requests) == 8 + 3 * 16


def test_models_can_be_copied_and_pickled_without_their_key(wire_server: WireServer) -> None:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
    model = make_model("openai_compatible", {"seed": 3})
    model.generate_response(HELLO)
    pickled = pickle.dumps(model)
    assert CANARY.encode() not in pickled
    again = pickle.loads(pickled)  # noqa: S301 - it was made here
    for other in (again, copy.copy(model), copy.deepcopy(model)):
        assert other.generate_response(HELLO)[2] == "Canberra."
        assert (other.gen_args, other.asked_gen_args) == (model.gen_args, {"seed": 3})
        assert other.model_spec == model.model_spec
        other.set_gen_args(seed=4)
    assert model.gen_args["seed"] == 3
    assert {received.headers["authorization"] for received in wire_server.requests} == {f"Bearer {CANARY}"}
    bodies = [received.body for received in wire_server.requests]
    assert bodies == [bodies[0]] * 4


def test_a_model_that_is_gone_leaves_no_connection(wire_server: WireServer) -> None:
    def is_connected(connections: Path = Path("/proc/net/tcp")) -> bool:
        port = f":{int(wire_server.url.rsplit(':', 1)[1]):04X}"
        rows = [line.split() for line in connections.read_text().splitlines()[1:]]
        return any(row[2].endswith(port) and row[3] == "01" for row in rows)  # 01: established

    model: Any = open_model(wire_server.url)
    model.generate_batch_response([HELLO] * 5)
    assert is_connected()
    del model
    gc.collect()
    ends = time.monotonic() + 20
    while is_connected():
        assert time.monotonic() < ends
        time.sleep(0.005)
