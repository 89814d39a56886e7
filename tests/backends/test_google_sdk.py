"""The official SDK as the oracle: the same call, the same request; the same reply, the same answer."""

from __future__ import annotations

import base64
import inspect
import re
import sys
from typing import Any

import pytest

from clemcore.backends.service.dialects.google_generate import BESIDE, GENERATION
from clemcore.errors import REMOTE_ERRORS, RemoteCallError
from support.google_wire import SAFETY, SEES, error, gemini, generated, info, thought
from support.remote import CANARY, DIALOGUE, HELLO, make_model, write_keys
from support.wire_server import Answer, WireServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="google-genai 3 needs Python 3.11"),
]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
# Arguments of the SDK's call that never reach the body.
CLIENT_SIDE = {
    "http_options",
    "should_return_http_response",
    "automatic_function_calling",
    "automatic_continuation",
}


def sdk_call(url: str, contents: Any, config: dict[str, Any]) -> Any:
    from google import genai
    from google.genai import types

    client = genai.Client(api_key=CANARY, http_options={"base_url": url})
    typed = types.GenerateContentConfig.model_validate(config)
    if isinstance(contents, dict):
        contents = types.Content.model_validate(contents)
    try:
        return client.models.generate_content(model="gemini-model", contents=contents, config=typed)
    finally:
        client.close()


