"""The official SDKs as the oracle for streams: the same events, the same text and counts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from support import anthropic_wire, google_wire, mistral_wire
from support.formats import FORMATS
from support.remote import CANARY, HELLO
from support.streams import streamed
from support.wire_server import Answer, WireServer, completion, response

pytestmark = pytest.mark.slow  # the SDKs take seconds to import

TEXT = "Canberra is the capital; Sydney is larger."
Read = tuple[str, int, int]  # the text, tokens in and out


def _openai(url: str) -> Read:
    import openai

    messages: Any = HELLO
    with (
        openai.OpenAI(api_key=CANARY, base_url=f"{url}/v1", max_retries=0) as client,
        client.chat.completions.stream(
            model="m", messages=messages, stream_options={"include_usage": True}
        ) as stream,
    ):
        whole = stream.get_final_completion()
    assert whole.usage is not None
    return whole.choices[0].message.content or "", whole.usage.prompt_tokens, whole.usage.completion_tokens


def _responses(url: str) -> Read:
    import openai

    with (
        openai.OpenAI(api_key=CANARY, base_url=f"{url}/v1", max_retries=0) as client,
        client.responses.stream(model="m", input="Hello!") as stream,
    ):
        whole = stream.get_final_response()
    assert whole.usage is not None
    return whole.output_text, whole.usage.input_tokens, whole.usage.output_tokens


def _anthropic(url: str) -> Read:
    import anthropic

    messages: Any = HELLO
    with (
        anthropic.Anthropic(api_key=CANARY, base_url=url, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=50, messages=messages) as stream,
    ):
        whole = stream.get_final_message()
    text = "".join(block.text for block in whole.content if block.type == "text")
    return text, whole.usage.input_tokens, whole.usage.output_tokens


def _google(url: str) -> Read:
    from google import genai

    client: Any = genai.Client(api_key=CANARY, http_options={"base_url": url})
    with contextlib.closing(client):
        chunks = list(client.models.generate_content_stream(model="gemini-model", contents="Hello!"))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    usage = chunks[-1].usage_metadata
    text = "".join(part.text for part in parts if not part.thought)
    return text, usage.prompt_token_count, usage.candidates_token_count


def _mistral(url: str) -> Read:
    from mistralai.client import Mistral

    messages: Any = HELLO
    with (
        Mistral(api_key=CANARY, server_url=url) as client,
        client.chat.stream(model="m", messages=messages) as stream,
    ):
        chunks: list[Any] = [event.data for event in stream]
    contents = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    usage = chunks[-1].usage
    return "".join(text for text in contents if isinstance(text, str)), usage.prompt_tokens, usage.completion_tokens


def _cohere(url: str) -> Read:
    import cohere
    import httpx

    messages: Any = HELLO
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key=CANARY, base_url=url, httpx_client=http)
        events: list[Any] = list(client.chat_stream(model="m", messages=messages))
    deltas = [event.delta.message.content for event in events if event.type == "content-delta"]
    usage = events[-1].delta.usage
    text = "".join(delta.text for delta in deltas if delta.text)
    return text, int(usage.tokens.input_tokens), int(usage.tokens.output_tokens)


CASES: dict[str, tuple[Callable[[str], Read], str, Answer]] = {
    "openai_compatible": (_openai, "/v1", completion(TEXT, message={"refusal": None})),
    "openai_compatible-responses": (_responses, "/v1", response(TEXT)),
    "anthropic": (_anthropic, "", anthropic_wire.message(anthropic_wire.thinking("Let me think."), TEXT)),
    "google": (_google, "", google_wire.generated(google_wire.thought("Let me think."), TEXT)),
    "mistral": (_mistral, "/v1", mistral_wire.completion(TEXT)),
    "cohere": (_cohere, "", mistral_wire.chat({"type": "thinking", "thinking": "Let me think."}, TEXT)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pydantic.PydanticDeprecatedSince20")
@pytest.mark.parametrize("name", CASES)
def test_the_sdk_reads_the_same_from_the_same_events(name: str, wire_server: WireServer) -> None:
    sdk, path, whole = CASES[name]
    wire_server.script = [streamed(whole)]
    expected = sdk(wire_server.url)
    stream = FORMATS[name].model(wire_server.url + path).stream_response(HELLO)
    text = "".join(stream)
    usage = stream.reply.facts["usage"]
    assert (text, usage["input_tokens"], usage["output_tokens"]) == expected
