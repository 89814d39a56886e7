"""Backend ``azure``: models of OpenAI and of Anthropic that run at Microsoft Azure.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/azure.md``.
"""

from __future__ import annotations

from clemcore.backends._remote.dialects.azure_openai import AzureChat, AzureResponses
from clemcore.backends._remote.service import Service, ServiceBackend, api_of
from clemcore.spec import ModelSpec

_LIMIT = "max_completion_tokens"  # the only name that all models there take


class Azure(ServiceBackend):
    """Makes models that Azure runs; those of Anthropic have a key of their own."""

    service = Service(backend="azure", key_name="azure_gpt", dialect=AzureChat(token_limit=_LIMIT), extra="azure")
    responses = Service(backend="azure", key_name="azure_gpt", dialect=AzureResponses(), extra="azure")

    @classmethod
    def service_of(cls, model_spec: ModelSpec) -> Service:
        """Return the service with the protocol that the model needs and the entry names."""
        return cls.responses if api_of(model_spec) == "responses" else cls.service
