"""What services mean by the codes and words of a refusal: one row per meaning, kept as data.

A status alone does not say whether waiting helps: many services send 429 for an empty account, 400 for an invalid
key, and 200 for both. The first row that matches counts. How a full context window is told is in ``full_windows``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

# Statuses of refusals whose words count. A service that failed (5xx) describes itself and not the request.
_REFUSALS = frozenset({200, 400, 401, 402, 403, 404, 412, 413, 422, 424, 429, 498})
_READ = 20_000


class Row(NamedTuple):
    """What one code or wording means.

    Attributes:
        server: who says it so.
        kind: the kind of error, a key of ``errors.REMOTE_ERRORS``.
        codes: codes and types of the body; one of them is enough.
        words: a wording; it is also looked for in the codes, some of which are sentences.
        statuses: the statuses that it may come with.
        waits: whether the service may take the same request later. None: the kind says it.
        hint: what to do about it, where that is not what the kind says.
    """

    server: str
    kind: str
    codes: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    statuses: frozenset[int] = _REFUSALS
    waits: bool | None = None
    hint: str | None = None

    def matches(self, status: int, codes: Collection[str], message: str) -> bool:
        """Tell whether a refusal means this."""
        if self.codes and not self.codes.isdisjoint(codes):
            return True
        if self.words is None or status not in self.statuses:
            return False
        return any(self.words.search(text[:_READ]) for text in (message, *codes))


def _codes(server: str, kind: str, *codes: str) -> Row:
    return Row(server, kind, codes=frozenset(codes))


def _words(
    server: str, kind: str, words: str, *statuses: int, waits: bool | None = None, hint: str | None = None
) -> Row:
    pattern = re.compile(words, re.IGNORECASE)
    return Row(server, kind, words=pattern, statuses=frozenset(statuses) or _REFUSALS, waits=waits, hint=hint)


_BLOCKED = (
    "Cloudflare, which stands in front of the service, blocks this network or this client; the key was not "
    "looked at: try another network, or ask the service's operator"
)
# A limit of a day ends tomorrow, unless the service says that it ends sooner.
DAILY = _words("any", "quota", r"per[ _-]?day|/ ?day\b|\bdaily\b|\bby ?day|\b[RT]PD\b|per 86,?400 ?s", 429)

ROWS: tuple[Row, ...] = (
    # Who stands in front of a service
    _words("Cloudflare", "permission", r"error code: 10(?:0[5-9]|1[0-4]|20)\b", 403, hint=_BLOCKED),
    _words("Cloudflare", "permission", r"used Cloudflare to restrict access", 403, hint=_BLOCKED),
    _words("Cloudflare", "rate_limit", r"error code: 1015\b", 403, 429),
    # Codes
    _codes(
        "OpenAI",
        "quota",
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
    ),
    _codes("Z.ai", "quota", "1113", "1304", "1308", "1309", "1310"),
    _codes("Z.ai", "overloaded", "1305", "1312"),
    _codes("Z.ai", "content_filter", "1301"),
    _codes("Z.ai", "not_found", "1211"),
    _codes("MiniMax", "quota", "MiniMax 1008", "MiniMax 2056"),
    _codes("MiniMax", "rate_limit", "MiniMax 1002", "MiniMax 1039", "MiniMax 1041", "MiniMax 2045"),
    _codes("MiniMax", "authentication", "MiniMax 1004", "MiniMax 2049"),
    _codes("MiniMax", "content_filter", "MiniMax 1026", "MiniMax 1027"),
    _codes("MiniMax", "bad_request", "MiniMax 1042", "MiniMax 2013"),
    _codes("MiniMax", "timeout", "MiniMax 1001"),
    _codes("Moonshot", "quota", "exceeded_current_quota_error"),
    _codes("Together", "quota", "credit_limit"),
    _codes("LiteLLM", "quota", "budget_exceeded"),
    _codes("Alibaba", "quota", "Arrearage", "AllocationQuota.FreeTierOnly"),
    _codes("ByteDance", "quota", "AccountOverdueError", "SetLimitExceeded"),
    _codes("OpenAI, Azure", "content_filter", "content_filter", "content_policy_violation", "invalid_prompt"),
    _codes("Azure", "content_filter", "ResponsibleAIPolicyViolation"),
    _codes("Alibaba", "content_filter", "DataInspectionFailed", "data_inspection_failed"),
    _words("ByteDance", "content_filter", r"^(?:Input|Output)?(?:Text|Image)?SensitiveContentDetected", 400),
    _codes("OpenAI, Azure", "not_found", "model_not_found", "DeploymentNotFound"),
    _codes("Anthropic, vLLM", "overloaded", "overloaded_error", "overloaded"),
    _codes("Moonshot", "overloaded", "engine_overloaded_error"),
    _codes("ByteDance", "overloaded", "ServerOverloaded"),
    _codes("Cerebras", "overloaded", "queue_exceeded"),
    # Keys
    _words(
        "xAI, Google, Cohere",
        "authentication",
        r"(?:incorrect|invalid) api (?:key|token)|api key (?:not valid|expired|is invalid)|\bAPI_KEY_[A-Z]",
        400,
        403,
        498,
    ),
    # A request that is larger than what a minute allows is too large in every minute.
    _words(
        "OpenAI, Groq",
        "rate_limit",
        r"request too large for [^\n]{1,300}tokens per min",
        413,
        429,
        waits=False,
        hint="the request alone exceeds the tokens per minute of the account: send less, or ask for a higher limit",
    ),
    # Limits that end soon, before those that do not: a message may praise a larger plan.
    _words("Google", "quota", r"per_?day", 429),
    _words("OpenRouter", "rate_limit", r"free-models-per-min", 429),
    _words("Cohere", "rate_limit", r"calls / (?:min|sec)", 429),
    # Limits that waiting does not end
    _words("OpenRouter", "quota", r"free-models-per-day", 429),
    DAILY,
    _words("any", "quota", r"(?:per|/) ?(?:month|week)\b|\b(?:monthly|weekly)\b", 402, 403, 412, 429),
    _words("Anthropic", "quota", r"credit balance is too low", 400, 403, 429),
    _words("Anthropic", "quota", r"reached your specified (?:\w+ )?API usage limits", 400, 403, 429),
    _words("Anthropic", "quota", r"extra usage is required", 400, 429),
    _words("Google", "quota", r"prepay|credits? (?:are|is) depleted|billing account", 429),
    _words("xAI", "quota", r"doesn't have any credits|used all available credits|reached its \w+ spending limit"),
    _words("Fireworks", "quota", r"account [^\n]{0,80}is suspended", 403, 412),
    _words(
        "any",
        "quota",
        r"insufficient (?:account )?(?:balance|credits?|funds)|(?:please|to) (?:recharge|top[ -]?up)\b"
        r"|\b(?:account|balance) is (?:in arrears|overdue)|\bspend(?:ing)? (?:limit|cap)",
        400,
        402,
        403,
        412,
        429,
        200,
    ),
    # Content
    _words("Anthropic", "content_filter", r"content filtering policy"),
    _words("OpenAI", "content_filter", r"flagged as potentially violating our usage policy"),
    _words("Azure", "content_filter", r"content management policy"),
    _words("xAI", "content_filter", r"content violates usage guidelines"),
    _words("DeepSeek", "content_filter", r"content exists risk"),
    _words("Alibaba", "content_filter", r"may contain inappropriate content"),
    _words("Moonshot", "content_filter", r"rejected because it was considered high risk"),
)


def row_of(status: int, codes: Collection[str], message: str) -> Row | None:
    """Return what a refusal means beyond its status; None where only the status says something.

    Args:
        status: the status of the reply, or the one that its body names.
        codes: the codes and types of the body.
        message: the service's words.

    Examples:
        >>> row_of(429, ["1113"], "Please recharge.").kind, row_of(429, [], "Slow down.")
        ('quota', None)
    """
    return next((row for row in ROWS if row.matches(status, codes, message)), None)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)(?![a-z])"
_WAIT = re.compile(
    rf"\b(?:try(?:ing)? again|retry(?:ing)?|wait)(?: your request)?(?: in| after| for)? ?"
    rf"(?P<wait>(?:\d{{1,9}}(?:\.\d{{1,9}})? ?{_UNIT} ?){{1,4}})",
    re.IGNORECASE,
)
_PART = re.compile(r"([\d.]+) ?(ms|mil|s|m|h|d)", re.IGNORECASE)


def wait_in(message: str) -> float | None:
    """Return how many seconds the words of a refusal ask to wait; None where they do not say.

    Examples:
        >>> wait_in("Please try again in 7m12.5s."), wait_in("Please retry later.")
        (432.5, None)
    """
    found = _WAIT.search(message[:_READ])
    if found is None:
        return None
    parts = _PART.findall(found["wait"])
    return sum(float(number) * _UNITS["ms" if unit.lower() == "mil" else unit.lower()] for number, unit in parts)
