"""Clients that users bring, made with the official openai SDK."""

from __future__ import annotations

import asyncio
import copy
import functools
import importlib
import json
import pickle
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.http import background
from clemcore.errors import (
    AuthenticationError,
    BackendLoadError,
    RemoteConnectionError,
    RemoteTimeoutError,
    SpecError,
)
from support.processes import in_forked_child
from support.remote import CANARY, HELLO
from support.wire_server import Answer, WireServer, completion, refusal, response

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.slow  # the SDK takes seconds to import

SPEC = {"model_name": "mine", "backend": "openai", "model_id": "m1"}


@pytest.fixture
def client(wire_server: WireServer) -> Iterator[Any]:
    with openai.OpenAI(api_key=CANARY, base_url=f"{wire_server.url}/v1", default_headers={"X-Lab": "7"}) as made:
        yield made


def test_the_client_sends_our_bytes_and_both_sides_are_recorded(
    client: Any, wire_server: WireServer, tmp_path: Path
) -> None:
    model = backends.get_model_for(SPEC, {"temperature": 0.5, "seed": 3}, client=client)
    with backends.record(tmp_path / "r.json"):
        prompt, body, text = model.generate_response(HELLO)
    (request,) = wire_server.requests
    assert text == "Canberra."
    assert prompt == request.json
    assert body == json.loads(completion().body)
    assert request.headers["authorization"] == f"Bearer {CANARY}"
    assert request.headers["x-lab"] == "7"
    (entry,) = json.loads((tmp_path / "r.json").read_text())
    wire = entry["clemcore"]["wire"]
    assert wire["url"] == f"{wire_server.url}/v1/chat/completions"
    assert wire["request_bytes"] == len(request.body)
    assert entry["clemcore"]["versions"]["openai"] == openai.__version__
    assert CANARY not in (tmp_path / "r.json").read_text()


def test_our_own_engine_sends_the_same_bytes(client: Any, wire_server: WireServer) -> None:
    gen_args = {"temperature": 0.5, "stop": ["END"]}
    backends.get_model_for(SPEC, gen_args, client=client).generate_response(HELLO)
    plain = {**SPEC, "backend": "openai_compatible", "base_url": f"{wire_server.url}/v1"}
    backends.get_model_for({**plain, "model_config": {"requires_api_key": False}}, gen_args).generate_response(
        HELLO
    )
    first, second = wire_server.requests
    assert first.body == second.body


def test_the_responses_api_goes_through_a_client_too(client: Any, wire_server: WireServer) -> None:
    wire_server.script = [response("Canberra.")]
    model = backends.get_model_for({**SPEC, "model_config": {"api": "responses"}}, client=client)
    assert model.generate_response(HELLO)[2] == "Canberra."
    assert wire_server.requests[0].target == "/v1/responses"


def test_an_asynchronous_client_answers_a_batch_at_once(wire_server: WireServer) -> None:
    wire_server.script = [Answer(200, completion().body, {"Content-Type": "application/json"}, delay=0.2)]
    client = openai.AsyncOpenAI(api_key=CANARY, base_url=f"{wire_server.url}/v1")
    model = backends.get_model_for(SPEC, client=client)
    replies = model.generate_batch_response([HELLO] * 5)
    assert [reply.text for reply in replies] == ["Canberra."] * 5
    assert asyncio.run(model.agenerate_response(HELLO)).text == "Canberra."
    background.run(client.close())  # its connections belong to the loop of the calls


def test_azure_with_a_token_provider(wire_server: WireServer) -> None:
    tokens = iter(["first-token", "second-token"])
    with openai.AzureOpenAI(
        azure_endpoint=wire_server.url, api_version="2024-10-21", azure_ad_token_provider=lambda: next(tokens)
    ) as client:
        model = backends.get_model_for({**SPEC, "model_id": "my deployment"}, client=client)
        model.generate_response(HELLO)
        model.generate_response(HELLO)
    assert {request.target for request in wire_server.requests} == {
        "/openai/deployments/my%20deployment/chat/completions?api-version=2024-10-21"
    }
    tokens_sent = [request.headers["authorization"] for request in wire_server.requests]
    assert tokens_sent == ["Bearer first-token", "Bearer second-token"]


def test_only_we_retry(client: Any, wire_server: WireServer) -> None:
    wire_server.script = [refusal(503, "busy", headers={"retry-after": "0.01"}), completion()]
    reply = backends.get_model_for(SPEC, client=client).generate_response(HELLO)
    assert reply.facts["wire"]["attempts"] == 2 == len(wire_server.requests)


def test_refusals_and_faults_are_our_errors(client: Any, wire_server: WireServer) -> None:
    model = backends.get_model_for(SPEC, client=client)
    wire_server.script = [refusal(401, "no such key")]
    with pytest.raises(AuthenticationError, match="no such key") as caught:
        model.generate_response(HELLO)
    assert caught.value.status == 401
    config = {"attempt_timeout": 0.2, "total_timeout": 0.3}
    wire_server.script = [Answer(fault="hang")]
    with pytest.raises(RemoteTimeoutError):
        backends.get_model_for({**SPEC, "model_config": config}, client=client).generate_response(HELLO)
    with openai.OpenAI(api_key=CANARY, base_url="http://127.0.0.1:9/v1") as nowhere:
        model = backends.get_model_for({**SPEC, "model_config": {"total_timeout": 0.3}}, client=nowhere)
        with pytest.raises(RemoteConnectionError, match="the client could not connect"):
            model.generate_response(HELLO)


