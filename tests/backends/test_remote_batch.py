"""Many calls at once: order, failures that stay alone, the record, limits, loops, threads, kills."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import AuthenticationError, BadRequestError, MessagesError, RemoteTimeoutError, SpecError
from support.remote import HELLO, open_model
from support.wire_server import Answer, Crowd, Received, WireServer, completion, refusal


def question(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"question {number}"}]


def echo(received: Received) -> Answer:
    return completion(f"answer to {received.json['messages'][-1]['content']}")


def calls_of(path: str | Path) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = json.loads(Path(path).read_text())
    return calls


def refusing(*numbers: int) -> Callable[[Received], Answer]:
    """Answer, but refuse some questions for good."""

    def answer(received: Received) -> Answer:
        number = int(received.json["messages"][-1]["content"].split()[-1])
        return refusal(400, f"not {number}") if number in numbers else echo(received)

    return answer


def test_a_batch_is_answered_at_once_in_order_and_recorded(wire_server: WireServer) -> None:
    together = threading.Barrier(10)

    def answer(received: Received) -> Answer:
        together.wait(20)  # nobody is answered before ten have asked
        return echo(received)

    wire_server.script = [answer]
    model: Any = open_model(wire_server.url)
    assert model.supports_batching()
    with backends.record("requests.json") as recorder:
        replies = model.generate_batch_response([question(number) for number in range(20)])
    assert [reply.text for reply in replies] == [f"answer to question {number}" for number in range(20)]
    calls = calls_of(recorder.path)
    assert sorted(call["clemcore"]["batch"]["index"] for call in calls) == list(range(20))
    assert {call["clemcore"]["batch"]["size"] for call in calls} == {20}
    for call in calls:
        number = call["clemcore"]["batch"]["index"]
        assert call["manipulated_prompt_obj"]["messages"] == question(number)
        assert call["clemcore"]["response_text"] == f"answer to question {number}"


def test_an_item_that_fails_fails_alone(wire_server: WireServer) -> None:
    wire_server.script = [refusing(3, 7)]
    model: Any = open_model(wire_server.url)
    batch = [question(number) for number in range(10)]
    with backends.record("requests.json") as recorder, pytest.raises(BadRequestError, match="not 3") as caught:
        model.generate_batch_response(batch)
    results = caught.value.batch_results
    assert results is not None
    assert [index for index, result in enumerate(results) if isinstance(result, Exception)] == [3, 7]
    assert results[9].text == "answer to question 9"
    calls = calls_of(recorder.path)
    assert len(calls) == 10
    failed = [call for call in calls if "error" in call["clemcore"]]
    assert sorted(call["manipulated_prompt_obj"]["messages"][0]["content"] for call in failed) == [
        "question 3",
        "question 7",
    ]
    results = model.generate_batch_response(batch, return_exceptions=True)
    assert [type(result).__name__ for result in results].count("BadRequestError") == 2
    assert str(results[7].provider_message) == "not 7"
    assert model.generate_batch_response([]) == []


def test_a_malformed_dialogue_fails_alone(wire_server: WireServer) -> None:
    model: Any = open_model(wire_server.url)
    with pytest.raises(MessagesError, match=r"batch_messages\[1\]") as caught:
        model.generate_batch_response([HELLO, [], HELLO])
    assert len(wire_server.requests) == 2
    assert [type(result).__name__ for result in caught.value.batch_results or []] == [
        "Reply",
        "MessagesError",
        "Reply",
    ]


def test_a_wrong_key_costs_one_request_per_item(wire_server: WireServer) -> None:
    wire_server.script = [refusal(401, "bad key")]
    model: Any = open_model(wire_server.url)
    results = model.generate_batch_response([HELLO] * 3, return_exceptions=True)
    assert [type(result) for result in results] == [AuthenticationError] * 3
    assert len(wire_server.requests) == 3


def test_from_an_event_loop(wire_server: WireServer) -> None:
    wire_server.script = [echo]
    model: Any = open_model(wire_server.url)

    async def several() -> list[Any]:
        return await asyncio.gather(*(model.agenerate_response(question(number)) for number in range(5)))

    with backends.record("requests.json") as recorder:
        replies = asyncio.run(several())
        assert [reply.text for reply in replies] == [f"answer to question {number}" for number in range(5)]
        replies = asyncio.run(several())  # another loop, the same model
    assert len(calls_of(recorder.path)) == 10

    async def blocking() -> Any:
        return model.generate_response(question(1))

    assert asyncio.run(blocking()).text == "answer to question 1"


def test_an_awaited_call_that_is_cancelled_stops(wire_server: WireServer) -> None:
    wire_server.script = [Answer(fault="hang"), completion()]
    model: Any = open_model(wire_server.url, max_connections=1)

    async def impatient() -> None:
        task = asyncio.create_task(model.agenerate_response(HELLO))
        while not wire_server.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with backends.record("requests.json"):
        asyncio.run(impatient())
    (call,) = calls_of("requests.json")
    assert call["clemcore"]["error"]["type"] == "InterruptedCallError"
    assert call["manipulated_prompt_obj"] == wire_server.only.json
    assert call["raw_response_obj"] is None
    assert model.generate_response(HELLO).text == "Canberra.", "the one connection is free again"


def test_a_call_that_is_interrupted_is_recorded_as_it_was_sent(wire_server: WireServer) -> None:
    def interrupt(_: Received) -> Answer:
        os.kill(os.getpid(), signal.SIGINT)
        return Answer(fault="hang")

    wire_server.script = [interrupt]
    with backends.record("requests.json"), pytest.raises(KeyboardInterrupt):
        open_model(wire_server.url).generate_response(HELLO)
    (call,) = calls_of("requests.json")
    assert call["manipulated_prompt_obj"] == wire_server.only.json
    assert call["clemcore"]["error"]["type"] == "InterruptedCallError"
    assert "whether it was answered, and paid for, is not known" in call["clemcore"]["error"]["message"]
    assert call["clemcore"]["wire"]["attempts"] == 1


def test_other_models_answer_without_blocking_a_loop() -> None:
    model: Any = backends.get_model_for("mock")
    assert asyncio.run(model.agenerate_response(HELLO)).text == model.generate_response(HELLO).text


def test_several_threads_use_one_model(wire_server: WireServer) -> None:
    wire_server.script = [echo]
    model: Any = open_model(wire_server.url)
    texts: dict[int, str] = {}

    def ask(number: int) -> None:
        texts[number] = model.generate_response(question(number)).text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == {number: f"answer to question {number}" for number in range(20)}


def test_max_connections_is_kept_across_models_of_one_service(wire_server: WireServer) -> None:
    crowd = Crowd(echo)
    wire_server.script = [crowd]
    one: Any = open_model(wire_server.url, max_connections=3)
    two: Any = open_model(wire_server.url)
    threads = [threading.Thread(target=model.generate_batch_response, args=([HELLO] * 15,)) for model in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wire_server.requests) == 30
    assert crowd.most <= 3


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"max_connections": 0}, "max_connections must be a positive number of calls, not 0"),
        ({"max_connections": 1.5}, "max_connections must be an integer, not a number"),
        (
            {"requests_per_minute": -1},
            "requests_per_minute must be a positive number of requests per minute, not -1",
        ),
        ({"total_timeout": 5, "timeout": 5}, "timeout and total_timeout mean the same; keep one"),
        ({"idle_timout": 5}, 'did you mean "idle_timeout"'),
    ],
)
def test_limits_that_are_none(config: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        open_model("http://127.0.0.1:1", **config)


def test_a_reply_that_stops_is_cut(wire_server: WireServer) -> None:
    stopping = Answer(**{**vars(completion("late")), "fault": "stall"})
    wire_server.script = [stopping, stopping, completion()]
    with pytest.raises(
        RemoteTimeoutError, match=r"answered 200, but the reply stopped: .* not asked for again"
    ) as info:
        open_model(wire_server.url, idle_timeout=0.1).generate_response(HELLO)
    assert info.value.response
    assert len(wire_server.requests) == 1
    reply: Any = open_model(wire_server.url, idle_timeout=0.1, bad_reply_attempts=2).generate_response(HELLO)
    assert reply.text == "Canberra."
    assert "nothing came for 0.1 s (idle_timeout)" in reply.facts["wire"]["failed_attempts"][0]["error"]


def test_an_attempt_that_hangs_is_repeated(wire_server: WireServer) -> None:
    wire_server.script = [Answer(fault="hang"), completion()]
    reply: Any = open_model(wire_server.url, attempt_timeout=0.2).generate_response(HELLO)
    assert reply.text == "Canberra."
    assert len(wire_server.requests) == 2


_KILLED = """
import os, sys
from clemcore import backends
from support.remote import open_model
model = open_model(sys.argv[1], max_connections=20)
with backends.record("requests.json"):
    print("ready", flush=True)
    model.generate_batch_response([[{"role": "user", "content": f"question {n}"}] for n in range(200)])
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_answered_is_in_the_record_after_a_kill(
    wire_server: WireServer, tmp_path: Path, how: signal.Signals
) -> None:
    answered: list[str] = []
    enough, go_on = threading.Event(), threading.Event()
    lock = threading.Lock()

    def answer(received: Received) -> Answer:
        with lock:
            answered.append(received.json["messages"][0]["content"])
            if len(answered) > 60:
                enough.set()
        if enough.is_set():
            go_on.wait(30)
        return echo(received)

    wire_server.script = [answer]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED, wire_server.url],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert enough.wait(60)
    _until(lambda: len(calls_of(tmp_path / "requests.json")) >= 40)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    go_on.set()
    assert process.returncode == -how  # which a shell shows as 130 after Ctrl-C
    recorded = calls_of(tmp_path / "requests.json")
    calls = [call for call in recorded if "error" not in call["clemcore"]]
    asked = [call["manipulated_prompt_obj"]["messages"][0]["content"] for call in calls]
    assert len(set(asked)) == len(asked) >= 40
    assert set(asked) <= set(answered)
    for call in calls:
        assert call["raw_response_obj"]["choices"][0]["message"]["content"] == call["clemcore"]["response_text"]
    if how == signal.SIGINT:
        assert b"KeyboardInterrupt" in errors
        # What was under way is there too, as it was sent; of all that the server got, nothing is missing.
        stopped = [call for call in recorded if "error" in call["clemcore"]]
        assert {call["clemcore"]["error"]["type"] for call in stopped} == {"InterruptedCallError"}
        assert 0 < len(stopped) <= 20
        bodies = [call["manipulated_prompt_obj"] for call in recorded]
        assert set(answered) <= {body["messages"][0]["content"] for body in bodies}
        assert all(received.json in bodies for received in wire_server.requests)
    else:
        assert len(recorded) == len(calls)
        assert b"never retrieved" not in errors
        assert b"Unclosed" not in errors


