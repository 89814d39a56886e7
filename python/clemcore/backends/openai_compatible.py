"""Backend ``openai_compatible``: any server or gateway that speaks the Chat Completions protocol.

vLLM, SGLang, llama.cpp, ``transformers serve``, Together, Groq and many more: one registry entry with its
``base_url`` each. Keys, entry and parameters: ``docs/backends/openai_compatible.md``.
"""

from __future__ import annotations

from clemcore.backends._remote.dialects.chat_completions import ChatCompletions
from clemcore.backends._remote.service import Service, ServiceBackend


class OpenAICompatible(ServiceBackend):
    """Makes models behind any address."""

    service = Service(
        backend="openai_compatible", key_name="openai_compatible", dialect=ChatCompletions(takes_any=True)
    )
