"""The place of a call in the cache of calls: which key it has, and whether its reply may be kept.

Answers are kept: no error, no refusal, nothing empty, and by default nothing that was sampled. It
does not know how replies are stored (``clemcore.calls.cache`` does).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from clemcore.arguments.ledger import value_at
from clemcore.backends.service.dialects.base import Dialect
from clemcore.calls.cache import CallCache, KeptReply, cache_of, key_of
from clemcore.calls.scope import Membership, repeated_labels
from clemcore.model import Reply
from clemcore.secrets import holds_key

# Of the headers of a reply: what the record tells.
_KEPT = ("content-type", "x-request-id", "request-id", "x-goog-request-id", "apim-request-id")


class Slot:
    """One call's place.

    Attributes:
        kept: the reply that is there, or None.
    """

    def __init__(
        self, cache: CallCache, identity: Sequence[Any], body: bytes, belongs: Membership, *, sampled: bool
    ) -> None:
        """Look into the place."""
        self._cache = cache
        self._identity = identity
        self._is_barred = sampled and not cache.sampling
        self.kept: KeptReply | None = None
        self._key = key_of(identity, body)
        if self._is_barred:
            return
        if sampled:
            # Two epochs, episodes or players never share a sampled answer; a run that is repeated does.
            labels = repeated_labels(belongs.labels)
            repeat = cache.repeat_of(self._key, belongs.scope if labels else None)
            which: dict[str, Any] = {"epoch": cache.epoch, "repeat": repeat}
            self._key = key_of([*identity, {**which, "scope": labels} if labels else which], body)
        self.kept = cache.find(self._key)

    async def facts_after(
        self, status: int | None, headers: Mapping[str, str], body: bytes | None, reply: Reply
    ) -> dict[str, Any]:
        """Keep the reply of an answered call, where it may be kept; return what the record tells of it."""
        if self.kept is not None:
            return {"cache": "hit", "cache_key": self._key, "cached_at": self.kept.stored}
        why_not = self._why_not(reply)
        if why_not is None:
            kept_headers = {name: headers[name] for name in _KEPT if name in headers}
            provider, model = str(self._identity[0]), str(self._identity[2])
            why_not = await asyncio.to_thread(
                self._cache.keep, self._key, provider, model, (status or 0, kept_headers, body or b"")
            )
        if why_not is not None:
            return {"cache": "not kept", "cache_reason": why_not}
        return {"cache": "kept", "cache_key": self._key}

    def _why_not(self, reply: Reply) -> str | None:
        if self._is_barred:
            return "the call samples: no temperature of 0 and no seed"
        if not is_worth_keeping((reply.text, reply.facts)):
            return f"the reply is not an answer: {reply.facts.get('outcome')}"
        if holds_key(json.dumps(reply.response).encode()):  # also where escapes hide it in the bytes
            return "it holds a key"
        return None


def is_worth_keeping(answer: tuple[str, Mapping[str, Any]] | None) -> bool:
    """Tell whether a text, with its facts, is an answer: what is not may be another the next time."""
    return answer is not None and bool(answer[0]) and answer[1].get("outcome", "answer") == "answer"


def slot_for(
    identity: Sequence[Any],
    url: str,
    body: bytes,
    belongs: Membership,
    *,
    fields: Mapping[str, Any],
    dialect: Dialect,
) -> Slot | None:
    """Return the place of a call; None where no cache is used.

    Args:
        identity: provider, protocol, model, account, headers of the protocol.
        url: where the call goes.
        body: the request.
        belongs: what the call belongs to.
        fields: the generation arguments in the request.
        dialect: the format, which says where seed and temperature stand.
    """
    cache = cache_of(belongs)
    if cache is None:
        return None
    return Slot(cache, (*identity, url), body, belongs, sampled=_samples(fields, dialect))


def _samples(fields: Mapping[str, Any], dialect: Dialect) -> bool:
    """Tell whether the answer may be another one the next time: a temperature that is not 0, and no seed.

    A number below 0 asks some servers for a seed of their choice.
    """
    seed = _number(fields, dialect, "seed")
    if seed is not None and seed >= 0:
        return False
    return _number(fields, dialect, "temperature") != 0


def _number(fields: Mapping[str, Any], dialect: Dialect, name: str) -> int | float | None:
    """Return an argument where the format has it and it is a number."""
    parameter = dialect.parameters.get(name)
    value = None if parameter is None else value_at(fields, parameter.path)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
