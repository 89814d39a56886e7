"""Backend ``openrouter``: models of many providers through OpenRouter.

Keys, entry, parameters and who served a call: ``docs/backends/openrouter.md``.
"""

from __future__ import annotations

from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.openrouter_chat import OpenRouterChat
from clemcore.backends.service.service import Service


class OpenRouter(ServiceBackend):
    """Makes models that OpenRouter finds a provider for."""

    service = Service(
        backend="openrouter",
        key_name="openrouter",
        dialect=OpenRouterChat(),
        extra="openrouter",
        base_url="https://openrouter.ai/api/v1",
    )