def test_our_list_of_fields_is_the_sdks() -> None:
    from google.genai import models, types

    # The Gemini API refuses some of the fields: those belong to the other service that the SDK speaks to.
    source = inspect.getsource(models._GenerateContentConfig_to_mldev)
    refused = {
        name
        for name in types.GenerateContentConfig.model_fields
        if re.search(rf"\['{name}'\]\) is not None:\s+raise ValueError", source)
    }
    uniform = {"temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "logprobs"}
    listed = types.GenerateContentConfig.model_fields.keys() - refused - CLIENT_SIDE
    assert {*GENERATION, *BESIDE, *uniform, "system_instruction"} == listed


def part(role: str, words: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": words}]}


def in_camel_case(value: Any) -> Any:
    """Name the fields as the API documents them; the SDK writes some as `thinking_budget`, which means the same."""
    if isinstance(value, list):
        return [in_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {re.sub("_([a-z])", lambda found: found[1].upper(), key): in_camel_case(value[key]) for key in value}


CASES: list[tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # messages, the entry, our arguments, the SDK's; its `contents` apart from its configuration
    (HELLO, {}, {}, {"temperature": 0.0, "max_output_tokens": 300, "safety_settings": SAFETY}),
    (
        [{"role": "system", "content": "Be short."}, *DIALOGUE],
        {},
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "stop": ["END"],
            "max_tokens": 50,
            "seed": 7,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.25,
            "logprobs": True,
            "top_logprobs": 2,
            "candidate_count": 1,
            "response_mime_type": "text/plain",
            "media_resolution": "MEDIA_RESOLUTION_LOW",
            "response_modalities": ["TEXT"],
            "labels": {"study": "one"},
            "service_tier": "flex",
            "store": False,
            "safety_settings": [],
        },
        {
            "contents": [
                part("user", "Hello!"),
                part("model", "Hello! How can I help you?"),
                part("user", "Tell me the name of the capital of Australia."),
            ],
            "system_instruction": "Be short.",
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "stop_sequences": ["END"],
            "max_output_tokens": 50,
            "seed": 7,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.25,
            "response_logprobs": True,
            "logprobs": 2,
            "candidate_count": 1,
            "response_mime_type": "text/plain",
            "media_resolution": "MEDIA_RESOLUTION_LOW",
            "response_modalities": ["TEXT"],
            "labels": {"study": "one"},
            "service_tier": "flex",
            "store": False,
        },
    ),
    (
        HELLO,
        {"thinking": {"supported": True, "style": "level"}, "sampling_parameters": []},
        {"reasoning": {"effort": "low"}},
        {
            "max_output_tokens": 300,
            "safety_settings": SAFETY,
            "thinking_config": {"thinking_level": "LOW", "include_thoughts": True},
        },
    ),
    (
        HELLO,
        {"model_config": {"thinking_mode": True}, "sampling_parameters": []},
        {},
        {
            "max_output_tokens": 4396,
            "safety_settings": SAFETY,
            "thinking_config": {"thinking_budget": 4096, "include_thoughts": True},
        },
    ),
    (
        [
            {
                **HELLO[0],
                "image": [f"data:image/png;base64,{base64.b64encode(PNG).decode()}", "https://a.test/b.png"],
            }
        ],
        {"model_config": SEES, "sampling_parameters": []},
        {"safety_settings": []},
        {
            "contents": {
                "role": "user",
                "parts": [
                    {"text": "Hello!"},
                    {"inline_data": {"data": PNG, "mime_type": "image/png"}},
                    {"file_data": {"file_uri": "https://a.test/b.png", "mime_type": "image/png"}},
                ],
            },
            "max_output_tokens": 300,
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
    wire_server.script = [generated()]
    gemini(wire_server, ours, **entry).generate_response(messages)
    config = {name: value for name, value in theirs.items() if name != "contents"}
    sdk_call(wire_server.url, theirs.get("contents", "Hello!"), config)
    mine, its = wire_server.requests
    assert mine.json == in_camel_case(its.json)
    assert (mine.method, mine.target) == (its.method, its.target)


def test_the_same_key_is_the_same_header(wire_server: WireServer) -> None:
    write_keys(google={"api_key": CANARY, "base_url": wire_server.url})
    wire_server.script = [generated()]
    make_model("google").generate_response(HELLO)
    sdk_call(wire_server.url, "Hello!", {})
    for each in wire_server.requests:
        assert each.headers["x-goog-api-key"] == CANARY
        assert each.headers["content-type"] == "application/json"
        assert CANARY not in each.target


def test_the_same_reply_is_the_same_answer(wire_server: WireServer) -> None:
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 5, "totalTokenCount": 18}
    wire_server.script = [generated(thought("Hm."), "Can", "berra.", usageMetadata=counts)]
    reply = gemini(wire_server).generate_response(HELLO)
    theirs = sdk_call(wire_server.url, "Hello!", {})
    assert reply.text == theirs.text
    facts = reply.facts
    assert facts["reasoning"] == theirs.candidates[0].content.parts[0].text
    assert facts["served_model"] == theirs.model_version
    assert facts["finish_reason"] == theirs.candidates[0].finish_reason.value
    assert facts["usage"]["input_tokens"] == theirs.usage_metadata.prompt_token_count
    assert facts["usage"]["reasoning_tokens"] == theirs.usage_metadata.thoughts_token_count
    total = facts["usage"]["input_tokens"] + facts["usage"]["output_tokens"]
    assert total == theirs.usage_metadata.total_token_count


def test_every_reason_to_stop_is_known() -> None:
    from google.genai import types

    from clemcore.backends.service.dialects._reply import ending_of

    unknown = {reason.value for reason in types.FinishReason if ending_of(reason.value) is None}
    says_nothing = {"FINISH_REASON_UNSPECIFIED", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "PUP_LIMITED_DISABLED"}
    assert unknown == says_nothing


@pytest.mark.parametrize(
    ("answer", "kind", "name"),
    [
        (error(400, "INVALID_ARGUMENT", "no"), "bad_request", "ClientError"),
        (error(400, "INVALID_ARGUMENT", "no", info("API_KEY_INVALID")), "authentication", "ClientError"),
        (error(404, "NOT_FOUND", "no", in_list=True), "not_found", "ClientError"),
        (error(500, "INTERNAL", "no"), "server", "ServerError"),
    ],
)
def test_the_same_refusal_is_the_same_error(wire_server: WireServer, answer: Answer, kind: str, name: str) -> None:
    from google.genai import errors

    wire_server.script = [answer]
    with pytest.raises(errors.APIError) as theirs:
        sdk_call(wire_server.url, "Hello!", {})
    with pytest.raises(RemoteCallError) as ours:
        gemini(wire_server, model_config={"total_timeout": 20}).generate_response(HELLO)
    assert type(theirs.value).__name__ == name
    assert type(ours.value) is REMOTE_ERRORS[kind]
    assert (ours.value.status, ours.value.provider_message) == (theirs.value.code, theirs.value.message)
