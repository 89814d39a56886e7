"""Backend ``openai_compatible``: any server or gateway that speaks the Chat Completions protocol.

vLLM, SGLang, llama.cpp, ``transformers serve``, OpenRouter, Together and many more: one registry entry with its
``base_url`` each. Keys, entry and parameters: ``docs/backends/openai_compatible.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.backends._remote.chat import make_chat_model, render_chat
from clemcore.backends._remote.endpoint import Service
from clemcore.backends.base import Backend
from clemcore.messages import Messages
from clemcore.model import Model
from clemcore.spec import ModelSpec

SERVICE = Service(backend="openai_compatible", key_name="openai_compatible")


class OpenAICompatible(Backend):
    """Makes models behind any address."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model of an entry.

        Args:
            model_spec: needs ``model_id``, the model's name at the server, and a ``base_url`` here or in the key.
        """
        return make_chat_model(model_spec, SERVICE, checks_names=False)

    @classmethod
    def render(cls, model_spec: ModelSpec, messages: Messages, gen_args: Mapping[str, Any]) -> Any:
        """Return the request body that a call would send; send nothing and need no key."""
        return render_chat(model_spec, messages, gen_args, checks_names=False)
