"""Every wire format that the remote backends speak, as its service describes it: one row each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from clemcore.model import Model
from support import anthropic_wire, google_wire, mistral_wire
from support.remote import make_model
from support.wire_server import Answer, completion, response

Values = dict[str, st.SearchStrategy[Any]]


@dataclass(frozen=True)
class Format:
    """One wire format, as its service describes it.

    Attributes:
        backend: whose entry it is.
        answer: a whole answer.
        natives: arguments that only this service has.
        entry: further fields of the entry.
        config: further settings.
        own: fields of the body that are not arguments.
        places: where an argument stands that does not stand at the top under its own name.
        limit: where the limit on tokens may stand.
        by_itself: what stands in every body although nobody asked for it.
    """

    backend: str
    answer: Callable[[], Answer]
    natives: Values = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    own: frozenset[str] = frozenset({"model", "messages"})
    places: dict[str, str] = field(default_factory=dict)
    limit: tuple[str, ...] = ("max_tokens", "max_completion_tokens")
    by_itself: tuple[str, ...] = ()

    def place(self, name: str) -> str:
        """Where an argument belongs."""
        return self.places.get(name, name)

    def model(self, url: str, gen_args: dict[str, Any] | None = None, **entry: Any) -> Model:
        """A model behind a loopback server; fields of the entry can be given."""
        config = {"requires_api_key": False, **self.config, **entry.pop("model_config", {})}
        return make_model(self.backend, gen_args, base_url=url, model_config=config, **{**entry, **self.entry})


OPENAI: Values = {
    "max_completion_tokens": st.integers(1, 5000),
    "response_format": st.just({"type": "json_object"}),
}
IN_RESPONSES = {"response_format": "text.format", "reasoning_effort": "reasoning.effort", "logprobs": "include"}
IN_CONFIG = {
    name: f"generationConfig.{place}"
    for name, place in {
        "temperature": "temperature",
        "top_p": "topP",
        "top_k": "topK",
        "stop": "stopSequences",
        "seed": "seed",
        "presence_penalty": "presencePenalty",
        "frequency_penalty": "frequencyPenalty",
        "logprobs": "responseLogprobs",
        "top_logprobs": "logprobs",
        "stop_sequences": "stopSequences",
        "maxOutputTokens": "maxOutputTokens",
        "responseMimeType": "responseMimeType",
        "thinking_config": "thinkingConfig",
    }.items()
}
CLAUDE_NATIVES: Values = {
    "stop_sequences": st.just(["END"]),
    "service_tier": st.just("auto"),
    "thinking": st.sampled_from(
        [{"type": "disabled"}, {"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2000}]
    ),
    "output_config": st.just({"effort": "low"}),
}
CLAUDE: dict[str, Any] = {
    "answer": anthropic_wire.message,
    "natives": CLAUDE_NATIVES,
    "places": {"stop": "stop_sequences"},
    "by_itself": ("max_tokens",),
}
RESPONSES: dict[str, Any] = {
    "answer": response,
    "natives": OPENAI,
    "config": {"api": "responses"},
    "own": frozenset({"model", "input"}),
    "places": IN_RESPONSES,
    "limit": ("max_output_tokens",),
}
FORMATS = {
    "openai": Format("openai", completion, OPENAI),
    "openai-responses": Format("openai", **RESPONSES),
    "openai_compatible": Format("openai_compatible", completion, OPENAI),
    "openai_compatible-responses": Format("openai_compatible", **RESPONSES),
    "openrouter": Format(
        "openrouter",
        completion,
        {**OPENAI, "provider": st.just({"only": ["a"]})},
        places={"reasoning_effort": "reasoning.effort"},
    ),
    "azure": Format("azure", completion, OPENAI),
    "azure-responses": Format("azure", **RESPONSES),
    "azure-claude": Format("azure", config={"api": "messages"}, **CLAUDE),
    "anthropic": Format("anthropic", **CLAUDE),
    "anthropic-2026": Format("anthropic", entry={"api_version": "2026-10-21"}, **CLAUDE),
    "google": Format(
        "google",
        google_wire.generated,
        {
            "stop_sequences": st.just(["END"]),
            "maxOutputTokens": st.integers(1, 50),
            "responseMimeType": st.just("text/plain"),
            "thinking_config": st.sampled_from(
                [{"thinkingBudget": 0}, {"thinkingBudget": 100}, {"thinkingLevel": "LOW"}]
            ),
            "safety_settings": st.sampled_from([[], google_wire.SAFETY[:1]]),
        },
        own=frozenset({"contents"}),
        places={**IN_CONFIG, "safety_settings": "safetySettings"},
        limit=("generationConfig.maxOutputTokens",),
        by_itself=("safetySettings",),
    ),
    "mistral": Format(
        "mistral",
        mistral_wire.completion,
        {
            "random_seed": st.integers(0, 9),
            "min_tokens": st.integers(0, 5),
            "safe_prompt": st.booleans(),
            "response_format": st.just({"type": "json_object"}),
        },
        places={"seed": "random_seed"},
    ),
    "cohere": Format(
        "cohere",
        mistral_wire.chat,
        {
            "k": st.integers(0, 9),
            "p": st.floats(0.1, 0.9),
            "stop_sequences": st.just(["END"]),
            "safety_mode": st.just("OFF"),
            "thinking": st.sampled_from([{"type": "disabled"}, {"type": "enabled", "token_budget": 50}]),
        },
        places={"top_p": "p", "top_k": "k", "stop": "stop_sequences"},
    ),
}
