"""Joins the chunks of Chat Completions, also as Mistral, OpenRouter and other gateways have them."""

from __future__ import annotations

from typing import Any

from clemcore.backends.service.streaming.joiner import Joiner, Numbered, text_at

# Texts of a delta that continue what came before; any other text replaces it.
_CONTINUED = frozenset({"arguments", "content", "reasoning", "reasoning_content", "refusal", "text", "thinking"})
# What stands in a chunk and not in a reply.
_OF_CHUNKS = frozenset({"choices", "object"})


class ChatCompletionsJoiner(Joiner):
    """Joins the chunks of Chat Completions."""

    def __init__(self) -> None:
        super().__init__()
        self._reply: dict[str, Any] = {"object": "chat.completion"}
        self._choices = Numbered()

    def join(self, data: dict[str, Any]) -> str:
        """Join one chunk; a gateway reports an error beside the choices or in one of them."""
        choices = [choice for choice in _list(data.get("choices")) if isinstance(choice, dict)]
        fault = data.get("error") or next((choice["error"] for choice in choices if choice.get("error")), None)
        if fault:
            self.error = {**data, "error": fault}
            self.error.pop("choices", None)
            return ""
        if data.get("object") == "error":
            self.error = data
            return ""
        self._reply.update(
            {name: value for name, value in data.items() if name not in _OF_CHUNKS and value is not None}
        )
        return "".join(self._choice(choice) for choice in choices)

    def _choice(self, chunk: dict[str, Any]) -> str:
        choice = self._choices.at(chunk.get("index", 0))
        message = choice.setdefault("message", {"role": "assistant", "content": None})
        is_first = self._choices.is_first(choice)
        found = chunk.get("delta"), chunk.get("message")  # some servers send whole messages
        delta: dict[str, Any] = next((each for each in found if isinstance(each, dict)), {})
        _merge(message, delta)
        for name, value in chunk.items():
            if name == "logprobs" and isinstance(value, dict):
                _merge(choice.setdefault("logprobs", {}), value)
            elif name not in ("delta", "message") and (value is not None or name not in choice):
                choice[name] = value
        if is_first and chunk.get("finish_reason"):
            self.is_complete = True
        return _text(delta.get("content")) if is_first else ""

    def whole(self) -> dict[str, Any]:
        """Return the completion."""
        return {**self._reply, "choices": self._choices.all()}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(content: Any) -> str:
    """Return the text of a content, which Mistral sends as a list of parts where the model thinks."""
    if isinstance(content, str):
        return content
    return "".join(_text_of_part(part) for part in _list(content))


def _text_of_part(part: Any) -> str:
    if isinstance(part, dict):
        return text_at(part, "text") if part.get("type") in ("text", "output_text", None) else ""
    return part if isinstance(part, str) else ""


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta to what came before: texts and lists are continued, objects are joined field by field."""
    for name, value in delta.items():
        before = whole.get(name)
        if value is None:
            whole.setdefault(name, None)
        elif name == "content" and (isinstance(value, list) or isinstance(before, list)):
            whole[name] = _parts(before, value)
        elif isinstance(value, str) and isinstance(before, str) and name in _CONTINUED:
            whole[name] = before + value
        elif isinstance(value, list) and isinstance(before, list):
            _merge_list(before, value)
        elif isinstance(value, dict) and isinstance(before, dict):
            _merge(before, value)
        elif isinstance(value, list):
            whole[name] = []
            _merge_list(whole[name], value)
        else:
            whole[name] = value


def _merge_list(whole: list[Any], delta: list[Any]) -> None:
    """Join a list: entries with an index continue the entry of that index, others are new."""
    for entry in delta:
        index = entry.get("index") if isinstance(entry, dict) else None
        if isinstance(entry, dict) and isinstance(index, int):
            known = next((each for each in whole if isinstance(each, dict) and each.get("index") == index), None)
            if known is None:
                whole.append(dict(entry))
            else:
                _merge(known, entry)
        else:
            whole.append(entry)


def _parts(before: Any, delta: Any) -> list[Any]:
    """Join contents of which one is a list of parts; neighbours of one type become one part."""
    parts = list(before) if isinstance(before, list) else [{"type": "text", "text": before}] if before else []
    for part in delta if isinstance(delta, list) else [{"type": "text", "text": delta}]:
        last = parts[-1] if parts else None
        if isinstance(part, dict) and isinstance(last, dict) and part.get("type") == last.get("type"):
            parts[-1] = _joined(last, part)
        elif part != {"type": "text", "text": ""}:
            parts.append(part)
    return parts


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    joined = dict(first)
    for name, value in second.items():
        before = joined.get(name)
        if isinstance(value, list) and isinstance(before, list):
            joined[name] = _parts(before, value)
        elif isinstance(value, str) and isinstance(before, str) and name in _CONTINUED:
            joined[name] = before + value
        else:
            joined[name] = value
    return joined
