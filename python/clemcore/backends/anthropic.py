"""Backend ``anthropic``: models of Anthropic by the Messages API.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/anthropic.md``.
"""

from __future__ import annotations

from dataclasses import replace

from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.anthropic_messages import AnthropicMessages, api_version_of
from clemcore.backends.service.service import Service
from clemcore.registry.spec import ModelSpec


class Anthropic(ServiceBackend):
    """Makes models that Anthropic runs."""

    service = Service(
        backend="anthropic",
        key_name="anthropic",
        dialect=AnthropicMessages(),
        extra="anthropic",
        base_url="https://api.anthropic.com",
    )

    @classmethod
    def service_of(cls, model_spec: ModelSpec) -> Service:
        """Return the service in the version of its protocol that the entry needs."""
        return replace(cls.service, dialect=AnthropicMessages(api_version_of(model_spec)))
