"""Joins the events of the Responses format, the last of which holds the whole response."""

from __future__ import annotations

from typing import Any

from clemcore.backends.service.streaming.joiner import Joiner, Numbered, text_at

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


class ResponsesJoiner(Joiner):
    """Joins the events of the Responses format."""

    def __init__(self) -> None:
        super().__init__()
        self._response: dict[str, Any] = {}
        self._items = Numbered()

    def join(self, data: dict[str, Any]) -> str:
        """Join one event."""
        kind = data.get("type")
        if kind == "error" or (kind is None and data.get("error")):
            inside = data.get("error")
            rest = {name: value for name, value in data.items() if name not in ("type", "sequence_number")}
            self.error = {"error": inside if inside else rest}
            return ""
        response = data.get("response")
        if isinstance(response, dict):
            self._response = response
            self.is_complete = self.is_complete or kind in _ENDS
        elif kind == "response.output_item.done" and isinstance(data.get("item"), dict):
            item = self._items.at(data.get("output_index"))
            item.clear()
            item.update(data["item"])
        return text_at(data, "delta") if kind == "response.output_text.delta" else ""

    def whole(self) -> dict[str, Any]:
        """Return the response; its items from their own events where the last event leaves them out."""
        items = self._items.all()
        return {**self._response, "output": items} if items and not self._response.get("output") else self._response
