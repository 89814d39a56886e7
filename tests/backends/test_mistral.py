"""Models of Mistral: what is sent, what comes back, and the official SDK as the oracle of both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clemcore.backends.service.dialects.mistral_chat import NATIVE
from clemcore.errors import ContextExceededError, GenerationArgumentError, MessagesError, RemoteCallError
from support.mistral_wire import SEES, completion, mistral_model, thoughts
from support.remote import CANARY, DIALOGUE, HELLO, make_model, write_keys
from support.wire_server import WireServer, reply

PIXEL = "data:image/png;base64,iVBORw0KGgo="
DRAFT = {"role": "assistant", "content": "It is"}


# -- what is sent ------------------------------------------------------------------------------------------------
def test_prompt_and_response_are_the_bodies_on_the_wire(wire_server: WireServer) -> None:
    write_keys(mistral={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
    wire_server.script = [answer := completion(" Canberra. \n")]
    messages = [{"role": "system", "content": "Be short."}, *DIALOGUE]
    prompt, response, words = result = make_model("mistral").generate_response(messages)
    received = wire_server.only
    assert (received.target, received.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {CANARY}")
    assert not any(name.startswith("openai-") for name in received.headers)
    assert prompt == received.json
    assert prompt == {"model": "model-001", "messages": messages, "temperature": 0.0, "max_tokens": 300}
    assert json.dumps(response) == json.dumps(json.loads(answer.body))
    assert words == "Canberra."
    facts = result.facts
    assert (facts["served_model"], facts["finish_reason"], facts["outcome"]) == (
        "mistral-served-2512",
        "stop",
        "answer",
    )
    assert facts["usage"] == {"input_tokens": 9, "output_tokens": 4}
    assert CANARY not in repr((result, facts))


def test_the_seed_has_another_name(wire_server: WireServer) -> None:
    wire_server.script = [completion()]
    result = mistral_model(wire_server, {"seed": 7, "stop": "END"}).generate_response(HELLO)
    sent = wire_server.only.json
    assert (sent["random_seed"], sent["stop"], "seed" in sent) == (7, "END", False)
    assert result.facts["parameters"]["renamed"] == {"seed": "random_seed"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"temperature": 2.0}, "must be from 0 to 1.5"),
        ({"min_p": 0.1}, "does not know the generation argument 'min_p'"),
        ({"reasoning": {"budget": 100}}, "an effort"),
    ],
)
def test_what_is_not_taken_is_refused_before_anything_is_sent(
    wire_server: WireServer, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        mistral_model(wire_server, asked).generate_response(HELLO)
    assert wire_server.requests == []


def test_an_image_is_a_part_behind_the_text(wire_server: WireServer) -> None:
    wire_server.script = [completion()]
    mistral_model(wire_server, model_config=SEES).generate_response([{**HELLO[0], "image": PIXEL}])
    assert wire_server.only.json["messages"][0]["content"] == [
        {"type": "text", "text": "Hello!"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]


def test_a_started_answer_is_marked_where_the_model_continues_it(wire_server: WireServer) -> None:
    with pytest.raises(MessagesError, match=r"messages\[1\] is the last one and of the assistant"):
        mistral_model(wire_server).generate_response([*HELLO, DRAFT])
    wire_server.script = [completion()]
    given = [*HELLO, dict(DRAFT)]
    mistral_model(wire_server, prefill=True).generate_response(given)
    assert wire_server.only.json["messages"][-1] == {**DRAFT, "prefix": True}
    assert given[-1] == DRAFT


# -- what comes back ---------------------------------------------------------------------------------------------
def test_reasoning_is_no_part_of_the_answer(wire_server: WireServer) -> None:
    content = [thoughts("Hm. ", "Sydney? No."), {"type": "text", "text": "Canberra."}]
    wire_server.script = [completion(content)]
    entry = {"thinking": {"supported": True, "style": "effort", "efforts": ["none", "high"]}}
    result = mistral_model(wire_server, {"reasoning": {"effort": "high"}}, **entry).generate_response(HELLO)
    assert wire_server.only.json["reasoning_effort"] == "high"
    assert (result.text, result.facts["reasoning"]) == ("Canberra.", "Hm. Sydney? No.")


@pytest.mark.parametrize(
    ("content", "finish", "outcome"),
    [
        ("", "stop", "empty"),
        (None, "length", "length"),
        ("", "model_length", "length"),
        ([thoughts("Hm.")], "stop", "reasoning_only"),
    ],
)
def test_a_reply_without_text_says_why(wire_server: WireServer, content: Any, finish: str, outcome: str) -> None:
    wire_server.script = [completion(content, finish)]
    result = mistral_model(wire_server).generate_response(HELLO)
    assert (result.text, result.facts["outcome"]) == ("", outcome)


def test_an_answer_that_an_error_ended_is_none(wire_server: WireServer) -> None:
    wire_server.script = [completion("Canb", "error")]
    with pytest.raises(RemoteCallError, match="ended the answer with an error") as caught:
        mistral_model(wire_server).generate_response(HELLO)
    assert caught.value.kind == "bad_reply"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"message": "Unauthorized", "request_id": "8e3e"}, "authentication"),
        (401, {"detail": "Unauthorized"}, "authentication"),
        (
            400,
            {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
            "not_found",
        ),
        (
            422,
            {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
            "bad_request",
        ),
        (429, {"message": "Requests rate limit exceeded"}, "rate_limit"),
        (
            429,
            {
                "object": "error",
                "message": "Service tier capacity exceeded for this model.",
                "type": "service_tier_capacity_exceeded",
                "code": "3505",
            },
            "overloaded",
        ),
        (500, {"object": "error", "message": "Service unavailable.", "type": "internal_server_error"}, "server"),
    ],
)
def test_every_kind_of_error(wire_server: WireServer, status: int, body: Any, kind: str) -> None:
    wire_server.script = [reply(status, body, {"Retry-After-Ms": "1"})]
    with pytest.raises(RemoteCallError) as caught:
        mistral_model(wire_server, model_config={"total_timeout": 5}).generate_response(HELLO)
    assert (caught.value.kind, caught.value.status) == (kind, status)
    assert (caught.value.provider_message or "?")[:8] in json.dumps(body)
    if kind in ("authentication", "not_found", "bad_request"):
        assert len(wire_server.requests) == 1


def test_a_full_context_window(wire_server: WireServer) -> None:
    words = "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"
    wire_server.script = [reply(400, {"object": "error", "message": words, "type": "invalid_request_error"})]
    with pytest.raises(ContextExceededError) as caught:
        mistral_model(wire_server).generate_response(HELLO)
    assert (caught.value.tokens_used, caught.value.context_size) == (40300, 32768)


# -- the official SDK --------------------------------------------------------------------------------------------
def sdk_call(url: str, **arguments: Any) -> Any:
    from mistralai.client import Mistral

    with Mistral(api_key=CANARY, server_url=url) as client:
        return client.chat.complete(model="model-001", **arguments)


@pytest.mark.slow
def test_our_list_of_fields_is_the_sdks() -> None:
    from mistralai.client.models import ChatCompletionRequest

    ours = {"model", "messages", "stream"}
    assert {*NATIVE, "temperature", "top_p"} == set(ChatCompletionRequest.model_fields) - ours


@pytest.mark.slow
@pytest.mark.parametrize(
    ("messages", "entry", "ours", "theirs"),
    [
        (DIALOGUE, {}, {}, {"temperature": 0.0, "max_tokens": 300}),
        (
            [{"role": "system", "content": "Be short."}, *HELLO],
            {},
            {"temperature": 0.7, "top_p": 0.9, "seed": 7, "stop": ["END"], "presence_penalty": 0.5, "top_k": 5},
            {
                "temperature": 0.7,
                "top_p": 0.9,
                "random_seed": 7,
                "stop": ["END"],
                "presence_penalty": 0.5,
                "top_k": 5,
                "max_tokens": 300,
            },
        ),
        (
            HELLO,
            {"thinking": {"supported": True, "style": "effort", "efforts": ["none", "high"]}},
            {"reasoning_effort": "high", "safe_prompt": True},
            {"temperature": 0.0, "max_tokens": 300, "reasoning_effort": "high", "safe_prompt": True},
        ),
        ([*HELLO, DRAFT], {"prefill": True}, {}, {"temperature": 0.0, "max_tokens": 300}),
    ],
)
def test_the_same_call_is_the_same_request(
    wire_server: WireServer, messages: Any, entry: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    wire_server.script = [completion()]
    mistral_model(wire_server, ours, **entry).generate_response(messages)
    written = [
        {**turn, "prefix": turn is messages[-1]} if turn["role"] == "assistant" else turn for turn in messages
    ]
    sdk_call(wire_server.url, messages=written, **theirs)
    mine, its = wire_server.requests
    # The SDK writes two fields where their values are those that they have without being written.
    its_body = {name: value for name, value in its.json.items() if (name, value) != ("stream", False)}
    its_body["messages"] = [
        {name: value for name, value in turn.items() if (name, value) != ("prefix", False)}
        for turn in its_body["messages"]
    ]
    assert mine.json == its_body
    assert (mine.method, mine.target) == (its.method, its.target)
    assert its.headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.slow
def test_the_same_reply_is_the_same_answer(wire_server: WireServer) -> None:
    wire_server.script = [completion([thoughts("Hm."), {"type": "text", "text": "Canberra."}])]
    result = mistral_model(wire_server).generate_response(HELLO)
    theirs = sdk_call(wire_server.url, messages=HELLO)
    first, second = theirs.choices[0].message.content
    assert (result.facts["reasoning"], result.text) == (first.thinking[0].text, second.text)
    assert result.facts["served_model"] == theirs.model
    assert result.facts["usage"]["input_tokens"] == theirs.usage.prompt_tokens
