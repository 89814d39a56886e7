"""Models of Anthropic: what is sent in which version of the protocol, and what comes back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.errors import (
    ContextExceededError,
    GenerationArgumentError,
    MessagesError,
    MissingKeyError,
    RemoteCallError,
    SpecError,
)
from support.anthropic_wire import SEES, claude, error, message, text, thinking
from support.remote import CANARY, DIALOGUE, GIF, HELLO, PNG, ask, make_model, write_keys
from support.wire_server import Answer, WireServer, reply

BUDGET = {"supported": True, "style": "budget"}
ADAPTIVE = {"supported": True, "style": "adaptive"}


# -- what is sent ------------------------------------------------------------------------------------------------
def test_prompt_and_response_are_the_bodies_on_the_wire(wire_server: WireServer) -> None:
    answer = message("  The capital is ", "Canberra. \n")
    wire_server.script = [answer]
    prompt, response, words = result = ask(claude(wire_server), DIALOGUE)
    received = wire_server.only
    assert received.target == "/v1/messages"
    assert prompt == received.json
    assert prompt == {"model": "claude-model", "messages": DIALOGUE, "temperature": 0.0, "max_tokens": 300}
    assert json.dumps(response) == json.dumps(json.loads(answer.body))
    assert words == "The capital is Canberra."
    assert result.facts["outcome"] == "answer"
    assert (result.facts["served_model"], result.facts["finish_reason"]) == ("claude-served-20990101", "end_turn")
    assert result.facts["wire"]["request_id"] == "req_011CSHoEeqs5C35K2UUqR7Fy"
    assert response["clem_player"]["response"] == words


@pytest.mark.parametrize(
    ("entry", "version", "header", "value"),
    [
        ({}, "2023-06-01", "x-api-key", CANARY),
        ({"api_version": "2023-06-01", "sampling_parameters": []}, "2023-06-01", "x-api-key", CANARY),
        ({"sampling_parameters": []}, "2026-10-21", "authorization", f"Bearer {CANARY}"),
        ({"api_version": "2026-10-21"}, "2026-10-21", "authorization", f"Bearer {CANARY}"),
    ],
)
def test_version_and_key_go_into_headers(
    wire_server: WireServer, entry: dict[str, Any], version: str, header: str, value: str
) -> None:
    write_keys(anthropic={"api_key": CANARY, "base_url": wire_server.url})
    wire_server.script = [message()]
    reply = ask(make_model("anthropic", **entry))
    headers = wire_server.only.headers
    assert headers["anthropic-version"] == version
    assert headers[header] == value
    assert len({"x-api-key", "authorization"} & headers.keys()) == 1
    assert CANARY not in repr((reply, reply.facts))
    assert ("temperature" in wire_server.only.json) == (
        version == "2023-06-01" and entry.get("sampling_parameters") != []
    )


def test_a_missing_key_says_where_it_belongs() -> None:
    with pytest.raises(MissingKeyError, match="ANTHROPIC_API_KEY"):
        make_model("anthropic")


def test_a_version_that_is_no_date_is_refused(wire_server: WireServer) -> None:
    with pytest.raises(SpecError, match=r"'api_version' must be a date such as '2023-06-01'.*not 'v1'"):
        claude(wire_server, api_version="v1")


def test_an_address_may_end_in_the_version(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    ask(claude(wire_server, base_url=f"{wire_server.url}/v1"))
    ask(claude(wire_server, base_url=f"{wire_server.url}/gateway"))
    assert [each.target for each in wire_server.requests] == ["/v1/messages", "/gateway/v1/messages"]


def test_all_system_messages_go_into_their_own_field(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "One"},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Two"},
    ]
    ask(claude(wire_server), messages)
    assert wire_server.only.json["system"] == "Be short.\n\nBe kind."
    assert wire_server.only.json["messages"] == [{"role": "user", "content": "One\n\nTwo"}]
    assert len(messages) == 4


@pytest.mark.parametrize("first", [[], [{"role": "system", "content": ""}], [{"role": "system", "content": " \n"}]])
def test_no_empty_system_is_sent(wire_server: WireServer, first: list[dict[str, str]]) -> None:
    wire_server.script = [message()]
    ask(claude(wire_server), [*first, *HELLO])
    assert "system" not in wire_server.only.json
    assert wire_server.only.json["messages"] == HELLO


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([{"role": "system", "content": "Be short."}], "nothing but system messages"),
        ([{"role": "tool", "content": "7"}], "has the role 'tool'"),
        ([{"role": "user", "content": "A", "name": "ann"}], "has 'name', which the service does not take"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "no part of type 'image_url'"),
        ([{"role": "system", "content": "A", "image": "a.png"}, *HELLO], "a system message with an image"),
    ],
)
def test_what_the_format_has_no_place_for_is_refused(
    wire_server: WireServer, messages: list[Any], words: str
) -> None:
    with pytest.raises(MessagesError, match=words):
        ask(claude(wire_server), messages)
    assert not wire_server.requests


def test_a_last_assistant_message_is_continued_only_where_the_entry_says_so(wire_server: WireServer) -> None:
    wire_server.script = [message("berra.")]
    begun = [*HELLO, {"role": "assistant", "content": "Can"}]
    for prefill in (None, False):
        with pytest.raises(MessagesError, match=r"does not say that it can \(\"prefill\": true\)"):
            ask(claude(wire_server, prefill=prefill), begun)
    thinker = {"thinking_mode": True}
    with pytest.raises(MessagesError, match="a model that thinks continues no message"):
        ask(claude(wire_server, prefill=True, thinking=BUDGET, model_config=thinker), begun)
    assert not wire_server.requests
    assert ask(claude(wire_server, prefill=True), begun).text == "berra."
    assert wire_server.only.json["messages"] == begun


# -- images ------------------------------------------------------------------------------------------------------
def test_images_follow_the_text_of_their_message(wire_server: WireServer) -> None:
    Path("dot.gif").write_bytes(GIF)
    data = base64.b64encode(GIF).decode()
    wire_server.script = [message()]
    messages = [
        {"role": "system", "content": "Look."},
        {"role": "user", "content": "This <image> and these", "image": "dot.gif"},
        {"role": "assistant", "content": "Yes?"},
        {
            "role": "user",
            "content": "Which?",
            "image": [f"data:image/png;base64,{PNG}", "https://pictures.test/a.jpg"],
        },
    ]
    ask(claude(wire_server, model_config=SEES), messages)
    first, _, last = wire_server.only.json["messages"]
    assert first["content"] == [
        text("This and these"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": data}},
    ]
    assert last["content"] == [
        text("Which?"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://pictures.test/a.jpg"}},
    ]
    assert wire_server.only.json["system"] == "Look."


def test_an_image_of_a_type_that_anthropic_does_not_take_is_refused(wire_server: WireServer) -> None:
    Path("dot.bmp").write_bytes(b"BM" + bytes(64))
    with pytest.raises(MessagesError, match=r"messages\[0\]\['image'\]\[0\] is image/bmp, but .*convert it"):
        ask(claude(wire_server, model_config=SEES), [{**HELLO[0], "image": "dot.bmp"}])
    with pytest.raises(MessagesError, match="sees none"):
        ask(claude(wire_server), [{**HELLO[0], "image": "dot.bmp"}])
    assert not wire_server.requests


# -- generation arguments ----------------------------------------------------------------------------------------
def test_every_argument_goes_to_its_place(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    asked = {"temperature": 0.5, "max_tokens": 50, "top_k": 40, "stop": "END", "service_tier": "standard_only"}
    facts = ask(claude(wire_server, asked)).facts
    sent = {"temperature": 0.5, "max_tokens": 50, "top_k": 40, "stop_sequences": ["END"]}
    assert facts["sent"] == {**sent, "service_tier": "standard_only"}
    assert wire_server.only.json == {"model": "claude-model", "messages": HELLO, **facts["sent"]}
    assert facts["parameters"]["renamed"] == {"stop": "stop_sequences"}


def test_a_limit_is_always_sent(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    model = claude(wire_server)
    model.set_gen_args()
    ask(model)
    assert wire_server.only.json["max_tokens"] == 300


def test_a_default_temperature_gives_way_to_top_p(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    facts = ask(claude(wire_server, {"top_p": 0.9})).facts
    assert facts["sent"] == {"top_p": 0.9, "max_tokens": 300}
    assert "top_p was asked for" in facts["parameters"]["dropped"]["temperature"]
    ask(claude(wire_server, {"top_p": 0.9, "temperature": 0.5}))
    assert wire_server.requests[1].json["temperature"] == 0.5


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"temperature": 1.5}, "temperature: must be from 0 to 1, not 1.5"),
        ({"seed": 7}, "does not know the generation argument 'seed'"),
        ({"stop": [1]}, r"stop: must be a text or a list of texts, not \[1\]"),
        ({"system": "Be short."}, "system: no generation argument"),
        ({"max_tokens": 99999}, "max_tokens: the model answers with 64000 tokens at most"),
    ],
)
def test_what_cannot_be_sent_as_asked_is_an_error(
    wire_server: WireServer, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        ask(claude(wire_server, asked, max_output_tokens=64000))
    assert not wire_server.requests


def test_sampling_is_refused_under_the_newer_version(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    facts = ask(claude(wire_server, api_version="2026-10-21")).facts
    assert facts["sent"] == {"max_tokens": 300}
    assert "refuses it under anthropic-version 2026-10-21" in facts["parameters"]["dropped"]["temperature"]
    with pytest.raises(GenerationArgumentError) as caught:
        ask(claude(wire_server, {"temperature": 0.7, "top_k": 3}, api_version="2026-10-21"))
    assert "temperature: the service refuses it under anthropic-version 2026-10-21" in str(caught.value)
    assert "top_k: the service refuses it" in str(caught.value)
    assert '"api_version": "2023-06-01"' in str(caught.value)
    with pytest.raises(GenerationArgumentError) as caught:
        ask(claude(wire_server, {"temperature": 0.7}, sampling_parameters=[]))
    assert str(caught.value).count("temperature:") == 1
    assert len(wire_server.requests) == 1


# -- thinking ----------------------------------------------------------------------------------------------------
def test_thinking_mode_of_the_entry(wire_server: WireServer) -> None:
    """As 3.7.2: 4000 tokens for thinking beside those for the answer; but the flag counts by its value."""
    wire_server.script = [message(thinking("Hm."), "Canberra.")]
    facts = ask(claude(wire_server, model_config={"thinking_mode": True})).facts
    assert facts["sent"] == {"max_tokens": 4300, "thinking": {"type": "enabled", "budget_tokens": 4000}}
    changed = {"asked": 300, "sent": 4300, "why": "thinking counts in it: its budget of 4000 was added"}
    assert facts["parameters"]["clamped"] == {"max_tokens": changed}
    assert "it must be 1 while the model thinks" in facts["parameters"]["dropped"]["temperature"]
    ask(claude(wire_server, model_config={"thinking_mode": True, "thinking_budget": 1024}))
    assert wire_server.requests[1].json["thinking"]["budget_tokens"] == 1024
    ask(claude(wire_server, model_config={"thinking_mode": False}))
    assert "thinking" not in wire_server.requests[2].json


@pytest.mark.parametrize(
    ("thinks", "wish", "sent"),
    [
        (BUDGET, {"budget": 2048}, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (BUDGET, {"budget": 0}, {"thinking": {"type": "disabled"}}),
        (BUDGET, {"effort": "none"}, {"thinking": {"type": "disabled"}}),
        (
            {**BUDGET, "efforts": ["low", "medium", "high"]},
            {"effort": "low"},
            {"thinking": {"type": "enabled", "budget_tokens": 4000}, "output_config": {"effort": "low"}},
        ),
        (ADAPTIVE, {"effort": "xhigh"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}),
        (ADAPTIVE, {"effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({**ADAPTIVE, "off": "between_tools"}, {"effort": "none"}, {"thinking": {"type": "between_tools"}}),
    ],
)
def test_reasoning_in_the_way_that_the_model_takes(
    wire_server: WireServer, thinks: dict[str, Any], wish: dict[str, Any], sent: dict[str, Any]
) -> None:
    wire_server.script = [message()]
    ask(claude(wire_server, {"reasoning": wish}, thinking=thinks, sampling_parameters=[]))
    body = wire_server.only.json
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == sent
    assert body["max_tokens"] == 300 + sent["thinking"].get("budget_tokens", 0)


@pytest.mark.parametrize(
    ("thinks", "wish", "words"),
    [
        (BUDGET, {"budget": 500}, "at least 1024 tokens, not 500"),
        (BUDGET, {"effort": "low"}, "takes a number of tokens, no effort"),
        (ADAPTIVE, {"budget": 2048}, "takes an effort, no number of tokens"),
        (ADAPTIVE, {"effort": "huge"}, "must be one of low, medium, high, xhigh, max, not 'huge'"),
        ({**ADAPTIVE, "always": True}, {"effort": "none"}, "the model always reasons"),
    ],
)
def test_reasoning_that_the_model_does_not_take(
    wire_server: WireServer, thinks: dict[str, Any], wish: dict[str, Any], words: str
) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        ask(claude(wire_server, {"reasoning": wish}, thinking=thinks))
    assert not wire_server.requests


@pytest.mark.parametrize(
    ("asked", "entry", "sent"),
    [
        ({"reasoning": {"effort": "medium"}}, {"thinking": BUDGET}, {"budget_tokens": 8192, "type": "enabled"}),
        ({"reasoning": {"budget": 9}}, {"thinking": BUDGET}, {"budget_tokens": 1024, "type": "enabled"}),
        ({"reasoning": {"budget": 9000}}, {"thinking": ADAPTIVE}, {"type": "adaptive"}),
    ],
)
def test_the_nearest_is_sent_where_the_entry_says_so(
    wire_server: WireServer, asked: dict[str, Any], entry: dict[str, Any], sent: dict[str, Any]
) -> None:
    wire_server.script = [message()]
    asked = {"temperature": 0.0, "max_tokens": 9999, **asked}
    model = claude(wire_server, asked, max_output_tokens=4000, model_config={"on_unsupported": "nearest"}, **entry)
    facts = ask(model).facts
    body = wire_server.only.json
    assert body["thinking"] == sent
    assert (body["temperature"], body["max_tokens"]) == (1, 4000)
    assert facts["parameters"]["clamped"].keys() == {"temperature", "max_tokens", "reasoning"}
    assert facts["parameters"]["clamped"]["max_tokens"]["asked"] == 9999
    if sent["type"] == "adaptive":
        assert body["output_config"] == {"effort": "high"}


def test_what_is_not_taken_is_left_out_where_the_entry_says_so(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    drops = {"model_config": {"on_unsupported": "drop"}, "api_version": "2026-10-21"}
    facts = ask(claude(wire_server, {"temperature": 0.5, "seed": 7}, **drops)).facts
    assert facts["sent"] == {"max_tokens": 300}
    assert facts["parameters"]["dropped"].keys() == {"temperature", "seed"}
    assert not any(why.startswith("default") for why in facts["parameters"]["dropped"].values())


def test_thinking_takes_no_sampling(wire_server: WireServer) -> None:
    asked = {"temperature": 0.0, "top_p": 0.5, "top_k": 3, "reasoning": {"budget": 2048}}
    with pytest.raises(GenerationArgumentError) as caught:
        ask(claude(wire_server, asked))
    assert "temperature: must be 1 while the model thinks, not 0.0" in str(caught.value)
    assert "top_p: must be at least 0.95 while the model thinks" in str(caught.value)
    assert "top_k: is not taken while the model thinks" in str(caught.value)
    wire_server.script = [message()]
    ask(claude(wire_server, {"temperature": 1, "reasoning": {"budget": 2048}}))
    assert wire_server.only.json["temperature"] == 1


def test_a_budget_that_leaves_no_room_for_the_answer(wire_server: WireServer) -> None:
    asked = {"max_tokens": 7000, "reasoning": {"budget": 2048}}
    with pytest.raises(GenerationArgumentError, match="with the 2048 for thinking it exceeds the 8192 tokens"):
        ask(claude(wire_server, asked, max_output_tokens=8192))


def test_native_thinking_is_sent_as_it_is(wire_server: WireServer) -> None:
    wire_server.script = [message()]
    native = {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}
    ask(claude(wire_server, {"thinking": native, "max_tokens": 2500}))
    assert wire_server.only.json["thinking"] == native
    assert wire_server.only.json["max_tokens"] == 2500


# -- what comes back ---------------------------------------------------------------------------------------------
def test_thinking_is_split_from_the_answer(wire_server: WireServer) -> None:
    redacted = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix/LafPsn4a"}
    wire_server.script = [message(thinking("First."), redacted, thinking("Then."), "Can", text("berra."))]
    reply = ask(claude(wire_server))
    assert reply.text == "Canberra."
    assert reply.facts["reasoning"] == "First.\n\nThen."
    assert reply.facts["redacted_reasoning_blocks"] == 1
    assert "First" not in reply.text


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (message("I can", stop_reason="refusal"), "refusal", "I can"),
        (message(content=[], stop_reason="refusal"), "refusal", ""),
        (message(content=[], stop_reason="max_tokens"), "length", ""),
        (message(thinking("Long."), stop_reason="max_tokens"), "length", ""),
        (message("Canb", stop_reason="max_tokens"), "answer", "Canb"),
        (message(content=[], stop_reason="model_context_window_exceeded"), "length", ""),
        (message(thinking("Hm.")), "reasoning_only", ""),
        (message(content=[{"type": "redacted_thinking", "data": "x"}]), "reasoning_only", ""),
        (message(content=[]), "empty", ""),
        (message("A", stop_reason="stop_sequence", stop_sequence="END"), "answer", "A"),
    ],
)
def test_outcomes(wire_server: WireServer, answer: Answer, outcome: str, words: str) -> None:
    wire_server.script = [answer]
    reply = ask(claude(wire_server))
    assert (reply.facts["outcome"], reply.text) == (outcome, words)
    assert reply.facts["finish_reason"] == json.loads(answer.body)["stop_reason"]


def test_why_it_refused(wire_server: WireServer) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": None}
    wire_server.script = [message(stop_reason="refusal", stop_details=details), message(stop_reason="refusal")]
    assert ask(claude(wire_server)).facts["refusal"] == "bio"
    assert ask(claude(wire_server)).facts["refusal"] == "refusal"


def test_usage_counts_the_whole_prompt(wire_server: WireServer) -> None:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
    }
    wire_server.script = [message(usage=usage)]
    assert ask(claude(wire_server)).facts["usage"] == {
        "input_tokens": 125,
        "output_tokens": 50,
        "reasoning_tokens": 40,
        "cached_tokens": 100,
        "cache_write_tokens": 20,
    }


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "JSON, but list instead of an object"),
        ({"content": None}, "no list of content blocks"),
        ({"content": [], "role": "user"}, "has the role 'user' instead of 'assistant'"),
    ],
)
def test_a_reply_without_an_answer(wire_server: WireServer, body: Any, words: str) -> None:
    wire_server.script = [reply(200, body)]
    with pytest.raises(RemoteCallError, match=words) as caught:
        ask(claude(wire_server, model_config={"total_timeout": 5}))
    assert caught.value.kind == "bad_reply"


# -- errors ------------------------------------------------------------------------------------------------------
LIMIT = "This request would exceed your organization's rate limit of 50 requests per minute"
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing"
ERRORS = [
    (error(400, "invalid_request_error", "max_tokens: Field required"), "bad_request"),
    (error(400, "invalid_request_error", "Output blocked by content filtering policy"), "content_filter"),
    (error(400, "invalid_request_error", CREDIT), "quota"),
    (error(400, "invalid_request_error", "disabled", "organization_on_hold"), "permission"),
    (error(401, "authentication_error", "invalid x-api-key"), "authentication"),
    (error(402, "billing_error", "There is an issue with your billing"), "quota"),
    (error(402, "billing_error", "limit", "linked_organization_spend_limit_reached"), "quota"),
    (error(403, "permission_error", "Your API key may not use this"), "permission"),
    (error(403, "permission_error", "no", "user_profile_not_billable"), "permission"),
    (error(404, "not_found_error", "model: claude-model"), "not_found"),
    (error(413, "request_too_large", "Request exceeds the maximum size"), "bad_request"),
    (error(429, "rate_limit_error", LIMIT, retry_after="0.001"), "rate_limit"),
    (error(429, "rate_limit_error", "ramp", "ramp_limit_exceeded", retry_after="0.001"), "rate_limit"),
    (error(429, "rate_limit_error", "monthly", "enforced_spend_limit_reached"), "quota"),
    (error(429, "rate_limit_error", "contract", "contract_spend_limit_reached"), "quota"),
    (error(500, "api_error", "Internal server error"), "server"),
    (error(503, "api_error", "unavailable", "cmek_context_unavailable"), "overloaded"),
    (error(504, "timeout_error", "Request timed out"), "server"),
    (error(529, "overloaded_error", "Overloaded"), "overloaded"),
    (error(200, "overloaded_error", "Overloaded"), "overloaded"),
]


@pytest.mark.parametrize(("answer", "kind"), ERRORS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_kind_of_error(wire_server: WireServer, answer: Answer, kind: str) -> None:
    wire_server.script = [answer]
    with pytest.raises(RemoteCallError) as caught:
        ask(claude(wire_server, model_config={"total_timeout": 20}))
    failure = caught.value
    assert failure.kind == kind
    assert failure.provider_message == json.loads(answer.body)["error"]["message"]
    assert failure.status == answer.status
    assert failure.request_id == "req_011CSHoEeqs5C35K2UUqR7Fy"
    assert failure.prompt == wire_server.requests[0].json
    attempts = {"rate_limit": 40, "overloaded": 12, "server": 6}.get(kind, 1)
    assert len(wire_server.requests) == attempts


def test_the_service_says_how_long_to_wait(wire_server: WireServer) -> None:
    wire_server.script = [error(429, "rate_limit_error", LIMIT, retry_after="0.25"), message()]
    reply = ask(claude(wire_server))
    assert reply.facts["wire"]["attempts"] == 2
    assert reply.facts["wire"]["seconds"]["total"] >= 0.25


@pytest.mark.parametrize(
    ("words", "used", "window"),
    [
        ("prompt is too long: 345320 tokens > 199999 maximum", 345320 + 300, 199999),
        (
            "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000, decrease input length or "
            "`max_tokens` and try again",
            199759 + 300,
            200000,
        ),
    ],
)
def test_a_full_context_window(wire_server: WireServer, words: str, used: int, window: int) -> None:
    wire_server.script = [error(400, "invalid_request_error", words)]
    with pytest.raises(ContextExceededError) as caught:
        ask(claude(wire_server))
    failure = caught.value
    assert (failure.tokens_used, failure.context_size, failure.tokens_left) == (used, window, window - used)
    assert failure.provider_message == words
    assert len(wire_server.requests) == 1


@pytest.mark.parametrize(
    ("model_id", "words"),
    [
        ("claude-opus-4.8", "did you mean 'claude-opus-4-8'"),
        ("claude-3-opus-20240229", "the registry says that it was shut down on 2026-01-05"),
    ],
)
def test_a_model_that_is_not_there(wire_server: WireServer, model_id: str, words: str) -> None:
    wire_server.script = [error(404, "not_found_error", f"model: {model_id}")]
    with pytest.raises(RemoteCallError, match=words) as caught:
        ask(claude(wire_server, model_id=model_id))
    assert caught.value.kind == "not_found"
    assert "without /v1, which is added" in str(caught.value)


def test_a_key_that_the_service_echoes_is_masked(wire_server: WireServer) -> None:
    write_keys(anthropic={"api_key": CANARY, "base_url": wire_server.url})
    wire_server.script = [error(401, "authentication_error", f"invalid x-api-key: {CANARY}")]
    with pytest.raises(RemoteCallError) as caught:
        ask(make_model("anthropic"))
    assert CANARY not in repr((caught.value, vars(caught.value)))


# -- many --------------------------------------------------------------------------------------------------------
def test_a_batch_keeps_its_order_and_its_records(wire_server: WireServer, tmp_path: Path) -> None:
    def echo(received: Any) -> Answer:
        return message(received.json["messages"][-1]["content"].upper())

    wire_server.script = [echo]
    model = claude(wire_server)
    assert isinstance(model, backends.BatchGenerativeModel)
    with backends.record(tmp_path / "requests.json"):
        replies = model.generate_batch_response([[{"role": "user", "content": f"q{n}"}] for n in range(12)])
    assert [each.text for each in replies] == [f"Q{n}" for n in range(12)]
    calls = json.loads((tmp_path / "requests.json").read_text())
    assert len(calls) == 12
    assert calls[0]["clemcore"]["outcome"] == "answer"
