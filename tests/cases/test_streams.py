"""What may happen to a stream: several readers, forks, changed messages, ended scopes, the end of the program."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import BadReplyError, RecordError, RemoteTimeoutError, ServerError
from clemcore.model import Model
from clemcore.verify import verify
from support.processes import in_forked_child
from support.remote import CANARY, HELLO, make_model, open_model, write_keys
from support.streams import in_pieces, streamed
from support.wire_server import Answer, WireServer, completion

TESTS = Path(__file__).parents[1]
WHOLE = list(streamed(completion("One two three.")).pieces)
SLOW = streamed(completion("One two three four five six."), pause=0.05)
STALLED = in_pieces(WHOLE[:3], fault="stall")
PRICES = {"input": 1, "output": 1, "date": "2026-01-01"}


def _entries(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return entries


def _mine() -> Model:
    class Mine(Model):
        def generate_response(self, messages: Any) -> Any:
            return messages, {"text": "Hi!"}, messages[-1]["content"]

    return Mine(backends.ModelSpec(model_name="mine", backend="mine"))


def _served(server: WireServer) -> Model:
    server.script = [streamed(completion("Hello!"))]
    return open_model(server.url)


MODELS: dict[str, Callable[[WireServer], Model]] = {
    "service": _served,
    "mock": lambda _: backends.get_model_for("mock"),
    "own": lambda _: _mine(),
}


@pytest.mark.parametrize("count", [2, 5])
def test_threads_that_read_one_stream_share_its_pieces_and_all_end(count: int, wire_server: WireServer) -> None:
    wire_server.script = [SLOW]
    stream = open_model(wire_server.url).stream_response(HELLO)
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.extend(stream), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted("".join(got)) == sorted("One two three four five six.")
    assert stream.reply.text == "One two three four five six."


def test_a_stream_that_another_thread_closes_ends_with_the_reason(wire_server: WireServer) -> None:
    wire_server.script = [STALLED]
    stream = open_model(wire_server.url).stream_response(HELLO)
    assert next(stream) == "One"
    timer = threading.Timer(0.2, stream.close)
    timer.start()
    with pytest.raises(RuntimeError, match="closed before its end"):
        list(stream)
    timer.join()


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_that_was_closed_says_why_it_has_no_reply(name: str, wire_server: WireServer) -> None:
    model = MODELS[name](wire_server)
    wire_server.script = [STALLED]
    stream = model.stream_response(HELLO)
    stream.close()
    assert list(stream) == []
    with pytest.raises(RuntimeError, match="closed before its end"):
        _ = stream.reply


def test_a_stream_that_failed_before_it_was_closed_keeps_its_error(wire_server: WireServer) -> None:
    wire_server.script = [in_pieces(WHOLE[:3])]
    stream = open_model(wire_server.url).stream_response(HELLO)
    with pytest.raises(BadReplyError, match="ended before the answer did"):
        list(stream)
    stream.close()
    with pytest.raises(BadReplyError, match="ended before the answer did"):
        _ = stream.reply


def test_a_model_that_answers_by_a_stream_of_itself_is_refused(wire_server: WireServer) -> None:
    wire_server.script = [streamed(completion("Hello!"))]
    parent: Any = type(open_model(wire_server.url))

    class Endless(parent):  # type: ignore[misc]
        def generate_response(self, messages: Any) -> Any:
            return super().stream_response(messages).reply

    model = open_model(wire_server.url)
    model.__class__ = Endless
    asks: list[Any] = [model.generate_response, lambda messages: model.stream_response(messages).reply]
    for ask in asks:
        with pytest.raises(RuntimeError, match=r"call super\(\)\.generate_response"):
            ask(HELLO)
    assert wire_server.requests == []


def test_a_model_that_awaits_a_stream_of_itself_answers(wire_server: WireServer, tmp_path: Path) -> None:
    wire_server.script = [completion("Hello!")]
    parent: Any = type(open_model(wire_server.url))

    class Showing(parent):  # type: ignore[misc]
        async def agenerate_response(self, messages: Any) -> Any:
            return await asyncio.to_thread(lambda: self.stream_response(messages).reply)

    model = open_model(wire_server.url)
    model.__class__ = Showing
    with backends.record(tmp_path / "r.json"):
        assert asyncio.run(model.agenerate_response(HELLO)).text == "Hello!"
    assert len(_entries(tmp_path / "r.json")) == 1


def test_a_forked_child_that_reads_its_parents_stream_is_told(wire_server: WireServer) -> None:
    wire_server.script = [SLOW]
    stream = open_model(wire_server.url).stream_response(HELLO)
    first = next(stream)
    told = in_forked_child(lambda: "".join(stream))
    assert told.startswith("RuntimeError(")
    assert "start a stream in this process" in told
    assert first + "".join(stream) == "One two three four five six."


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_has_the_messages_and_arguments_of_its_start(
    name: str, wire_server: WireServer, tmp_path: Path
) -> None:
    model = MODELS[name](wire_server)
    gen_args = {"temperature": 0.0}
    with backends.record(tmp_path / "r.json"):
        for _ in range(5):
            messages = [{"role": "user", "content": "Hello!"}]
            stream = model.stream_response(messages, gen_args=gen_args)
            messages[0]["content"] = "changed"
            messages.append({"role": "assistant", "content": ""})
            gen_args["temperature"] = 1.0
            assert "".join(stream) == "Hello!"
            gen_args["temperature"] = 0.0
    asked = [entry["clemcore"]["gen_args"]["asked"]["temperature"] for entry in _entries(tmp_path / "r.json")]
    assert asked == [0.0] * 5
    assert "changed" not in (tmp_path / "r.json").read_text()


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_belongs_to_the_scope_of_its_start(name: str, wire_server: WireServer, tmp_path: Path) -> None:
    model = MODELS[name](wire_server)
    with backends.record(tmp_path / "r.json"):
        for number in range(5):
            with backends.scope(episode=number):
                stream = model.stream_response(HELLO)
            assert "".join(stream) == "Hello!"
    scopes = [entry["clemcore"]["scope"] for entry in _entries(tmp_path / "r.json")]
    assert scopes == [{"episode": number, "call": 0} for number in range(5)]


@pytest.mark.parametrize("name", MODELS)
def test_a_stream_that_ends_after_its_record_is_an_error_with_the_reply(
    name: str, wire_server: WireServer, tmp_path: Path
) -> None:
    model = MODELS[name](wire_server)
    wire_server.script = [streamed(completion("Hello!"), pause=0.1)]
    with backends.record(tmp_path / "r.json"):
        stream = model.stream_response(HELLO)
    with pytest.raises(RecordError, match="is closed") as caught:
        list(stream)
    assert caught.value.reply.text == "Hello!"  # type: ignore[attr-defined]


def test_a_stream_that_nobody_holds_is_stopped_recorded_and_paid_for(
    wire_server: WireServer, tmp_path: Path
) -> None:
    wire_server.script = [STALLED]
    model = make_model(
        "openai_compatible",
        base_url=f"{wire_server.url}/v1",
        model_config={"requires_api_key": False},
        prices=PRICES,
    )
    with backends.record(tmp_path / "r.json"), backends.budget(1) as limit:
        stream = model.stream_response(HELLO)
        assert next(stream) == "One"
        del stream
        gc.collect()
        deadline = time.monotonic() + 30
        while not limit.spent and time.monotonic() < deadline:
            time.sleep(0.01)
        assert limit.spent > 0
        assert limit.left == pytest.approx(1 - limit.spent)
        for thread in threading.enumerate():  # the call is paid for before it is recorded
            if thread.name == "clemcore-stream":
                thread.join(30)
    (entry,) = _entries(tmp_path / "r.json")
    assert entry["clemcore"]["error"]["type"] == "InterruptedCallError"


@pytest.mark.slow
@pytest.mark.parametrize("is_held", [True, False])
def test_a_program_that_ends_inside_a_stream_records_it(
    is_held: bool, wire_server: WireServer, tmp_path: Path
) -> None:
    wire_server.script = [STALLED]
    program = f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
from clemcore import backends
from support.remote import HELLO, open_model
record = backends.record("r.json")
stream = open_model({wire_server.url!r}).stream_response(HELLO)
next(stream)
{"" if is_held else "del stream"}
"""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
    entries = _entries(tmp_path / "r.json")
    assert [entry["clemcore"]["error"]["type"] for entry in entries] == ["InterruptedCallError"] * 3