def test_a_backend_of_3_7_2_that_makes_its_client(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("lab_api.py").write_text(
        textwrap.dedent(f"""
        import openai
        from clemcore.backends import openai_api

        class Lab(openai_api.OpenAI):
            def __init__(self):
                super().__init__("lab")

            def _make_api_client(self):
                return openai.OpenAI(api_key=self.key["api_key"], base_url="{wire_server.url}/gateway")
    """)
    )
    monkeypatch.setenv("LAB_API_KEY", "sk-lab-0f1e2d3c")
    model = backends.get_model_for({"model_name": "m", "backend": "lab", "model_id": "m"})
    assert model.generate_response(HELLO)[2] == "Canberra."
    (request,) = wire_server.requests
    assert request.target == "/gateway/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-lab-0f1e2d3c"
    assert type(model).__mro__.index(backends.Model)


def test_the_model_class_of_3_7_2(client: Any, wire_server: WireServer) -> None:
    openai_api: Any = importlib.import_module("clemcore.backends.openai_api")

    class Loud(openai_api.OpenAIModel):  # type: ignore[misc]
        def generate_response(self, messages: Any) -> Any:
            prompt, body, text = super().generate_response(messages)
            return prompt, body, text.upper()

    model = Loud(client, backends.ModelSpec(**SPEC))
    model.set_gen_args(temperature=0.0, max_tokens=50)
    assert model.client is client
    assert copy.deepcopy(model).generate_response(HELLO)[2] == "CANBERRA."
    assert len(wire_server.requests) == 1


def test_a_stream_through_a_client_is_one_piece(client: Any) -> None:
    assert list(backends.get_model_for(SPEC, client=client).stream_response(HELLO)) == ["Canberra."]


def test_what_a_hook_of_the_client_changes_is_what_is_recorded(wire_server: WireServer) -> None:
    def rewrite(request: Any) -> None:
        changed = request.content.replace(b"Hello!", b"Howdy!")
        request.stream, request._content = type(request.stream)(changed), changed

    with openai.OpenAI(
        api_key=CANARY,
        base_url=f"{wire_server.url}/v1",
        http_client=openai.DefaultHttpxClient(event_hooks={"request": [rewrite]}),
    ) as client:
        prompt = backends.get_model_for(SPEC, client=client).generate_response(HELLO).prompt
    assert prompt == wire_server.requests[0].json
    assert prompt["messages"][0]["content"] == "Howdy!"


@pytest.mark.parametrize(
    ("entry", "error", "words"),
    [
        (
            {"base_url": "http://elsewhere.test/v1"},
            SpecError,
            "has base_url http://elsewhere.test/v1, but the client",
        ),
        ({"key_name": "other"}, SpecError, "key_name of the entry would have no effect"),
        ({"backend": "anthropic"}, BackendLoadError, "speaks anthropic-messages"),
        ({"backend": "mock"}, BackendLoadError, "takes no client"),
    ],
)
def test_what_a_client_cannot_do_is_refused(
    entry: dict[str, Any], error: type[Exception], words: str, client: Any
) -> None:
    with pytest.raises(error, match=words):
        backends.get_model_for({**SPEC, **entry}, client=client)


def test_another_kind_of_client_is_refused() -> None:
    with pytest.raises(BackendLoadError, match=r"must be made with the openai package .* but is a dict"):
        backends.get_model_for(SPEC, client={})


def test_a_model_with_a_client_is_not_pickled(client: Any) -> None:
    with pytest.raises(TypeError, match="load it in the other process"):
        pickle.dumps(backends.get_model_for(SPEC, client=client))


def _answer(model: Any) -> Any:
    return model.generate_response(HELLO).text


def test_a_forked_child_does_not_use_the_client_of_its_parent(client: Any, wire_server: WireServer) -> None:
    model = backends.get_model_for(SPEC, client=client)
    model.generate_response(HELLO)
    told = in_forked_child(functools.partial(_answer, model))
    assert "load the model in the child process" in told
    assert len(wire_server.requests) == 1


@pytest.mark.parametrize("kind", ["OpenAI", "AsyncOpenAI"])
@pytest.mark.parametrize("is_copied", [False, True])
def test_a_forked_child_whose_backend_makes_the_client_anew_gets_answers(
    kind: str, is_copied: bool, wire_server: WireServer
) -> None:
    module = importlib.import_module("clemcore.backends.openai")
    made: list[Any] = []

    class Mine(module.OpenAI):  # type: ignore[misc, name-defined]
        def _make_api_client(self) -> Any:
            made.append(getattr(openai, kind)(api_key=CANARY, base_url=f"{wire_server.url}/v1"))
            return made[-1]

    model = Mine().get_model_for(backends.ModelSpec(**SPEC))
    assert model.generate_response(HELLO).text == "Canberra."
    models = [model, copy.deepcopy(model)] if is_copied else [model]
    for each in models:
        assert in_forked_child(functools.partial(_answer, each)) == "Canberra."
    assert len(wire_server.requests) == 1 + len(models)
    (client,) = made  # those of the children ended with them
    if kind == "OpenAI":
        client.close()
    else:
        background.run(client.close())
