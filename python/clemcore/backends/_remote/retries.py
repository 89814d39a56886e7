"""Whether a refused request is worth sending again.

The official SDK decides when and how often (at most twice more); here is decided only whether at all: a refusal
that will be the same next time costs one request. It does not know the wire.
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any

from clemcore.backends._remote.failures import error_codes, exceeds_context

MAX_RETRIES = 2
# The SDK waits 0.5 s, then 1 s, where the server does not say how long.
LONGEST_BACKOFF = 1.0

_STATUSES = frozenset({408, 409, 425, 429})
# A 429 of an account without credit, and the like: waiting does not help.
_FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


def worth_retrying(status: int, body: Any, headers: Mapping[str, str], time_left: float) -> bool:
    """Tell whether the same request may succeed later, and whether there is time to wait for it.

    Args:
        status: HTTP status of the refusal.
        body: the reply's body as JSON, or None.
        headers: the reply's headers, names in lower case.
        time_left: seconds that are left for the whole call.
    """
    if status not in _STATUSES and status < 500:  # noqa: PLR2004 - the server's own faults
        return False
    if _FINAL_CODES & error_codes(body) or exceeds_context(status, body):
        return False
    return wait_seconds(headers) < time_left


def wait_seconds(headers: Mapping[str, str]) -> float:
    """Return how long the server asks to wait; the SDK's longest wait when it does not say.

    Examples:
        >>> wait_seconds({"retry-after-ms": "250", "retry-after": "9"}), wait_seconds({})
        (0.25, 1.0)
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    date = email.utils.parsedate_tz(headers.get("retry-after", ""))
    if date is not None:
        return max(email.utils.mktime_tz(date) - time.time(), 0.0)
    return LONGEST_BACKOFF