_SHOWN = """
import sys
from support.remote import open_model
model = open_model(sys.argv[1])
batch = [[{"role": "user", "content": f"question {n}"}] for n in range(12)]
model.generate_batch_response(batch, return_exceptions=True, **eval(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "variable", "on_terminal", "is_shown"),
    [
        ({"progress": True}, "", True, True),
        ({}, "1", True, True),
        ({}, "", True, False),
        ({"progress": False}, "1", True, False),
        ({"progress": True}, "1", False, False),
    ],
)
def test_a_bar_is_shown_on_a_terminal_where_one_is_wanted(
    wire_server: WireServer, arguments: dict[str, Any], variable: str, on_terminal: bool, is_shown: bool
) -> None:
    wire_server.script = [refusing(3, 7)]
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))  # 24 lines of 80 columns
    process = subprocess.run(
        [sys.executable, "-c", _SHOWN, wire_server.url, repr(arguments)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "CLEMCORE_PROGRESS": variable},
        stderr=inside if on_terminal else subprocess.PIPE,
        check=True,
        timeout=60,
    )
    os.close(inside)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says so when the other side is closed and all was read
        while data := os.read(terminal, 65536):
            shown += data
    os.close(terminal)
    assert (b"12/12" in shown) == is_shown
    assert (b"failed=2" in shown) == is_shown
    assert not process.stderr


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.005)
    pytest.fail("it did not happen")
