"""The backend ``azure``: paths, keys and bodies, against what the official SDKs send."""

from __future__ import annotations

from typing import Any

import pytest

from clemcore.errors import MissingKeyError, RemoteCallError, SpecError
from clemcore.model import Reply
from support.anthropic_wire import message
from support.remote import CANARY, DIALOGUE, make_model, write_keys
from support.wire_server import WireServer, completion, refusal, response

DATED = "2024-10-21"
LIMIT = "max_tokens"


def ask(
    server: WireServer, gen_args: dict[str, Any] | None = None, *, at: str = "/openai/v1", **entry: Any
) -> Reply:
    write_keys(azure_gpt={"api_key": CANARY, "base_url": server.url + at})
    result = make_model("azure", gen_args, **entry).generate_response(DIALOGUE)
    assert isinstance(result, Reply)
    return result


def test_a_call_is_what_it_says(wire_server: WireServer) -> None:
    result = ask(wire_server, {"seed": 1})
    received = wire_server.only
    assert received.target == "/openai/v1/chat/completions"
    assert received.headers["api-key"] == CANARY
    assert "authorization" not in received.headers
    assert result.prompt == received.json
    assert received.json == {
        "model": "model-001",
        "messages": DIALOGUE,
        "seed": 1,
        "temperature": 0.0,
        "max_completion_tokens": 300,
    }
    assert result.facts["parameters"]["renamed"] == {"max_tokens": "max_completion_tokens"}
    assert result.text == "Canberra."


def test_the_sdk_would_send_the_same_with_a_deployment_in_the_path(wire_server: WireServer) -> None:
    import openai

    ours = ask(wire_server, {"max_tokens": 9}, at="", api_version=DATED, token_limit_parameter=LIMIT).prompt
    sdk: Any = openai.AzureOpenAI(api_key=CANARY, azure_endpoint=wire_server.url, api_version=DATED, max_retries=0)
    sdk.chat.completions.create(model="model-001", messages=DIALOGUE, temperature=0.0, max_tokens=9)
    sdk.close()
    first, second = wire_server.requests
    assert first.target == second.target
    assert first.target == f"/openai/deployments/model-001/chat/completions?api-version={DATED}"
    assert first.headers["api-key"] == second.headers["api-key"]
    assert ours == second.json


def test_the_sdk_would_send_the_same_to_responses(wire_server: WireServer) -> None:
    import openai

    wire_server.script = [response()]
    config = {"api": "responses"}
    ours = ask(wire_server, {"reasoning": {"effort": "low"}}, at="", api_version=DATED, model_config=config).prompt
    sdk: Any = openai.AzureOpenAI(api_key=CANARY, azure_endpoint=wire_server.url, api_version=DATED, max_retries=0)
    arguments: dict[str, Any] = {"temperature": 0.0, "max_output_tokens": 300, "reasoning": {"effort": "low"}}
    sdk.responses.create(model="model-001", input=DIALOGUE, **arguments)
    sdk.close()
    first, second = wire_server.requests
    assert first.target == second.target == f"/openai/responses?api-version={DATED}"
    assert ours == second.json
    ask(wire_server, model_config=config)
    ask(wire_server, model_config=config, api_version="preview")
    targets = [received.target for received in wire_server.requests[2:]]
    assert targets == ["/openai/v1/responses", "/openai/v1/responses?api-version=preview"]


def test_what_an_entry_may_say(wire_server: WireServer) -> None:
    config = {"reasoning_effort": "low", "reasoning_model": True}
    assert ask(wire_server, model_config=config).facts["sent"] == {
        "reasoning_effort": "low",
        "max_completion_tokens": 300,
    }
    for wrong in ("2024", 3, "2024-10-21&x=1"):
        with pytest.raises(SpecError, match=r"api_version must be (a date such as '2024-10-21'|a string)"):
            ask(wire_server, api_version=wrong)


def test_a_name_that_is_no_path(wire_server: WireServer) -> None:
    ask(wire_server, at="", api_version=DATED, model_id="../gpt 4")
    assert wire_server.only.target.startswith("/openai/deployments/..%2Fgpt%204/chat/completions?")


def claude_model(server: WireServer, **entry: Any) -> Any:
    write_keys(azure_claude={"api_key": CANARY, "base_url": f"{server.url}/anthropic"})
    server.script = [message("Canberra.")]
    return make_model("azure", **entry)


def test_claude_speaks_its_own_format_with_its_own_key(wire_server: WireServer) -> None:
    import anthropic

    system = {"role": "system", "content": "Be brief."}
    model = claude_model(wire_server, model_id="claude-opus-4-6")
    ours, _, text = model.generate_response([system, *DIALOGUE])
    sdk: Any = anthropic.AnthropicFoundry(api_key=CANARY, base_url=f"{wire_server.url}/anthropic/", max_retries=0)
    arguments: dict[str, Any] = {"max_tokens": 300, "system": "Be brief.", "extra_body": {"temperature": 0.0}}
    sdk.messages.create(model="claude-opus-4-6", messages=DIALOGUE, **arguments)
    sdk.close()
    first, second = wire_server.requests
    assert first.target == second.target == "/anthropic/v1/messages"
    assert (first.headers["x-api-key"], first.headers["api-key"]) == (CANARY, CANARY)
    assert (second.headers["x-api-key"], second.headers["api-key"]) == (CANARY, CANARY)
    assert ours == first.json == second.json
    assert text == "Canberra."
    assert first.headers["anthropic-version"] == "2023-06-01"


def test_a_deployment_of_another_name_says_which_protocol_it_speaks(wire_server: WireServer) -> None:
    model = claude_model(wire_server, model_id="my-sonnet", model_config={"api": "messages"})
    assert model.generate_response(DIALOGUE)[2] == "Canberra."
    with pytest.raises(SpecError, match="api must be one of chat_completions, responses, messages"):
        claude_model(wire_server, model_config={"api": "claude"})
    with pytest.raises(MissingKeyError, match="azure_gpt"):
        make_model("azure", base_url=wire_server.url)


def test_only_the_key_of_the_model_is_needed() -> None:
    write_keys(azure_gpt={"api_key": CANARY})
    with pytest.raises(SpecError, match=r"has no address: .* or to the key 'azure_gpt'"):
        make_model("azure")
    write_keys(azure_claude={"api_key": CANARY, "base_url": "https://r.services.ai.azure.com/anthropic"})
    with pytest.raises(MissingKeyError, match="azure_gpt"):
        make_model("azure", base_url="https://r.openai.azure.com/openai/v1")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal(401, "Access denied due to invalid subscription key.", code="401"), "authentication"),
        (refusal(404, "The API deployment does not exist.", code="DeploymentNotFound"), "not_found"),
        (refusal(400, "The response was filtered.", code="content_filter"), "content_filter"),
    ],
)
def test_errors(wire_server: WireServer, answer: Any, kind: str) -> None:
    wire_server.script = [answer]
    with pytest.raises(RemoteCallError) as caught:
        ask(wire_server)
    assert caught.value.kind == kind
    assert len(wire_server.requests) == 1


def test_a_filtered_answer_is_an_outcome(wire_server: WireServer) -> None:
    wire_server.script = [completion("", finish_reason="content_filter")]
    assert ask(wire_server).facts["outcome"] == "content_filter"
