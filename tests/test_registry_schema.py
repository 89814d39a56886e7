"""The table of settings in the core, against the backends that clemcore includes and what they read."""

from __future__ import annotations

import ast
import functools
import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import clemcore
from clemcore import _core, backends, loading
from clemcore.backends.local.entry import LocalEntry
from clemcore.backends.lookup import ALIASES, packaged_backends
from clemcore.errors import BackendNotFoundError, SpecError
from clemcore.registry.settings import setting, settings_of
from clemcore.registry.spec import ModelSpec

SCHEMA: dict[str, Any] = json.loads(_core.json_schema())
SOURCES = Path(inspect.getfile(clemcore)).parent
SERVICES = ("anthropic", "azure", "cohere", "google", "mistral", "openai", "openai_compatible", "openrouter")


def test_the_core_knows_the_backends_that_there_are() -> None:
    known = _core.known_backends()
    # "ray" declares its keys in Python, as a custom backend does.
    assert sorted([*known, "ray"]) == sorted([*packaged_backends(), *ALIASES])
    assert "replay" in known
    assert not [name for name in known if _core.absence(name) is not None]


@pytest.mark.parametrize("name", ["vllm", "huggingface_multimodal", "alephalpha"])
def test_check_loading_and_doctor_say_one_sentence_about_a_backend_that_is_not_included(name: str) -> None:
    sentence = _core.absence(name)
    assert sentence is not None
    entry = {"model_name": "m", "backend": name, "huggingface_id": "org/m"}
    (problem,) = _core.check("r.json", json.dumps([entry]).encode()).problems
    assert (problem.message, problem.help, problem.field) == (sentence, None, "backend")
    messages = [{"role": "user", "content": "Hello!"}]
    for use in (lambda: backends.get_model_for(entry), lambda: loading.examine(entry, messages)):
        with pytest.raises(BackendNotFoundError) as caught:
            use()
        assert str(caught.value) == sentence


def test_a_custom_backend_may_have_the_name_of_one_that_is_not_included(tmp_path: Path) -> None:
    text = b'[{"model_name": "m", "backend": "vllm", "huggingface_id": "org/m"}]'
    assert _core.check("r.json", text).problems
    assert not _core.check("r.json", text, ["vllm"]).problems


