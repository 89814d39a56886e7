"""What the end of an attempt means: its kind, whether trying again can help, how long the service asks to wait.

Status and code decide first, the words of the message last. It knows the codes and words that services use,
whatever the form of the body that carries them (the dialects read that), and no HTTP library.
"""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clemcore.backends.service.dialects.base import Dialect, Fault, fault_in
from clemcore.backends.service.http.exchange import Exchange
from clemcore.secrets import scrub

_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"})
_CONTEXT_WORDS = re.compile(
    r"(maximum|model'?s) context (length|window)"
    r"|exceeds? (the |this |your )?(available |model'?s |maximum )*context (size|length|window)"
    r"|exceed context window"
    r"|`?inputs`? tokens \+ `?max_new_tokens`? must be"
    r"|too large for model with \d+ maximum context"
    r"|longer than the (model'?s |maximum )*context length",
    re.IGNORECASE,
)
# An account without credit, and the like: waiting does not help.
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
_NOT_FOUND_CODES = frozenset({"model_not_found", "DeploymentNotFound"})
_OVERLOADED_CODES = frozenset({"overloaded_error", "overloaded"})

_BY_STATUS = {
    401: "authentication",
    402: "quota",
    403: "permission",
    404: "not_found",
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
    """

    kind: str
    why: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    is_final: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def attempts(self) -> int:
        """How many attempts that end like this a call may make; the service's own word counts first."""
        if self.is_final:
            return 1
        if self.should_retry is None or self.kind in _FINAL:
            return ATTEMPTS.get(self.kind, 1)
        return ATTEMPTS.get(self.kind, _ATTEMPTS_ASKED_FOR) if self.should_retry else 1

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.attempts > 1


def judge(exchange: Exchange, dialect: Dialect) -> Verdict:
    """Judge a finished attempt whose reply cannot be read for an answer."""
    if exchange.fault_kind is not None:
        return Verdict(BY_FAULT[exchange.fault_kind])
    if not exchange.has_good_status:
        return _refusal(exchange.status or 0, None, exchange, fault_of(exchange, dialect))
    if exchange.parsed is None:
        kind = scrub(exchange.headers.get("content-type", "no content type"))
        return Verdict("bad_reply", f"the body is not JSON ({kind})")
    fault = fault_of(exchange, dialect)
    return _refusal(fault.status or 500, "the body is an error", exchange, fault)


def _refusal(status: int, why: str | None, exchange: Exchange, fault: Fault) -> Verdict:
    return Verdict(_kind(status, fault), why, _wait(exchange, fault), may_repeat(exchange))


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


def _kind(status: int, fault: Fault) -> str:
    found = kind_of_status(status)
    if fault.kind is not None:
        found = fault.kind
    elif status != 429 and _exceeds_context(fault):  # noqa: PLR2004 - a limit on tokens per minute, in similar words
        found = "context_window"
    elif fault.codes & _QUOTA_CODES:
        found = "quota"
    elif fault.codes & _FILTER_CODES:
        found = "content_filter"
    elif fault.codes & _NOT_FOUND_CODES:
        found = "not_found"
    elif fault.codes & _OVERLOADED_CODES:
        found = "overloaded"
    return found


def _exceeds_context(fault: Fault) -> bool:
    """Tell whether an error says that prompt and reply do not fit the context window."""
    return bool(_CONTEXT_CODES & fault.codes) or bool(_CONTEXT_WORDS.search(fault.message or ""))


def _wait(exchange: Exchange, fault: Fault) -> float | None:
    asked = wait_asked(exchange.headers)
    return fault.retry_after if asked is None else asked


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the service asks to wait, or None where it does not say.

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
    return dialect.fault(exchange.parsed) or fault_in(exchange.parsed)
