"""What a call of one model costs: at most, before it is sent, and in fact, when the service has counted.

It knows entries and wire formats, and keeps the open budgets (:mod:`clemcore.budget`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from clemcore.backends.service.dialects.base import Dialect
from clemcore.calls import budget
from clemcore.calls.scope import Membership
from clemcore.errors import SpecError
from clemcore.images import limit_in
from clemcore.registry.prices import Prices, prices_of
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec

# An image's data is not text: what it costs in tokens has nothing to do with its bytes. More than providers count,
# unless the entry says otherwise.
_TOKENS_PER_IMAGE = 10_000
_MEDIA_TYPES = frozenset({"media_type", "mime_type", "mimeType"})
_ADDRESSES = ("url", "image_url", "file_uri", "fileUri")
# What services put around a message or a field, in tokens.
_FRAME = 8


class Costs:
    """Prices of one entry, applied to its calls.

    Args:
        spec: the entry.
        dialect: the wire format.

    Raises:
        SpecError: the entry's prices cannot be read.
    """

    def __init__(self, spec: ModelSpec, dialect: Dialect) -> None:
        """Read the prices."""
        self._name = spec["model_name"]
        self.prices = prices_of(spec)
        self._dialect = dialect
        limits = (spec.get("max_output_tokens"), spec.get("context_size"))
        sees = setting(spec, "multimodality", {})
        self._per_image = limit_in(sees, "max_image_tokens", self._name) or _TOKENS_PER_IMAGE
        self._most_output = next((limit for limit in limits if isinstance(limit, int)), None)

    def facts(self, usd: float | None) -> dict[str, Any]:
        """Return what a call did cost as facts: ``cost`` with ``usd`` and the price list's ``date``."""
        if usd is None or self.prices is None:
            return {}
        return {"cost": {"usd": usd, "date": self.prices.date}}

    def of(self, usage: Mapping[str, Any]) -> float | None:
        """Return what a call did cost, in USD; None where prices or counts are not known."""
        return None if self.prices is None else self.prices.cost(usage)

    def require_prices(self) -> Prices:
        """Return the prices.

        Raises:
            SpecError: the entry has none.
        """
        if self.prices is None:
            raise SpecError(
                f"model '{self._name}' has no prices in its entry, so a budget cannot be kept; nothing was "
                'sent. Add "prices": {"input": …, "output": …} (USD per million tokens; 0 where it costs nothing)'
            )
        return self.prices

    def highest(self, body: Mapping[str, Any]) -> float:
        """Return the most that a request can cost, in USD: a token is one byte of text at least.

        Raises:
            SpecError: the entry has no prices, or nothing limits the answer.
        """
        prices = self.require_prices()
        answer = self._dialect.tokens_asked(body) or self._most_output
        if answer is None:
            raise SpecError(
                f"nothing limits the answers of model '{self._name}', so a budget cannot be kept; nothing was "
                "sent. Set max_tokens, or max_output_tokens in its entry"
            )
        answer *= self._dialect.answers_asked(body)
        usd = prices.cost({"input_tokens": _most_tokens(body, self._per_image), "output_tokens": answer})
        if usd is None:
            raise SpecError(
                f"the highest cost of a call of model '{self._name}' is too large for a number, so that a budget "
                "cannot be kept; nothing was sent. Check prices, max_tokens and the number of answers"
            )
        return usd

    async def hold(
        self, body: Mapping[str, Any], belongs: Membership, seconds: float = math.inf
    ) -> budget.Hold | None:
        """Reserve the most that a request can cost; wait where calls under way may leave enough for it.

        Args:
            body: the request.
            belongs: what the call belongs to.
            seconds: how long to wait while none of the calls under way ends.

        Returns:
            What is to be settled; None where no budget is open.

        Raises:
            BudgetExceededError: it does not fit into the budget, or not in time; nothing was sent.
            SpecError: as for :meth:`highest`.
        """
        if not belongs.budgets:
            return None
        usd = self.highest(body)
        loop, again = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(again.set)

        try:
            while (hold := self._reserved(usd, belongs, wake)) is None:
                await asyncio.wait_for(again.wait(), None if seconds == math.inf else max(seconds, 0.0))
                again.clear()
        except asyncio.TimeoutError:
            pass
        else:
            return hold
        finally:
            budget.withdraw(wake)
        raise budget.waited_too_long(usd, belongs.budgets, self._name, seconds)

    def _reserved(self, usd: float, belongs: Membership, wake: Callable[[], None]) -> budget.Hold | None:
        return budget.reserve(usd, belongs.budgets, wake, model=self._name, labels=belongs.labels)


def _most_tokens(value: Any, per_image: int) -> int:
    """Return how many tokens a part of a request can have at most: no token is shorter than a byte."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "replace"))
    if isinstance(value, Mapping):
        is_data = not value.keys().isdisjoint(_MEDIA_TYPES)
        return sum(
            _FRAME
            + len(str(name))
            + (per_image if _is_image(name, item, is_data) else _most_tokens(item, per_image))
            for name, item in value.items()
        )
    if isinstance(value, (list, tuple)):
        return sum(_FRAME + _most_tokens(item, per_image) for item in value)
    return _FRAME


def _is_image(name: object, value: object, is_data: bool) -> bool:
    """Tell whether a field holds an image: its data beside its type, or its address."""
    if not isinstance(value, str):
        return False
    return (is_data and name == "data") or (name in _ADDRESSES and value.startswith(("data:", "http")))
