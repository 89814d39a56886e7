"""The official SDK as the oracle: the same call, the same request; the same reply, the same answer."""

from __future__ import annotations

import base64
from typing import Any, get_type_hints

import pytest

from clemcore.backends.service.dialects.anthropic_messages import NATIVE, AnthropicMessages
from clemcore.errors import REMOTE_ERRORS, RemoteCallError
from support.anthropic_wire import SEES, claude, error, message, text, thinking
from support.remote import CANARY, DIALOGUE, HELLO, make_model, write_keys
from support.wire_server import Answer, WireServer

# The SDK is 3,284 modules.
pytestmark = pytest.mark.slow

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
ADAPTIVE = {"supported": True, "style": "adaptive"}


def sdk_call(url: str, **arguments: Any) -> Any:
    import anthropic

    headers = arguments.pop("headers", None)
    client = anthropic.Anthropic(api_key=CANARY, base_url=url, max_retries=0, default_headers=headers)
    try:
        return client.messages.create(**arguments)
    finally:
        client.close()


def test_our_list_of_fields_is_the_sdks() -> None:
    from anthropic.types.message_create_params import MessageCreateParamsNonStreaming

    listed = get_type_hints(MessageCreateParamsNonStreaming).keys()
    ours = {*NATIVE, *AnthropicMessages.own_fields, "max_tokens"}
    # What the SDK puts into headers; and streams, which are not available.
    assert listed - ours == {"user_profile_id", "workspace_id", "stream"}
    assert ours <= listed


CASES: list[tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # messages, the entry, our arguments, the SDK's
    (HELLO, {}, {}, {"extra_body": {"temperature": 0.0}}),
    (
        [{"role": "system", "content": "Be short."}, *DIALOGUE],
        {},
        {"temperature": 0.5, "top_k": 5, "stop": ["END"], "max_tokens": 50},
        {
            "system": "Be short.",
            "messages": DIALOGUE,
            "max_tokens": 50,
            "stop_sequences": ["END"],
            "extra_body": {"temperature": 0.5, "top_k": 5},
        },
    ),
    (
        HELLO,
        {"api_version": "2026-10-21", "thinking": ADAPTIVE},
        {"reasoning": {"effort": "low"}, "max_tokens": 1000},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}, "max_tokens": 1000},
    ),
    (
        HELLO,
        {"model_config": {"thinking_mode": True}},
        {},
        {"thinking": {"type": "enabled", "budget_tokens": 4000}, "max_tokens": 4300},
    ),
    (
        [
            {
                **HELLO[0],
                "image": [f"data:image/png;base64,{base64.b64encode(PNG).decode()}", "https://a.test/b.png"],
            }
        ],
        {"model_config": SEES, "sampling_parameters": []},
        {},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        text("Hello!"),
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                        {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
                    ],
                }
            ]
        },
    ),
]


@pytest.mark.parametrize(("messages", "entry", "ours", "theirs"), CASES)
def test_the_same_call_is_the_same_request(
    wire_server: WireServer,
    messages: list[dict[str, Any]],
    entry: dict[str, Any],
    ours: dict[str, Any],
    theirs: dict[str, Any],
) -> None:
    for block in (part for each in theirs.get("messages", ()) for part in each["content"]):
        if isinstance(block, dict) and block["type"] == "image" and isinstance(block["source"].get("data"), bytes):
            block["source"]["data"] = base64.b64encode(block["source"]["data"]).decode()
    wire_server.script = [message()]
    claude(wire_server, ours, **entry).generate_response(messages)
    sdk_call(wire_server.url, **{"model": "claude-model", "messages": HELLO, "max_tokens": 300, **theirs})
    mine, its = wire_server.requests
    assert mine.json == its.json
    assert (mine.method, mine.target) == (its.method, its.target)


def test_the_same_version_is_the_same_headers(wire_server: WireServer) -> None:
    from anthropic._constants import ANTHROPIC_API_VERSION

    write_keys(anthropic={"api_key": CANARY, "base_url": wire_server.url})
    wire_server.script = [message()]
    make_model("anthropic", api_version=ANTHROPIC_API_VERSION).generate_response(HELLO)
    sdk_call(wire_server.url, model="model-001", messages=HELLO, max_tokens=300)
    mine, its = (
        {name: value for name, value in each.headers.items() if name in WATCHED} for each in wire_server.requests
    )
    assert mine == its
    assert mine.keys() == {"anthropic-version", "authorization", "content-type"}


WATCHED = ("anthropic-version", "authorization", "x-api-key", "content-type", "anthropic-beta")


def test_the_same_reply_is_the_same_answer(wire_server: WireServer) -> None:
    usage = {"input_tokens": 9, "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    wire_server.script = [
        message(thinking("Hm."), "Can", "berra.", usage=usage, stop_reason="refusal", stop_details=details)
    ]
    reply = claude(wire_server).generate_response(HELLO)
    theirs = sdk_call(wire_server.url, model="claude-model", messages=HELLO, max_tokens=300)
    assert reply.text == "".join(block.text for block in theirs.content if block.type == "text")
    facts = reply.facts
    assert facts["reasoning"] == theirs.content[0].thinking
    assert facts["served_model"] == theirs.model
    assert facts["finish_reason"] == theirs.stop_reason
    assert facts["refusal"] == theirs.stop_details.explanation
    assert facts["usage"]["input_tokens"] == theirs.usage.input_tokens
    assert facts["usage"]["reasoning_tokens"] == theirs.usage.output_tokens_details.thinking_tokens


@pytest.mark.parametrize(
    ("answer", "kind", "name"),
    [
        (error(400, "invalid_request_error", "no"), "bad_request", "BadRequestError"),
        (error(401, "authentication_error", "no"), "authentication", "AuthenticationError"),
        (error(402, "billing_error", "no"), "quota", "PaymentRequiredError"),
        (error(403, "permission_error", "no"), "permission", "PermissionDeniedError"),
        (error(404, "not_found_error", "no"), "not_found", "NotFoundError"),
        (error(413, "request_too_large", "no"), "bad_request", "ContentTooLargeError"),
        (error(429, "rate_limit_error", "no", retry_after="0"), "rate_limit", "RateLimitError"),
        (
            error(429, "rate_limit_error", "no", "enforced_spend_limit_reached"),
            "quota",
            "EnforcedSpendLimitReachedError",
        ),
        (error(500, "api_error", "no"), "server", "InternalServerError"),
        (error(529, "overloaded_error", "no"), "overloaded", "OverloadedError"),
    ],
)
def test_the_same_refusal_is_the_same_error(wire_server: WireServer, answer: Answer, kind: str, name: str) -> None:
    import anthropic

    wire_server.script = [answer]
    with pytest.raises(anthropic.APIStatusError) as theirs:
        sdk_call(wire_server.url, model="claude-model", messages=HELLO, max_tokens=300)
    with pytest.raises(RemoteCallError) as ours:
        claude(wire_server, model_config={"total_timeout": 20}).generate_response(HELLO)
    assert type(theirs.value).__name__ == name
    assert type(ours.value) is REMOTE_ERRORS[kind]
    assert ours.value.status == theirs.value.status_code
    assert ours.value.provider_message == theirs.value.api_message
    assert ours.value.request_id == theirs.value.request_id
