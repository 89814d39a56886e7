"""One answer on its way: from the bytes that arrive to the pieces of text for the listener.

The bytes are kept as they came. Pieces are given out while they arrive. The reply is read from all bytes at the
end, so that what arrives live and what a cache holds give the same reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.backends.service.streaming.events import CONTENT_TYPE, EventReader, events_of
from clemcore.backends.service.streaming.joiner import Joiner, whole_characters
from clemcore.calls.request import Listener

_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Arrival:
    """What arrives of one answer.

    Attributes:
        has_begun: whether a piece was given out. From then on the call is not repeated.
        received: the bytes of the reply so far.
    """

    def __init__(self, joiner: type[Joiner], listener: Listener) -> None:
        """Take what joins the events of the format, and who gets the pieces."""
        self._joiner = joiner
        self._listener = listener
        self.has_begun = False
        self.received = bytearray()
        self._live: tuple[EventReader, Joiner] | None = None
        self._waiting = ""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the head of a reply. Only events that are not compressed are read while they arrive."""
        self.received = bytearray()
        is_live = status < 300 and "content-encoding" not in headers and is_stream(headers)  # noqa: PLR2004
        self._live = (EventReader(), self._joiner()) if is_live else None

    def feed(self, data: bytes) -> None:
        """Take the next bytes, and give out the text that they complete."""
        self.received += data
        if self._live is None:
            return
        reader, joiner = self._live
        for event in reader.feed(data):
            self._give(joiner.take(event))

    def _give(self, text: str) -> None:
        """Give a piece out; trailing whitespace, which does not belong to an answer, and half a character wait."""
        text = self._waiting + text
        if not self.has_begun:
            text = text.lstrip()
        kept = text.rstrip()
        if "\ud800" <= kept[-1:] <= "\udbff":  # some servers cut a character into two events
            kept = kept[:-1].rstrip()
        self._waiting = text[len(kept) :]
        if kept:
            self.has_begun = True
            self._listener.take(whole_characters(kept))

    def joined(self, data: bytes) -> Joiner:
        """Join the events of a whole reply."""
        joiner = self._joiner()
        for event in events_of(data):
            joiner.take(event)
        return joiner


def is_stream(headers: Mapping[str, str], data: bytes = b"") -> bool:
    """Tell whether a reply is a stream of events, by its type or else by how it begins."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == CONTENT_TYPE or data.lstrip().startswith(_STARTS)


def reply_in(arrival: Arrival, headers: Mapping[str, str], data: bytes | None) -> tuple[Any, str | None] | None:
    """Return the reply that a stream makes, and why it is not whole; None where the reply is not a stream.

    Args:
        arrival: the answer that was asked for in pieces.
        headers: those of the reply.
        data: all bytes of the reply.
    """
    if not data or not is_stream(headers, data):
        return None
    joiner = arrival.joined(data)
    if joiner.error is not None or joiner.is_complete:
        return joiner.body(), None
    return None, "the stream ended before the answer did"
