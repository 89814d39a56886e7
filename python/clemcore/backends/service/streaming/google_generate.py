"""Joins the chunks of the generateContent format, each of which has the form of a whole reply."""

from __future__ import annotations

from typing import Any

from clemcore.backends.service.streaming.joiner import Joiner, Numbered, text_at


class GoogleJoiner(Joiner):
    """Joins the chunks of the generateContent format."""

    def __init__(self) -> None:
        super().__init__()
        self._reply: dict[str, Any] = {}
        self._candidates = Numbered()

    def join(self, data: dict[str, Any]) -> str:
        """Join one chunk. The format marks no end: the answer is complete when a reason for its end was given."""
        if data.get("error"):
            self.error = data
            return ""
        feedback = data.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self.is_complete = True
        self._reply.update({name: value for name, value in data.items() if name != "candidates"})
        found = data.get("candidates")
        candidates = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        return "".join(self._candidate(candidate) for candidate in candidates)

    def _candidate(self, chunk: dict[str, Any]) -> str:
        candidate = self._candidates.at(chunk.get("index", 0))
        is_first = self._candidates.is_first(candidate)
        text = ""
        for name, value in chunk.items():
            if name == "content" and isinstance(value, dict):
                content = candidate.setdefault("content", {"parts": []})
                content.update({field: inside for field, inside in value.items() if field != "parts"})
                text = _add_parts(content["parts"], value.get("parts"))
            else:
                candidate[name] = value
        if is_first and chunk.get("finishReason"):
            self.is_complete = True
        return text if is_first else ""

    def whole(self) -> dict[str, Any]:
        """Return the reply."""
        candidates = self._candidates.all()
        return {**self._reply, "candidates": candidates} if candidates else dict(self._reply)


def _add_parts(parts: list[Any], more: Any) -> str:
    """Add parts; a text continues the text before it. Return what they add to the answer."""
    text = ""
    for part in more if isinstance(more, list) else []:
        last = parts[-1] if parts else {}
        if isinstance(part, dict) and not part.get("thought"):
            text += text_at(part, "text")
        if _continues(part, last):
            parts[-1] = {**last, **part, "text": text_at(last, "text") + text_at(part, "text")}
        else:
            parts.append(part)
    return text


def _continues(part: Any, last: Any) -> bool:
    """Tell whether a part continues the one before it: both are texts, or both are thoughts."""
    return _is_plain(part) and _is_plain(last) and bool(part.get("thought")) == bool(last.get("thought"))


def _is_plain(part: Any) -> bool:
    """Tell whether a part is a text or a thought and nothing else; a signature may stand with it."""
    return (
        isinstance(part, dict)
        and isinstance(part.get("text"), str)
        and not (part.keys() - {"text", "thought", "thoughtSignature"})
    )
