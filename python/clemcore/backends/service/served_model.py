"""The model behind every API: one call, exactly as asked, in whatever format the service speaks.

What is sent is decided in ``arguments`` and written by the dialect, where it goes in ``endpoint``; this module puts
them together and hands the answer on. It does not know HTTP, and no provider.
"""

from __future__ import annotations

import logging
from typing import Any

from clemcore.arguments.account import ledger_of
from clemcore.arguments.ledger import Ledger
from clemcore.arguments.outcome import outcome_of
from clemcore.backends.service.costs import Costs
from clemcore.backends.service.dialects.base import NoAnswerError
from clemcore.backends.service.endpoint import beyond, resolve_endpoint
from clemcore.backends.service.http import background
from clemcore.backends.service.http.call import CallLayer
from clemcore.backends.service.http.exchange import Exchange
from clemcore.backends.service.http.failures import Caller
from clemcore.backends.service.http.verdict import Verdict
from clemcore.backends.service.identity import Identity
from clemcore.backends.service.limits import resolve_limits
from clemcore.backends.service.model import RemoteModel
from clemcore.backends.service.request import model_id_of, written
from clemcore.backends.service.service import Service
from clemcore.calls.request import Request
from clemcore.errors import ContextExceededError
from clemcore.model import Reply
from clemcore.registry.context_size import parse_context_size
from clemcore.registry.settings import check_settings
from clemcore.registry.spec import ModelSpec

logger = logging.getLogger(__name__)


class ServedModel(RemoteModel):
    """A model behind an API."""

    def __init__(self, model_spec: ModelSpec, service: Service) -> None:
        """Find address and key; open nothing yet.

        Args:
            model_spec: the entry.
            service: who runs it, and the format that it speaks.
        """
        super().__init__(model_spec)
        check_settings(model_spec)
        self._service = service
        self._model_id = model_id_of(model_spec)
        self._dialect = service.dialect
        self._context_size = parse_context_size(model_spec.get("context_size"), self.name)
        self._ledger: tuple[tuple[str, frozenset[str]], Ledger] | None = None
        endpoint = resolve_endpoint(model_spec, service)
        self._caller = Caller(self.name, self._model_id, service.backend, endpoint, self._dialect)
        self._path = beyond(endpoint.base_url, self._dialect.path(model_spec, self._model_id))
        self._identity = Identity(model_spec)
        self._costs = Costs(model_spec, self._dialect)
        headers = self._dialect.headers(model_spec)
        self._calls = CallLayer(self._caller, resolve_limits(model_spec), headers, self._costs)

    def __reduce__(self) -> Any:
        """Copy and pickle the entry and the arguments; a copy finds its key and opens its connections by itself."""
        state = {"_gen_args": dict(self._gen_args), "_defaulted": self._defaulted}
        return type(self), (self.model_spec, self._service), state

    async def _answer(self, request: Request) -> Reply:
        ledger = self._ledger_of(request)
        self._check_window(ledger)
        body = written(self.model_spec, self._model_id, self._dialect, request.messages, ledger)
        exchange = await self._calls.post(self._path, body, ledger, request.scope)
        reply = self._read(exchange, ledger)
        # Raised where no local variable holds the body: tracebacks may show them, and it may echo a key.
        if isinstance(reply, Verdict):
            raise self._caller.failure(exchange, reply, ledger)
        if exchange.slot is not None:
            # Before the call is recorded: what is in the record is never sent again.
            keeping = exchange.slot.facts_after(exchange.status, exchange.headers, exchange.response, reply)
            reply.facts.update(await background.to_its_end(keeping))
        return reply

    def _ledger_of(self, request: Request) -> Ledger:
        """Return what becomes of the generation arguments, worked out once for all calls with the same ones."""
        gen_args, asked = {**self.gen_args, **request.gen_args}, {**self.asked_gen_args, **request.gen_args}
        state = repr(gen_args), frozenset(asked)
        if self._ledger is None or self._ledger[0] != state:
            ledger = ledger_of(gen_args, asked, self.model_spec, self._dialect)
            self._ledger = state, ledger
        return self._ledger[1]

    def _check_window(self, ledger: Ledger) -> None:
        size = self._context_size
        if size is None:
            return
        limit = self._dialect.tokens_asked(ledger.fields)
        if limit <= size:
            return
        raise ContextExceededError(
            f"max_tokens alone exceeds the context_size of model '{self.name}'; nothing was sent:",
            tokens_used=limit,
            tokens_left=size - limit,
            context_size=size,
        )

    def _read(self, exchange: Exchange, ledger: Ledger) -> Reply | Verdict:
        """Return the reply, or what is wrong with it."""
        body = exchange.parsed
        try:
            text, facts = self._dialect.read(body, self.model_spec)
        except NoAnswerError as fault:
            exchange.settle(None)
            return Verdict("bad_reply", str(fault))
        except (LookupError, TypeError, AttributeError, ValueError) as fault:
            # A format that does not look before it reads; the reply is kept, with what was wrong.
            return Verdict(
                "bad_reply", f"the reply has not the form of an answer ({type(fault).__name__}: {fault})"
            )
        facts.setdefault("usage", {})
        is_kept = exchange.slot is not None and exchange.slot.kept is not None
        facts.update(self._costs.facts(facts["usage"], is_kept=is_kept))
        exchange.settle(self._costs.of(facts["usage"]))
        facts.setdefault("outcome", outcome_of(text, reasoned=bool(facts.get("reasoning"))))
        change = self._identity.change(facts)
        if change:
            facts["identity_change"] = change
            another = self._identity.verdict(change)
            if another is not None:
                return Verdict("identity_change", another)
        exceeded = _exceeded(ledger, facts)
        if exceeded is not None:
            if ledger.on_exceed == "error":
                return Verdict("reasoning_exceeded", exceeded, facts=facts)
            facts["reasoning_exceeded"] = exceeded
        self._warn_if_empty(text, facts)
        texts, wire = exchange.texts, self._caller.wire(exchange)
        if texts[1] is None:
            wire["response_rewritten"] = True
        return Reply(
            exchange.prompt,
            body,
            text,
            {
                **ledger.facts(),
                "dialect": self._dialect.name,
                **facts,
                "wire": wire,
                "versions": {"aiohttp": self._calls.version},
            },
            texts,
        )

    def _warn_if_empty(self, text: str, facts: dict[str, Any]) -> None:
        if text:
            return
        why = f"{facts.get('outcome')}; finish_reason {facts.get('finish_reason')!r}"
        if facts.get("refusal"):
            why += ", a refusal"
        if facts.get("reasoning"):
            why += ", reasoning only"
        logger.warning("the answer of model '%s' is empty (%s)", self.name, why)


def _exceeded(ledger: Ledger, facts: dict[str, Any]) -> str | None:
    """Return in which way reasoning was more than asked for, or left no answer; None where it was not."""
    outcome, wish = facts["outcome"], ledger.reasoning
    if outcome in ("length", "reasoning_only"):
        used = facts["usage"].get("reasoning_tokens")
        if outcome == "reasoning_only" or used or facts.get("reasoning"):
            return "reasoning has left no tokens for an answer" + (f" ({used} tokens)" if used else "")
    if wish is not None and wish.budget is not None:
        used = facts["usage"].get("reasoning_tokens", 0)
        if used > wish.budget:
            return f"{used} tokens of reasoning, where {wish.budget} were asked for"
    return None
