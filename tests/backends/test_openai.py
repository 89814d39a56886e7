"""What leaves and what comes back: bodies byte for byte, generation arguments, answers."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clemcore import backends, loading
from clemcore.backends.service.dialects.chat_completions import FIELDS
from clemcore.errors import GenerationArgumentError, MessagesError, RemoteCallError, SpecError
from support.remote import CANARY, DIALOGUE, HELLO, ask, make_model, open_model, write_keys
from support.wire_server import Answer, Received, WireServer, completion, reply


# -- what is sent and received -----------------------------------------------------------------------------------
def test_prompt_and_response_are_the_bodies_on_the_wire(wire_server: WireServer) -> None:
    answer = completion("  The capital is Canberra. \n")
    wire_server.script = [answer]
    prompt, response, text = result = ask(open_model(wire_server.url), DIALOGUE)
    received = wire_server.only
    assert prompt == received.json
    assert prompt == {"model": "model-001", "messages": DIALOGUE, "temperature": 0.0, "max_tokens": 300}
    assert json.dumps(response) == json.dumps(json.loads(answer.body))
    assert text == "The capital is Canberra."
    wire = result.facts["wire"]
    assert wire["request_sha256"] == hashlib.sha256(received.body).hexdigest()
    assert wire["response_sha256"] == hashlib.sha256(answer.body).hexdigest()
    assert (wire["request_bytes"], wire["attempts"]) == (len(received.body), 1)
    assert (wire["url"], wire["status"]) == (f"{wire_server.url}/v1/chat/completions", 200)
    assert wire["request_id"] == "req_123"
    assert 0 < wire["seconds"]["first_byte"] <= wire["seconds"]["attempt"] <= wire["seconds"]["total"] < 30
    assert received.target == "/v1/chat/completions"
    assert response["clem_player"]["response"] == text


def test_facts_beside_the_tuple(wire_server: WireServer) -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    wire_server.script = [completion("7", usage=usage, message={"reasoning_content": "3 + 4 is 7"})]
    facts = ask(open_model(wire_server.url, {"seed": 1})).facts
    assert facts["usage"] == {"input_tokens": 20, "output_tokens": 8, "reasoning_tokens": 5, "cached_tokens": 16}
    assert (facts["served_model"], facts["system_fingerprint"]) == ("served-model-001", "fp_1")
    assert (facts["finish_reason"], facts["reasoning"]) == ("stop", "3 + 4 is 7")
    assert facts["sent"] == {"seed": 1, "temperature": 0.0, "max_tokens": 300}
    assert facts["parameters"] == {"renamed": {}, "dropped": {}, "clamped": {}}
    assert facts["versions"].keys() == {"aiohttp"}


def test_the_record_holds_both_bodies_and_the_facts(wire_server: WireServer, tmp_path: Path) -> None:
    with backends.record(tmp_path / "requests.json"):
        ask(open_model(wire_server.url, {"top_p": 0.5}))
    (call,) = json.loads((tmp_path / "requests.json").read_text())
    assert call["manipulated_prompt_obj"] == wire_server.only.json
    assert call["raw_response_obj"] == json.loads(completion().body)
    assert call["clemcore"]["gen_args"]["asked"] == {"top_p": 0.5}
    assert call["clemcore"]["gen_args"]["sent"] == {"top_p": 0.5, "temperature": 0.0, "max_tokens": 300}
    assert call["clemcore"]["wire"]["request_sha256"] == hashlib.sha256(wire_server.only.body).hexdigest()
    assert call["clemcore"]["versions"].keys() >= {"clemcore", "aiohttp"}


def test_the_body_is_in_the_order_of_the_call_and_in_utf8(wire_server: WireServer) -> None:
    messages = [{"role": "user", "content": "żółw 🐢 \u2028"}]
    ask(open_model(wire_server.url, {"stop": ["Ü"], "logprobs": True}), messages)
    assert (
        wire_server.only.body
        == (
            '{"model":"model-001","messages":[{"role":"user","content":"żółw 🐢 \u2028"}],'
            '"stop":["Ü"],"logprobs":true,"temperature":0.0,"max_tokens":300}'
        ).encode()
    )


def test_what_the_sdk_is_known_to_do_to_a_body(wire_server: WireServer) -> None:
    """Why clemcore writes its own body: the SDK puts the fields into an order of its own."""
    import openai

    sdk = openai.OpenAI(api_key="none", base_url=f"{wire_server.url}/v1")
    arguments: dict[str, Any] = {"temperature": 0.0, "max_tokens": 300, "stop": None, "seed": 1}
    sdk.chat.completions.create(model="m", messages=[], **arguments, extra_body={"top_k": 3})
    sdk.close()
    names = list(wire_server.only.json)
    assert names == ["model", "messages", "max_tokens", "seed", "stop", "temperature", "top_k"]


def test_system_and_further_fields_stay_and_neighbours_of_one_role_are_merged(wire_server: WireServer) -> None:
    messages = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "One", "name": "ann"},
        {"role": "user", "content": "Two", "name": "ann"},
    ]
    ask(open_model(wire_server.url), messages)
    assert wire_server.only.json["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "One\n\nTwo", "name": "ann"},
    ]
    assert messages[1] == {"role": "user", "content": "One", "name": "ann"}


def test_an_empty_system_message_is_left_out(wire_server: WireServer) -> None:
    ask(open_model(wire_server.url), [{"role": "system", "content": ""}, *HELLO])
    assert wire_server.only.json["messages"] == HELLO


def test_messages_that_json_cannot_hold_are_refused(wire_server: WireServer) -> None:
    with pytest.raises(MessagesError, match=r"messages\[0\]\['content'\] has the lone surrogate '\\ud800'"):
        ask(open_model(wire_server.url), [{"role": "user", "content": "\ud800"}])
    with pytest.raises(MessagesError, match="Object of type set is not JSON serializable"):
        ask(open_model(wire_server.url), [{"role": "user", "content": "A", "tags": {1}}])
    assert not wire_server.requests


def test_calls_of_several_threads_do_not_mix(wire_server: WireServer) -> None:
    def echo(received: Received) -> Answer:
        content = received.json["messages"][0]["content"]
        return Answer(**{**vars(completion(f"echo {content}")), "delay": 0.002 * (int(content.split()[-1]) % 5)})

    wire_server.script = [echo]
    model = open_model(wire_server.url)
    gate = threading.Barrier(16)

    def call(number: int) -> None:
        if number < 16:
            gate.wait(20)
        prompt, response, text = result = ask(model, [{"role": "user", "content": f"number {number}"}])
        assert prompt["messages"][0]["content"] == f"number {number}"
        assert text == f"echo number {number}"
        assert response["choices"][0]["message"]["content"] == text
        body = json.dumps(prompt, separators=(",", ":")).encode()
        assert result.facts["wire"]["request_sha256"] == hashlib.sha256(body).hexdigest()
        assert result.facts["wire"]["attempts"] == 1

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call, range(96)))
    assert len(wire_server.requests) == 96


# -- generation arguments ----------------------------------------------------------------------------------------
def test_every_argument_goes_out_under_its_name(wire_server: WireServer) -> None:
    asked = {
        "temperature": 0.7,
        "max_tokens": 5,
        "top_p": 0.9,
        "seed": 7,
        "stop": ("a", "b"),
        "logprobs": True,
        "top_logprobs": 3,
        "logit_bias": {50256: -100},
        "presence_penalty": 0.5,
        "top_k": 40,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "response_format": {"type": "json_object"},
        "n": 1,
    }
    facts = ask(open_model(wire_server.url, asked)).facts
    expected = {**asked, "stop": ["a", "b"], "logit_bias": {"50256": -100}}
    body = wire_server.only.json
    assert {name: body[name] for name in body if name not in ("model", "messages")} == expected
    assert facts["sent"] == expected


_NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
_LEAVES = st.none() | st.booleans() | _NUMBERS | st.text(st.characters(codec="utf-8"), max_size=5)
VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=4,
)
# Unlike every known name, whose values are checked; a name that is nearly one is refused.
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8).map(lambda name: f"lab_{name}")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gen_args=st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_said_to_be_sent_was_received(wire_server: WireServer, gen_args: dict[str, Any]) -> None:
    result = ask(open_model(wire_server.url, gen_args))
    received = wire_server.requests[-1].json
    sent = {name: value for name, value in received.items() if name not in ("model", "messages")}
    assert json.dumps(result.facts["sent"], sort_keys=True) == json.dumps(sent, sort_keys=True)
    assert json.dumps({name: sent[name] for name in gen_args}) == json.dumps(gen_args)


def test_extra_body_is_merged_and_a_later_wish_wins(wire_server: WireServer) -> None:
    extra = {"provider": {"quantizations": ["fp8"]}, "top_k": 40, "temperature": 1.0}
    facts = ask(open_model(wire_server.url, {"top_k": 5, "extra_body": {"min_p": 0.1}}, extra_body=extra)).facts
    assert facts["sent"] == {
        "provider": {"quantizations": ["fp8"]},
        "top_k": 5,
        "temperature": 1.0,
        "min_p": 0.1,
        "max_tokens": 300,
    }
    assert facts["sent"].items() <= wire_server.only.json.items()
    assert facts["parameters"]["dropped"].keys() == {"extra_body.top_k", "temperature"}


@pytest.mark.parametrize(
    ("gen_args", "words"),
    [
        ({"stream": True}, "'stream' is not available"),
        ({"model": "other"}, "model: no generation argument"),
        ({"messages": []}, "messages: no generation argument"),
        ({"timeout": 3}, "timeout: no generation argument"),
        ({"extra_headers": {}}, "extra_headers: no generation argument"),
        ({"extra_body": {"stream": True}}, "'stream' is not available"),
        ({"extra_body": 3}, "'extra_body' must be a dict, not int"),
        ({"top_k": 1, "extra_body": {"top_k": 2}}, "asked for twice, by name and in 'extra_body': top_k"),
        ({"seed": float("nan")}, "seed: must be a finite number, not nan"),
        ({"seed": object()}, "seed: must be a text, a number, true, false, a list or a dict, not object"),
    ],
)
def test_what_cannot_be_sent_as_asked_is_refused_before(
    wire_server: WireServer, gen_args: dict[str, Any], words: str
) -> None:
    with pytest.raises(GenerationArgumentError, match=words):
        ask(open_model(wire_server.url, gen_args))
    assert not wire_server.requests


def test_nothing_but_an_empty_system_message_is_not_sent(wire_server: WireServer) -> None:
    with pytest.raises(MessagesError, match="the only message is a system message without text"):
        open_model(wire_server.url, {}).generate_response([{"role": "system", "content": ""}])
    assert not wire_server.requests


def test_openai_itself_refuses_names_that_it_does_not_know(wire_server: WireServer) -> None:
    write_keys(openai={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
    with pytest.raises(GenerationArgumentError, match=r"'temprature'.*did you mean 'temperature'"):
        ask(make_model("openai", {"temprature": 1.0}))
    with pytest.raises(GenerationArgumentError, match=r"'top_k'.*list it with a value in model_config\.extra_body"):
        ask(make_model("openai", {"top_k": 3}))
    assert not wire_server.requests
    ask(make_model("openai", {"top_k": 3}, model_config={"extra_body": {"top_k": 1}}))
    assert wire_server.only.json["top_k"] == 3
    known = {"seed": 1, "top_p": 0.1, "stop": "x", "reasoning_effort": "low", "verbosity": "low"}
    ask(make_model("openai", known))
    assert known.items() <= wire_server.requests[-1].json.items()


def test_the_names_that_openai_knows_are_those_of_its_sdk() -> None:
    from openai.resources.chat.completions import Completions

    listed = set(inspect.signature(Completions.create).parameters)
    assert listed - {"self", "extra_headers", "extra_query", "extra_body", "timeout"} == FIELDS


def test_the_sdk_would_send_the_same_body(wire_server: WireServer) -> None:
    import openai

    arguments: dict[str, Any] = {
        "temperature": 0.5,
        "max_tokens": 9,
        "stop": ["x"],
        "seed": 1,
        "logit_bias": {"5": 1},
    }
    ask(open_model(wire_server.url, arguments), DIALOGUE)
    sdk: Any = openai.OpenAI(api_key="none", base_url=f"{wire_server.url}/v1")
    sdk.chat.completions.create(model="model-001", messages=DIALOGUE, **arguments)
    sdk.close()
    ours, theirs = wire_server.requests
    assert ours.json == theirs.json
    assert ours.target == theirs.target


# -- reasoning models --------------------------------------------------------------------------------------------
def test_reasoning_models_by_value(wire_server: WireServer) -> None:
    facts = ask(open_model(wire_server.url, {"max_tokens": 900}, reasoning_model=True)).facts
    assert facts["sent"] == {"max_completion_tokens": 900}
    assert facts["parameters"] == {
        "renamed": {"max_tokens": "max_completion_tokens"},
        "dropped": {"temperature": "default 0.0; reasoning models refuse it"},
        "clamped": {},
    }
    facts = ask(open_model(wire_server.url, {"temperature": 1.0}, reasoning_model=True)).facts
    assert facts["sent"] == {"temperature": 1.0, "max_completion_tokens": 300}
    facts = ask(open_model(wire_server.url, {"max_tokens": 900}, reasoning_model=False)).facts
    assert facts["sent"] == {"max_tokens": 900, "temperature": 0.0}
    for received, name in zip(wire_server.requests, ("max_completion_tokens",) * 2 + ("max_tokens",), strict=True):
        assert name in received.json
    assert "temperature" not in wire_server.requests[0].json


@pytest.mark.parametrize(
    ("effort", "meant"), [("hgh", "high"), ("High", "high"), ("mediun", "medium"), ("nome", "none")]
)
def test_a_misspelt_effort_is_not_sent(wire_server: WireServer, effort: str, meant: str) -> None:
    for wish in ({"reasoning_effort": effort}, {"reasoning": {"effort": effort}}):
        with pytest.raises(GenerationArgumentError, match=f"did you mean '{meant}'"):
            ask(open_model(wire_server.url, wish))
        with pytest.raises(SpecError, match=f"did you mean '{meant}'"):
            ask(open_model(wire_server.url, **wish))
    assert not wire_server.requests
    facts = ask(open_model(wire_server.url, {"reasoning_effort": "ultra"})).facts
    assert facts["sent"]["reasoning_effort"] == "ultra", "a service's own word"


@pytest.mark.parametrize("temperature", [0.0, 0, -1, None, "1", True])
def test_a_reasoning_model_refuses_a_temperature_asked_for_that_is_not_positive(
    wire_server: WireServer, temperature: Any
) -> None:
    with pytest.raises(GenerationArgumentError, match="must be greater than 0"):
        ask(open_model(wire_server.url, {"temperature": temperature}, reasoning_model=True))
    assert not wire_server.requests


def test_one_limit_of_tokens(wire_server: WireServer) -> None:
    facts = ask(open_model(wire_server.url, {"max_completion_tokens": 50})).facts
    assert facts["sent"] == {"max_completion_tokens": 50, "temperature": 0.0}
    assert "max_tokens" in facts["parameters"]["dropped"]
    both = {"max_completion_tokens": 50, "max_tokens": 60}
    assert ask(open_model(wire_server.url, both)).facts["sent"] == {**both, "temperature": 0.0}
    with pytest.raises(GenerationArgumentError, match="both limit the reply"):
        ask(open_model(wire_server.url, both, reasoning_model=True))


def test_a_flag_that_is_no_flag_is_refused(wire_server: WireServer) -> None:
    with pytest.raises(SpecError, match="reasoning_model must be true or false, not a string"):
        open_model(wire_server.url, reasoning_model="yes")
    with pytest.raises(SpecError, match="multimodality must be an object, not a boolean"):
        open_model(wire_server.url, multimodality=True)
    with pytest.raises(SpecError, match="extra_body must not hold messages, stream"):
        ask(open_model(wire_server.url, extra_body={"stream": False, "messages": []}))


# -- answers -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (completion(None, finish_reason="tool_calls"), "finish_reason 'tool_calls'"),
        (completion(None, message={"refusal": "I cannot."}), "a refusal"),
        (completion("", finish_reason="length", message={"reasoning": "hm"}), "'length', reasoning only"),
        (completion("  \n"), "finish_reason 'stop'"),
    ],
)
def test_an_empty_answer_is_empty_text_and_a_warning(
    wire_server: WireServer, caplog: pytest.LogCaptureFixture, answer: Answer, why: str
) -> None:
    wire_server.script = [answer]
    with caplog.at_level(logging.WARNING, "clemcore"):
        result = ask(open_model(wire_server.url))
    assert result.text == ""
    assert why in caplog.text
    assert "the answer of model 'remote-model' is empty" in caplog.text
    if why == "a refusal":
        assert result.facts["refusal"] == "I cannot."


def test_content_in_parts_gives_its_text(wire_server: WireServer) -> None:
    parts = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": " Can"},
        {"type": "text", "text": "berra"},
    ]
    wire_server.script = [completion(None, message={"content": parts})]
    assert ask(open_model(wire_server.url)).text == "Canberra"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"id": "x", "choices": []}, "the reply has no choices"),
        ({"id": "x"}, "the reply has no choices"),
        ({"choices": [{"text": "old"}]}, "first choice has no message"),
        ({"choices": [{"message": {"role": "user", "content": "A"}}]}, "role 'user' instead of 'assistant'"),
        (["A"], "list instead of an object"),
        ({"error": {"message": "no such route", "code": 400}}, "the body is an error: no such route"),
    ],
)
def test_a_good_status_without_an_answer(wire_server: WireServer, body: Any, words: str) -> None:
    wire_server.script = [reply(200, body)]
    with pytest.raises(RemoteCallError, match=words) as caught:
        ask(open_model(wire_server.url))
    error = caught.value
    assert (error.status, error.request_id, error.response) == (200, "req_123", body)
    assert error.prompt == wire_server.requests[0].json
    # Empty choices: the service has failed, which may pass. Another form would come again.
    is_repeated = isinstance(body, dict) and body.get("choices") == []
    assert (len(wire_server.requests) > 1, error.retryable) == (is_repeated, is_repeated)


# -- entries -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("model_id", [None, "", " ", 3])
def test_an_entry_without_model_id_is_refused(model_id: Any) -> None:
    with pytest.raises(
        SpecError, match=r"model_id'? (is missing|must be a non-empty string|must be a string, not an integer)"
    ):
        make_model("openai_compatible", model_id=model_id, base_url="http://127.0.0.1:1/v1")


def test_both_are_backends_and_what_they_share_is_none() -> None:
    names = [row["backend"] for row in backends.BackendRegistry.from_packaged_and_cwd_files()]
    assert {"openai", "openai_compatible"} <= set(names)
    assert not any("remote" in name for name in names)


def test_a_minimal_entry_of_the_registry_and_a_flat_one_of_2024(wire_server: WireServer) -> None:
    minimal = {"backend": "openai_compatible", "model_id": "m", "base_url": f"{wire_server.url}/v1"}
    entries = [
        {"model_name": "minimal", **minimal},
        {"model_name": "flat", **minimal, "requires_api_key": False},
    ]
    Path("model_registry.json").write_text(json.dumps(entries))
    write_keys(openai_compatible={"api_key": CANARY})
    assert backends.get_model_for("minimal").generate_response(HELLO)[2] == "Canberra."
    assert wire_server.requests[-1].headers["authorization"] == f"Bearer {CANARY}"
    model = backends.get_model_for({"model_name": "flat", "temperature": 0.3})
    assert model.generate_response(HELLO)[0]["temperature"] == 0.3
    assert "authorization" not in wire_server.requests[-1].headers


@pytest.mark.parametrize("misspelt", ["extra_bodyy", "reasoning-model", "requires_apikey", "Timeout"])
def test_a_misspelt_setting_is_refused(misspelt: str) -> None:
    config: dict[str, Any] = {misspelt: True}
    with pytest.raises(SpecError, match=f'nothing reads the key "{misspelt}"; did you mean "'):
        open_model("http://127.0.0.1:1", **config)
    # Settings of other backends do not count, and do no harm.
    open_model("http://127.0.0.1:1", premade_chat_template=True, eos_to_cull="x")


def test_reasoning_effort_of_the_entry_is_sent(wire_server: WireServer) -> None:
    assert ask(open_model(wire_server.url, reasoning_effort="low")).facts["sent"]["reasoning_effort"] == "low"
    asked = open_model(wire_server.url, {"reasoning_effort": "high"}, reasoning_effort="low")
    assert ask(asked).facts["sent"]["reasoning_effort"] == "high"


@pytest.mark.parametrize("backend", ["openai", "openai_compatible"])
def test_render_shows_the_body_and_sends_nothing(wire_server: WireServer, backend: str) -> None:
    entry = {"model_name": "m", "model_id": "x", "backend": backend, "base_url": f"{wire_server.url}/v1"}
    config = {"reasoning_model": True, "requires_api_key": False}
    shown = loading.render({**entry, "model_config": config}, DIALOGUE, {"seed": 3})
    assert not wire_server.requests
    prompt = backends.get_model_for({**entry, "model_config": config, "seed": 3}).generate_response(DIALOGUE)[0]
    assert shown == prompt == wire_server.only.json
    assert shown == {"model": "x", "messages": DIALOGUE, "max_completion_tokens": 300, "seed": 3}
    with pytest.raises(GenerationArgumentError, match="must be greater than 0"):
        loading.render({**entry, "model_config": config}, DIALOGUE, {"temperature": 0.0})  # asked, not a default
