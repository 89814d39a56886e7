"""Models of Google's Gemini API: what is sent, and what comes back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import (
    ContextExceededError,
    GenerationArgumentError,
    MessagesError,
    RemoteCallError,
    SpecError,
)
from support.google_wire import SAFETY, SEES, blocked, error, gemini, generated, info, quota, retry, thought
from support.remote import CANARY, DIALOGUE, GIF, HELLO, PNG, ask, make_model, write_keys
from support.wire_server import Answer, WireServer, reply

BUDGET = {"supported": True, "style": "budget"}
LEVEL = {"supported": True, "style": "level"}


def turn(role: str, *words: str) -> dict[str, Any]:
    return {"parts": [{"text": each} for each in words], "role": role}


# -- what is sent ------------------------------------------------------------------------------------------------
def test_prompt_and_response_are_the_bodies_on_the_wire(wire_server: WireServer) -> None:
    answer = generated("  The capital is ", "Canberra. \n")
    wire_server.script = [answer]
    prompt, response, words = result = ask(gemini(wire_server), DIALOGUE)
    received = wire_server.only
    assert received.target == "/v1/models/gemini-model:generateContent"
    assert prompt == received.json
    assert prompt == {
        "contents": [
            turn("user", "Hello!"),
            turn("model", "Hello! How can I help you?"),
            turn("user", "Tell me the name of the capital of Australia."),
        ],
        "generationConfig": {"temperature": 0.0, "maxOutputTokens": 300},
        "safetySettings": SAFETY,
    }
    assert json.dumps(response) == json.dumps(json.loads(answer.body))
    assert words == "The capital is Canberra."
    assert (result.facts["served_model"], result.facts["finish_reason"]) == ("gemini-served-001", "STOP")
    assert result.facts["outcome"] == "answer"
    assert result.facts["usage"] == {"input_tokens": 9, "output_tokens": 4}


def test_the_key_goes_into_a_header_and_never_into_the_address(wire_server: WireServer) -> None:
    write_keys(google={"api_key": CANARY, "base_url": wire_server.url})
    wire_server.script = [generated()]
    result = ask(make_model("google"))
    assert wire_server.only.headers["x-goog-api-key"] == CANARY
    assert "authorization" not in wire_server.only.headers
    assert CANARY not in wire_server.only.target
    assert CANARY not in repr((result, result.facts))


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ({"api_version": "v1beta"}, "/v1beta/models/gemini-model:generateContent"),
        ({"model_id": "tunedModels/mine"}, "/v1/tunedModels/mine:generateContent"),
        ({"model_id": "models/gemini 1"}, "/v1/models/gemini%201:generateContent"),
    ],
)
def test_version_and_model_stand_in_the_address(
    wire_server: WireServer, entry: dict[str, Any], target: str
) -> None:
    wire_server.script = [generated()]
    ask(gemini(wire_server, **entry))
    assert wire_server.only.target == target


def test_an_address_may_end_in_the_version(wire_server: WireServer) -> None:
    wire_server.script = [generated()]
    ask(gemini(wire_server, base_url=f"{wire_server.url}/v1beta", api_version="v1beta"))
    assert wire_server.only.target == "/v1beta/models/gemini-model:generateContent"


def test_a_version_that_is_none_is_refused(wire_server: WireServer) -> None:
    with pytest.raises(SpecError, match="'api_version' must be such as 'v1' or 'v1beta', not '2023-06-01'"):
        gemini(wire_server, api_version="2023-06-01")


def test_all_system_messages_become_the_instruction(wire_server: WireServer) -> None:
    wire_server.script = [generated()]
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "One"},
        {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": "Two"},
    ]
    ask(gemini(wire_server), messages)
    assert wire_server.only.json["systemInstruction"] == turn("user", "Be short.\n\nBe kind.")
    assert wire_server.only.json["contents"] == [turn("user", "One\n\nTwo")]


@pytest.mark.parametrize("first", [[], [{"role": "system", "content": ""}]])
def test_no_empty_instruction_is_sent(wire_server: WireServer, first: list[dict[str, str]]) -> None:
    wire_server.script = [generated()]
    ask(gemini(wire_server), [*first, *HELLO])
    assert "systemInstruction" not in wire_server.only.json


@pytest.mark.parametrize(
    ("messages", "entry", "words"),
    [
        ([{"role": "system", "content": "Be short."}], {}, "nothing but system messages"),
        ([{"role": "tool", "content": "7"}], {}, "has the role 'tool'"),
        ([{"role": "user", "content": "A", "name": "ann"}], {}, "has 'name', which the service does not take"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
            {},
            "no part of type 'image_url'",
        ),
        ([*HELLO, {"role": "assistant", "content": "Can"}], {"prefill": False}, "the model would have to continue"),
    ],
)
def test_what_the_format_has_no_place_for_is_refused(
    wire_server: WireServer, messages: list[Any], entry: dict[str, Any], words: str
) -> None:
    with pytest.raises(MessagesError, match=words):
        ask(gemini(wire_server, **entry), messages)
    assert not wire_server.requests


def test_images_follow_the_text_of_their_message(wire_server: WireServer) -> None:
    Path("dot.gif").write_bytes(GIF)
    data = base64.b64encode(GIF).decode()
    wire_server.script = [generated()]
    messages = [
        {"role": "user", "content": "This <image> and these", "image": "dot.gif"},
        {"role": "assistant", "content": "Yes?"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Which?"}],
            "image": [f"data:image/png;base64,{PNG}", "https://a.test/b.jpg?x=1", "https://a.test/b"],
        },
    ]
    ask(gemini(wire_server, model_config=SEES), messages)
    first, _, last = wire_server.only.json["contents"]
    assert first["parts"] == [{"text": "This and these"}, {"inlineData": {"mimeType": "image/gif", "data": data}}]
    assert last["parts"] == [
        {"text": "Which?"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"fileData": {"fileUri": "https://a.test/b.jpg?x=1", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://a.test/b"}},
    ]


# -- generation arguments ----------------------------------------------------------------------------------------
def test_every_argument_goes_to_its_place(wire_server: WireServer) -> None:
    wire_server.script = [generated()]
    asked = {
        "temperature": 1.5,
        "max_tokens": 50,
        "top_p": 0.9,
        "top_k": 40,
        "stop": ["A", "B"],
        "seed": 7,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "logprobs": True,
        "top_logprobs": 3,
        "response_mime_type": "application/json",
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "cached_content": "cachedContents/1",
    }
    facts = ask(gemini(wire_server, asked)).facts
    config = {
        "temperature": 1.5,
        "maxOutputTokens": 50,
        "topP": 0.9,
        "topK": 40,
        "stopSequences": ["A", "B"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": -0.1,
        "responseLogprobs": True,
        "logprobs": 3,
        "responseMimeType": "application/json",
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }
    sent = {"generationConfig": config, "cachedContent": "cachedContents/1", "safetySettings": SAFETY}
    assert facts["sent"] == sent
    assert wire_server.only.json == {"contents": [turn("user", "Hello!")], **sent}
    assert facts["parameters"]["renamed"]["max_tokens"] == "generationConfig.maxOutputTokens"


@pytest.mark.parametrize(
    ("entry", "asked", "sent"),
    [
        ({}, {"safety_settings": []}, None),
        ({}, {"safetySettings": SAFETY[:1]}, SAFETY[:1]),
        ({"model_config": {"extra_body": {"safetySettings": SAFETY[1:2]}}}, {}, SAFETY[1:2]),
    ],
)
def test_other_safety_thresholds(
    wire_server: WireServer, entry: dict[str, Any], asked: dict[str, Any], sent: Any
) -> None:
    wire_server.script = [generated()]
    ask(gemini(wire_server, asked, **entry))
    assert wire_server.only.json.get("safetySettings") == sent


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"temperature": 2.5}, "temperature: must be from 0 to 2, not 2.5"),
        ({"min_p": 0.1}, "does not know the generation argument 'min_p'"),
        ({"logprobs": 5}, "logprobs: must be true or false, not 5; how many alternatives is 'top_logprobs'"),
        ({"contents": []}, "contents: no generation argument"),
        ({"max_tokens": 99999}, "max_tokens: the model answers with 65536 tokens at most"),
    ],
)
def test_what_cannot_be_sent_as_asked_is_an_error(
    wire_server: WireServer, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        ask(gemini(wire_server, asked, max_output_tokens=65536))
    assert not wire_server.requests


def test_a_model_that_takes_no_sampling_parameters(wire_server: WireServer) -> None:
    wire_server.script = [generated()]
    facts = ask(gemini(wire_server, sampling_parameters=[])).facts
    assert facts["sent"]["generationConfig"] == {"maxOutputTokens": 300}
    assert "does not list it" in facts["parameters"]["dropped"]["temperature"]
    with pytest.raises(GenerationArgumentError, match="temperature: 'sampling_parameters' of the entry"):
        ask(gemini(wire_server, {"temperature": 1.0}, sampling_parameters=[]))


# -- thinking ----------------------------------------------------------------------------------------------------
def test_thinking_mode_of_the_entry(wire_server: WireServer) -> None:
    """As 3.7.2: 4096 tokens for thinking beside those for the answer; but the flag counts by its value."""
    wire_server.script = [generated(thought("Hm."), "Canberra.")]
    result = ask(gemini(wire_server, model_config={"thinking_mode": True}))
    config = {"thinkingBudget": 4096, "includeThoughts": True}
    assert wire_server.only.json["generationConfig"] == {
        "temperature": 0.0,
        "maxOutputTokens": 4396,
        "thinkingConfig": config,
    }
    changed = {"asked": 300, "sent": 4396, "why": "thinking counts in it: its budget of 4096 was added"}
    assert result.facts["parameters"]["clamped"] == {"max_tokens": changed}
    assert (result.text, result.facts["reasoning"]) == ("Canberra.", "Hm.")
    ask(gemini(wire_server, model_config={"thinking_mode": False}))
    assert "thinkingConfig" not in wire_server.requests[1].json["generationConfig"]


@pytest.mark.parametrize(
    ("thinks", "wish", "sent"),
    [
        (BUDGET, {"budget": 512}, {"thinkingBudget": 512, "includeThoughts": True}),
        (BUDGET, {"budget": 0}, {"thinkingBudget": 0}),
        (BUDGET, {"effort": "none"}, {"thinkingBudget": 0}),
        (LEVEL, {"effort": "minimal"}, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        (LEVEL, {"effort": "high"}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        (None, {"effort": "low"}, {"thinkingLevel": "LOW", "includeThoughts": True}),
    ],
)
def test_reasoning_in_the_way_that_the_model_takes(
    wire_server: WireServer, thinks: dict[str, Any] | None, wish: dict[str, Any], sent: dict[str, Any]
) -> None:
    wire_server.script = [generated()]
    ask(gemini(wire_server, {"reasoning": wish}, thinking=thinks))
    config = wire_server.only.json["generationConfig"]
    assert config["thinkingConfig"] == sent
    assert config["maxOutputTokens"] == 300 + sent.get("thinkingBudget", 0)


@pytest.mark.parametrize(
    ("thinks", "wish", "words"),
    [
        (BUDGET, {"effort": "low"}, "takes a number of tokens, no effort"),
        ({**BUDGET, "always": True}, {"budget": 0}, "the model always reasons"),
        (LEVEL, {"budget": 2048}, "takes an effort, no number of tokens"),
        (LEVEL, {"effort": "none"}, "cannot be kept from thinking"),
        ({**LEVEL, "efforts": ["low", "high"]}, {"effort": "minimal"}, "must be one of low, high"),
    ],
)
def test_reasoning_that_the_model_does_not_take(
    wire_server: WireServer, thinks: dict[str, Any], wish: dict[str, Any], words: str
) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        ask(gemini(wire_server, {"reasoning": wish}, thinking=thinks))
    assert not wire_server.requests


@pytest.mark.parametrize(
    ("thinks", "wish", "sent"),
    [
        (BUDGET, {"effort": "medium"}, {"thinkingBudget": 8192, "includeThoughts": True}),
        (LEVEL, {"budget": 2048}, {"thinkingLevel": "MEDIUM", "includeThoughts": True}),
        (LEVEL, {"effort": "none"}, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        (LEVEL, {"effort": "max"}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
    ],
)
def test_the_nearest_is_sent_where_the_entry_says_so(
    wire_server: WireServer, thinks: dict[str, Any], wish: dict[str, Any], sent: dict[str, Any]
) -> None:
    wire_server.script = [generated()]
    asked = {"reasoning": wish, "temperature": 3}
    facts = ask(gemini(wire_server, asked, thinking=thinks, model_config={"on_unsupported": "nearest"})).facts
    config = wire_server.only.json["generationConfig"]
    assert (config["thinkingConfig"], config["temperature"]) == (sent, 2)
    assert facts["parameters"]["clamped"]["reasoning"]["asked"] == wish


def test_native_thinking_is_sent_as_it_is(wire_server: WireServer) -> None:
    wire_server.script = [generated()]
    native = {"thinking_budget": 2000}
    ask(gemini(wire_server, {"thinking_config": native, "max_tokens": 2500}))
    ask(gemini(wire_server, {"thinkingConfig": native}))
    first, second = (each.json["generationConfig"] for each in wire_server.requests)
    assert (first["thinkingConfig"], first["maxOutputTokens"]) == (native, 2500)
    assert (second["thinkingConfig"], second["maxOutputTokens"]) == (native, 2300)


# -- what comes back ---------------------------------------------------------------------------------------------
def test_thoughts_are_split_from_the_answer(wire_server: WireServer) -> None:
    parts: list[dict[str, Any] | str] = [
        thought("First. "),
        thought("Then."),
        "Can",
        {"text": "berra.", "thoughtSignature": "x"},
    ]
    wire_server.script = [generated(*parts, {"executableCode": {"code": "1"}})]
    result = ask(gemini(wire_server))
    assert result.text == "Canberra."
    assert result.facts["reasoning"] == "First. Then."


@pytest.mark.parametrize(
    ("answer", "outcome", "words", "refusal"),
    [
        (blocked("PROHIBITED_CONTENT"), "content_filter", "", "the prompt was blocked: PROHIBITED_CONTENT"),
        (generated(content=None, finishReason="SAFETY"), "content_filter", "", "the answer was blocked: SAFETY"),
        (
            generated("I", finishReason="RECITATION", finishMessage="It recites."),
            "content_filter",
            "I",
            "It recites.",
        ),
        (generated(content={"role": "model"}, finishReason="MAX_TOKENS"), "length", "", None),
        (generated(thought("Long."), finishReason="MAX_TOKENS"), "length", "", None),
        (generated("Canb", finishReason="MAX_TOKENS"), "answer", "Canb", None),
        (generated(thought("Hm.")), "reasoning_only", "", None),
        (generated(content=None, finishReason="OTHER"), "unknown", "", None),
    ],
)
def test_outcomes(wire_server: WireServer, answer: Answer, outcome: str, words: str, refusal: str | None) -> None:
    wire_server.script = [answer]
    result = ask(gemini(wire_server))
    assert (result.facts["outcome"], result.text) == (outcome, words)
    assert result.facts.get("refusal") == refusal
    assert len(wire_server.requests) == 1


def test_usage_counts_thoughts_as_output(wire_server: WireServer) -> None:
    counts = {
        "promptTokenCount": 20,
        "cachedContentTokenCount": 16,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 40,
        "totalTokenCount": 63,
    }
    wire_server.script = [generated(usageMetadata=counts)]
    expected = {"input_tokens": 20, "output_tokens": 43, "reasoning_tokens": 40, "cached_tokens": 16}
    assert ask(gemini(wire_server)).facts["usage"] == expected


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], "JSON, but list instead of an object"),
        ({"usageMetadata": {}}, "the reply has no candidates"),
        ({"candidates": ["A"]}, "first candidate is not an object"),
        ({"candidates": [{"content": {"parts": "A"}}]}, "first candidate are not a list"),
    ],
)
def test_a_reply_without_an_answer(wire_server: WireServer, body: Any, words: str) -> None:
    wire_server.script = [reply(200, body)]
    with pytest.raises(RemoteCallError, match=words) as caught:
        ask(gemini(wire_server, model_config={"total_timeout": 5}))
    assert caught.value.kind == "bad_reply"


# -- errors ------------------------------------------------------------------------------------------------------
BAD_KEY = "API key not valid. Please pass a valid API key."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
ERRORS = [
    (error(400, "INVALID_ARGUMENT", 'Unknown name "tempature"'), "bad_request"),
    (error(400, "INVALID_ARGUMENT", BAD_KEY, info("API_KEY_INVALID")), "authentication"),
    (error(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), "authentication"),
    (error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), "permission"),
    (error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), "authentication"),
    (error(403, "PERMISSION_DENIED", "Your project has been denied access."), "permission"),
    (error(404, "NOT_FOUND", "models/gemini-model is not found for API version v1"), "not_found"),
    (error(429, "RESOURCE_EXHAUSTED", QUOTA, quota(MINUTE), retry("0.001s")), "rate_limit"),
    (error(429, "RESOURCE_EXHAUSTED", "Resource exhausted.", retry("0.001s"), in_list=True), "rate_limit"),
    (error(429, "RESOURCE_EXHAUSTED", QUOTA, quota(DAY), retry("37s")), "quota"),
    (error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), "quota"),
    (error(500, "INTERNAL", "An internal error has occurred."), "server"),
    (error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), "overloaded"),
    (error(504, "DEADLINE_EXCEEDED", "The request timed out."), "timeout"),
]


@pytest.mark.parametrize(("answer", "kind"), ERRORS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_kind_of_error(wire_server: WireServer, answer: Answer, kind: str) -> None:
    wire_server.script = [answer]
    with pytest.raises(RemoteCallError) as caught:
        ask(gemini(wire_server, model_config={"total_timeout": 20}))
    failure = caught.value
    assert failure.kind == kind
    assert failure.status == answer.status
    assert (failure.provider_message or "?") in json.dumps(json.loads(answer.body), ensure_ascii=False).replace(
        '\\"', '"'
    )
    attempts = {"rate_limit": 40, "overloaded": 12, "server": 6, "timeout": 4}.get(kind, 1)
    assert len(wire_server.requests) == attempts


def test_the_body_says_how_long_to_wait(wire_server: WireServer) -> None:
    wire_server.script = [error(429, "RESOURCE_EXHAUSTED", QUOTA, retry("0.25s")), generated()]
    result = ask(gemini(wire_server))
    assert result.facts["wire"]["attempts"] == 2
    assert result.facts["wire"]["seconds"]["total"] >= 0.25


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        ("The input token count (1091639) exceeds the maximum number of tokens allowed (1048576).", 1091639),
        ("The input token count exceeds the maximum number of tokens allowed 1048576.", 0),
    ],
)
def test_a_full_context_window(wire_server: WireServer, words: str, prompt: int) -> None:
    wire_server.script = [error(400, "INVALID_ARGUMENT", words)]
    with pytest.raises(ContextExceededError) as caught:
        ask(gemini(wire_server))
    used = prompt + 300 if prompt else None
    assert (caught.value.tokens_used, caught.value.context_size) == (used, 1048576)
    assert caught.value.provider_message == words
    assert len(wire_server.requests) == 1


def test_a_model_that_is_not_there(wire_server: WireServer) -> None:
    words = "models/gemini-2.5-flsh is not found for API version v1, or is not supported for generateContent."
    wire_server.script = [error(404, "NOT_FOUND", words)]
    with pytest.raises(RemoteCallError, match=r"did you mean 'gemini-2.5-flash'\?") as caught:
        ask(gemini(wire_server, model_id="gemini-2.5-flsh"))
    assert caught.value.kind == "not_found"


def test_a_key_that_the_service_echoes_is_masked(wire_server: WireServer) -> None:
    write_keys(google={"api_key": CANARY, "base_url": wire_server.url})
    wire_server.script = [error(400, "INVALID_ARGUMENT", f"API key not valid: {CANARY}", info("API_KEY_INVALID"))]
    with pytest.raises(RemoteCallError) as caught:
        ask(make_model("google"))
    assert CANARY not in repr((caught.value, vars(caught.value)))
