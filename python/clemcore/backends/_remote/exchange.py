"""One call over the wire, in facts: what left, what came back, how often, how long.

An exchange belongs to one call of one thread; the transport finds it through a context variable, so that calls
that run at the same time never mix. It does not know HTTP libraries or SDKs.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from clemcore.secrets import scrub

_current: ContextVar[Exchange] = ContextVar("clemcore_exchange")

# Where services put their id of a request.
_REQUEST_ID = ("x-request-id", "request-id")


@dataclass(repr=False)
class Exchange:
    """One call; its repr shows no bytes, because tracebacks may show the repr.

    Attributes:
        url: where it goes.
        timeout: seconds that it may take, retries included.
        check: called with the body's bytes before they leave; what it raises stops the call.
        pending: the body's bytes that are about to leave.
        request: the body's bytes as they left, or None when no byte of a request was sent.
        status: HTTP status of the last reply, or None when there was none.
        headers: headers of the last reply, names in lower case.
        raw: the last reply's body as it came, still compressed where the server compressed it.
        response: the last reply's body, or None.
        fault: why there was no reply, or None.
        refused: what ``check`` raised.
        failed_attempts: what happened before the last attempt.
        attempts: number of requests that were made.
        first_byte: seconds from the start of the last attempt to its reply's first byte.
        attempt_seconds: seconds that the last attempt took.
    """

    url: str
    timeout: float
    check: Callable[[bytes], None]
    pending: bytes = b""
    request: bytes | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    response: bytes | None = None
    fault: str | None = None
    refused: Exception | None = None
    failed_attempts: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    first_byte: float | None = None
    attempt_seconds: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def __repr__(self) -> str:
        """Show the outline."""
        return f"<Exchange {scrub(self.url)} status={self.status} attempts={self.attempts}>"

    @property
    def time_left(self) -> float:
        """Seconds until the whole call has taken too long."""
        return self.started + self.timeout - time.perf_counter()

    @property
    def request_id(self) -> str | None:
        """The service's id of the last request."""
        return next((self.headers[name] for name in _REQUEST_ID if name in self.headers), None)

    @property
    def prompt(self) -> Any:
        """The body that was sent, read from its bytes; None when nothing was sent."""
        return None if self.request is None else json.loads(self.request)

    def begin_attempt(self, body: bytes) -> None:
        """Move the last attempt, if there was one, to those that failed."""
        self.pending = body
        if self.attempts:
            last: dict[str, Any] = {"status": self.status, "error": self.fault, "request_id": self.request_id}
            last["seconds"] = round(self.attempt_seconds, 6)
            self.failed_attempts.append({name: value for name, value in last.items() if value is not None})
        self.attempts += 1
        self.status = self.raw = self.response = self.fault = self.first_byte = None
        self.headers = {}
        self.attempt_seconds = 0.0

    def note_written(self, buffer: bytes) -> None:
        """Note that bytes go out; asking a proxy for a connection is not yet the request."""
        if self.request is None and not buffer.startswith(b"CONNECT "):
            self.request = self.pending

    def facts(self) -> dict[str, Any]:
        """Return what goes into the record."""
        seconds = {
            "first_byte": self.first_byte,
            "attempt": self.attempt_seconds,
            "total": time.perf_counter() - self.started,
        }
        facts: dict[str, Any] = {
            "url": scrub(self.url),
            "status": self.status,
            "request_id": self.request_id,
            "attempts": self.attempts,
            "request_sha256": _sha256(self.request),
            "response_sha256": _sha256(self.raw),
            "request_bytes": None if self.request is None else len(self.request),
            "response_bytes": None if self.raw is None else len(self.raw),
            "seconds": {name: round(value, 6) for name, value in seconds.items() if value is not None},
        }
        if self.failed_attempts:
            facts["failed_attempts"] = list(self.failed_attempts)
        if "content-encoding" in self.headers:
            facts["content_encoding"] = self.headers["content-encoding"]
        return facts

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this the exchange of the code that runs inside."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


def current_exchange() -> Exchange:
    """Return the exchange of the code that is running."""
    return _current.get()


def _sha256(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
