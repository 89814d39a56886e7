"""Server-sent events, read from bytes as they arrive. It does not know what an event says.

The form is that of the HTML standard (https://html.spec.whatwg.org/multipage/server-sent-events.html): lines end in
LF, CR or CRLF, several ``data`` lines are one text, a line that begins with a colon is a comment, and an empty line
ends an event. An event that the connection cuts is not an event.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass

CONTENT_TYPE = "text/event-stream"


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        data: its text.
        kind: the name of its type; "message" where the server gives none.
    """

    data: str
    kind: str = "message"


class EventReader:
    """Reads events from the pieces of a stream, wherever the network has cut it.

    Examples:
        >>> reader = EventReader()
        >>> [event.data for event in reader.feed(b'data: {"a"')]
        []
        >>> [event.data for event in reader.feed(b": 1}" + bytes([10, 10]))]
        ['{"a": 1}']
    """

    def __init__(self) -> None:
        # A byte that is not UTF-8 becomes U+FFFD, as the standard says.
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._is_first = True
        self._ends_in_cr = False
        self._data: list[str] = []
        self._kind = ""

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take the next bytes and give the events that they complete."""
        text = self._decoder.decode(data)
        if self._is_first and text:
            text, self._is_first = text.removeprefix("\ufeff"), False
        if self._ends_in_cr and text:  # CRLF is one end of a line, also where the network cuts between the two
            text, self._ends_in_cr = text.removeprefix("\n"), False
        self._ends_in_cr = self._ends_in_cr or text.endswith("\r")
        if "\n" not in text and "\r" not in text:
            self._rest += text
            return
        lines = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop()
        for line in lines:
            event = self._line(line)
            if event is not None:
                yield event

    def _line(self, line: str) -> Event | None:
        if not line:
            data, kind = self._data, self._kind
            self._data, self._kind = [], ""
            return Event("\n".join(data), kind or "message") if data else None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value
        return None


def events_of(data: bytes) -> list[Event]:
    """Return all events of a stream that is there as a whole."""
    return list(EventReader().feed(data))
