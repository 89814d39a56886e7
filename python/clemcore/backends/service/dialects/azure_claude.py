"""The Messages format as Azure has it: Anthropic's own, with the key in Azure's headers."""

from __future__ import annotations

from collections.abc import Mapping

from clemcore.backends.service.dialects.anthropic_messages import AnthropicMessages
from clemcore.keys import Key


class AzureClaude(AnthropicMessages):
    """Anthropic's format at Azure."""

    name = "azure-anthropic-messages"
    address = "it ends in /anthropic"

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's headers, whatever the version: the newer one, and the one that older resources take."""
        secret = (key.api_key or "").strip()
        return {"x-api-key": secret, "api-key": secret}
