"""Equal dialogues of a batch get their own answers again when the batch is replayed."""

from __future__ import annotations

import dataclasses
import itertools
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.verify import first_difference, verify
from support.remote import HELLO, open_model
from support.wire_server import WireServer, completion


@pytest.fixture
def numbered(wire_server: WireServer) -> WireServer:
    """A server that answers each request with another number, in a time of its own."""
    numbers, draw = itertools.count(), random.Random(7)
    wire_server.script = [
        lambda _: dataclasses.replace(completion(f"answer {next(numbers)}"), delay=draw.random() * 0.05)
    ]
    return wire_server


def texts(replies: list[Any]) -> list[str]:
    return [reply[2] for reply in replies]


def other(number: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"question {number}"}]


BATCHES: dict[str, list[Any]] = {
    "all equal": [HELLO] * 8,
    "one list": [HELLO, *[list(HELLO)] * 7],
    "pairs": [HELLO, other(1)] * 4,
    "two equal ends": [HELLO, other(1), other(2), other(3), HELLO],
}


@pytest.mark.parametrize("kind", BATCHES)
def test_equal_dialogues_stay_in_place(numbered: WireServer, kind: str) -> None:
    model: Any = open_model(numbered.url)
    with backends.record("requests.json"):
        said = [texts(model.generate_batch_response(BATCHES[kind])) for _ in range(2)]
    for number in range(4):
        replayed: Any = backends.get_model_for("replay:requests.json")
        with backends.record(f"{number}.json"):
            assert [texts(replayed.generate_batch_response(BATCHES[kind])) for _ in range(2)] == said
        assert first_difference("requests.json", f"{number}.json") is None
        assert verify(f"{number}.json").findings == []


def test_items_of_scopes_stay_in_place(numbered: WireServer) -> None:
    model: Any = open_model(numbered.url)

    def ask_all(model: Any) -> list[str]:
        scopes = [backends.scope(episode=number % 2) for number in range(6)]
        return texts(model.generate_batch_response([HELLO] * 6, scopes=scopes))

    with backends.record("requests.json"):
        said = ask_all(model)
    for _ in range(4):
        assert ask_all(backends.get_model_for("replay:requests.json")) == said


def test_single_calls_at_once_come_in_the_order_of_their_starts(numbered: WireServer) -> None:
    """Threads begin one after the other and end in any order; asked again in a row, each gets its answer."""
    model: Any = open_model(numbered.url)
    said: dict[int, str] = {}
    ready = [threading.Event() for _ in range(7)]
    ready[0].set()

    def ask(number: int) -> None:
        ready[number].wait(10)
        timer = threading.Timer(0.01, ready[number + 1].set)
        timer.start()
        said[number] = model.generate_response(HELLO)[2]
        timer.join()

    with backends.record("requests.json"):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    replayed: Any = backends.get_model_for("replay:requests.json")
    assert [replayed.generate_response(HELLO)[2] for _ in range(6)] == [said[number] for number in range(6)]
    assert Path("requests.json").exists()
