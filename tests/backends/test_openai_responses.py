"""The Responses API: what is sent, and what is read from what comes."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import Any

import pytest

from clemcore import loading
from clemcore.backends.service.dialects.responses import FIELDS
from clemcore.errors import GenerationArgumentError, RemoteCallError, SpecError
from clemcore.model import Reply
from support.remote import CANARY, DIALOGUE, HELLO, make_model, write_keys
from support.wire_server import WireServer, refusal, reply, response

PNG = "data:image/png;base64,iVBORw0KGgo="
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture(autouse=True)
def _answers(wire_server: WireServer) -> None:
    wire_server.script = [response()]


def ask(
    server: WireServer,
    gen_args: dict[str, Any] | None = None,
    messages: list[dict[str, Any]] | None = None,
    *,
    backend: str = "openai",
    **entry: Any,
) -> Reply:
    config = {"requires_api_key": False, "api": "responses", **entry.pop("model_config", {})}
    model = make_model(backend, gen_args, base_url=f"{server.url}/v1", model_config=config, **entry)
    result = model.generate_response(messages or HELLO)
    assert isinstance(result, Reply)
    return result


def sdk_body(server: WireServer, **arguments: Any) -> Any:
    """The body that the official SDK sends for a call."""
    import openai

    sdk: Any = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", max_retries=0)
    sdk.responses.create(model="model-001", **arguments)
    sdk.close()
    return server.requests[-1].json


# -- what is sent -------------------------------------------------------------------------------------------------
def test_a_call_is_what_it_says(wire_server: WireServer) -> None:
    answer = response("  Canberra.\n")
    wire_server.script = [answer]
    prompt, body, text = result = ask(wire_server, messages=[SYSTEM, *DIALOGUE])
    received = wire_server.only
    assert received.target == "/v1/responses"
    assert prompt == received.json
    assert prompt == {
        "model": "model-001",
        "input": [SYSTEM, *DIALOGUE],
        "temperature": 0.0,
        "max_output_tokens": 300,
    }
    assert json.dumps(body) == json.dumps(json.loads(answer.body))
    assert text == "Canberra."
    assert result.facts["dialect"] == "responses"
    assert result.facts["wire"]["request_sha256"] == hashlib.sha256(received.body).hexdigest()
    assert result.facts["parameters"]["renamed"] == {"max_tokens": "max_output_tokens"}
    assert result.facts["usage"] == {
        "input_tokens": 9,
        "output_tokens": 4,
        "reasoning_tokens": 0,
        "cached_tokens": 0,
        "cache_write_tokens": 0,
    }
    assert (result.facts["served_model"], result.facts["finish_reason"]) == ("served-model-001", "completed")


@pytest.mark.parametrize(
    ("gen_args", "theirs"),
    [
        ({}, {}),
        (
            {"top_p": 0.5, "logprobs": True},
            {"top_p": 0.5, "include": ["message.output_text.logprobs"]},
        ),
        ({"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "low"}}),
        ({"reasoning_effort": "high"}, {"reasoning": {"effort": "high"}}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning": {"effort": "low", "summary": "auto"}}),
        (
            {"verbosity": "low", "response_format": {"type": "json_object"}},
            {"text": {"verbosity": "low", "format": {"type": "json_object"}}},
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}},
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}},
        ),
        ({"instructions": "Hm.", "store": False, "logprobs": False}, {"instructions": "Hm.", "store": False}),
        ({"extra_body": {"metadata": {"a": "b"}}}, {"metadata": {"a": "b"}}),
    ],
)
def test_the_sdk_would_send_the_same_body(
    wire_server: WireServer, gen_args: dict[str, Any], theirs: dict[str, Any]
) -> None:
    ours = ask(wire_server, gen_args, DIALOGUE).prompt
    assert ours == sdk_body(wire_server, input=DIALOGUE, temperature=0.0, max_output_tokens=300, **theirs)


def test_images_and_parts_stand_where_the_sdk_puts_them(wire_server: WireServer) -> None:
    link = "https://images.example/c.png"
    parts = [
        {"type": "text", "text": "Both:"},
        {"type": "image_url", "image_url": {"url": link, "detail": "low"}},
    ]
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Look: <image> there", "image": [PNG, link]},
        {"role": "assistant", "content": "I see."},
        {"role": "user", "content": parts},
    ]
    sees = {"multimodality": {"single_image": True, "multiple_images": True}}
    ours = ask(wire_server, {}, messages, model_config=sees).prompt
    image = {"type": "input_image", "image_url": link}
    theirs = [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look: there"},
                {"type": "input_image", "image_url": PNG},
                image,
            ],
        },
        {"role": "assistant", "content": "I see."},
        {"role": "user", "content": [{"type": "input_text", "text": "Both:"}, {**image, "detail": "low"}]},
    ]
    assert ours == sdk_body(wire_server, input=theirs, temperature=0.0, max_output_tokens=300)


def test_the_names_that_openai_knows_are_those_of_its_sdk() -> None:
    from openai.resources.responses import Responses

    listed = set(inspect.signature(Responses.create).parameters)
    assert listed - {"self", "extra_headers", "extra_query", "extra_body", "timeout"} == FIELDS


def test_arguments_that_this_protocol_does_not_have(wire_server: WireServer) -> None:
    for name in ("stop", "seed", "presence_penalty"):
        with pytest.raises(GenerationArgumentError, match=f"does not know the generation argument '{name}'"):
            ask(wire_server, {name: 1})
    with pytest.raises(GenerationArgumentError, match="are sent in the same place"):
        ask(wire_server, {"max_tokens": 1, "max_output_tokens": 2})
    with pytest.raises(GenerationArgumentError, match="input: no generation argument"):
        ask(wire_server, {"input": "x"})
    assert not wire_server.requests
    assert ask(wire_server, {"max_output_tokens": 2}).facts["sent"] == {"max_output_tokens": 2, "temperature": 0.0}
    sent = ask(wire_server, {"stop": ["x"]}, backend="openai_compatible").facts["sent"]
    assert sent["stop"] == wire_server.requests[-1].json["stop"] == ["x"]


def test_what_the_entry_says_counts_here_too(wire_server: WireServer) -> None:
    entry: dict[str, Any] = {"sampling_parameters": [], "model_config": {"reasoning_effort": "low"}}
    assert ask(wire_server, {}, **entry).facts["sent"] == {"max_output_tokens": 300, "reasoning": {"effort": "low"}}
    extra: dict[str, Any] = {"model_config": {"extra_body": {"reasoning": {"effort": "low", "summary": "auto"}}}}
    facts = ask(wire_server, {"reasoning": {"effort": "high"}}, **extra).facts
    assert facts["sent"]["reasoning"] == {"effort": "high", "summary": "auto"}
    assert facts["sent"].items() <= wire_server.requests[-1].json.items()
    assert facts["parameters"]["dropped"].keys() == {"extra_body.reasoning.effort"}
    with pytest.raises(
        SpecError, match='api must be one of chat_completions, responses, messages, not "completions"'
    ):
        ask(wire_server, {}, model_config={"api": "completions"})


def test_render_shows_the_body(wire_server: WireServer) -> None:
    entry = {"model_name": "m", "model_id": "x", "backend": "openai", "model_config": {"api": "responses"}}
    assert loading.render(entry, HELLO, {"max_tokens": 5}) == {
        "model": "x",
        "input": HELLO,
        "max_output_tokens": 5,
        "temperature": 0.0,
    }


def test_the_key_is_carried_as_for_chat_completions(wire_server: WireServer) -> None:
    write_keys(openai={"api_key": CANARY, "organisation": "org-1", "base_url": f"{wire_server.url}/v1"})
    make_model("openai", model_config={"api": "responses"}).generate_response(HELLO)
    headers = wire_server.only.headers
    assert (headers["authorization"], headers["openai-organization"]) == (f"Bearer {CANARY}", "org-1")


# -- what is read -------------------------------------------------------------------------------------------------
THOUGHT = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Think."}]}
SHOWN = {**THOUGHT, "content": [{"type": "reasoning_text", "text": "A capital."}]}
CUT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
FILTERED = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}


@pytest.mark.parametrize(
    ("answer", "text", "facts"),
    [
        (response("A", items=[THOUGHT]), "A", {"outcome": "answer", "reasoning": "Think."}),
        (response("A", items=[SHOWN]), "A", {"outcome": "answer", "reasoning": "A capital."}),
        (response("A", content=[{"type": "output_text", "text": "B"}]), "AB", {"outcome": "answer"}),
        (
            response(None, content=[{"type": "refusal", "refusal": "No."}]),
            "",
            {"outcome": "refusal", "refusal": "No."},
        ),
        (response(None, items=[THOUGHT], **CUT), "", {"outcome": "length", "finish_reason": "max_output_tokens"}),
        (response("Can", **CUT), "Can", {"outcome": "answer", "finish_reason": "max_output_tokens"}),
        (response(None, **FILTERED), "", {"outcome": "content_filter"}),
        (response(None, items=[THOUGHT]), "", {"outcome": "reasoning_only"}),
        (response(None), "", {"outcome": "empty"}),
    ],
)
def test_outcomes(wire_server: WireServer, answer: Any, text: str, facts: dict[str, Any]) -> None:
    wire_server.script = [answer]
    result = ask(wire_server)
    assert result.text == text
    assert facts.items() <= result.facts.items()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(401, "Wrong key.", code="invalid_api_key"), "authentication", "Wrong key"),
        (reply(200, {"object": "response", "status": "queued", "output": []}), "bad_reply", "status is 'queued'"),
        (reply(200, {"object": "response"}), "bad_reply", "has no output"),
        (reply(200, ["A"]), "bad_reply", "list instead of an object"),
        *(
            (response(None, status="failed", error={"code": code, "message": "It failed."}), kind, "It failed")
            for code, kind in (
                ("server_error", "server"),
                ("rate_limit_exceeded", "rate_limit"),
                ("invalid_image", "bad_request"),
                ("bio_policy", "content_filter"),
            )
        ),
    ],
)
def test_errors(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch, answer: Any, kind: str, words: str
) -> None:
    monkeypatch.setattr("clemcore.backends.service.http.verdict.ATTEMPTS", {})
    wire_server.script = [answer]
    with pytest.raises(RemoteCallError, match=words) as caught:
        ask(wire_server)
    assert caught.value.kind == kind
    assert caught.value.prompt == wire_server.requests[-1].json
