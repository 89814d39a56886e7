"""Keys are masked by place and by shape: words of an experiment stay, and no prompt or reply is rewritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, secrets
from clemcore.errors import ClemcoreError, ReplayError
from clemcore.verify import verify
from support.remote import make_model, write_keys
from support.wire_server import WireServer, completion, refusal

CANARY = "sk-canary-31f0c2d4e5b6a798"
PLACEHOLDERS = [
    "ollama",
    "lm-studio",
    "token-abc123",
    "EMPTY",
    "sk-no-key-required",
    "not-needed",
    "dummy",
    "sk-1234",
]
# Keys that people choose for a server of their own; in a prompt they are words.
SHORT = ["mistral", "secret-lab", "Canberra", "llama-3.1-8b"]


def model_with(key: str, server: WireServer) -> Any:
    write_keys(openai_compatible={"api_key": key})
    return make_model("openai_compatible", base_url=f"{server.url}/v1", key_name="openai_compatible")


def read() -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = json.loads(Path("requests.json").read_text(encoding="utf-8"))
    return calls


@pytest.mark.parametrize("key", PLACEHOLDERS + SHORT)
def test_words_of_the_experiment_stay(wire_server: WireServer, key: str) -> None:
    words = f"What is {key}? And {key.upper()}, {key.title()}?"
    wire_server.script = [completion(f"{key} is a word.")]
    ask = [{"role": "user", "content": words}]
    with backends.record():
        model_with(key, wire_server).generate_response(ask)
    (call,) = read()
    assert call["manipulated_prompt_obj"]["messages"][0]["content"] == words
    assert call["clemcore"]["response_text"] == f"{key} is a word."
    assert "***" not in json.dumps([call["manipulated_prompt_obj"], call["raw_response_obj"]])
    assert verify("requests.json").findings == []
    replayed: Any = backends.get_model_for("replay:requests.json")
    assert replayed.generate_response(ask)[2] == f"{key} is a word."


def test_the_name_of_a_model_that_is_also_a_key_stays(wire_server: WireServer) -> None:
    model_with("mistral", wire_server)
    spec = {"model_name": "mistral-small", "backend": "mock", "model_config": {"api_key": "mistral"}}
    with backends.record():
        backends.get_model_for(spec).generate_response([{"role": "user", "content": "Hi"}])
    recorded = read()[0]["clemcore"]["model_spec"]
    assert (recorded["model_name"], recorded["model_config"]["api_key"]) == ("mistral-small", "***")


def test_a_logged_token_is_not_a_secret_by_its_name(wire_server: WireServer) -> None:
    """A refusal, or an answer that is refused afterwards, keeps its fields called token."""
    body = {"error": {"message": "no"}, "logprobs": [{"token": "Can", "secret": "word"}]}
    wire_server.script = [refusal(400, "no", logprobs=body["logprobs"])]
    with backends.record(), pytest.raises(ClemcoreError) as caught:
        model_with(CANARY, wire_server).generate_response([{"role": "user", "content": "Hi"}])
    (call,) = read()
    assert call["raw_response_obj"]["error"]["logprobs"] == body["logprobs"]
    error: Any = caught.value
    assert error.response == call["raw_response_obj"]
    assert verify("requests.json").findings == []


@pytest.mark.parametrize("status", [200, 400])
def test_a_reply_that_echoes_a_key_is_left_out(wire_server: WireServer, status: int) -> None:
    ask = [{"role": "user", "content": "Hi"}]
    wire_server.script = [completion(f"It is {CANARY}."), completion()]
    if status != 200:
        wire_server.script = [refusal(status, f"wrong key {CANARY}"), completion()]
    model = model_with(CANARY, wire_server)
    with backends.record():
        if status == 200:
            assert model.generate_response(ask).text == f"It is {CANARY}."  # the caller gets what came
        else:
            with pytest.raises(ClemcoreError) as caught:
                model.generate_response(ask)
            assert CANARY not in str(vars(caught.value))
        model.generate_response(ask)
    call, _ = read()
    assert call["raw_response_obj"] is None
    assert call["clemcore"]["left_out"][0] == "raw_response_obj"
    assert call["manipulated_prompt_obj"]["messages"] == ask
    report = verify("requests.json")
    assert report.wrong == []
    assert any("left out, because it holds a key" in str(finding) for finding in report.unproven)
    replayed: Any = backends.get_model_for("replay:requests.json")
    with pytest.raises(ReplayError if status == 200 else ClemcoreError):
        replayed.generate_response(ask)


def test_a_prompt_that_holds_a_key_is_left_out(wire_server: WireServer) -> None:
    ask = [{"role": "user", "content": f"Is {CANARY} a good key?"}]
    with backends.record():
        model_with(CANARY, wire_server).generate_response(ask)
    (call,) = read()
    assert (call["manipulated_prompt_obj"], call["clemcore"]["left_out"]) == (None, ["manipulated_prompt_obj"])
    assert call["clemcore"]["response_text"] == "Canberra."
    assert verify("requests.json").wrong == []
    replayed: Any = backends.get_model_for("replay:requests.json")
    with pytest.raises(ReplayError, match="left out of the record"):
        replayed.generate_response([{"role": "user", "content": "Another question"}])


def test_the_shape_of_a_key() -> None:
    for key in (
        CANARY,
        "AIzaSyA-0123456789abcdefghijklmnopqrstu",
        "hf_" + "xCuUlvvPLuUmyFnRnKvm",
        "a1" * 8 + "c4e",
    ):
        assert secrets.has_key_shape(key), key
    for word in (*PLACEHOLDERS, *SHORT, "x" * 40, "multi-word-entry", "sk-xxxxxxxxxxxxxxxxxxxx"):
        assert not secrets.has_key_shape(word), word
