"""Backend ``openai``: models of OpenAI by the Chat Completions API.

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/openai.md``. Any other service
that speaks this protocol is reached by ``openai_compatible``.
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

SERVICE = Service(backend="openai", key_name="openai", base_url="https://api.openai.com/v1")


class OpenAI(Backend):
    """Makes models that OpenAI runs."""

    def get_model_for(self, model_spec: ModelSpec) -> Model:
        """Make the model of an entry.

        Args:
            model_spec: needs ``model_id``, the model's name at OpenAI.
        """
        return make_chat_model(model_spec, SERVICE, checks_names=True)

    @classmethod
    def render(cls, model_spec: ModelSpec, messages: Messages, gen_args: Mapping[str, Any]) -> Any:
        """Return the request body that a call would send; send nothing and need no key."""
        return render_chat(model_spec, messages, gen_args, checks_names=True)
