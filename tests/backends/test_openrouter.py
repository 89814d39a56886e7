"""The backend ``openrouter``: what is sent, who served it, errors in its own forms."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore import loading
from clemcore.errors import RemoteCallError
from clemcore.model import Reply
from support.remote import CANARY, DIALOGUE, HELLO, make_model, write_keys
from support.wire_server import WireServer, completion, refusal, reply


def ask(server: WireServer, gen_args: dict[str, Any] | None = None, **entry: Any) -> Reply:
    write_keys(openrouter={"api_key": CANARY, "base_url": f"{server.url}/api/v1"})
    result = make_model("openrouter", gen_args, **entry).generate_response(DIALOGUE)
    assert isinstance(result, Reply)
    return result


def test_a_call_is_what_it_says(wire_server: WireServer) -> None:
    wire_server.script = [completion(provider="Fireworks")]
    result = ask(wire_server, {"top_k": 3, "min_p": 0.1})
    received = wire_server.only
    assert received.target == "/api/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {CANARY}"
    assert result.prompt == received.json
    assert received.json == {
        "model": "model-001",
        "messages": DIALOGUE,
        "top_k": 3,
        "min_p": 0.1,
        "temperature": 0.0,
        "max_tokens": 300,
    }
    assert result.facts["served_by"] == "Fireworks"
    assert (result.text, result.facts["dialect"]) == ("Canberra.", "openrouter-chat")


def test_the_entry_decides_about_providers_and_quantizations(wire_server: WireServer) -> None:
    routing = {"provider": {"quantizations": ["fp8"], "order": ["Fireworks"]}}
    assert "provider" not in ask(wire_server).prompt, "3.7.2 asked for fp8 where the entry said nothing"
    assert ask(wire_server, model_config={"extra_body": routing}).prompt["provider"] == routing["provider"]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"reasoning": {"effort": "high"}}, {"effort": "high"}),
        ({"reasoning": {"budget": 2000}}, {"max_tokens": 2000}),
        ({"reasoning": {"effort": "none"}}, {"effort": "none"}),
        ({"reasoning_effort": "low"}, {"effort": "low"}),
        ({"reasoning": {"effort": "low", "exclude": True}}, {"effort": "low", "exclude": True}),
    ],
)
def test_reasoning(wire_server: WireServer, asked: dict[str, Any], sent: dict[str, Any]) -> None:
    wire_server.script = [completion("7", message={"reasoning": "3 + 4"})]
    result = ask(wire_server, asked)
    assert wire_server.only.json["reasoning"] == result.facts["sent"]["reasoning"] == sent
    assert (result.text, result.facts["reasoning"]) == ("7", "3 + 4")


def test_reasoning_of_the_entry(wire_server: WireServer) -> None:
    for config in ({"thinking_mode": True}, {"thinking_mode": True, "thinking_budget": 900}):
        ask(wire_server, model_config=config)
    ask(
        wire_server,
        {"reasoning": {"effort": "low"}},
        model_config={"extra_body": {"reasoning": {"effort": "high"}}},
    )
    sent = [received.json["reasoning"] for received in wire_server.requests]
    assert sent == [{"enabled": True}, {"max_tokens": 900}, {"effort": "low"}]
    facts = ask(wire_server, {"reasoning": {"budget": 0}}, model_config={"on_unsupported": "nearest"}).facts
    assert facts["sent"]["reasoning"] == {"effort": "none"}


def test_the_openai_sdk_would_send_the_same_body(wire_server: WireServer) -> None:
    import openai

    extra = {"provider": {"only": ["Fireworks"]}, "top_k": 5}
    ours = ask(wire_server, {"seed": 1, "stop": ["x"]}, model_config={"extra_body": extra}).prompt
    sdk: Any = openai.OpenAI(api_key="none", base_url=f"{wire_server.url}/api/v1")
    arguments: dict[str, Any] = {"temperature": 0.0, "max_tokens": 300, "seed": 1, "stop": ["x"]}
    sdk.chat.completions.create(model="model-001", messages=DIALOGUE, **arguments, extra_body=extra)
    sdk.close()
    assert ours == wire_server.requests[-1].json
    assert wire_server.requests[0].target == wire_server.requests[-1].target


INSIDE = {"error": {"code": 502, "message": "Provider disconnected"}, "finish_reason": "error", "message": {}}
BEHIND = {"provider_name": "Fireworks", "raw": "too many"}
FLAGGED = {"reasons": ["violence"], "provider_name": "OpenAI"}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(402, "Insufficient credits", code=402), "quota", "Insufficient credits"),
        (
            refusal(429, "Provider returned error", metadata=BEHIND),
            "rate_limit",
            "Provider returned error; provider_name: Fireworks; raw: too many",
        ),
        (refusal(403, "Flagged", metadata=FLAGGED), "content_filter", "Flagged"),
        (refusal(400, "m is not a valid model ID"), "bad_request", "valid model ID"),
        (reply(200, {"error": {"code": 503, "message": "No provider"}}), "overloaded", "No provider"),
        (reply(200, {"id": "g", "choices": [INSIDE]}), "server", "Provider disconnected"),
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
    assert CANARY not in str(caught.value)


def test_the_address_is_known_and_entries_are_rendered_without_a_key() -> None:
    write_keys(openrouter={"api_key": CANARY})
    model: Any = make_model("openrouter")
    assert model._errors.endpoint.base_url == "https://openrouter.ai/api/v1"
    body = loading.render("qwen3.8-27b-or", HELLO, {"max_tokens": 5})
    assert body == {"model": "qwen/qwen3.8-27b", "messages": HELLO, "max_tokens": 5, "temperature": 0.0}
