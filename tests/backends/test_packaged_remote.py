"""Every packaged entry of a remote backend makes a request: what it says about its model is what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clemcore import backends
from clemcore.backends.service.backend import ServiceBackend
from clemcore.errors import GenerationArgumentError
from clemcore.model import DEFAULT_GEN_ARGS
from clemcore.registry.spec import ModelSpec
from support.models import REPOSITORY

ENTRIES: list[dict[str, Any]] = json.loads((REPOSITORY / "model_registry.json").read_text(encoding="utf-8"))
BACKENDS = ("anthropic", "cohere", "google", "mistral")
SPECS = [ModelSpec(**entry) for entry in ENTRIES if entry["backend"] in BACKENDS]
MESSAGES = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hello!"},
    {"role": "assistant", "content": "Hello! How can I help you?"},
    {"role": "user", "content": "Capital of Australia?"},
]
PNG = "data:image/png;base64,iVBORw0KGgo="


def backend_of(spec: ModelSpec) -> type[ServiceBackend]:
    registry = backends.BackendRegistry.from_packaged_and_cwd_files()
    found = type(registry.get_backend_for(spec["backend"]))
    assert issubclass(found, ServiceBackend)
    return found


def config_of(spec: ModelSpec, body: dict[str, Any]) -> dict[str, Any]:
    """The part of a body that holds the generation arguments."""
    config: dict[str, Any] = body["generationConfig"] if spec["backend"] == "google" else body
    return config


def sees(spec: ModelSpec) -> bool:
    return bool(spec.get("model_config", {}).get("multimodality", {}).get("multiple_images"))


def wishes(spec: ModelSpec) -> list[dict[str, Any]]:
    """Every way of asking for reasoning that an entry lists."""
    thinking = spec.get("thinking", {})
    if thinking.get("style") == "budget":
        return [{"budget": 2048}]
    return [{"effort": effort} for effort in thinking.get("efforts", ())]


def test_there_are_entries() -> None:
    assert {spec["backend"] for spec in SPECS} == set(BACKENDS)
    assert len(SPECS) >= 96


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: str(spec["model_name"]))
def test_an_entry_makes_a_request_from_a_dialogue(spec: ModelSpec) -> None:
    backend = backend_of(spec)
    body = backend.render(spec, MESSAGES, DEFAULT_GEN_ARGS, ())
    turns = body.get("messages", body.get("contents"))
    has_own_place = spec["backend"] in ("anthropic", "google")
    instruction = body.get("system", body.get("systemInstruction")) if has_own_place else turns[0]
    assert "Be short." in json.dumps(instruction)
    assert len(turns) == (3 if has_own_place else 4)
    config = config_of(spec, body)
    assert ("temperature" in config) == (
        spec.get("sampling_parameters") != [] and not spec.get("model_config", {}).get("thinking_mode")
    )
    assert max(config.get("max_tokens", 0), config.get("maxOutputTokens", 0)) >= 300
    if spec["backend"] == "anthropic":
        version = backend.service_of(spec).dialect.headers(spec)["anthropic-version"]
        assert version == ("2026-10-21" if spec.get("sampling_parameters") == [] else "2023-06-01")


@pytest.mark.parametrize("spec", [*filter(sees, SPECS)], ids=lambda spec: str(spec["model_name"]))
def test_an_entry_shows_images_where_its_model_sees(spec: ModelSpec) -> None:
    messages = [{"role": "user", "content": "Which?", "image": [PNG, PNG]}]
    body = backend_of(spec).render(spec, messages, DEFAULT_GEN_ARGS, ())
    assert json.dumps(body).count("iVBORw0KGgo=") == 2


@pytest.mark.parametrize("spec", [*filter(wishes, SPECS)], ids=lambda spec: str(spec["model_name"]))
def test_an_entry_takes_the_reasoning_that_it_lists(spec: ModelSpec) -> None:
    thinking = spec.get("thinking", {})
    for wish in wishes(spec):
        gen_args = {**DEFAULT_GEN_ARGS, "reasoning": wish}
        config = config_of(spec, backend_of(spec).render(spec, MESSAGES, gen_args, ("reasoning",)))
        asked = config.get("thinkingConfig", config.get("thinking"))
        said = json.dumps([asked, config.get("output_config"), config.get("reasoning_effort")])
        assert str(*wish.values()) in said.lower()
    if thinking.get("always"):
        with pytest.raises(GenerationArgumentError, match="always reasons"):
            backend_of(spec).render(spec, MESSAGES, {"reasoning": {"effort": "none"}}, ("reasoning",))
