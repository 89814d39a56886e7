"""Backend ``openai``: models of OpenAI by the Chat Completions API, or by the Responses API if the entry says so.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/openai.md``. Any other service
that speaks these protocols is reached by ``openai_compatible``.
"""

from __future__ import annotations

from typing import Any

from clemcore.backends.openai.service import OPENAI, service_of
from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.service import Service
from clemcore.registry.spec import ModelSpec


class OpenAI(ServiceBackend):
    """Makes models that OpenAI runs."""

    service = OPENAI

    @classmethod
    def service_of(cls, model_spec: ModelSpec) -> Service:
        """Return the service with the protocol that the entry names."""
        return service_of(model_spec)


def __getattr__(name: str) -> Any:
    """Find ``OpenAIModel``, which needs the HTTP engine, when it is asked for."""
    if name != "OpenAIModel":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from clemcore.backends.openai.model import OpenAIModel

    return OpenAIModel
