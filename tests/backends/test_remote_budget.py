"""What calls cost, and budgets: nothing is sent that may cost more than is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.calls.budget import Budget, reserve
from clemcore.errors import BudgetExceededError, SpecError
from support.clem import Clem
from support.remote import HELLO, make_model
from support.wire_server import Answer, Crowd, WireServer, completion, refusal

PRICES = {"input": 1, "output": 1000, "date": "2026-11-10"}  # an answer of 100 tokens costs up to 0.1 USD
USED = {"prompt_tokens": 9, "completion_tokens": 10, "total_tokens": 19}
COST = (9 * 1 + 10 * 1000) / 1e6


def priced(server: WireServer, **entry: Any) -> Any:
    fields = {"prices": PRICES, **entry}
    config = {"requires_api_key": False, **fields.pop("model_config", {})}
    return make_model(
        "openai_compatible", {"max_tokens": 100}, base_url=f"{server.url}/v1", model_config=config, **fields
    )


def test_the_record_says_what_a_call_did_cost(wire_server: WireServer) -> None:
    wire_server.script = [completion(usage=USED), completion(usage=None)]
    model = priced(wire_server)
    with backends.record() as recorder:
        reply = model.generate_response(HELLO)
        unknown = model.generate_response(HELLO)
    assert reply.facts["cost"] == {"usd": COST, "date": "2026-11-10"}
    assert "cost" not in unknown.facts
    first, second = json.loads(Path(recorder.path).read_text())
    assert first["clemcore"]["cost"] == reply.facts["cost"]
    assert "cost" not in second["clemcore"]
    assert "cost" not in priced(wire_server, prices=None).generate_response(HELLO).facts


def test_calls_are_sent_as_long_as_the_worst_case_fits(wire_server: WireServer) -> None:
    wire_server.script = [completion(usage=USED)]
    model = priced(wire_server)
    with backends.budget(0.125) as limit:
        for number in range(3):
            model.generate_response(HELLO)
            assert limit.spent == pytest.approx(COST * (number + 1))
        with pytest.raises(BudgetExceededError, match=r"budget of 0\.125 USD .* 0\.030027 USD are spent") as caught:
            model.generate_response(HELLO)
    assert len(wire_server.requests) == 3
    assert caught.value.needed > 0.1
    assert caught.value.spent == pytest.approx(3 * COST)
    model.generate_response(HELLO)  # the budget is closed


def test_a_batch_spends_its_budget_and_no_more(wire_server: WireServer) -> None:
    """Ten calls may be under way, but their worst case fits twice: they wait for each other."""
    crowd = Crowd(lambda _: completion(usage=USED))
    wire_server.script = [crowd]
    model = priced(wire_server, model_config={"max_connections": 10})
    with backends.budget(0.25) as limit, backends.record() as recorder:
        results = model.generate_batch_response([HELLO] * 30, return_exceptions=True)
    answered = [result for result in results if not isinstance(result, Exception)]
    assert crowd.most == 2
    assert {type(result) for result in results if isinstance(result, Exception)} == {BudgetExceededError}
    assert 14 <= len(answered) <= 16  # until less than one worst case is left
    assert limit.spent == pytest.approx(len(answered) * COST)
    assert limit.spent <= 0.25
    assert limit.left == pytest.approx(0.25 - limit.spent)
    assert len(wire_server.requests) == len(answered)
    calls = json.loads(Path(recorder.path).read_text())
    assert len(calls) == 30
    refused = [call["clemcore"]["error"]["type"] for call in calls if "error" in call["clemcore"]]
    assert set(refused) == {"BudgetExceededError"}


def test_a_model_without_prices_sends_nothing(wire_server: WireServer) -> None:
    with backends.budget(1), pytest.raises(SpecError, match="has no prices in its entry"):
        priced(wire_server, prices=None).generate_response(HELLO)
    assert not wire_server.requests


def test_answers_without_a_limit_need_one(wire_server: WireServer) -> None:
    model = priced(wire_server)
    model.set_gen_args()
    with backends.budget(1), pytest.raises(SpecError, match="nothing limits the answers"):
        model.generate_response(HELLO)
    assert not wire_server.requests
    model = priced(wire_server, max_output_tokens=1_000_000)
    model.set_gen_args()
    with backends.budget(1), pytest.raises(BudgetExceededError):
        model.generate_response(HELLO)


def test_a_refusal_costs_nothing_and_a_lost_answer_its_worst_case(wire_server: WireServer) -> None:
    wire_server.script = [refusal(500, "no", headers={"Retry-After": "0"}), completion(usage=USED)]
    with backends.budget(1) as limit:
        priced(wire_server).generate_response(HELLO)
    assert limit.spent == pytest.approx(COST)
    wire_server.script = [refusal(400, "no")]
    with backends.budget(1) as limit, pytest.raises(Exception, match="no"):
        priced(wire_server).generate_response(HELLO)
    assert (limit.spent, limit.left) == (0, 1)
    wire_server.script = [Answer(fault="hang")]
    with backends.budget(1) as limit, pytest.raises(Exception, match="total_timeout"):
        priced(wire_server, model_config={"total_timeout": 0.1}).generate_response(HELLO)
    assert limit.spent > 0.1
    assert limit.left == pytest.approx(1 - limit.spent)


def test_an_image_counts_as_an_image_and_not_by_its_bytes(wire_server: WireServer) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + b"x" * 300_000
    Path("picture.png").write_bytes(picture)
    wire_server.script = [completion(usage=USED)]
    model = priced(wire_server, model_config={"multimodality": {"single_image": True}})
    with backends.budget(0.15) as limit:  # 0.1 for the answer; the bytes as tokens would cost 0.4
        model.generate_response([{"role": "user", "content": "What is this?", "image": "picture.png"}])
        with pytest.raises(BudgetExceededError):
            model.generate_response([{"role": "user", "content": "x" * 300_000}])
    assert limit.spent == pytest.approx(COST)
    sees = {"single_image": True, "max_image_tokens": 300_000}
    model = priced(wire_server, model_config={"multimodality": sees})
    with backends.budget(0.15), pytest.raises(BudgetExceededError):
        model.generate_response([{"role": "user", "content": "What is this?", "image": "picture.png"}])


def test_a_kept_answer_costs_nothing(wire_server: WireServer) -> None:
    wire_server.script = [completion(usage=USED)]
    model = priced(wire_server)
    model.set_gen_arg("temperature", 0.0)
    with backends.cache("cache.sqlite"), backends.budget(0.12) as limit:
        replies = [model.generate_response(HELLO) for _ in range(5)]
    assert [reply.facts["cost"]["usd"] for reply in replies] == [COST, 0, 0, 0, 0]
    assert limit.spent == pytest.approx(COST)
    assert len(wire_server.requests) == 1


def test_several_budgets_all_hold() -> None:
    with Budget(1) as outer, Budget(0.5) as inner:
        first = reserve(0.4, (outer, inner))
        assert first is not None
        assert reserve(0.2, (outer, inner)) is None, "it may fit when the first call has cost less"
        first.settle(0.1)
        first.settle(0.4)  # only the first time counts
        with pytest.raises(BudgetExceededError, match=r"budget of 0\.5 USD"):
            reserve(0.45, (outer, inner))
    assert (outer.spent, inner.spent) == (0.1, 0.1)
    assert (outer.left, inner.left) == (0.9, 0.4)


@pytest.mark.parametrize("usd", [-1, float("nan"), float("inf"), True, "1"])
def test_a_budget_is_an_amount(usd: Any) -> None:
    with pytest.raises(ValueError, match="must be a number ≥ 0"):
        backends.budget(usd)


@pytest.mark.slow
def test_the_command_keeps_a_budget(wire_server: WireServer, clem: Clem) -> None:
    wire_server.script = [completion(usage=USED)]
    entry = {
        "model_name": "m",
        "backend": "openai_compatible",
        "model_id": "m",
        "base_url": f"{wire_server.url}/v1",
        "prices": PRICES,
        "model_config": {"requires_api_key": False},
    }
    Path("model_registry.json").write_text(json.dumps([entry]))
    done = clem("respond", "-m", "m", "-l", "100", "--budget", "0.2", "Hello!")
    assert (done.returncode, done.stdout) == (0, "Canberra.\n")
    done = clem("respond", "-m", "m", "-l", "100", "--budget", "0.05", "Hello!")
    assert done.returncode != 0
    assert "the budget of 0.05 USD would be exceeded" in done.stderr
    done = clem("chat", "-m", "m", "-l", "100", "--budget", "0.105", stdin="Hello!\nAnd now?\n")
    assert done.returncode != 0
    assert done.stdout == "Canberra.\n"
    assert len(wire_server.requests) == 2
