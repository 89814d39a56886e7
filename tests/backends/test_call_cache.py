"""The cache of calls: what is kept, what never is, identity, several processes, kills, the commands."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, secrets
from clemcore.calls import cache
from clemcore.calls.scope import capture
from clemcore.errors import CacheError, ServerError
from support.clem import Clem
from support.remote import CANARY, HELLO, make_model, open_model, write_keys
from support.wire_server import Answer, Received, WireServer, completion, refusal


def question(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"question {number}"}]


def echo(received: Received) -> Answer:
    return completion(f"answer to {received.json['messages'][-1]['content']}")


def test_off_unless_asked_for(wire_server: WireServer) -> None:
    model = open_model(wire_server.url)
    for _ in range(2):
        assert "cache" not in model.generate_response(HELLO).facts
    assert len(wire_server.requests) == 2


def test_what_was_answered_is_not_sent_again(wire_server: WireServer) -> None:
    wire_server.script = [echo]
    with backends.cache("calls.sqlite3"), backends.record("requests.json"):
        first = open_model(wire_server.url).generate_response(HELLO)
        again = open_model(wire_server.url).generate_response(HELLO)
    assert len(wire_server.requests) == 1
    assert tuple(first) == tuple(again)
    assert (first.facts["cache"], again.facts["cache"]) == ("kept", "hit")
    one, two = json.loads(Path("requests.json").read_text())
    assert (one["manipulated_prompt_obj"], one["raw_response_obj"]) == (
        two["manipulated_prompt_obj"],
        two["raw_response_obj"],
    )
    facts = two["clemcore"]
    assert facts["cache"] == "hit"
    assert facts["cache_key"] == one["clemcore"]["cache_key"]
    assert facts["cached_at"]
    assert facts["wire"]["attempts"] == 0
    for name in ("request_sha256", "response_sha256", "status", "request_id"):
        assert facts["wire"][name] == one["clemcore"]["wire"][name]
    assert Path("calls.sqlite3").stat().st_mode & 0o077 == 0
    # Another run, by the environment.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLEMCORE_CALL_CACHE", "calls.sqlite3")
        assert open_model(wire_server.url).generate_response(HELLO).facts["cache"] == "hit"
        active = cache.cache_of(capture())
        assert active is not None
        active.close()
    assert len(wire_server.requests) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"model_id": "another"},
        {"gen_args": {"max_tokens": 7}},
        {"path": "/v2"},
        {"backend": "openai"},
        {"key_name": "other"},
        {"messages": question(2)},
    ],
    ids=str,
)
def test_everything_that_the_answer_depends_on_is_in_the_key(
    wire_server: WireServer, change: dict[str, Any]
) -> None:
    write_keys(
        openai_compatible={"api_key": "sk-1234567"}, openai={"api_key": "sk-1"}, other={"api_key": "sk-7654321"}
    )

    def call(**changes: Any) -> None:
        base_url = wire_server.url + changes.get("path", "/v1")
        entry: dict[str, Any] = {"model_id": changes.get("model_id", "m"), "base_url": base_url}
        entry["key_name"] = changes.get("key_name", "openai_compatible")
        model = make_model(changes.get("backend", "openai_compatible"), changes.get("gen_args"), **entry)
        model.generate_response(changes.get("messages", HELLO))

    with backends.cache("calls.sqlite3"):
        call()
        call()
        assert len(wire_server.requests) == 1
        call(**change)
        assert len(wire_server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        completion(""),
        completion("I cannot.", message={"refusal": "I cannot."}),
        completion("Some", finish_reason="content_filter"),
        completion(None, message={"reasoning_content": "hm"}),
        refusal(400, "no"),
    ],
    ids=["empty", "refusal", "filter", "reasoning", "error"],
)
def test_what_is_no_answer_is_never_kept(wire_server: WireServer, answer: Answer) -> None:
    wire_server.script = [answer]
    model: Any = open_model(wire_server.url)
    with backends.cache("calls.sqlite3"):
        for _ in range(2):
            (result,) = model.generate_batch_response([HELLO], return_exceptions=True)
            assert isinstance(result, Exception) or result.facts["cache"] == "not kept"
    assert len(wire_server.requests) == 2
    assert cache.statistics(Path("calls.sqlite3")) == []


def test_calls_that_sample_are_kept_only_on_request_and_each_on_its_own(wire_server: WireServer) -> None:
    numbers = iter(range(100))
    wire_server.script = [lambda _: completion(f"answer {next(numbers)}")]

    def ask(gen_args: dict[str, Any], **how: Any) -> list[str]:
        with backends.cache("calls.sqlite3", **how):
            model = open_model(wire_server.url, gen_args)
            return [model.generate_response(HELLO)[2] for _ in range(2)]

    sampled = {"temperature": 1.0}
    assert ask(sampled) == ["answer 0", "answer 1"]
    assert ask(sampled, sampling=True) == ["answer 2", "answer 3"]
    assert ask(sampled, sampling=True) == ["answer 2", "answer 3"]
    assert ask(sampled, sampling=True, epoch=1) == ["answer 4", "answer 5"]
    assert ask({"temperature": 1.0, "seed": 7}) == ["answer 6", "answer 6"]
    assert ask({"temperature": 0.0}) == ["answer 7", "answer 7"]


def test_no_secret_is_kept(wire_server: WireServer) -> None:
    write_keys(openai_compatible={"api_key": CANARY})
    wire_server.script = [completion(f"your key is {CANARY}")]
    with backends.cache("calls.sqlite3"):
        reply = make_model("openai_compatible", base_url=f"{wire_server.url}/v1").generate_response(HELLO)
    assert reply.facts["cache_reason"] == "it holds a key"
    assert CANARY.encode() not in b"".join(path.read_bytes() for path in Path().glob("calls.sqlite3*"))
    assert secrets.scrub(CANARY) == "***"


def test_damage_costs_a_request_and_no_answer(wire_server: WireServer, caplog: pytest.LogCaptureFixture) -> None:
    with backends.cache("calls.sqlite3"):
        open_model(wire_server.url).generate_response(HELLO)
    with sqlite3.connect("calls.sqlite3") as connection:
        connection.execute("UPDATE replies SET body = '{}'")
    connection.close()
    with backends.cache("calls.sqlite3") as cache:
        assert open_model(wire_server.url).generate_response(HELLO)[2] == "Canberra."
        assert "was damaged" in caplog.text
        assert len(wire_server.requests) == 2
        cache._connection.execute("DROP TABLE replies")
        assert open_model(wire_server.url).generate_response(HELLO)[2] == "Canberra."
    assert "cannot be written" in caplog.text


def test_a_file_that_is_something_else_is_left_alone(clem: Clem) -> None:
    Path("notes.txt").write_text("not a database, but long enough to be looked at " * 10)
    with sqlite3.connect("other.db") as connection:
        connection.execute("CREATE TABLE mine (n)")
    connection.close()
    for name in ("notes.txt", "other.db"):
        before = Path(name).read_bytes()
        with pytest.raises(CacheError, match="left as it is"):
            backends.cache(name)
        assert "left as it is" in clem.fails("cache", "clear", name, "--yes")
        assert Path(name).read_bytes() == before
    assert "no cache of calls was found" in clem.fails("cache", "stat", "nothing.db")


def test_threads_share_it(wire_server: WireServer) -> None:
    wire_server.script = [echo]
    model = open_model(wire_server.url)
    with backends.cache("calls.sqlite3"), ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            texts = list(pool.map(lambda number: model.generate_response(question(number))[2], range(40)))
            assert texts == [f"answer to question {number}" for number in range(40)]
    assert len(wire_server.requests) == 40


BATCH = """
import sys
sys.path.insert(0, sys.argv[3])
from clemcore import backends
from support.remote import open_model
model = open_model(sys.argv[1], max_connections=10)
batch = [[{"role": "user", "content": f"question {number}"}] for number in range(200)]
with backends.cache("calls.sqlite3"), backends.record(sys.argv[2]):
    replies = model.generate_batch_response(batch)
