"""Backend ``openai``: models of OpenAI by the Chat Completions API.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/openai.md``. Any other service
that speaks this protocol is reached by ``openai_compatible``.
"""

from __future__ import annotations

from clemcore.backends._remote.dialects.chat_completions import ChatCompletions
from clemcore.backends._remote.service import Service, ServiceBackend


class OpenAI(ServiceBackend):
    """Makes models that OpenAI runs."""

    service = Service(
        backend="openai", key_name="openai", dialect=ChatCompletions(), base_url="https://api.openai.com/v1"
    )
