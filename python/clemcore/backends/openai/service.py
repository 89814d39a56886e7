"""The service that OpenAI is, with the protocol that an entry names. It imports no HTTP library."""

from __future__ import annotations

from dataclasses import replace

from clemcore.backends.service.dialects.chat_completions import ChatCompletions
from clemcore.backends.service.dialects.responses import Responses
from clemcore.backends.service.request import api_of
from clemcore.backends.service.service import Service
from clemcore.registry.spec import ModelSpec

OPENAI = Service(
    backend="openai", key_name="openai", dialect=ChatCompletions(), base_url="https://api.openai.com/v1"
)


def service_of(model_spec: ModelSpec) -> Service:
    """Return the service with the protocol that an entry names."""
    return OPENAI if api_of(model_spec) == "chat_completions" else replace(OPENAI, dialect=Responses())
