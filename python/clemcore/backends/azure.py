"""Backend ``azure``: models of OpenAI and of Anthropic that run at Microsoft Azure.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/azure.md``.
"""

from __future__ import annotations

from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.anthropic_messages import api_version_of
from clemcore.backends.service.dialects.azure_claude import AzureClaude
from clemcore.backends.service.dialects.azure_openai import AzureChat, AzureResponses
from clemcore.backends.service.request import api_of
from clemcore.backends.service.service import Service
from clemcore.registry.spec import ModelSpec

_APIS = ("chat_completions", "responses", "messages")
_LIMIT = "max_completion_tokens"  # the only name that all models there take


class Azure(ServiceBackend):
    """Makes models that Azure runs; those of Anthropic have a key of their own."""

    service = Service(backend="azure", key_name="azure_gpt", dialect=AzureChat(token_limit=_LIMIT), extra="azure")
    responses = Service(backend="azure", key_name="azure_gpt", dialect=AzureResponses(), extra="azure")

    @classmethod
    def service_of(cls, model_spec: ModelSpec) -> Service:
        """Return the service with the protocol that the entry names, or the model's id."""
        is_claude = "claude" in str(model_spec.get("model_id")).lower()
        api = api_of(model_spec, _APIS, "messages" if is_claude else "chat_completions")
        if api == "messages":
            dialect = AzureClaude(api_version_of(model_spec))
            return Service(backend="azure", key_name="azure_claude", dialect=dialect, extra="azure")
        return cls.responses if api == "responses" else cls.service
