"""One call over the wire, in facts: what left, what came back, how often, how long.

It does not know HTTP libraries.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from clemcore.backends.service.http.reading import json_in
from clemcore.backends.service.limits import Limits
from clemcore.backends.service.slot import Slot
from clemcore.backends.service.streaming.arrival import Arrival, is_stream, reply_in
from clemcore.calls.budget import Hold
from clemcore.calls.call import Texts
from clemcore.calls.encoding import JsonText
from clemcore.secrets import has_own_escapes, holds_key, scrub

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Where services put their id of a request.
_REQUEST_ID = ("x-request-id", "request-id", "x-goog-request-id", "apim-request-id")


class Shown(NamedTuple):
    """A reply's body as the record shows it: JSON text, and what stands around it.

    Attributes:
        before: what stands in front of the JSON: whitespace, a byte order mark, comments.
        text: the JSON.
        after: what stands behind it.
    """

    before: bytes
    text: JsonText
    after: bytes


@dataclass(repr=False, eq=False, slots=True)
class Exchange:
    """One call; its repr shows no bytes, because tracebacks may show the repr.

    Attributes:
        url: where it goes.
        body: the bytes that every attempt sends.
        limits: what limits its time.
        was_sent: whether a byte of a request may have left.
        status: HTTP status of the last reply, or None when there was none.
        headers: headers of the last reply, found by names in lower case.
        raw: the last reply's body as it came, still compressed where the server compressed it.
        response: the last reply's body, or None.
        parsed: the reply's body as JSON, or None where it is none.
        answer: the answer's text and the facts that were read from the reply, or None.
        shown: the reply's body as the record shows it, or None where it cannot be shown as JSON, byte for byte.
        fault: why there was no whole reply, or None.
        fault_kind: the kind of that fault: ``connection``, ``certificate``, ``proxy`` (it cannot be reached),
            ``refused`` (by the proxy), ``timeout``, ``reply``, or None.
        failed_attempts: what happened before the last attempt.
        attempts: number of requests that were made.
        first_byte: seconds from the start of the last attempt to its reply's headers.
        attempt_seconds: seconds that the last attempt took.
        queued: seconds that the call waited for a free connection; they count for no deadline.
        slot: the call's place in a cache, or None where no cache is used.
        hold: what the call has reserved of the budgets, or None.
        arrival: the answer as it arrives, or None where it was not asked for in pieces.
        proxy: the proxy that the request goes through, without its login, or None.
        is_tls_verified: whether the server had to prove who it is; false only where the entry says so.
        route: which of several servers the last attempt went to, and why, for the record; None where there is one.
        avoid: addresses of the servers that failed this call.
        goes_elsewhere: whether the next attempt goes to another server, so that nothing has to be waited for.
        is_on_wire: whether a byte of the last attempt may have left.
        asked: address of the server that the last attempt went to, where there are several.
        begun: the body of the last reply as far as it has arrived.
    """

    url: str
    body: bytes
    limits: Limits
    was_sent: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    raw: bytes | None = None
    response: bytes | None = None
    parsed: Any = None
    answer: tuple[str, dict[str, Any]] | None = None
    shown: Shown | None = None
    fault: str | None = None
    fault_kind: str | None = None
    failed_attempts: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    first_byte: float | None = None
    attempt_seconds: float = 0.0
    queued: float = 0.0
    slot: Slot | None = None
    started: float = field(default_factory=time.monotonic)
    hold: Hold | None = None
    proxy: str | None = None
    is_tls_verified: bool = True
    arrival: Arrival | None = None
    route: dict[str, Any] | None = None
    avoid: tuple[str, ...] = ()
    goes_elsewhere: bool = False
    is_on_wire: bool = False
    asked: str | None = None
    begun: list[bytes] = field(default_factory=list)

    def __repr__(self) -> str:
        """Show the outline."""
        return f"<Exchange {scrub(self.url)} status={self.status} attempts={self.attempts}>"

    @property
    def elapsed(self) -> float:
        """Seconds that the call took so far, without those in the queue."""
        return time.monotonic() - self.started - self.queued

    @property
    def time_left(self) -> float:
        """Seconds until the whole call has taken too long."""
        return self.limits.total_timeout - self.elapsed

    @property
    def has_good_status(self) -> bool:
        """Whether a whole reply came with a status that means success."""
        return self.fault_kind is None and 200 <= (self.status or 0) < 300  # noqa: PLR2004 - good statuses

    @property
    def is_stream(self) -> bool:
        """Whether the reply is a stream of events that was asked for."""
        return self.arrival is not None and is_stream(self.headers, self.response or b"")

    def parse(self) -> None:
        """Read the reply's body as JSON, or join the events that it consists of."""
        streamed = None if self.arrival is None else reply_in(self.arrival, self.headers, self.response)
        if streamed is None:
            self.parsed = as_json(self.response)
            self.shown = None if self.parsed is None else _shown(self.response or b"", self.parsed)
            if self.parsed is None and self.response and (found := json_in(self.response)) is not None:
                self.parsed = found.value
                self.shown = _shown(self.response, found.value, slice(found.begin, found.end))
        elif self.fault_kind is None:
            self.parsed, self.fault = streamed
            self.fault_kind = None if self.fault is None else "reply"

    def take(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Take a reply that was kept in place of one from the wire."""
        self.was_sent = True  # once: what is recorded about it is that call
        self.status, self.headers = status, headers
        self.raw = self.response = body
        self.parse()

    @property
    def broke_off(self) -> bool:
        """Whether an answer had begun to arrive and did not come whole: it was generated, and may be paid for."""
        is_fault = self.fault_kind is not None and self.arrival is None
        return is_fault and 200 <= (self.status or 0) < 300 and _has_content(self.response or b"")  # noqa: PLR2004

    def keep_what_arrived(self) -> None:
        """Keep the part of a reply that came before it was cut.

        Where nothing but the end of its transport is missing, or its status says all, it is as good as whole.
        """
        if self.response is not None:
            return
        if self.arrival is not None:
            if self.arrival.received:
                self.raw = self.response = bytes(self.arrival.received)
            return
        self.raw = self.response = b"".join(self.begun) or None
        is_refusal = (self.status or 0) >= 300  # noqa: PLR2004 - statuses that are not good
        is_cut = self.fault_kind in ("connection", "timeout") and self.response is not None
        if is_cut and (is_refusal or json_in(self.response or b"") is not None):
            self.fault = self.fault_kind = None

    def put_back(self) -> None:
        """Forget the kept reply that was taken; nothing was sent."""
        self.was_sent = False
        self.status = self.raw = self.response = self.parsed = self.shown = self.answer = None
        self.headers = NO_HEADERS

    @property
    def request_id(self) -> str | None:
        """The service's id of the last request, without secrets."""
        return next((scrub(self.headers[name]) for name in _REQUEST_ID if name in self.headers), None)

    @property
    def prompt(self) -> Any:
        """The body that was sent, read from its bytes; None when nothing was sent."""
        return json.loads(self.body) if self.was_sent else None

    @property
    def texts(self) -> Texts:
        """What was sent and what came back as bytes for the record, where they are JSON that can stand in it."""
        sent = JsonText(self.body) if self.was_sent else None
        return sent, None if self.shown is None else self.shown.text

    @property
    def echoes_key(self) -> bool:
        """Whether the reply holds a key of this process."""
        if self.response is None:
            return False
        return holds_key(self.response) or (self.parsed is not None and holds_key(json.dumps(self.parsed).encode()))

    def settle(self, usd: float | None) -> None:
        """Say what the call did cost; None if unknown."""
        if self.hold is not None:
            self.hold.settle(usd)

    def begin_attempt(self) -> None:
        """Move the last attempt, if there was one, to those that failed."""
        if self.attempts:
            last: dict[str, Any] = {"status": self.status, "error": self.fault, "request_id": self.request_id}
            last["seconds"] = round(self.attempt_seconds, 6)
            if self.asked is not None:
                last |= {"server": scrub(self.asked), "sent": self.is_on_wire}
            self.failed_attempts.append({name: value for name, value in last.items() if value is not None})
        self.attempts += 1
        self.asked = None if self.route is None else self.route["url"]
        self.is_on_wire = False
        self.status = self.raw = self.response = self.first_byte = None
        self.parsed = self.shown = self.answer = None
        self.fault = self.fault_kind = None
        self.begun = []
        self.headers = NO_HEADERS
        self.attempt_seconds = 0.0

    def facts(self) -> dict[str, Any]:
        """Return what goes into the record."""
        seconds = {
            "first_byte": self.first_byte,
            "attempt": self.attempt_seconds,
            "total": self.elapsed,
            "queued": self.queued or None,
        }
        facts: dict[str, Any] = {
            "url": scrub(self.url),
            "status": self.status,
            "request_id": self.request_id,
            "attempts": self.attempts,
            "request_sha256": _sha256(self.body if self.was_sent else None),
            "response_sha256": _sha256(self.raw),
            "request_bytes": len(self.body) if self.was_sent else None,
            "response_bytes": None if self.raw is None else len(self.raw),
            "seconds": {name: round(value, 6) for name, value in seconds.items() if value is not None},
        }
        if self.route is not None:
            facts["server"] = {
                name: scrub(value) if isinstance(value, str) else value for name, value in self.route.items()
            }
        if self.failed_attempts:
            facts["failed_attempts"] = list(self.failed_attempts)
        if self.raw is not None:
            facts.update(self._beside_the_reply(self.raw))
        if not self.is_tls_verified:
            facts["tls_verified"] = False
        if "content-encoding" in self.headers:
            facts["content_encoding"] = scrub(self.headers["content-encoding"])
        return facts

    def _beside_the_reply(self, raw: bytes) -> dict[str, Any]:
        """Return what the record needs beside the reply, so that it holds the very bytes that came."""
        facts: dict[str, Any] = {}
        plain = self.response or b""
        text = plain.decode("utf-8", "replace")
        recorded: bytes | None = text.encode("utf-8")
        if self.is_stream:
            facts["events"] = None if self.echoes_key else text
        elif self.shown is not None:
            around = {"response_before": self.shown.before, "response_after": self.shown.after}
            facts = {name: part.decode("utf-8") for name, part in around.items() if part}
            recorded = b"".join(self.shown)
        elif self.parsed is not None:
            facts["response_rewritten"] = True
            recorded = None
        if recorded != raw and not self.echoes_key:
            facts["response_base64"] = base64.b64encode(raw).decode("ascii")
        return facts


def as_json(data: bytes | None) -> Any:
    """Return a body read as JSON, or None where it is none."""
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _shown(data: bytes, parsed: Any, place: slice | None = None) -> Shown | None:
    """Return a reply's bytes as the record shows them, or None where they are not strict JSON in UTF-8.

    Args:
        data: the body.
        parsed: the JSON in it.
        place: where the JSON stands, where more than whitespace and a mark are around it.
    """
    text = data.removeprefix(codecs.BOM_UTF8).strip(b" \t\r\n") if place is None else data[place]
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            return None
    if b"\0" in data or ((b"NaN" in text or b"Infinity" in text) and not _is_strict(text)):
        return None
    if has_own_escapes(text) and holds_key(json.dumps(parsed).encode("ascii")):  # hidden from a search
        return None
    begin = data.index(text) if place is None else place.start
    return Shown(data[:begin], JsonText(text), data[begin + len(text) :])


def _is_strict(text: bytes) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


def _has_content(body: bytes) -> bool:
    """Tell whether more came than what a service sends while a model thinks: blanks and comments."""
    return any(line.strip() and not line.startswith(b":") for line in body.splitlines())


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
