"""One call of a remote model from its bytes to its reply: gate, attempts, deadlines, errors.

This is the one layer that all remote backends use: a backend builds the body and reads the reply. It does not know
what they mean.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from clemcore.arguments.ledger import Ledger
from clemcore.backends.service.costs import Costs
from clemcore.backends.service.dialects.base import NoAnswerError
from clemcore.backends.service.endpoint import Endpoint
from clemcore.backends.service.http.adaptive import Sent
from clemcore.backends.service.http.background import Stopped
from clemcore.backends.service.http.engine import engine_for
from clemcore.backends.service.http.exchange import Exchange
from clemcore.backends.service.http.failures import ErrorBuilder
from clemcore.backends.service.http.gate import Gate, Outcome, gate_for
from clemcore.backends.service.http.retries import with_retries
from clemcore.backends.service.http.verdict import REFUSALS, Verdict, judge, may_repeat
from clemcore.backends.service.limits import Limits
from clemcore.backends.service.slot import is_worth_keeping, slot_for
from clemcore.backends.service.streaming.arrival import Arrival
from clemcore.calls.cache import VARIABLE as CACHE_VARIABLE
from clemcore.calls.scope import Membership
from clemcore.errors import MessagesError
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)

# For the estimate of a prompt's tokens, before the service has counted them.
_BYTES_PER_TOKEN = 4
# Statuses from which on a reply is a refusal or a failure, which costs nothing.
_REFUSED = 400
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_OUTCOMES: Mapping[str, Outcome] = {"rate_limit": "refused"}


class Sender(Protocol):
    """What sends the bytes of an exchange and notes what came back."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Names and versions of the libraries that send, for the record."""

    async def send(self, exchange: Exchange, seconds: float) -> None:
        """Send once and read the whole reply within so many seconds; note faults of the network."""


@dataclass(frozen=True)
class Lane:
    """The way to one server.

    Attributes:
        address: its base URL.
        engine: what sends.
        gate: what the calls pass, shared with every model of this provider, account and name.
    """

    address: str
    engine: Sender
    gate: Gate


