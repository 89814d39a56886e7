"""How much, how often and how long: the limits of an entry. It does not know how they are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace

from clemcore.errors import SpecError
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec


@dataclass(frozen=True)
class Limits:
    """The limits of a model's calls.

    Attributes:
        max_connections: calls that are under way at once at most; a run begins with as many. None: it begins with
            few, and finds out how many the service takes.
        requests_per_minute: requests that are sent in a minute at most, or None.
        tokens_per_minute: tokens that prompts and replies may have in a minute together, or None.
        total_timeout: seconds that a call may take, repeated attempts and the waits between them included; the wait
            for a free connection is not.
        attempt_timeout: seconds that one attempt may take.
        idle_timeout: seconds that may pass without a byte once a reply has begun.
        bad_reply_attempts: requests that a call may make while replies come that cannot be read.
    """

    max_connections: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    total_timeout: float = 600.0
    attempt_timeout: float = 300.0
    idle_timeout: float = 60.0
    bad_reply_attempts: int = 1


def resolve_limits(spec: ModelSpec) -> Limits:
    """Read the limits of an entry; ``timeout`` is the older name of ``total_timeout``.

    Raises:
        SpecError: a limit is not a positive number, or both names of the total time are there.
    """
    given = {name: setting(spec, name) for name in (*Limits.__dataclass_fields__, "timeout")}
    given = {name: value for name, value in given.items() if value is not None}
    if "timeout" in given:
        if "total_timeout" in given:
            raise SpecError(
                f"model '{spec['model_name']}' has 'timeout' and 'total_timeout', which mean the same: keep one"
            )
        given["total_timeout"] = given.pop("timeout")
    return _part(Limits(**given), spec)


# Which of how many processes keep the limits of an entry together, and this one's number.
_sharing: ContextVar[tuple[int, int]] = ContextVar("clemcore_sharing", default=(1, 1))


@contextlib.contextmanager
def shared_limits(number: int, count: int) -> Iterator[None]:
    """Give models that are loaded in this block their part of the limits that processes keep together.

    Args:
        number: which process this is, from 1.
        count: how many there are.
    """
    token = _sharing.set((number, count))
    try:
        yield
    finally:
        _sharing.reset(token)


def _part(limits: Limits, spec: ModelSpec) -> Limits:
    number, count = _sharing.get()
    if count == 1:
        return limits
    most = limits.max_connections
    if most is not None:
        if most < count:
            raise SpecError(
                f"model '{spec['model_name']}' allows {most} calls at once (max_connections), which is less than "
                f"the {count} processes that share them: start at most {most}"
            )
        most = most // count + (number <= most % count)
    requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
    return replace(
        limits,
        max_connections=most,
        requests_per_minute=None if requests is None else requests / count,
        tokens_per_minute=None if tokens is None else tokens / count,
    )
