"""Backend ``openai_compatible``: any server or gateway that speaks the protocols of OpenAI.

vLLM, SGLang, llama.cpp, ``transformers serve``, Together, Groq and many more: one registry entry with its
``base_url`` each. Keys, entry and parameters: ``docs/backends/openai_compatible.md``.
"""

from __future__ import annotations

from dataclasses import replace

from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.chat_completions import ChatCompletions
from clemcore.backends.service.dialects.responses import Responses
from clemcore.backends.service.request import api_of
from clemcore.backends.service.service import Service
from clemcore.registry.spec import ModelSpec


class OpenAICompatible(ServiceBackend):
    """Makes models behind any address."""

    service = Service(
        backend="openai_compatible",
        key_name="openai_compatible",
        dialect=ChatCompletions(takes_any=True),
        takes_several=True,
    )

    @classmethod
    def service_of(cls, model_spec: ModelSpec) -> Service:
        """Return the service with the protocol that the entry names."""
        if api_of(model_spec) == "chat_completions":
            return cls.service
        return replace(cls.service, dialect=Responses(takes_any=True))