class CallLayer:
    """Makes the calls of one model; its coroutines run on the background loop.

    Args:
        errors: builds the errors of the calls; it knows who calls, and where.
        limits: how much, how often, how long.
        headers: headers of the dialect; the key's and those of every request are added.
        costs: what its calls cost, for budgets.
        spec: the entry, for reading replies.
        engine: what sends, or None for the engine of clemcore.

    Attributes:
        versions: what sends, for the record.
        place: what the entry says about where calls go, for the cache.
    """

    def __init__(
        self,
        errors: ErrorBuilder,
        limits: Limits,
        headers: Mapping[str, str],
        costs: Costs,
        *,
        spec: ModelSpec,
        engine: Sender | None = None,
    ) -> None:
        """Open nothing yet."""
        endpoint = errors.endpoint
        self._errors = errors
        self._limits = limits
        self._identity = (
            errors.backend,
            errors.dialect.name,
            errors.model_id,
            endpoint.account,
            dict(headers),
            {} if endpoint.key is None else {name: endpoint.key.get(name) for name in ("organization", "project")},
        )
        self._costs = costs
        self._spec = spec
        self.place = endpoint.base_url
        self._lane = self._lane_of(endpoint, headers, engine)
        self.versions = self._lane.engine.versions

    def _lane_of(self, endpoint: Endpoint, headers: Mapping[str, str], engine: Sender | None = None) -> Lane:
        errors = self._errors
        engine = engine or engine_for(endpoint, headers, errors.dialect.key_headers)
        gate = gate_for(endpoint.base_url, endpoint.account, errors.model_id, self._limits)
        return Lane(endpoint.base_url, engine, gate)

    @property
    def useful_calls(self) -> int | None:
        """How many calls at once the service takes, as far as that is known."""
        return self._lane.gate.limit.value

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        ledger: Ledger,
        belongs: Membership,
        arrival: Arrival | None = None,
    ) -> Exchange:
        """Send a body, and return what happened once a reply came that can be read for an answer.

        Args:
            path: what is appended to the base URL.
            body: the request.
            ledger: what became of the generation arguments, for errors.
            belongs: what the call belongs to: its budgets and its cache.
            arrival: gets the answer as it arrives, or None.

        Raises:
            RemoteCallError: the service refused or failed.
            ContextExceededError: the service says that prompt and reply do not fit the context window.
            MessagesError: the messages cannot be written as UTF-8 JSON; nothing was sent.
            BudgetExceededError: it may cost more than is left of a budget; nothing was sent.
            Stopped: it was cancelled after something had been sent.
        """
        exchange = self._exchange(path, body, ledger, belongs, arrival)
        if exchange.answer is not None:
            return exchange
        try:
            verdict = await with_retries(exchange, lambda: self._attempt(path, exchange, body, belongs))
        except asyncio.CancelledError:
            exchange.settle(None if exchange.was_sent else 0)
            if not exchange.was_sent:
                raise
            exchange.keep_what_arrived()
            raise Stopped(self._errors.failure(exchange, Verdict("interrupted"), ledger)) from None
        except BaseException:
            exchange.settle(None if exchange.was_sent else 0)
            raise
        logger.debug("POST %s: status %s, %d attempt(s)", exchange.url, exchange.status, exchange.attempts)
        if verdict is not None:
            exchange.settle(0)
            # Raised where nothing holds headers: tracebacks may show local variables.
            raise self._errors.failure(exchange, verdict, ledger)
        return exchange

    def _exchange(
        self, path: str, body: Mapping[str, Any], ledger: Ledger, belongs: Membership, arrival: Arrival | None
    ) -> Exchange:
        """Return the exchange of a call; it has an answer already where the cache has kept one."""
        endpoint = self._errors.endpoint
        exchange = Exchange(self.place + path, encoded(body), self._limits)
        exchange.is_tls_verified, exchange.arrival = endpoint.verify_tls, arrival
        if belongs.cache is not None or os.environ.get(CACHE_VARIABLE):
            call = self._identity, exchange.url, exchange.body
            exchange.slot = slot_for(*call, belongs, fields=ledger.fields, dialect=self._errors.dialect)
        if exchange.slot is not None and exchange.slot.kept is not None:
            kept = exchange.slot.kept
            exchange.take(kept.status, kept.headers, kept.body)
            if self._judged(exchange) is not None or not is_worth_keeping(exchange.answer):
                # Kept by a version that took it for an answer.
                exchange.slot.kept = None
                exchange.put_back()
        return exchange

    async def _attempt(
        self, path: str, exchange: Exchange, body: Mapping[str, Any], belongs: Membership
    ) -> Verdict | None:
        dialect = self._errors.dialect
        tokens = len(exchange.body) / _BYTES_PER_TOKEN + dialect.tokens_asked(body) * dialect.answers_asked(body)
        queued = time.monotonic()
        lane, sent = await self._enter(exchange, body, belongs, tokens)
        outcome: Outcome = "neutral"
        verdict: Verdict | None = None
        try:
            if exchange.hold is None and belongs.budgets:
                left = exchange.time_left + time.monotonic() - queued  # the wait for a place does not count
                exchange.hold = await self._costs.hold(body, belongs, left)
            exchange.queued += time.monotonic() - queued
            exchange.begin_attempt()
            exchange.url = lane.address + path
            seconds = min(self._limits.attempt_timeout, max(exchange.time_left, 0.001))
            await lane.engine.send(exchange, seconds)
            exchange.parse()
            verdict = self._judged(exchange)
            may_cost = exchange.was_sent and (exchange.status or 0) < _REFUSED
            if verdict is not None and may_cost and verdict.kind not in REFUSALS:
                # No refusal: it may have been generated, and paid for. A further attempt costs again.
                exchange.settle(self._costs.of(verdict.facts.get("usage", {})))
                exchange.hold = None
            if verdict is not None and exchange.arrival is not None and exchange.arrival.has_begun:
                verdict = replace(verdict, should_retry=False, is_final=True)  # a part of it was read
            outcome = "answered" if verdict is None else _OUTCOMES.get(verdict.kind, "neutral")
        finally:
            self._leave(lane, sent, outcome, exchange, verdict)
        used = dialect.tokens_used(exchange.parsed) if verdict is None else 0
        if used is not None:
            lane.gate.correct_tokens(used - tokens)
        return verdict

    async def _enter(
        self,
        exchange: Exchange,
        body: Mapping[str, Any],  # noqa: ARG002 - for those that choose
        belongs: Membership,  # noqa: ARG002
        tokens: float,
    ) -> tuple[Lane, Sent]:
        """Return the way of an attempt once it is free; a subclass chooses among several."""
        sent = await self._lane.gate.enter(tokens, is_repeated=exchange.attempts > 0, call=id(exchange))
        return self._lane, sent

    def _leave(
        self,
        lane: Lane,
        sent: Sent,
        outcome: Outcome,
        exchange: Exchange,  # noqa: ARG002 - as above
        verdict: Verdict | None,  # noqa: ARG002
    ) -> None:
        """Leave the way when an attempt has ended."""
        lane.gate.leave(sent, outcome)

    def _judged(self, exchange: Exchange) -> Verdict | None:
        """Read the answer of a finished attempt; return what is wrong where there is none."""
        dialect = self._errors.dialect
        is_good = exchange.has_good_status and exchange.parsed is not None
        if not is_good or dialect.fault(exchange.parsed) is not None:
            return judge(exchange, dialect)
        try:
            exchange.answer = dialect.read(exchange.parsed, self._spec)
        except NoAnswerError as fault:
            return Verdict(
                fault.kind, str(fault), should_retry=may_repeat(exchange, fault.may_repeat), facts=fault.facts
            )
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as fault:
            # A format that does not look before it reads; the reply is kept, with what was wrong.
            why = f"the reply has not the form of an answer ({type(fault).__name__}: {fault!s:.200})"
            return Verdict("bad_reply", why, should_retry=False)
        return None


def encoded(body: Mapping[str, Any]) -> bytes:
    """Write a body as it will be sent.

    Raises:
        MessagesError: it holds what JSON or UTF-8 cannot.
    """
    try:
        return _ENCODER.encode(body).encode("utf-8")
    except UnicodeEncodeError as fault:
        reason = f"character {fault.object[fault.start]!r} is not Unicode text"
    except (TypeError, ValueError, RecursionError) as fault:
        reason = str(fault)
    raise MessagesError(f"the messages cannot be written as JSON in UTF-8: {reason}")
