"""Arguments that somebody asks for, in whatever place: each is sent, or refused with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clemcore import backends, loading
from clemcore.arguments.carried import carried_by
from clemcore.errors import GenerationArgumentError, SpecError
from clemcore.model import Reply
from clemcore.registry.spec import ModelSpec
from clemcore.spelling import is_one_edit_away, misspelling_of
from support.clem import Clem
from support.formats import FORMATS
from support.remote import HELLO, ask, make_model, open_model, write_keys
from support.wire_server import WireServer

KNOWN: dict[str, Any] = {
    "response_format": {"type": "json_object"},
    "chat_template_kwargs": {"enable_thinking": False},
    "max_completion_tokens": 50,
    "n": 2,
    "verbosity": "low",
    "top_a": 0.5,
    "min_tokens": 3,
    "guided_regex": "[ab]+",
    "enable_thinking": False,
    "lab_knob": 3,
}
WRONG: dict[str, tuple[Any, str]] = {
    "temprature": (0.9, "did you mean 'temperature'"),
    "temperatur": (0.9, "did you mean 'temperature'"),
    "Temperature": (0.9, "did you mean 'temperature'"),
    "max-tokens": (9, "did you mean 'max_tokens'"),
    "max_token": (9, "did you mean 'max_tokens'"),
    "topp": (0.9, "did you mean 'top_p'"),
    "sede": (9, "did you mean 'seed'"),
    "respons_format": ({}, "did you mean 'response_format'"),
    "chat_template_kwarg": ({}, "did you mean 'chat_template_kwargs'"),
    "repitition_penalty": (1.1, "did you mean 'repetition_penalty'"),
}
OUTSIDE = [
    ("temperature", -1, "temperature: must be at least 0, not -1"),
    ("temperature", "hot", "temperature: must be a number, not 'hot'"),
    ("temperature", True, "temperature: must be a number, not True"),
    ("top_p", 90, "top_p: must be from 0 to 1, not 90"),
    ("max_tokens", 0, "max_tokens: must be a whole number of at least 1, not 0"),
    ("max_tokens", -1, "max_tokens: must be a whole number of at least 1"),
    ("max_tokens", 2.5, "max_tokens: must be a whole number of at least 1"),
    ("max_tokens", "300", "max_tokens: must be a whole number, not '300'"),
    ("n", 0, "n: must be a whole number of at least 1"),
    ("seed", 1.5, "seed: must be a whole number"),
    ("presence_penalty", 3, "presence_penalty: must be from -2 to 2"),
    ("stop", [""], "stop: must be a text or a list of texts"),
    ("stop", 3, "stop: must be a text or a list of texts"),
    ("stop", ["\ud800"], "stop: has .*, which is one half of a character and not text"),
]


def entry(server: WireServer, **fields: Any) -> dict[str, Any]:
    where = {"base_url": f"{server.url}/v1", "model_config": {"requires_api_key": False}}
    return {"model_name": "m", "backend": "openai_compatible", "model_id": "m1", **where, **fields}


def ways(server: WireServer, name: str, value: Any) -> list[Callable[[], Reply]]:
    """Calls with one argument that was asked for in each place where it can be."""
    Path("model_registry.json").write_text(json.dumps([entry(server, model_name="listed")]))

    def set_later() -> Reply:
        model = backends.get_model_for("listed")
        model.set_gen_args(**{name: value})
        return ask(model)

    return [
        set_later,
        lambda: ask(backends.get_model_for(entry(server, **{name: value}))),
        lambda: ask(backends.get_model_for(entry(server), {name: value})),
        lambda: ask(backends.get_model_for({"model_name": "listed", name: value})),
        lambda: backends.get_model_for("listed").generate_response(HELLO, gen_args={name: value}),
    ]


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_server_may_know_is_sent_from_everywhere(wire_server: WireServer, name: str) -> None:
    for call in ways(wire_server, name, KNOWN[name]):
        facts = call().facts
        assert wire_server.requests[-1].json[name] == facts["sent"][name] == KNOWN[name]
        assert name not in facts["parameters"]["dropped"]
    assert loading.render(entry(wire_server, **{name: KNOWN[name]}), HELLO)[name] == KNOWN[name]


@pytest.mark.parametrize("name", WRONG)
def test_a_misspelt_name_is_refused_from_everywhere(wire_server: WireServer, name: str) -> None:
    value, words = WRONG[name]
    for call in ways(wire_server, name, value):
        with pytest.raises((GenerationArgumentError, SpecError), match=words):
            call()
    assert not wire_server.requests
    model = backends.get_model_for(entry(wire_server), {"extra_body": {name: value}})
    assert ask(model).facts["sent"][name] == value, "there the service's own word counts"


@pytest.mark.parametrize(("name", "value", "words"), OUTSIDE)
@pytest.mark.parametrize("kind", ["openai", "openai_compatible"])
def test_a_value_out_of_range_is_refused(
    wire_server: WireServer, kind: str, name: str, value: Any, words: str
) -> None:
    model = FORMATS[kind].model(f"{wire_server.url}/v1", {name: value})
    with pytest.raises(GenerationArgumentError, match=words):
        ask(model)
    assert not wire_server.requests


@pytest.mark.parametrize("backend", ["anthropic", "cohere", "google", "mistral", "openai-responses", "openrouter"])
def test_every_service_takes_whole_tokens_only(wire_server: WireServer, backend: str) -> None:
    for value in (0, -1, 2.5, "300"):
        with pytest.raises(GenerationArgumentError, match="max_tokens: must be a whole number"):
            ask(FORMATS[backend].model(wire_server.url, {"max_tokens": value}))
    assert not wire_server.requests


def test_the_nearest_value_is_sent_where_the_entry_says_so(wire_server: WireServer) -> None:
    asked = {"temperature": -1, "top_p": 90, "max_tokens": 2.6, "temprature": 3}
    facts = ask(open_model(wire_server.url, asked, on_unsupported="nearest")).facts
    assert facts["sent"] == {"temperature": 0, "top_p": 1, "max_tokens": 3}
    assert {name: each["asked"] for name, each in facts["parameters"]["clamped"].items()} == {
        "temperature": -1,
        "top_p": 90,
        "max_tokens": 2.6,
    }
    assert "did you mean 'temperature'" in facts["parameters"]["dropped"]["temprature"]


def test_an_override_brings_arguments_too(wire_server: WireServer) -> None:
    Path("model_registry.json").write_text(json.dumps([entry(wire_server, model_name="listed")]))
    for name in ("response_format", "n", "lab_knob"):
        model = backends.get_model_for({"model_name": "listed", "override": {name: KNOWN[name]}})
        assert ask(model).facts["sent"][name] == KNOWN[name]
        assert ask(backends.get_model_for(model.model_spec)).facts["sent"][name] == KNOWN[name]
    with pytest.raises(SpecError, match='did you mean "temperature"'):
        backends.get_model_for({"model_name": "listed", "override": {"temprature": 1}})


# -- entries hold more than arguments --------------------------------------------------------------------------
def test_notes_of_an_entry_are_not_sent_and_those_of_a_selector_are(wire_server: WireServer) -> None:
    """Registries hold keys of other readers; whoever writes a key into a selector wants it to count."""
    listed = entry(wire_server, model_name="listed", lab_notes="Anna's", response_format={"type": "text"})
    Path("model_registry.json").write_text(json.dumps([listed]))
    facts = ask(backends.get_model_for("listed")).facts
    assert facts["sent"] == {"response_format": {"type": "text"}, "temperature": 0.0, "max_tokens": 300}
    # As a filter it is still the entry's own.
    assert (
        "lab_notes"
        not in ask(backends.get_model_for({"model_name": "listed", "lab_notes": "Anna's"})).facts["sent"]
    )
    assert ask(backends.get_model_for({"model_name": "listed", "lab_knob": 1})).facts["sent"]["lab_knob"] == 1
    Path("model_registry.json").write_text(json.dumps([{**listed, "temprature": 0.3}]))
    with pytest.raises(SpecError, match=r"did you mean .temperature."):
        backends.get_model_for("listed")


def test_fields_of_other_backends_are_not_arguments(
    wire_server: WireServer, caplog: pytest.LogCaptureFixture
) -> None:
    fields = {"huggingface_id": "org/model", "filename": "*Q4*", "slurk_host": "x", "eos_to_cull": "y"}
    facts = ask(backends.get_model_for(entry(wire_server, **fields))).facts
    assert facts["sent"] == {"temperature": 0.0, "max_tokens": 300}
    told = "backend 'openai_compatible' does not read 'slurk_host' (read by slurk); "
    assert told + "backend 'openai_compatible' does not read 'eos_to_cull'" in caplog.text
    assert "huggingface_id" not in caplog.text, "it may describe the model"


def test_a_custom_backend_keeps_its_keys() -> None:
    spec = ModelSpec(model_name="m", backend="lab", voice="low", temprature=1, temperature=0.5, heat=3)
    assert carried_by(spec, None, spec.keys()) == {"temperature": 0.5}
    assert carried_by(spec, {"heat"}, spec.keys()) == {"temperature": 0.5, "heat": 3}


def test_the_strict_services_name_what_is_near(wire_server: WireServer) -> None:
    for name in ("anthropic", "google", "cohere", "mistral", "openai"):
        with pytest.raises(GenerationArgumentError, match="did you mean 'temperature'"):
            ask(FORMATS[name].model(wire_server.url, {"temprature": 1}))


@pytest.mark.parametrize(
    ("name", "known", "near"),
    [
        ("usr", {"user", "system"}, "user"),
        ("asistant", {"assistant"}, "assistant"),
        ("assitsant", {"assistant"}, "assistant"),
        ("User", {"user"}, "user"),
        ("user", {"user", "users"}, None),
        ("top_k", {"top_k", "top_p"}, None),
        ("p", {"n", "k"}, None),
        ("narrator", {"user", "assistant"}, None),
    ],
)
def test_which_names_are_alike(name: str, known: set[str], near: str | None) -> None:
    assert misspelling_of(name, known) == near


def test_one_edit_is_one_edit() -> None:
    assert all(is_one_edit_away("seed", other) for other in ("sed", "seeed", "seek", "sede", "sseed"))
    assert not any(is_one_edit_away("seed", other) for other in ("sd", "deed s", "dees", "sese"))


# -- on the command line -----------------------------------------------------------------------------------------
@pytest.mark.slow
def test_broken_json_is_refused_with_its_place(wire_server: WireServer, clem: Clem) -> None:
    model = json.dumps(entry(wire_server))
    for option, value in (
        ("--gen-arg", 'stop=["a"'),
        ("--gen-arg", "logit_bias={'a': 1}"),
        ("--gen-arg", 'stop="a'),
        ("--set", 'model_config.extra_body={"a": }'),
    ):
        done = clem("render", "-m", model, option, value, "Hi")
        assert done.returncode == 2
        assert f"the value of '{value.partition('=')[0]}' is not valid JSON" in done.stderr
        assert "at character" in done.stderr
    shown = json.loads(
        clem.ok("render", "-m", model, "--gen-arg", 'stop=["a"]', "--gen-arg", "logprobs=True", "Hi")
    )
    assert (shown["stop"], shown["logprobs"]) == (["a"], True)
    assert json.loads(clem.ok("render", "-m", model, "--gen-arg", "stop=a[", "Hi"))["stop"] == "a["
    done = clem("render", "-m", model, "--gen-arg", "temprature=1", "Hi")
    assert done.returncode == 1
    assert "did you mean 'temperature'" in done.stderr


@pytest.mark.parametrize("backend", ["openai_compatible", "openai", "openrouter", "mistral"])
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("logprobs", "yes", "must be true or false, not 'yes'"),
        ("logprobs", 1, "must be true or false, not 1"),
        ("parallel_tool_calls", "no", "must be true or false, not 'no'"),
        ("response_format", "json", "must be an object, not 'json'"),
        ("tools", {"type": "function"}, "must be a list, not"),
        ("n", "two", "must be a whole number, not 'two'"),
    ],
)
def test_a_value_of_another_kind_is_refused(
    wire_server: WireServer, backend: str, name: str, value: Any, words: str
) -> None:
    write_keys(None, **{backend: {"api_key": "sk-of-the-test", "base_url": f"{wire_server.url}/v1"}})
    model = make_model(backend, {name: value}, base_url=f"{wire_server.url}/v1")
    with pytest.raises(GenerationArgumentError, match=f"{name}: {words}"):
        model.generate_response(HELLO)
    assert not wire_server.requests


def test_a_servers_own_flags_are_true_or_false(wire_server: WireServer) -> None:
    for name in ("ignore_eos", "enable_thinking", "skip_special_tokens"):
        with pytest.raises(GenerationArgumentError, match=f"{name}: must be true or false, not 'false'"):
            open_model(wire_server.url, {name: "false"}).generate_response(HELLO)
    assert not wire_server.requests
