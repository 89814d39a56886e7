"""Backend ``cohere``: models that Cohere runs.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/cohere.md``.
"""

from __future__ import annotations

from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.cohere_chat import CohereChat
from clemcore.backends.service.service import Service


class Cohere(ServiceBackend):
    """Makes models behind Cohere's chat API."""

    service = Service(
        backend="cohere",
        key_name="cohere",
        dialect=CohereChat(),
        extra="cohere",
        base_url="https://api.cohere.com",
    )
