"""What the end of an attempt means: its kind, whether trying again can help, how long the service asks to wait.

Codes and words decide first, then what the format says of itself, the status last. The tables of codes and words
are ``full_windows`` and ``refusals``; the dialects read the bodies that carry them. It knows no HTTP library.
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clemcore.backends.service.dialects.base import Dialect, Fault, fault_in
from clemcore.backends.service.http import full_windows, refusals
from clemcore.backends.service.http.exchange import Exchange
from clemcore.secrets import scrub

# With these a full window may come without words, or in words that are not known.
_CONTEXT_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",
        "model_max_prompt_tokens_exceeded",
        "tokens_limit_reached",
        "1261",
    }
)
_TOO_MANY = 429
# So much of a body that is plain text is read for what it says.
_MOST_TEXT = 4_000

_BY_STATUS = {
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "not_found",
    407: "permission",
    408: "timeout",
    409: "server",
    425: "server",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
BY_FAULT = {
    "timeout": "timeout",
    "connection": "connection",
    "proxy": "connection",
    "certificate": "certificate",
    "refused": "permission",
    "reply": "bad_reply",
}
# How many attempts a kind of error is worth; for the others, trying again changes nothing.
ATTEMPTS = {
    "rate_limit": 40,
    "overloaded": 12,
    "connection": 6,
    "server": 6,
    "timeout": 4,
    "bad_reply": 4,
}
# How many a service can ask for (`x-should-retry`) where the kind of error is worth none.
_ATTEMPTS_ASKED_FOR = 3
# Nothing was generated, whatever the status.
REFUSALS = frozenset(
    {"authentication", "bad_request", "context_window", "not_found", "permission", "quota", "rate_limit"}
)
# What only the owner of the account can change: it costs one request, whatever a service says.
_FINAL = frozenset({"authentication", "permission", "quota"})


@dataclass(frozen=True)
class Verdict:
    """The end of an attempt that brought no answer.

    Attributes:
        kind: one word for what it was; the error's class follows from it.
        why: what is wrong with a reply that came with a good status, or None.
        retry_after: seconds that the service asks to wait, or None.
        should_retry: whether the service asks for a further attempt, or for none; None: it does not say.
        is_final: whether no further attempt may follow, whatever it was.
        facts: what was read from a reply all the same, as how many tokens it had.
        hint: what to do about it, where that is not what the kind says.
        most_attempts: how many attempts a call may make, where that does not follow from the kind.
    """

    kind: str
    why: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    is_final: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    hint: str | None = None
    most_attempts: int | None = None

    @property
    def attempts(self) -> int:
        """How many attempts that end like this a call may make; the service's own word counts first."""
        if self.is_final or self.most_attempts is not None:
            return 1 if self.is_final else self.most_attempts or 1
        if self.should_retry is None or self.kind in _FINAL:
            return ATTEMPTS.get(self.kind, 1)
        return ATTEMPTS.get(self.kind, _ATTEMPTS_ASKED_FOR) if self.should_retry else 1

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.attempts > 1


def judge(exchange: Exchange, dialect: Dialect) -> Verdict:
    """Judge a finished attempt whose reply cannot be read for an answer."""
    again = exchange.limits.bad_reply_attempts
    if exchange.fault_kind is not None:
        kind = BY_FAULT[exchange.fault_kind]
        if exchange.broke_off and exchange.route is None:  # of several servers, another one is asked
            kind = "bad_reply" if kind == "connection" else kind
            return Verdict(kind, most_attempts=again)
        return Verdict(kind, most_attempts=again if kind == "bad_reply" else None)
    if not exchange.has_good_status:
        return _refusal(exchange.status, None, exchange, fault_of(exchange, dialect))
    if exchange.parsed is None:
        kind = scrub(exchange.headers.get("content-type", "no content type"))
        return Verdict("bad_reply", f"the body is not JSON ({kind})", most_attempts=again)
    fault = fault_of(exchange, dialect)
    return _refusal(fault.status, "the body is an error", exchange, fault)


def _refusal(status: int | None, why: str | None, exchange: Exchange, fault: Fault) -> Verdict:
    asked, wait = may_repeat(exchange), _wait(exchange, fault)
    if status != _TOO_MANY and _exceeds_context(fault):  # a limit on tokens per minute has similar words
        return Verdict("context_window", why, wait, asked)
    row = refusals.row_of(exchange.status or 0 if status is None else status, fault.codes, fault.message or "")
    if row is refusals.DAILY and wait and wait < exchange.time_left:
        return Verdict("rate_limit", why, wait, asked)
    if row is not None:
        return Verdict(row.kind, why, wait, asked if row.waits is None else row.waits, hint=row.hint)
    by_status = kind_of_status(500 if status is None else status)
    return Verdict(fault.kind or by_status, why, wait, asked)


def may_repeat(exchange: Exchange, otherwise: bool | None = None) -> bool | None:
    """Return whether the service asks for a further attempt; where it does not say, what holds otherwise."""
    # OpenAI and Anthropic say it of their errors, and their SDKs obey.
    asked = exchange.headers.get("x-should-retry", "").strip().lower()
    return {"true": True, "false": False}.get(asked, otherwise)


def kind_of_status(status: int) -> str:
    """Return the kind of error that an HTTP status means by itself.

    Examples:
        >>> kind_of_status(401), kind_of_status(422), kind_of_status(502)
        ('authentication', 'bad_request', 'server')
    """
    return _BY_STATUS.get(status) or ("server" if status >= 500 else "bad_request")  # noqa: PLR2004


def _exceeds_context(fault: Fault) -> bool:
    """Tell whether an error says that prompt and reply do not fit the context window."""
    is_coded = fault.kind == "context_window" or bool(_CONTEXT_CODES & fault.codes)
    return is_coded or full_windows.row_of(fault.message or "") is not None


def _wait(exchange: Exchange, fault: Fault) -> float | None:
    """Return how many seconds the service asks to wait: in its headers, in the body, in its words."""
    asked = wait_asked(exchange.headers)
    if asked is None:
        asked = fault.retry_after
    return refusals.wait_in(fault.message or "") if asked is None else asked


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the service asks to wait, or None where it does not say; 0 for a time in the past.

    Examples:
        >>> wait_asked({"retry-after-ms": "250", "retry-after": "9"}), wait_asked({"retry-after": "soon"})
        (0.25, None)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    if date is None:
        return None
    try:
        return max(email.utils.mktime_tz(date) - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None


def fault_of(exchange: Exchange, dialect: Dialect) -> Fault:
    """Return what the reply says is wrong, read as the format has it or else as most services do."""
    if exchange.parsed is None and not exchange.has_good_status:
        return fault_in(_plain_text(exchange.response or b""))
    return dialect.fault(exchange.parsed) or fault_in(exchange.parsed)


def _plain_text(body: bytes) -> str | None:
    """Return a body that is text for people; None where it is a page, or no text."""
    try:
        text = body[:_MOST_TEXT].decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    return None if not text or "<" in text[:200] else text
