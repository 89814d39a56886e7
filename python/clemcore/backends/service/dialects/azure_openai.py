"""The formats of OpenAI as Azure has them: other paths, a query, another header for the key.

Without an ``api_version`` the entry's address ends in ``/openai/v1`` and the model's name at Azure (that of its
deployment) stands in the body. With a date the address is that of the resource alone, and the deployment stands in
the path, as the API of before August 2025 has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from clemcore.backends.service.dialects.chat_completions import ChatCompletions
from clemcore.backends.service.dialects.responses import Responses
from clemcore.errors import SpecError
from clemcore.keys import Key
from clemcore.registry.spec import ModelSpec

_ADDRESS = "it ends in /openai/v1, or before /openai where the entry has a dated api_version"
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_VERSIONS = ("v1", "preview", "latest")


def _version(spec: ModelSpec) -> str | None:
    value = spec.get("api_version")
    if value is None:
        return None
    if not isinstance(value, str) or not (value in _VERSIONS or _DATED.fullmatch(value)):
        raise SpecError(
            f"model '{spec['model_name']}': api_version must be a date such as '2024-10-21', or one of "
            f"{', '.join(_VERSIONS)}, not {value!r}"
        )
    return value


def azure_key_headers(key: Key) -> dict[str, str]:
    """Return the key's header."""
    return {"api-key": (key.api_key or "").strip()}


class AzureChat(ChatCompletions):
    """Chat Completions as Azure has it."""

    name = "azure-chat-completions"
    address = _ADDRESS

    def path(self, spec: ModelSpec, model_id: str) -> str:
        """Return the path of the one call, with the version where there is one."""
        version = _version(spec)
        if version is None:
            return "/chat/completions"
        if version in _VERSIONS:
            return f"/chat/completions?api-version={version}"
        return f"/openai/deployments/{quote(model_id, safe='')}/chat/completions?api-version={version}"

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's header."""
        return azure_key_headers(key)


class AzureResponses(Responses):
    """The Responses format as Azure has it."""

    name = "azure-responses"
    address = _ADDRESS

    def path(self, spec: ModelSpec, model_id: str) -> str:  # noqa: ARG002 - the deployment stands in the body
        """Return the path of the one call, with the version where there is one."""
        version = _version(spec)
        if version is None:
            return "/responses"
        where = "" if version in _VERSIONS else "/openai"
        return f"{where}/responses?api-version={version}"

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's header."""
        return azure_key_headers(key)
