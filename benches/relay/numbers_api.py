"""A model that costs nothing: it says the number that it is asked for. It runs here and with clemcore 3.7.2."""

from __future__ import annotations

from typing import Any

from clemcore import backends
from clemcore.backends.utils import augment_response_object, ensure_messages_format


class Numbers(backends.Backend):
    """Makes the model."""

    def get_model_for(self, model_spec: backends.ModelSpec) -> backends.Model:
        """Make the model."""
        return NumbersModel(model_spec)


class NumbersModel(backends.Model):
    """Answers at once, with an object as services return it."""

    @augment_response_object
    @ensure_messages_format
    def generate_response(self, messages: list[dict[str, Any]]) -> tuple[Any, Any, str]:
        """Say the number at the end of the last message."""
        text = f"said {messages[-1]['content'].rpartition(' ')[2]}"
        message = {"role": "assistant", "content": text}
        response = {"model": "numbers", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return messages, response, text
