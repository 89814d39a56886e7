"""Replies that are changed at random: every wire format answers or raises a typed error, and loses nothing.

``CLEMCORE_REPLY_MUTANTS=20000`` changes that many replies instead of a few hundred.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any, get_args

import pytest

from clemcore import backends
from clemcore.arguments.outcome import Outcome
from clemcore.errors import ContextExceededError, RemoteCallError
from support.formats import FORMATS
from support.wire_server import Answer, Received, WireServer, refusal

NUMBER = int(os.environ.get("CLEMCORE_REPLY_MUTANTS", "390"))
PER_FORMAT = max(NUMBER // len(FORMATS), 1)
AT_ONCE = 50
PRICES = {"input": 1, "cached_input": 0.5, "output": 2, "tiers": [{"above": 5, "input": 2, "output": 4}]}
# What stands in a reply in place of something else.
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    12.0,
    10**20,
    int("9" * 4000),
    float("1e308"),
    "",
    "x",
    "\ud800",
    "9" * 5000,
    "²",
    "429",
    "error",
    "stop",
    "length",
    "pause_turn",
    "insufficient_system_resource",
    "context_length_exceeded",
    "maximum context length is " + "9" * 5000 + " tokens",
    "1.2.3s",
    [],
    {},
    [None],
    [[]],
    [{}],
    5,
    {"text": 3},
    {"error": {}},
    {"code": 502, "message": "gone"},
]
FIELDS = (
    "error",
    "choices",
    "message",
    "usage",
    "details",
    "violations",
    "retryDelay",
    "code",
    "type",
    "text",
    "n",
)
ERROR = {
    "message": "no",
    "code": 429,
    "status": "RESOURCE_EXHAUSTED",
    "details": [{"violations": [{"quotaId": "a"}]}],
}


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for name, item in inside for place in places(item, (*at, name)))]


def changed(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = changed(value[place[0]], place[1:], new)
    return copy


def with_field(value: Any, place: tuple[Any, ...], name: str, new: Any) -> Any:
    """Put a field into the object at a place; a value that is not one is replaced by it."""
    there = value
    for step in place:
        there = there[step]
    return changed(value, place, {**there, name: new} if isinstance(there, dict) else {name: new})


def mutant(good: Any, chance: random.Random) -> Answer:
    """Change a reply in one to three places, and some of its bytes in every tenth case."""
    body = chance.choice([good, good, good, {"error": ERROR}, [{"error": ERROR}]])
    for _ in range(chance.randint(1, 3)):
        place = chance.choice(places(body))
        if chance.random() < 0.7:
            body = changed(body, place, chance.choice(ODD))
        else:
            body = with_field(body, place, chance.choice(FIELDS), chance.choice(ODD))
    data = json.dumps(body).encode()
    if chance.random() < 0.1:
        cut = chance.randrange(len(data) + 1)
        data = data[:cut] + chance.choice([b"", b"\xff", b"\0", b"9" * 5000, b"NaN"]) + data[cut + 1 :]
    status = chance.choice([200] * 6 + [400, 413, 429, 500])
    return Answer(status, data, {"Content-Type": "application/json", "X-Should-Retry": "false"})


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.slow
def test_no_change_of_a_reply_gets_through(wire_server: WireServer, name: str) -> None:
    good = json.loads(FORMATS[name].answer().body)
    for first in range(0, PER_FORMAT, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, PER_FORMAT))
        mutants = [mutant(good, random.Random(f"{name} {number}")) for number in numbers]
        # A model id of its own: the limits that one service teaches do not slow the next one down.
        ask_for(wire_server, name, f"model-{first}", mutants)


def ask_for(server: WireServer, name: str, model_id: str, mutants: list[Answer]) -> None:
    """Get the mutants as replies, and check what became of each."""

    def answer(received: Received) -> Answer:
        return mutants[int(received.body.partition(b"question ")[2].partition(b" ")[0])]

    server.requests.clear()
    server.script = [answer]
    gen_args = {"max_tokens": 5, **({} if "2026" in name else {"temperature": 0.0})}
    config = {"total_timeout": 60, "max_connections": 8}
    model: Any = FORMATS[name].model(server.url, gen_args, prices=PRICES, model_config=config, model_id=model_id)
    questions = [[{"role": "user", "content": f"question {number} !"}] for number in range(len(mutants))]
    Path("r.json").unlink(missing_ok=True)
    with backends.cache("calls.sqlite3"), backends.budget(1e6) as limit, backends.record("r.json"):
        replies = model.generate_batch_response(questions, return_exceptions=True)
    assert limit.left == pytest.approx(limit.usd - limit.spent, abs=1e-6), "nothing is left reserved"
    calls = json.loads(Path("r.json").read_text("utf-8"))
    assert len(calls) == len(replies) == len(server.requests) == len(mutants), "each is asked for once"
    by_question: dict[str, Any] = {}
    for call in calls:
        by_question[json.dumps(call["manipulated_prompt_obj"]).partition("question ")[2].split()[0]] = call
    for number, (reply, sent) in enumerate(zip(replies, mutants, strict=True)):
        check(reply, sent, by_question[str(number)])


def check(reply: Any, sent: Answer, call: dict[str, Any]) -> None:
    """Check an answer, or a typed error, and that the record has the reply."""
    if isinstance(reply, Exception):
        assert isinstance(reply, (RemoteCallError, ContextExceededError)), (sent.body[:3000], repr(reply))
        assert len(str(reply)) < 3000
        assert call["clemcore"]["error"]["type"] == type(reply).__name__
    else:
        assert reply.facts["outcome"] in get_args(Outcome)
        reply.text.encode("utf-8")
        assert all(type(count) is int and count >= 0 for count in reply.facts["usage"].values())
    assert call["clemcore"]["wire"]["response_bytes"] == len(sent.body)
    assert not sent.body or call["raw_response_obj"] is not None or sent.body.strip() == b"null"


def test_the_mutants_are_of_every_kind() -> None:
    """Answers, failures that pass and failures that do not, in a sample."""
    good = json.loads(FORMATS["openai"].answer().body)
    sample = [mutant(good, random.Random(number)) for number in range(300)]
    assert {each.status for each in sample} == {200, 400, 413, 429, 500}
    assert len({each.body for each in sample}) > 250
    assert refusal(429, "no").body not in {each.body for each in sample}
