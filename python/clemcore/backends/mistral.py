"""Backend ``mistral``: models that Mistral AI runs.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/mistral.md``.
"""

from __future__ import annotations

from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.mistral_chat import MistralChat
from clemcore.backends.service.service import Service


class Mistral(ServiceBackend):
    """Makes models behind Mistral's chat API."""

    service = Service(
        backend="mistral",
        key_name="mistral",
        dialect=MistralChat(),
        extra="mistral",
        base_url="https://api.mistral.ai/v1",
    )
