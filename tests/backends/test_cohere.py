"""Models of Cohere: what is sent, what comes back, and the official SDK as the oracle of both."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from clemcore.backends.service.dialects.cohere_chat import NATIVE, CohereChat
from clemcore.errors import ContextExceededError, GenerationArgumentError, MessagesError, RemoteCallError
from support.mistral_wire import SEES, chat, cohere_model
from support.remote import CANARY, DIALOGUE, HELLO, make_model, write_keys
from support.wire_server import WireServer, reply

PIXEL = "data:image/png;base64,iVBORw0KGgo="
HM = {"type": "thinking", "thinking": "Sydney? No."}
THINKS = {"thinking": {"supported": True}}


# -- what is sent ------------------------------------------------------------------------------------------------
def test_prompt_and_response_are_the_bodies_on_the_wire(wire_server: WireServer) -> None:
    write_keys(cohere={"api_key": CANARY, "base_url": wire_server.url})
    wire_server.script = [answer := chat(" Can", "berra. \n")]
    messages = [{"role": "system", "content": "Be short."}, *DIALOGUE]
    prompt, response, words = result = make_model("cohere").generate_response(messages)
    received = wire_server.only
    assert (received.target, received.headers["authorization"]) == ("/v2/chat", f"Bearer {CANARY}")
    assert prompt == received.json
    assert prompt == {"model": "model-001", "messages": messages, "temperature": 0.0, "max_tokens": 300}
    assert json.dumps(response) == json.dumps(json.loads(answer.body))
    assert words == "Canberra."
    facts = result.facts
    assert (facts["finish_reason"], facts["outcome"]) == ("COMPLETE", "answer")
    assert facts["usage"] == {
        "input_tokens": 71,
        "output_tokens": 6,
        "cached_tokens": 16,
        "billed_input_tokens": 5,
        "billed_output_tokens": 4,
    }
    assert CANARY not in repr((result, facts))


def test_an_address_may_end_in_the_version(wire_server: WireServer) -> None:
    wire_server.script = [chat()]
    config = {"requires_api_key": False}
    make_model("cohere", base_url=f"{wire_server.url}/v2", model_config=config).generate_response(HELLO)
    assert wire_server.only.target == "/v2/chat"


def test_parameters_have_their_own_names(wire_server: WireServer) -> None:
    wire_server.script = [chat()]
    asked = {"top_p": 0.9, "top_k": 5, "stop": "END", "seed": 7, "frequency_penalty": 0.5}
    result = cohere_model(wire_server, asked).generate_response(HELLO)
    sent = wire_server.only.json
    assert {name: sent[name] for name in ("p", "k", "stop_sequences", "seed", "frequency_penalty")} == {
        "p": 0.9,
        "k": 5,
        "stop_sequences": ["END"],
        "seed": 7,
        "frequency_penalty": 0.5,
    }
    assert result.facts["parameters"]["renamed"] == {"top_p": "p", "top_k": "k", "stop": "stop_sequences"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"top_p": 1.0}, r"must be from 0.01 to 0.99"),
        ({"presence_penalty": -1}, "must be from 0 to 1"),
        ({"stop": list("abcdef")}, "at most 5 texts, not 6"),
        ({"reasoning": {"effort": "low"}}, "a number of tokens, no effort"),
        ({"logit_bias": {"1": 2}}, "does not know the generation argument 'logit_bias'"),
    ],
)
def test_what_is_not_taken_is_refused_before_anything_is_sent(
    wire_server: WireServer, asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        cohere_model(wire_server, asked).generate_response(HELLO)
    assert wire_server.requests == []


def test_the_nearest_is_sent_where_the_entry_says_so(wire_server: WireServer) -> None:
    wire_server.script = [chat()]
    asked = {"top_p": 1.0, "reasoning": {"effort": "low"}}
    model = cohere_model(wire_server, asked, model_config={"on_unsupported": "nearest"}, **THINKS)
    result = model.generate_response(HELLO)
    sent = wire_server.only.json
    assert (sent["p"], sent["thinking"]) == (0.99, {"type": "enabled", "token_budget": 1024})
    assert set(result.facts["parameters"]["clamped"]) == {"top_p", "reasoning"}


def test_images_go_with_the_users_words(wire_server: WireServer) -> None:
    wire_server.script = [chat()]
    cohere_model(wire_server, model_config=SEES).generate_response([{**HELLO[0], "image": PIXEL}])
    assert wire_server.only.json["messages"][0]["content"] == [
        {"type": "text", "text": "Hello!"},
        {"type": "image_url", "image_url": {"url": PIXEL}},
    ]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([*HELLO, {"role": "assistant", "content": "It is"}], "continue no message"),
        ([{"role": "system", "content": "Look.", "image": PIXEL}, *HELLO], "from the user's role alone"),
        ([{"role": "developer", "content": "Look."}, *HELLO], "has the role 'developer'"),
        ([{**HELLO[0], "name": "A"}], "has 'name', which the service does not take"),
    ],
)
def test_messages_that_the_service_has_no_place_for(wire_server: WireServer, messages: Any, words: str) -> None:
    with pytest.raises(MessagesError, match=words):
        cohere_model(wire_server, model_config=SEES).generate_response(messages)
    assert wire_server.requests == []


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"budget": 500}, {"type": "enabled", "token_budget": 500}),
        ({"budget": 0}, {"type": "disabled"}),
        ({"effort": "none"}, {"type": "disabled"}),
    ],
)
def test_thinking_is_asked_for_by_tokens(wire_server: WireServer, wish: Any, field: Any) -> None:
    wire_server.script = [chat(HM, "Canberra.")]
    result = cohere_model(wire_server, {"reasoning": wish}, **THINKS).generate_response(HELLO)
    assert wire_server.only.json["thinking"] == field
    assert (result.text, result.facts["reasoning"]) == ("Canberra.", "Sydney? No.")


# -- what comes back ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (chat(finish="MAX_TOKENS", message={"role": "assistant"}), "length"),
        (chat(HM), "reasoning_only"),
        (chat(""), "empty"),
        (chat(message={"role": "assistant", "content": "A text."}), "answer"),
    ],
)
def test_what_a_reply_brings(wire_server: WireServer, answer: Any, outcome: str) -> None:
    wire_server.script = [answer]
    assert cohere_model(wire_server).generate_response(HELLO).facts["outcome"] == outcome


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (chat(finish="ERROR"), "ended the answer with an error"),
        (reply(200, {"id": "1"}), "the reply has no message"),
        (reply(200, {"message": {"role": "user", "content": []}}), "the role 'user'"),
        (reply(200, []), "list instead of an object"),
    ],
)
def test_a_reply_without_an_answer(wire_server: WireServer, answer: Any, words: str) -> None:
    wire_server.script = [answer]
    with pytest.raises(RemoteCallError, match=words) as caught:
        cohere_model(wire_server).generate_response(HELLO)
    assert caught.value.kind == "bad_reply"


TRIAL = "You are using a Trial key, which is limited to 1000 API calls / month."


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (401, "invalid api token", "authentication"),
        (403, "forbidden", "permission"),
        (404, "model 'commnd' not found, make sure the correct model ID was used", "not_found"),
        (400, "invalid request: list of messages must be at least 1", "bad_request"),
        (422, "message cannot be blank", "bad_request"),
        (429, "Please wait and try again later", "rate_limit"),
        (429, TRIAL, "quota"),
        (498, "invalid api token", "authentication"),
        (500, "internal server error", "server"),
        (503, "service unavailable", "overloaded"),
        (504, "gateway timeout", "server"),
    ],
)
def test_every_kind_of_error(wire_server: WireServer, status: int, words: str, kind: str) -> None:
    wire_server.script = [reply(status, {"id": "d5a1", "message": words}, {"Retry-After-Ms": "1"})]
    with pytest.raises(RemoteCallError) as caught:
        cohere_model(wire_server, model_config={"total_timeout": 5}).generate_response(HELLO)
    assert (caught.value.kind, caught.value.status, caught.value.provider_message) == (kind, status, words)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (
            "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4352. "
            "Try using a shorter prompt.",
            (4652, 4081),
        ),
        ("too many tokens: size limit exceeded by 1234 tokens. Try using shorter or fewer inputs.", (None, None)),
    ],
)
def test_a_full_context_window(wire_server: WireServer, words: str, numbers: tuple[int | None, int | None]) -> None:
    wire_server.script = [reply(400, {"message": words})]
    with pytest.raises(ContextExceededError) as caught:
        cohere_model(wire_server).generate_response(HELLO)
    assert (caught.value.tokens_used, caught.value.context_size) == numbers


# -- the official SDK --------------------------------------------------------------------------------------------
def sdk_call(url: str, **arguments: Any) -> Any:
    import cohere
    import httpx

    with httpx.Client() as http:
        client = cohere.ClientV2(api_key=CANARY, base_url=url, max_retries=0, httpx_client=http)
        return client.chat(model="model-001", **arguments)


@pytest.mark.slow
def test_our_list_of_fields_is_the_sdks() -> None:
    import cohere

    theirs = set(inspect.signature(cohere.ClientV2.chat).parameters) - {
        "self",
        "model",
        "messages",
        "request_options",
    }
    assert {parameter.path[0] for parameter in CohereChat.parameters.values()} == theirs
    assert set(NATIVE) < theirs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("messages", "ours", "theirs"),
    [
        (DIALOGUE, {}, {"temperature": 0.0, "max_tokens": 300}),
        (
            [{"role": "system", "content": "Be short."}, *HELLO],
            {"temperature": 0.7, "top_p": 0.9, "top_k": 3, "seed": 7, "stop": ["END"], "presence_penalty": 0.5},
            {
                "temperature": 0.7,
                "p": 0.9,
                "k": 3,
                "seed": 7,
                "stop_sequences": ["END"],
                "presence_penalty": 0.5,
                "max_tokens": 300,
            },
        ),
        (
            HELLO,
            {"reasoning": {"budget": 64}, "safety_mode": "OFF", "logprobs": True},
            {
                "temperature": 0.0,
                "max_tokens": 300,
                "thinking": {"type": "enabled", "token_budget": 64},
                "safety_mode": "OFF",
                "logprobs": True,
            },
        ),
    ],
)
def test_the_same_call_is_the_same_request(
    wire_server: WireServer, messages: Any, ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    wire_server.script = [chat()]
    cohere_model(wire_server, ours).generate_response(messages)
    sdk_call(wire_server.url, messages=messages, **theirs)
    mine, its = wire_server.requests
    assert mine.json == {name: value for name, value in its.json.items() if (name, value) != ("stream", False)}
    assert (mine.method, mine.target) == (its.method, its.target)
    assert its.headers["authorization"] == f"Bearer {CANARY}"


@pytest.mark.slow
def test_the_same_reply_is_the_same_answer(wire_server: WireServer) -> None:
    wire_server.script = [chat(HM, "Canberra.")]
    result = cohere_model(wire_server).generate_response(HELLO)
    theirs = sdk_call(wire_server.url, messages=HELLO)
    first, second = theirs.message.content
    assert (result.facts["reasoning"], result.text) == (first.thinking, second.text)
    assert result.facts["usage"]["input_tokens"] == theirs.usage.tokens.input_tokens
    assert result.facts["finish_reason"] == theirs.finish_reason
