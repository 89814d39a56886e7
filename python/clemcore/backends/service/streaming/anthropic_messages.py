"""Joins the events of the Messages format."""

from __future__ import annotations

import json
from typing import Any

from clemcore.backends.service.streaming.joiner import Joiner, Numbered, text_at

# The fields of a delta and those of the block that they continue.
_CONTINUED = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("signature", "signature"),
    "input_json_delta": ("partial_json", "partial_json"),
}


class AnthropicJoiner(Joiner):
    """Joins the events of the Messages format."""

    def __init__(self) -> None:
        super().__init__()
        self._message: dict[str, Any] = {}
        self._blocks = Numbered()

    def join(self, data: dict[str, Any]) -> str:
        """Join one event; what is unknown, as the standard's ``ping``, says nothing."""
        kind = data.get("type")
        if kind == "error" or (kind is None and data.get("error")):
            self.error = data
        elif kind == "message_start" and isinstance(data.get("message"), dict):
            self._message = dict(data["message"])
        elif kind == "content_block_start" and isinstance(data.get("content_block"), dict):
            self._blocks.at(data.get("index")).update(data["content_block"])
            return text_at(data["content_block"], "text") if data["content_block"].get("type") == "text" else ""
        elif kind == "content_block_delta" and isinstance(data.get("delta"), dict):
            return self._delta(self._blocks.at(data.get("index")), data["delta"])
        elif kind == "message_delta":
            self._end(data)
        elif kind == "message_stop":
            self.is_complete = True
        return ""

    @staticmethod
    def _delta(block: dict[str, Any], delta: dict[str, Any]) -> str:
        kind = delta.get("type")
        if kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or []), delta.get("citation")]
        if kind not in _CONTINUED:
            return ""
        source, target = _CONTINUED[kind]
        block[target] = text_at(block, target) + text_at(delta, source)
        return text_at(delta, "text") if kind == "text_delta" else ""

    def _end(self, data: dict[str, Any]) -> None:
        """Take what is known at the end: why it ends, and counts, which are those of the whole message."""
        for name, value in data.items():
            if name == "delta" and isinstance(value, dict):
                self._message.update(value)
            elif name == "usage" and isinstance(value, dict):
                before = self._message.get("usage")
                known = {field: count for field, count in value.items() if count is not None}
                self._message["usage"] = {**(before if isinstance(before, dict) else {}), **known}
            elif name not in ("type", "delta"):
                self._message[name] = value

    def whole(self) -> dict[str, Any]:
        """Return the message; the input of a tool is read from its text."""
        return {**self._message, "content": [_block(block) for block in self._blocks.all()]}


def _block(block: dict[str, Any]) -> dict[str, Any]:
    if "partial_json" not in block:
        return block
    rest = {name: value for name, value in block.items() if name != "partial_json"}
    try:
        return {**rest, "input": json.loads(block["partial_json"] or "{}")}
    except (ValueError, RecursionError):  # cut by the limit on tokens: what came stays to be seen
        return block
