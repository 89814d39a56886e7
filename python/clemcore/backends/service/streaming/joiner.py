"""What joins the events of an answer: the interface that every wire format implements.

A joiner makes of the events the very reply that the service would have sent in one piece, so that one reading of
replies serves both. It does not know HTTP.
"""

from __future__ import annotations

import abc
import json
from typing import Any

from clemcore.backends.service.streaming.events import Event

# How the servers of Chat Completions end a stream.
DONE = "[DONE]"


class Joiner(abc.ABC):
    """Joins the events of one answer.

    Attributes:
        is_complete: whether the service has said that the answer ends here. A stream that ends without it was cut.
        error: an event that reports an error, or None. The answer ends with it.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self.error: Any = None

    def take(self, event: Event) -> str:
        """Take the next event and return the text of the answer that it brings, which may be empty.

        An event that is not JSON, or not an object, counts as a broken stream: it becomes the error.
        """
        if self.error is not None:
            return ""
        if event.data.strip() == DONE:
            self.is_complete = True
            return ""
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError):
            data = None
        if not isinstance(data, dict):
            self.error = {"error": {"message": f"an event of the stream is not a JSON object: {event.data[:200]}"}}
            return ""
        return self.join(data)

    @abc.abstractmethod
    def join(self, data: dict[str, Any]) -> str:
        """Join one event; see :meth:`take`."""

    @abc.abstractmethod
    def whole(self) -> dict[str, Any]:
        """Return the reply that the events make so far, in the form of a reply in one piece."""

    def body(self) -> Any:
        """Return the reply, or the error that has ended it."""
        return self.whole() if self.error is None else self.error


def text_at(fields: Any, name: str) -> str:
    """Return the text in a field, or an empty one.

    Examples:
        >>> text_at({"text": "Hi"}, "text"), text_at({"text": None}, "text"), text_at(None, "text")
        ('Hi', '', '')
    """
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else ""


def whole_characters(text: str) -> str:
    r"""Return a text that can be sent again: two halves of a character become one, a lone half becomes U+FFFD.

    Examples:
        >>> whole_characters("\ud83d\ude00, \ud83d") == "😀, \ufffd"
        True
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Numbered:
    """Parts of an answer by their numbers; events of several parts may come in any order."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, Any]] = {}

    def at(self, number: Any) -> dict[str, Any]:
        """Return the part of that number, made where it is missing; without a number, the one that came last."""
        if not isinstance(number, int) or isinstance(number, bool):
            number = next(reversed(self._parts), 0)
        return self._parts.setdefault(number, {})

    def is_first(self, part: dict[str, Any]) -> bool:
        """Tell whether this is the part with the number 0."""
        return self._parts.get(0) is part

    def all(self) -> list[dict[str, Any]]:
        """Return the parts in the order of their numbers."""
        return [self._parts[number] for number in sorted(self._parts)]
