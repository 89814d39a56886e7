"""Reservations of budgets: each is released on every path, and no call waits for them without end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from typing import Any

import pytest

from clemcore import backends
from clemcore.calls import budget
from clemcore.calls.budget import Budget, reserve
from clemcore.errors import BudgetExceededError, ContextExceededError, QuotaError, RemoteCallError
from support.formats import FORMATS
from support.remote import HELLO, make_model
from support.wire_server import Answer, WireServer, completion, refusal, reply

PRICES = {"input": 0, "output": 1000}  # an answer of 100 tokens costs up to 0.1 USD
COUNTED = {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19}


def priced(server: WireServer, **config: Any) -> Any:
    settings = {"requires_api_key": False, **config}
    url = f"{server.url}/v1"
    return make_model("openai_compatible", {"max_tokens": 100}, base_url=url, prices=PRICES, model_config=settings)


def odd(**changes: Any) -> Answer:
    body = json.loads(completion(usage=COUNTED).body)
    body["choices"][0].update(changes)
    return reply(200, body)


REPLIES = {
    "an answer": completion(usage=COUNTED),
    "an answer without counts": completion(usage=None),
    "odd counts": completion(usage={"prompt_tokens": [], "completion_tokens": {}, "total_tokens": "x"}),
    "an odd finish reason": odd(finish_reason=[]),
    "an odd message": odd(message=[]),
    "odd content": odd(message={"role": "assistant", "content": [{"type": "text", "text": 3}, 5]}),
    "an odd role": odd(message={"role": {}, "content": "x"}),
    "no choices": reply(200, {"choices": []}),
    "another form": reply(200, [1, 2]),
    "no JSON": Answer(200, b"{"),
    "nothing": Answer(204, b""),
    "an error": reply(200, {"error": {"message": "no", "code": 400}}),
    "a refusal": refusal(400, "no"),
    "a broken connection": Answer(fault="close"),
    "half a reply": Answer(200, completion().body, fault="truncate"),
    "no reply": Answer(fault="hang"),
}


@pytest.mark.usefixtures("quick_repeats")
@pytest.mark.parametrize("name", REPLIES)
def test_nothing_stays_reserved(wire_server: WireServer, name: str) -> None:
    wire_server.script = [REPLIES[name]]
    with backends.budget(1) as limit:
        with contextlib.suppress(RemoteCallError):
            priced(wire_server, total_timeout=1).generate_response(HELLO)
        assert limit.spent + limit.left == pytest.approx(1)


ODD: list[Any] = [[], {}, 7, "x", None, [[]], [{}], [{"message": [], "content": 3, "type": "message"}]]


@pytest.mark.parametrize("name", FORMATS)
def test_what_cannot_be_read_releases_what_it_has_reserved_in_every_format(
    wire_server: WireServer, name: str
) -> None:
    good = json.loads(FORMATS[name].answer().body)
    model = FORMATS[name].model(wire_server.url, {"max_tokens": 5}, prices=PRICES, context_size="8k")
    with backends.budget(10) as limit:
        for field in good:
            for value in ODD:
                wire_server.script = [reply(200, {**good, field: value}, {"X-Should-Retry": "false"})]
                with contextlib.suppress(RemoteCallError, ContextExceededError):
                    model.generate_response(HELLO)
                assert limit.spent + limit.left == pytest.approx(10), (field, value)


def test_a_refusal_with_a_good_status_costs_nothing(wire_server: WireServer) -> None:
    spent = {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}
    wire_server.script = [reply(200, spent)]
    with backends.budget(1) as limit, pytest.raises(QuotaError):
        priced(wire_server).generate_response(HELLO)
    assert (limit.spent, limit.left) == (0, 1)


def test_waiting_for_a_budget_ends(wire_server: WireServer) -> None:
    with Budget(0.15) as limit:
        held = reserve(0.1, (limit,))
        assert held is not None
        begin = time.monotonic()
        with pytest.raises(BudgetExceededError, match=r"none of which ended within 0\.[0-9]+ s \(total_timeout\)"):
            priced(wire_server, total_timeout=0.3).generate_response(HELLO)
        assert time.monotonic() - begin < 30
        assert not wire_server.requests
        assert not budget._waiting
        held.settle(0.01)
        assert priced(wire_server).generate_response(HELLO)[2] == "Canberra."


def test_what_ends_elsewhere_does_not_make_it_wait_longer(wire_server: WireServer) -> None:
    other = Budget(1)
    with Budget(0.15) as limit:
        held, stop = reserve(0.1, (limit,)), threading.Event()

        def keep_busy() -> None:
            while not stop.wait(0.02):
                hold = reserve(0.1, (other,))
                assert hold is not None
                hold.settle(0)

        busy = threading.Thread(target=keep_busy)
        busy.start()
        try:
            with pytest.raises(BudgetExceededError, match="total_timeout"):
                priced(wire_server, total_timeout=0.3).generate_response(HELLO)
        finally:
            stop.set()
            busy.join()
        assert held is not None
        held.settle(0)


def test_calls_that_end_let_the_others_wait_on(wire_server: WireServer) -> None:
    """One call fits at a time; the last one waits longer than its own time, while the others end."""
    wire_server.script = [Answer(200, completion(usage=COUNTED).body, delay=0.15)]
    with backends.budget(0.16) as limit:
        replies = priced(wire_server, total_timeout=0.6).generate_batch_response([HELLO] * 6)
    assert len(replies) == 6
    assert limit.spent == pytest.approx(0.06)


def test_a_cancelled_call_waits_for_nothing(wire_server: WireServer) -> None:
    async def cancelled() -> None:
        call = asyncio.ensure_future(priced(wire_server).agenerate_response(HELLO))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    with Budget(0.15) as limit:
        held = reserve(0.1, (limit,))
        asyncio.run(cancelled())
        assert not budget._waiting
        assert held is not None
        held.settle(0)
    assert not wire_server.requests