def _literals(name: str) -> set[str]:
    """Return the texts that the code gives to calls of a function as its second argument."""
    found = set()
    for path in sorted(set(SOURCES.rglob("*.py")) - set((SOURCES / "clemgame").rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", None) != name:
                continue
            found |= {str(given.value) for given in node.args[1:2] if isinstance(given, ast.Constant)}
    return found


@functools.cache
def _texts() -> set[str]:
    """Return all texts in the code, with the names of fields."""
    found: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add(node.target.id)
    return found


def test_every_setting_that_the_code_reads_is_in_the_table() -> None:
    read = _literals("setting") | _literals("_text") | _literals("_seconds")
    assert {"base_url", "on_close", "thinking_budget"} <= read
    known = {name for backend in (*SERVICES, "slurk") for name in settings_of(backend)}
    assert read <= known


@pytest.mark.parametrize("backend", [*SERVICES, "slurk", "mock", "huggingface_local"])
def test_every_setting_of_the_table_is_read_by_the_code(backend: str) -> None:
    nested = {name for name, row in settings_of(backend).items() if row["is_nested"] and not row["refused"]}
    assert nested <= _texts()


def test_the_local_backend_reads_its_settings_of_the_table() -> None:
    rows = settings_of("huggingface_local")
    refused = {name for name, row in rows.items() if row["refused"]}
    assert refused == {"do_sample"}
    elsewhere = {"on_unsupported", "torch_dtype", "padding_side", "huggingface_id"}
    of_the_entry = {"model_name", "source", "is_folder", "eos_is_literal", "context_size"}
    assert {each.name for each in fields(LocalEntry)} - of_the_entry == rows.keys() - refused - elsewhere


@pytest.mark.parametrize("backend", _core.known_backends())
def test_the_table_says_what_the_json_schema_says(backend: str) -> None:
    entry = SCHEMA["$defs"]["entry"]
    types = {name: field.get("type") for name, field in entry["properties"].items()}
    for rule in entry["allOf"]:
        if backend in rule["if"]["properties"]["backend"]["enum"]:
            types |= {name: field["type"] for name, field in rule["then"]["properties"].items() if "type" in field}
    for name, row in settings_of(backend).items():
        wanted = list(row["types"]) if len(row["types"]) > 1 else row["types"][0]
        assert types[name] == wanted, name
        assert row["meaning"].endswith(".")


@pytest.mark.parametrize(
    ("backend", "name", "value", "words"),
    [
        ("openai", "total_timeout", float("inf"), "must be a positive number of seconds, not inf"),
        ("openai", "total_timeout", -1, "must be a positive number of seconds, not -1"),
        ("openai", "thinking_mode", 1, "must be true or false, not an integer; write true"),
        ("openai", "max_connections", 2.5, "must be an integer, not a number"),
        ("slurk", "on_close", "Close", 'must be one of close, delete, keep, not "Close"; did you mean "close"'),
        ("mine", "extra_body", [], "must be an object, not a list"),
    ],
)
def test_a_setting_is_held_against_the_table(backend: str, name: str, value: Any, words: str) -> None:
    spec = ModelSpec(model_name="m", backend=backend, model_config={name: value})
    with pytest.raises(SpecError, match=f"model 'm': model_config.{name} {words}"):
        setting(spec, name)
    assert setting(ModelSpec(model_name="m", backend=backend), name, "nothing") == "nothing"


def test_the_core_knows_which_arguments_each_service_sends() -> None:
    """The wire formats are the truth; services that pass on anything can send whatever any of them sends."""
    from clemcore.arguments.parameter import SAMPLING_FIELDS
    from clemcore.backends.local.transformers.generation_config import NAMES
    from clemcore.backends.service.dialects.anthropic_messages import AnthropicMessages
    from clemcore.backends.service.dialects.azure_claude import AzureClaude
    from clemcore.backends.service.dialects.azure_openai import AzureChat, AzureResponses
    from clemcore.backends.service.dialects.base import Dialect
    from clemcore.backends.service.dialects.chat_completions import ChatCompletions
    from clemcore.backends.service.dialects.cohere_chat import CohereChat
    from clemcore.backends.service.dialects.google_generate import GoogleGenerate
    from clemcore.backends.service.dialects.mistral_chat import MistralChat
    from clemcore.backends.service.dialects.openrouter_chat import OpenRouterChat
    from clemcore.backends.service.dialects.responses import Responses

    formats: dict[str, list[Dialect]] = {
        "anthropic": [AnthropicMessages()],
        "azure": [AzureChat(), AzureResponses(), AzureClaude()],
        "cohere": [CohereChat()],
        "google": [GoogleGenerate()],
        "mistral": [MistralChat()],
        "openai": [ChatCompletions(), Responses()],
        "openai_compatible": [ChatCompletions(takes_any=True), Responses(takes_any=True)],
        "openrouter": [OpenRouterChat()],
    }
    sent: dict[str, set[str]] = {}
    for backend, dialects in formats.items():
        for name in {name for dialect in dialects for name in dialect.parameters}:
            sent.setdefault(name, {"openai_compatible", "openrouter"}).add(backend)
    for name in NAMES:
        sent.setdefault(name, {"openai_compatible", "openrouter"}).add("huggingface_local")
    told = {name: set(backends) for name, backends in _core.argument_senders().items()}
    # Fields of every entry are known without the table; what a service calls like a field of its entries is that.
    elsewhere = {name for name in sent if _core.use_of_key(name, "openai_compatible") == "field"} | {"stream"}
    assert told == {name: sent[name] for name in sent.keys() - elsewhere - set(SAMPLING_FIELDS) | told.keys()}
    assert {"response_format", "chat_template_kwargs", "top_a", "candidateCount", "stop_sequences"} <= told.keys()
    assert not told.keys() & {"temperature", "thinking", "model_id"}
