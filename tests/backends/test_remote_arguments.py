"""What becomes of generation arguments: asked → sent, and every change with its reason."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore.errors import GenerationArgumentError, ReasoningExceededError, SpecError
from clemcore.model import Reply
from support.remote import HELLO, make_model
from support.wire_server import WireServer, completion

LISTED = ["temperature", "top_p", "logprobs"]
THINKER = {"supported": True, "style": "effort", "efforts": ["low", "medium", "high"]}
LIMITED: dict[str, Any] = {"token_limit_parameter": "max_completion_tokens"}


def ask(server: WireServer, gen_args: dict[str, Any], backend: str = "openai_compatible", **entry: Any) -> Reply:
    config = {"requires_api_key": False, **entry.pop("model_config", {})}
    model = make_model(backend, gen_args, base_url=f"{server.url}/v1", model_config=config, **entry)
    result = model.generate_response(HELLO)
    assert isinstance(result, Reply)
    return result


def refused(server: WireServer, gen_args: dict[str, Any], words: str, **entry: Any) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        ask(server, gen_args, **entry)
    assert not server.requests


def received(server: WireServer) -> dict[str, Any]:
    body = server.requests[-1].json
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


# -- what the entry says ------------------------------------------------------------------------------------------
def test_sampling_parameters_that_the_entry_does_not_list(wire_server: WireServer) -> None:
    entry: dict[str, Any] = {"sampling_parameters": LISTED}
    refused(wire_server, {"top_k": 5}, r"top_k: 'sampling_parameters' of the entry does not list it", **entry)
    facts = ask(wire_server, {"top_k": 5, "seed": 1}, **entry, model_config={"on_unsupported": "drop"}).facts
    assert facts["sent"] == received(wire_server) == {"seed": 1, "temperature": 0.0, "max_tokens": 300}
    assert facts["parameters"]["dropped"] == {"top_k": "'sampling_parameters' of the entry does not list it"}


def test_an_empty_list_leaves_out_even_defaults(wire_server: WireServer) -> None:
    facts = ask(wire_server, {}, sampling_parameters=[]).facts
    assert facts["sent"] == {"max_tokens": 300}
    assert facts["parameters"]["dropped"]["temperature"].startswith("default; 'sampling_parameters'")


def test_sampling_only_while_the_model_does_not_think(wire_server: WireServer) -> None:
    entry: dict[str, Any] = {"sampling_parameters_without_thinking": LISTED, "thinking": THINKER}
    assert ask(wire_server, {"temperature": 0.5}, **entry).facts["sent"]["temperature"] == 0.5
    assert (
        "temperature" in ask(wire_server, {"temperature": 0.5, "reasoning_effort": "none"}, **entry).facts["sent"]
    )
    wire_server.requests.clear()
    refused(wire_server, {"temperature": 0.5, "reasoning": {"effort": "low"}}, "while it does not think", **entry)
    by_default: dict[str, Any] = {**entry, "thinking": {**THINKER, "on_by_default": True}}
    refused(wire_server, {"temperature": 0.5}, "while it does not think", **by_default)
    assert "temperature" not in ask(wire_server, {}, **by_default).facts["sent"]
    assert "temperature" in ask(wire_server, {"reasoning": {"effort": "none"}}, **by_default).facts["sent"]


def test_the_token_limit_under_the_name_of_the_entry(wire_server: WireServer) -> None:
    facts = ask(wire_server, {"max_tokens": 7}, **LIMITED).facts
    assert received(wire_server) == facts["sent"] == {"max_completion_tokens": 7, "temperature": 0.0}
    assert facts["parameters"]["renamed"] == {"max_tokens": "max_completion_tokens"}


def test_more_tokens_than_the_model_can_answer(wire_server: WireServer) -> None:
    entry: dict[str, Any] = {"max_output_tokens": 100}
    refused(wire_server, {"max_tokens": 500}, "max_tokens: the model answers with 100 tokens at most", **entry)
    facts = ask(wire_server, {"max_tokens": 500}, **entry, model_config={"on_unsupported": "nearest"}).facts
    assert facts["sent"]["max_tokens"] == received(wire_server)["max_tokens"] == 100
    why = "the model answers with 100 tokens at most, not 500"
    assert facts["parameters"]["clamped"] == {"max_tokens": {"asked": 500, "sent": 100, "why": why}}
    facts = ask(wire_server, {}, **entry).facts
    assert facts["parameters"]["clamped"]["max_tokens"]["asked"] == 300, "a default is fitted without a word asked"


def test_all_that_is_refused_is_said_at_once(wire_server: WireServer) -> None:
    words = r"'remote-model' cannot be sent as asked: min_p: .*; top_k: .*; max_tokens: .*on_unsupported"
    gen_args = {"top_k": 5, "min_p": 0.1, "max_tokens": 500}
    refused(wire_server, gen_args, words, sampling_parameters=LISTED, max_output_tokens=100)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"model_config": {"on_unsupported": "guess"}}, "on_unsupported must be one of error, drop, nearest"),
        ({"sampling_parameters": "temperature"}, "sampling_parameters must be a list of strings"),
        ({"model_config": {"reasoning": {"effort": "low", "budget": 3}}}, "both say how much"),
        ({"model_config": {"reasoning": {"budjet": 3}}}, 'not "budjet"; did you mean "budget"'),
        (
            {"model_config": {"reasoning": {"on_exceed": "cut"}}},
            "on_exceed must be 'close', 'empty' or 'error', not",
        ),
        (
            {"model_config": {"reasoning": {"effort": "low", "on_exceed": "close"}}},
            "a service's thoughts cannot be",
        ),
        ({"model_config": {"reasoning": {"budget": 3}}}, "no number of tokens"),
        ({"model_config": {"thinking_mode": True}}, "thinking_mode: the service takes an effort"),
        ({"model_config": {"reasoning_effort": 3}}, "reasoning_effort must be a string, not an integer"),
    ],
)
def test_an_entry_that_cannot_be_sent(wire_server: WireServer, entry: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        ask(wire_server, {}, **entry)
    assert not wire_server.requests


# -- reasoning ----------------------------------------------------------------------------------------------------
def test_reasoning_in_the_uniform_way(wire_server: WireServer) -> None:
    facts = ask(wire_server, {"reasoning": {"effort": "high"}}, thinking=THINKER).facts
    assert received(wire_server)["reasoning_effort"] == facts["sent"]["reasoning_effort"] == "high"
    assert facts["parameters"]["renamed"] == {"reasoning": "reasoning_effort"}
    config = {"reasoning": {"effort": "low"}}
    assert ask(wire_server, {}, model_config=config).facts["sent"]["reasoning_effort"] == "low"
    facts = ask(wire_server, {"reasoning": {"effort": "high"}}, model_config=config).facts
    assert facts["sent"]["reasoning_effort"] == received(wire_server)["reasoning_effort"] == "high"


def test_a_flag_counts_by_value(wire_server: WireServer) -> None:
    config = {"thinking_mode": False, "reasoning_model": False}
    assert ask(wire_server, {}, model_config=config).facts["sent"] == {"temperature": 0.0, "max_tokens": 300}


@pytest.mark.parametrize("name", ["reasoning", "reasoning_effort"])
def test_an_effort_that_the_model_does_not_have(wire_server: WireServer, name: str) -> None:
    asked = {name: {"effort": "max"} if name == "reasoning" else "max"}
    refused(wire_server, asked, f"{name}: must be one of low, medium, high", thinking=THINKER)
    config = {"on_unsupported": "nearest"}
    facts = ask(wire_server, asked, thinking=THINKER, model_config=config).facts
    assert received(wire_server)["reasoning_effort"] == "high"
    assert facts["parameters"]["clamped"][name]["asked"] == asked[name]
    facts = ask(wire_server, asked, thinking=THINKER, model_config={"on_unsupported": "drop"}).facts
    assert "reasoning_effort" not in received(wire_server)
    assert facts["parameters"]["dropped"].keys() == {name}


def test_a_budget_where_only_efforts_are_taken(wire_server: WireServer) -> None:
    asked = {"reasoning": {"budget": 5000}}
    refused(wire_server, asked, "no number of tokens")
    facts = ask(wire_server, asked, model_config={"on_unsupported": "nearest"}).facts
    assert received(wire_server)["reasoning_effort"] == "medium"
    assert facts["parameters"]["clamped"]["reasoning"] == {
        "asked": {"budget": 5000},
        "sent": {"effort": "medium"},
        "why": "the service takes an effort (low, medium, high), no number of tokens",
    }


def test_a_model_that_cannot_but_reason(wire_server: WireServer) -> None:
    always = {**THINKER, "always": True}
    refused(wire_server, {"reasoning": {"effort": "none"}}, "the model always reasons", thinking=always)
    refused(wire_server, {"reasoning": {"effort": "low"}}, "does not reason", thinking={"supported": False})
    config = {"on_unsupported": "nearest"}
    facts = ask(wire_server, {"reasoning": {"effort": "none"}}, thinking=always, model_config=config).facts
    assert facts["sent"]["reasoning_effort"] == "low"


def test_reasoning_asked_for_twice(wire_server: WireServer) -> None:
    refused(wire_server, {"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "both ask for reasoning")


def test_reasoning_that_leaves_no_answer(wire_server: WireServer) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 300, "completion_tokens_details": {"reasoning_tokens": 300}}
    wire_server.script = [completion("", finish_reason="length", usage=usage)]
    result = ask(wire_server, {"reasoning": {"effort": "low"}})
    assert result.text == ""
    assert result.facts["outcome"] == "length"
    assert result.facts["reasoning_exceeded"] == "reasoning has left no tokens for an answer (300 tokens)"
    with pytest.raises(ReasoningExceededError, match="reasoning has left no tokens") as caught:
        ask(wire_server, {"reasoning": {"effort": "low", "on_exceed": "error"}})
    assert caught.value.facts["sent"]["reasoning_effort"] == "low"
    assert caught.value.facts["usage"]["reasoning_tokens"] == 300, "they are paid for"
    assert not caught.value.retryable
    with pytest.raises(ReasoningExceededError):
        ask(wire_server, {}, model_config={"reasoning": {"on_exceed": "error"}})


@pytest.mark.parametrize("manner", [{"on_exceed": "close"}, {"closing": "Enough."}])
def test_a_thought_of_a_service_cannot_be_closed(wire_server: WireServer, manner: dict[str, str]) -> None:
    wish = {"reasoning": {"effort": "low", **manner}}
    refused(wire_server, wish, "reasoning: a service's thoughts cannot be closed .on_exceed 'close', closing.")
    wire_server.script = [completion("Hi"), completion("Hi")]
    left_out = ask(wire_server, wish, model_config={"on_unsupported": "drop"}).facts
    assert list(left_out["parameters"]["dropped"]) == ["reasoning.on_exceed"]
    assert left_out["sent"]["reasoning_effort"] == "low"
    nearest = ask(wire_server, wish, model_config={"on_unsupported": "nearest"}).facts
    assert nearest["parameters"]["clamped"]["reasoning"]["sent"] == {"effort": "low", "on_exceed": "empty"}
    assert nearest["sent"]["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (completion("Hi"), "answer"),
        (completion(None, message={"refusal": "No."}), "refusal"),
        (completion("", finish_reason="content_filter"), "content_filter"),
        (completion("", finish_reason="length"), "length"),
        (completion(None, message={"reasoning": "hm"}), "reasoning_only"),
        (completion(None, finish_reason="tool_calls"), "empty"),
    ],
)
def test_what_a_good_reply_brought(wire_server: WireServer, answer: Any, outcome: str) -> None:
    wire_server.script = [answer]
    assert ask(wire_server, {}).facts["outcome"] == outcome