@pytest.mark.slow
def test_a_program_that_ends_inside_a_stream_says_what_no_record_has(
    wire_server: WireServer, tmp_path: Path
) -> None:
    wire_server.script = [STALLED]
    program = f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
from clemcore import backends
from support.remote import HELLO, open_model
with backends.record("r.json"):
    stream = open_model({wire_server.url!r}).stream_response(HELLO)
    next(stream)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True
    )
    assert "missing in a record" in done.stderr


EMPTY = in_pieces([b": nothing\n\n"])
BROKEN = in_pieces([*WHOLE[:3], b'data: {"error": {"message": "it broke", "code": 500}}\n\n'])
# How a stream fails, and the error that its reader gets.
FAILURES: dict[str, tuple[Answer, type[Exception]]] = {
    "cut": (in_pieces(WHOLE[:3]), BadReplyError),
    "torn": (in_pieces(WHOLE[:3], fault="truncate"), Exception),
    "stalled": (STALLED, RemoteTimeoutError),
    "stalled at its end": (in_pieces(WHOLE, fault="stall"), RemoteTimeoutError),
    "without an event": (EMPTY, BadReplyError),
    "with nothing at all": (in_pieces([b""]), BadReplyError),
    "with its end alone": (in_pieces([b"data: [DONE]\n\n"]), BadReplyError),
    "with an error": (BROKEN, ServerError),
}


