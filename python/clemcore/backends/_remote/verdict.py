"""What the end of an attempt means: its kind, whether trying again can help, how long the service asks to wait.

Status and code decide first, the words of the message last. It knows the error bodies of OpenAI and of the servers
that speak its protocol, and no HTTP library.
"""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.backends._remote.exchange import Exchange

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
_BY_FAULT = {"timeout": "timeout", "connection": "connection", "certificate": "certificate", "reply": "bad_reply"}
# How many attempts a kind of error is worth; for the others, trying again changes nothing.
ATTEMPTS = {
    "rate_limit": 40,
    "overloaded": 12,
    "connection": 6,
    "server": 6,
    "timeout": 4,
    "bad_reply": 4,
}


@dataclass(frozen=True)
class Verdict:
    """The end of an attempt that brought no answer.

    Attributes:
        kind: one word for what it was; the error's class follows from it.
        why: what is wrong with a reply that came with a good status, or None.
        retry_after: seconds that the service asks to wait, or None.
    """

    kind: str
    why: str | None = None
    retry_after: float | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in ATTEMPTS


def judge(exchange: Exchange) -> Verdict | None:
    """Judge a finished attempt; None where its reply can be read for an answer."""
    if exchange.fault_kind is not None:
        return Verdict(_BY_FAULT[exchange.fault_kind])
    status, body = exchange.status or 0, exchange.parsed
    if 200 <= status < 300:  # noqa: PLR2004 - good statuses
        if body is None:
            return Verdict(
                "bad_reply", f"the body is no JSON ({exchange.headers.get('content-type', 'no content type')})"
            )
        if not is_error_body(body):
            return None
        return Verdict(_kind(_status_inside(body), body), "the body is an error", wait_asked(exchange.headers))
    return Verdict(_kind(status, body), None, wait_asked(exchange.headers))


def _kind(status: int, body: Any) -> str:
    codes = error_codes(body)
    found = _BY_STATUS.get(status) or ("server" if status >= 500 else "bad_request")  # noqa: PLR2004
    if status != 429 and exceeds_context(body):  # noqa: PLR2004 - a limit on tokens per minute, in similar words
        found = "context_window"
    elif codes & _QUOTA_CODES:
        found = "quota"
    elif codes & _FILTER_CODES:
        found = "content_filter"
    elif codes & _NOT_FOUND_CODES:
        found = "not_found"
    elif codes & _OVERLOADED_CODES:
        found = "overloaded"
    return found


def _status_inside(body: Any) -> int:
    """Return the status that an error carries whose reply had a good one, as gateways send them."""
    code = fault_of(body).get("code")
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    return code if isinstance(code, int) and 400 <= code < 600 else 500  # noqa: PLR2004 - statuses of errors


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


def as_json(data: bytes | None) -> Any:
    """Return a body read as JSON, or None where it is none."""
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def fault_of(body: Any) -> dict[str, Any]:
    """Return the part of an error body that says what is wrong."""
    if not isinstance(body, dict):
        return {"message": body} if isinstance(body, str) else {}
    fault = body.get("error")
    return fault if isinstance(fault, dict) else body


def error_codes(body: Any) -> frozenset[str]:
    """Return the codes and types that an error body carries."""
    fault = fault_of(body)
    return frozenset(str(fault[name]) for name in ("code", "type") if fault.get(name) is not None)


def provider_message(body: Any) -> str | None:
    """Return the message that an error body carries, or None."""
    fault = fault_of(body)
    for name in ("message", "detail", "error", "msg"):
        value = fault.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value:
            return json.dumps(value, ensure_ascii=False)
    return None


def exceeds_context(body: Any) -> bool:
    """Tell whether an error says that prompt and reply do not fit the context window."""
    return bool(_CONTEXT_CODES & error_codes(body)) or bool(_CONTEXT_WORDS.search(provider_message(body) or ""))


def is_error_body(body: Any) -> bool:
    """Tell whether a body is an error, whatever its status was: some gateways send errors with status 200."""
    return (
        isinstance(body, dict)
        and not body.get("choices")
        and (bool(body.get("error")) or body.get("object") == "error")
    )
