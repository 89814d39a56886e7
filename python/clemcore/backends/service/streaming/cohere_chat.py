"""Joins the events of Cohere's chat format."""

from __future__ import annotations

from typing import Any

from clemcore.backends.service.streaming.joiner import Joiner, Numbered, text_at


class CohereJoiner(Joiner):
    """Joins the events of Cohere's chat format."""

    def __init__(self) -> None:
        super().__init__()
        self._reply: dict[str, Any] = {}
        self._message: dict[str, Any] = {"role": "assistant"}
        self._blocks = Numbered()
        self._tool_calls = Numbered()

    def join(self, data: dict[str, Any]) -> str:
        """Join one event."""
        kind, delta = data.get("type"), data.get("delta")
        delta = delta if isinstance(delta, dict) else {}
        if kind is None and (data.get("message") or data.get("error")):
            self.error = data
            return ""
        message = delta.get("message")
        message = message if isinstance(message, dict) else {}
        if kind == "message-start":
            self._reply.update({name: value for name, value in data.items() if name not in ("type", "delta")})
        elif kind in ("content-start", "content-delta"):
            content = message.get("content")
            return self._content(data.get("index"), content if isinstance(content, dict) else {})
        elif kind == "tool-plan-delta":
            self._message["tool_plan"] = text_at(self._message, "tool_plan") + text_at(message, "tool_plan")
        elif kind in ("tool-call-start", "tool-call-delta"):
            self._tool_call(data.get("index"), message.get("tool_calls"))
        elif kind == "citation-start":
            self._message["citations"] = [*self._message.get("citations", []), message.get("citations")]
        elif kind == "message-end":
            self._reply.update(delta)
            self.is_complete = True
        return ""

    def _content(self, index: Any, content: dict[str, Any]) -> str:
        block = self._blocks.at(index)
        for name, value in content.items():
            is_continued = name in ("text", "thinking") and isinstance(value, str)
            block[name] = text_at(block, name) + value if is_continued else value
        if "type" not in block:
            block["type"] = "thinking" if "thinking" in content else "text"
        return text_at(content, "text")

    def _tool_call(self, index: Any, call: Any) -> None:
        if not isinstance(call, dict):
            return
        known = self._tool_calls.at(index)
        for name, value in call.items():
            if name == "function" and isinstance(value, dict):
                before = known.setdefault("function", {})
                arguments = text_at(before, "arguments") + text_at(value, "arguments")
                before.update({**value, "arguments": arguments})
            else:
                known[name] = value

    def whole(self) -> dict[str, Any]:
        """Return the reply."""
        calls = self._tool_calls.all()
        message = {**self._message, "content": self._blocks.all(), **({"tool_calls": calls} if calls else {})}
        return {**self._reply, "message": message}