assert [reply.text for reply in replies] == [f"answer to question {number}" for number in range(200)]
"""
TESTS = str(Path(__file__).parent.parent)


def _batch(url: str, record: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BATCH, url, record, TESTS])


def test_a_batch_that_was_killed_goes_on_where_it_was(wire_server: WireServer) -> None:
    enough = threading.Event()

    def answer(received: Received) -> Answer:
        if len(wire_server.requests) > 90:
            enough.set()
        reply = echo(received)
        return Answer(reply.status, reply.body, reply.headers, delay=0.02)

    wire_server.script = [answer]
    process = _batch(wire_server.url, "requests.json")
    assert enough.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    calls = json.loads(Path("requests.json").read_text())  # valid, whatever was going on
    answered = {call["manipulated_prompt_obj"]["messages"][0]["content"] for call in calls}
    assert len(answered) == len(calls)
    kept = sum(row["replies"] for row in cache.statistics(Path("calls.sqlite3")))
    assert 20 <= len(calls) <= kept <= len(wire_server.requests) < 200
    sent_before = len(wire_server.requests)
    # At most what was under way at once can have been answered by the server and be lost.
    assert sent_before - kept <= 2 * 10

    again = _batch(wire_server.url, "requests.json")
    assert again.wait(60) == 0
    rest = [received.json["messages"][0]["content"] for received in wire_server.requests[sent_before:]]
    assert len(rest) == len(set(rest)) == 200 - kept
    assert not answered & set(rest)
    both = json.loads(Path("requests.json").read_text())
    assert both[: len(calls)] == calls
    assert len(both) == len(calls) + 200
    assert [call["clemcore"]["cache"] for call in both[len(calls) :]].count("hit") == kept


def test_processes_share_it(wire_server: WireServer) -> None:
    wire_server.script = [echo]
    together = [_batch(wire_server.url, f"{name}.json") for name in "ab"]
    assert [process.wait(60) for process in together] == [0, 0]
    assert 200 <= len(wire_server.requests) <= 400
    before = len(wire_server.requests)
    assert _batch(wire_server.url, "c.json").wait(60) == 0
    assert len(wire_server.requests) == before


def test_a_new_file_is_made_once_however_many_open_it_at_the_same_moment(tmp_path: Path) -> None:
    together = threading.Barrier(6)

    def opened(path: Path) -> None:
        together.wait()
        cache.CallCache(path).close()

    with ThreadPoolExecutor(6) as threads:
        for number in range(30):
            path = tmp_path / f"{number}.sqlite3"
            for future in [threads.submit(opened, path) for _ in range(6)]:
                future.result()
            assert cache.statistics(path) == []


def test_an_error_after_retries_is_not_kept(wire_server: WireServer) -> None:
    wire_server.script = [refusal(500, "no")]
    model = open_model(wire_server.url, total_timeout=0.5)
    with backends.cache("calls.sqlite3"), pytest.raises(ServerError):
        model.generate_response(HELLO)
    assert cache.statistics(Path("calls.sqlite3")) == []


def test_the_commands(clem: Clem, wire_server: WireServer) -> None:
    entry = json.dumps(
        {
            "model_name": "m",
            "backend": "openai_compatible",
            "model_id": "model-001",
            "base_url": f"{wire_server.url}/v1",
            "model_config": {"requires_api_key": False},
        }
    )
    for _ in range(2):
        assert clem.ok("respond", "-m", entry, "--cache", "calls.sqlite3", "Hello!") == "Canberra.\n"
    assert clem.ok("chat", "-m", entry, "--cache", "calls.sqlite3", stdin="Hello!\n") == "Canberra.\n"
    assert len(wire_server.requests) == 1
    (row,) = json.loads(clem.ok("cache", "stat", "calls.sqlite3", "--json"))
    assert (row["provider"], row["model"], row["replies"]) == ("openai_compatible", "model-001", 1)
    assert clem.ok("cache", "stat", CLEMCORE_CALL_CACHE="calls.sqlite3").startswith(
        "openai_compatible\tmodel-001\t1"
    )
    clem.ok("cache", "clear", "calls.sqlite3", "--yes", "--model", "another")
    clem.ok("cache", "clear", "calls.sqlite3", "--yes", "--before", "2020-01-01")
    assert len(json.loads(clem.ok("cache", "stat", "calls.sqlite3", "--json"))) == 1
    clem.ok("cache", "clear", "calls.sqlite3", "--yes", "--before", "2999-01-01")
    assert json.loads(clem.ok("cache", "stat", "calls.sqlite3", "--json")) == []