@pytest.mark.parametrize("name", FAILURES)
def test_the_record_of_a_failed_stream_is_verified(name: str, wire_server: WireServer, tmp_path: Path) -> None:
    answer, error = FAILURES[name]
    wire_server.script = [answer]
    with backends.record(tmp_path / "r.json"):
        model = open_model(wire_server.url, idle_timeout=0.3, max_retries=0)
        with pytest.raises(error):
            list(model.stream_response(HELLO))
    report = verify(tmp_path / "r.json")
    assert report.failed == report.linked == 1
    assert report.findings == []


@pytest.mark.parametrize("pieces", [WHOLE[:3], WHOLE])
def test_the_record_of_a_closed_stream_is_verified(
    pieces: list[bytes], wire_server: WireServer, tmp_path: Path
) -> None:
    wire_server.script = [in_pieces(pieces, fault="stall")]
    with backends.record(tmp_path / "r.json"), open_model(wire_server.url).stream_response(HELLO) as stream:
        assert next(stream) == "One"
        time.sleep(0.1)
    report = verify(tmp_path / "r.json")
    assert report.failed == 1
    assert report.findings == []


def test_a_failed_stream_whose_recorded_text_was_changed_is_found(wire_server: WireServer, tmp_path: Path) -> None:
    wire_server.script = [in_pieces(WHOLE[:3])]
    with backends.record(tmp_path / "r.json"), pytest.raises(BadReplyError):
        list(open_model(wire_server.url).stream_response(HELLO))
    entries = _entries(tmp_path / "r.json")
    entries[0]["raw_response_obj"] = entries[0]["raw_response_obj"].replace("One", "Two")
    (tmp_path / "r.json").write_text(json.dumps(entries))
    assert any(each.is_wrong for each in verify(tmp_path / "r.json").findings)


def _chunks(*texts: str) -> Answer:
    """A stream that brings these texts, each in an event of its own, in JSON that is ASCII alone."""
    deltas = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}
    return in_pieces([f"data: {json.dumps(event)}\n\n".encode() for event in (*deltas, end)])


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (("Hi \ud83d", "\ude00 you"), "Hi \U0001f600 you"),
        (("\ud83d", "\ude00"), "\U0001f600"),
        (("Hi\ud83d", " you"), "Hi\ufffd you"),
        (("Hi\ud83d",), "Hi\ufffd"),
        (("Hi", "\ude00!"), "Hi\ufffd!"),
        (("Hi\ud83d", "\ud83d", "\ude00 "), "Hi\ufffd\U0001f600"),
    ],
)
def test_a_character_that_two_events_share_is_whole_in_the_pieces(
    texts: tuple[str, ...], answer: str, wire_server: WireServer, tmp_path: Path
) -> None:
    wire_server.script = [_chunks(*texts)]
    with backends.record(tmp_path / "r.json"):
        stream = open_model(wire_server.url).stream_response(HELLO)
        assert "".join(stream) == stream.reply.text == answer
    assert verify(tmp_path / "r.json").findings == []


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_key_that_an_answer_spells_over_several_events_is_in_no_record(
    size: int, wire_server: WireServer, tmp_path: Path
) -> None:
    write_keys(openai_compatible={"api_key": CANARY})
    wire_server.script = [_chunks(*(CANARY[at : at + size] for at in range(0, len(CANARY), size)))]
    with backends.record(tmp_path / "r.json"), backends.cache(tmp_path / "c.sqlite3"):
        stream = open_model(wire_server.url, requires_api_key=True).stream_response(HELLO)
        assert "".join(stream) == CANARY
    assert stream.reply.facts["cache"] == "not kept"
    (entry,) = _entries(tmp_path / "r.json")
    assert entry["clemcore"]["wire"]["events"] is None
    assert CANARY not in (tmp_path / "r.json").read_text()


def test_a_reader_that_wakes_late_is_told_that_the_stream_was_closed(wire_server: WireServer) -> None:
    """The other thread may have finished its close before the reader looks."""
    wire_server.script = [STALLED]
    stream = open_model(wire_server.url).stream_response(HELLO)
    assert next(stream) == "One"
    get, closed = stream._course.pieces.get, threading.Event()

    class Slow:
        """A queue whose reader wakes up late."""

        put = stream._course.pieces.put
        empty = stream._course.pieces.empty

        def get(self) -> str | None:
            piece = get()
            assert closed.wait(10)
            return piece

    stream._course.pieces = Slow()  # type: ignore[assignment]

    def close() -> None:
        stream.close()
        closed.set()

    timer = threading.Timer(0.1, close)
    timer.start()
    with pytest.raises(RuntimeError, match="closed before its end"):
        list(stream)
    timer.join()
