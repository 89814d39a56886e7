"""What services count, in all the ways in which they write it: usage, cost, and what a budget reserves."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import BudgetExceededError, SpecError
from clemcore.model import Reply
from clemcore.registry.prices import prices_of
from clemcore.registry.spec import ModelSpec
from support.formats import FORMATS
from support.remote import HELLO, ask, make_model
from support.wire_server import WireServer, completion, reply

PRICES = {"input": 1.25, "cached_input": 0.2, "output": 2.5, "date": "2026-11-12"}


def compatible(server: WireServer, gen_args: dict[str, Any] | None = None, **entry: Any) -> Any:
    config = {"requires_api_key": False, **entry.pop("model_config", {})}
    fields = {"base_url": f"{server.url}/v1", "prices": PRICES, "model_config": config, **entry}
    return make_model("openai_compatible", gen_args, **fields)


def counted(server: WireServer, usage: Any) -> Reply:
    server.script = [completion(usage=usage)]
    return ask(compatible(server))


def given(prompt: Any, made: Any, total: Any = None, reasoned: Any = None, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": total, **more}
    if reasoned is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoned}
    return {name: value for name, value in usage.items() if value is not None}


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        # The total proves what is counted neither as prompt nor as completion.
        (given(32, 9, 135, 94), (32, 103)),
        (given(32, 9, 135), (32, 103)),
        (given(32, 9, 41, 94), (32, 9)),  # no room
        (given(32, 103, 135, 94), (32, 103)),
        (given(32, 9, 20), (32, 9)),  # a total that contradicts its parts proves nothing
        (given(32, None, 135), (32, 103)),
        (given(None, 103, 135), (32, 103)),
        (given(32, 9, None, 94), (32, 103)),  # without a total: 94 cannot be a part of 9
        (given(32, 103, None, 94), (32, 103)),
        (given(32, 103, -1), (32, 103)),
        # Numbers in other forms.
        (given(12.0, 3.0, 15.0), (12, 3)),
        (given(12, -1, 15), (12, 3)),
        (given(-1, 3, 15), (12, 3)),
        ({"input_tokens": 12, "output_tokens": 3}, (12, 3)),
        ({"prompt_cache_hit_tokens": 10, "prompt_cache_miss_tokens": 2, "completion_tokens": 3}, (12, 3)),
        # What is not a count is not known.
        (given(12, -1), (12, None)),
        (given("12", "3", "15"), (12, 3)),
        (given("12", True), (12, None)),
        (given("-1", "3.0"), (None, None)),
        (given("9" * 4000, "٣"), (None, None)),
        (given(1.5, float("1e300")), (None, None)),
        (given(int("9" * 4000), 3), (None, 3)),
        (given(12, 3, int("9" * 4000)), (12, 3)),
        ([3], (None, None)),
        (None, (None, None)),
    ],
)
def test_tokens_that_the_body_proves(wire_server: WireServer, usage: Any, tokens: tuple[Any, Any]) -> None:
    facts = counted(wire_server, usage).facts
    assert (facts["usage"].get("input_tokens"), facts["usage"].get("output_tokens")) == tokens
    assert ("cost" in facts) == (None not in tokens)
    if "cost" in facts:
        cached = facts["usage"].get("cached_tokens", 0)
        usd = (tokens[0] - cached) * 1.25 + cached * 0.2 + tokens[1] * 2.5
        assert facts["cost"]["usd"] == pytest.approx(usd / 1e6)


@pytest.mark.parametrize(
    "where",
    [
        {"prompt_tokens_details": {"cached_tokens": 900}},
        {"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 900},
        {"prompt_cache_hit_tokens": 900, "prompt_cache_miss_tokens": 100},
        {"cached_tokens": 900.0},
        {"num_cached_tokens": 900},
        {"cache_read_input_tokens": 900},
    ],
)
def test_cached_tokens_cost_less_wherever_they_stand(wire_server: WireServer, where: dict[str, Any]) -> None:
    facts = counted(wire_server, given(1000, 10, 1010, **where)).facts
    assert facts["usage"]["cached_tokens"] == 900
    assert facts["cost"]["usd"] == pytest.approx(0.00033)


def test_a_cost_that_is_not_known_is_said_once(wire_server: WireServer, caplog: pytest.LogCaptureFixture) -> None:
    wire_server.script = [completion(usage=given(-1, 4))]
    model = compatible(wire_server)
    for _ in range(3):
        assert "cost" not in ask(model).facts
    assert caplog.text.count("the cost of a call is not known") == 1


def test_thoughts_that_only_the_total_counts_in_other_formats(wire_server: WireServer) -> None:
    usage: dict[str, Any] = {"promptTokenCount": 32, "candidatesTokenCount": 9, "totalTokenCount": 135}
    model = FORMATS["google"].model(wire_server.url)
    for candidate in (usage, {**usage, "thoughtsTokenCount": 94}):
        body = {
            "candidates": [{"content": {"parts": [{"text": "A."}]}, "finishReason": "STOP"}],
            "usageMetadata": candidate,
        }
        wire_server.script = [reply(200, body)]
        assert ask(model).facts["usage"]["output_tokens"] == 103
    # Anthropic and Cohere give no total: their counts stay as they are, floats as whole numbers.
    claude = {"content": [], "stop_reason": "end_turn", "usage": {"input_tokens": 5.0, "output_tokens": 2}}
    command = {"message": {"content": []}, "finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 5.0}}}
    answers: dict[str, Any] = {"anthropic": claude, "cohere": command}
    for name, answer in answers.items():
        wire_server.script = [reply(200, answer)]
        count = ask(FORMATS[name].model(wire_server.url)).facts["usage"]["input_tokens"]
        assert (count, type(count)) == (5, int)


# -- several answers ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("gen_args", "entry"),
    [
        ({"n": 8}, {}),
        ({"extra_body": {"n": 8}}, {}),
        ({}, {"model_config": {"extra_body": {"n": 8}}}),
        ({"extra_body": {"best_of": 8}}, {}),
        ({"extra_body": {"best_of": "8", "n": 2}}, {}),
    ],
)
def test_a_budget_reserves_every_answer(
    wire_server: WireServer, gen_args: dict[str, Any], entry: dict[str, Any]
) -> None:
    """One answer of 1,000 tokens costs up to 0.0025 USD, eight of them 0.02."""
    model = compatible(wire_server, {"max_tokens": 1000, **gen_args}, **entry)
    with backends.budget(0.019), pytest.raises(BudgetExceededError) as caught:
        model.generate_response(HELLO)
    assert caught.value.needed > 0.02
    assert not wire_server.requests
    wire_server.script = [completion(usage=given(10, 4000, 4010))]
    with backends.budget(0.021) as limit:
        ask(model)
    assert limit.spent == pytest.approx((10 * 1.25 + 4000 * 2.5) / 1e6)
    assert limit.left == pytest.approx(0.021 - limit.spent)


def test_candidates_of_google_are_answers(wire_server: WireServer) -> None:
    for name in ("candidate_count", "candidateCount"):
        model = FORMATS["google"].model(wire_server.url, {"max_tokens": 1000, name: 8}, prices=PRICES)
        with backends.budget(0.019), pytest.raises(BudgetExceededError):
            model.generate_response(HELLO)
    assert not wire_server.requests


def test_the_greater_of_two_limits_on_tokens_counts(wire_server: WireServer) -> None:
    both = {"max_completion_tokens": 10, "max_tokens": 10_000}
    with backends.budget(0.02), pytest.raises(BudgetExceededError):
        compatible(wire_server, model_config={"extra_body": both}).generate_response(HELLO)


# -- prices ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "prices",
    [
        {"input": float("inf"), "output": 1},  # 1e400 in a JSON file
        {"input": 10**400, "output": 1},
        {"input": 1, "output": float("nan")},
        {"input": 1, "output": "$2"},
        {"input": 1, "output": 1, "tiers": 5},
        {"input": 1, "output": 1, "tiers": {"above": 3}},
    ],
)
def test_prices_that_are_none_are_refused_in_words(wire_server: WireServer, prices: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="prices") as caught:
        compatible(wire_server, prices=prices)
    assert len(str(caught.value)) < 300


def test_no_count_overflows_a_cost() -> None:
    prices = prices_of(ModelSpec(model_name="m", prices={"input": 1_000_000, "output": 1_000_000}))
    assert prices is not None
    assert prices.cost({"input_tokens": 10**400, "output_tokens": 1}) is None
    assert prices.cost({"input_tokens": -1, "output_tokens": 1}) is None
