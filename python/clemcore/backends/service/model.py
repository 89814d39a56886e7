"""The model behind every API: exactly the call that was asked for, in whatever format the service speaks.

What is sent is decided in ``arguments`` and written by the dialect, where it goes in ``endpoint``. This module puts
them together. It answers one request at a time or many at once, from any thread or event loop.
It does not know HTTP, nor any provider.
"""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import functools
import logging
import marshal
from typing import TYPE_CHECKING, Any, ClassVar

from clemcore.arguments.account import ledger_of
from clemcore.arguments.ledger import Ledger
from clemcore.arguments.outcome import outcome_of
from clemcore.backends.service.costs import Costs
from clemcore.backends.service.dialects.thoughts import tags_of
from clemcore.backends.service.endpoint import beyond, resolve_endpoint
from clemcore.backends.service.http import background
from clemcore.backends.service.http.call import CallLayer
from clemcore.backends.service.http.exchange import Exchange
from clemcore.backends.service.http.failures import ErrorBuilder
from clemcore.backends.service.http.verdict import Verdict
from clemcore.backends.service.identity import Identity
from clemcore.backends.service.limits import resolve_limits
from clemcore.backends.service.request import model_id_of, written
from clemcore.backends.service.servers.addresses import addresses_of
from clemcore.backends.service.servers.calls import FleetCalls, endpoints_of
from clemcore.backends.service.service import Service
from clemcore.backends.service.streaming.arrival import Arrival
from clemcore.calls import recorder
from clemcore.calls.batch import Batch, Item
from clemcore.calls.request import Listener, Request, request_of, running
from clemcore.errors import ContextExceededError, GenerationArgumentError
from clemcore.messages import Messages
from clemcore.model import BatchGenerativeModel, Reply
from clemcore.registry.context_size import parse_context_size
from clemcore.registry.settings import check_settings
from clemcore.registry.spec import ModelSpec

if TYPE_CHECKING:
    from clemcore.backends.service.client import OwnClient

logger = logging.getLogger(__name__)

# Seeds below this one are all treated alike by every service.
_LARGEST_SEED = 2**31
# Seconds for which the answers of a batch are collected before they are written down together.
_WRITE_EVERY = 0.02
# Calls of a batch that are prepared in one step of the loop: between the steps the first ones leave.
_PREPARED_AT_ONCE = 20


class RemoteModel(BatchGenerativeModel):
    """A model behind an API; several threads and event loops may call it at once."""

    conversations: ClassVar[int | None] = None
    streams: ClassVar[bool] = True

    @abc.abstractmethod
    async def _answer(self, request: Request) -> Reply:
        """Answer one request; runs on the background loop.

        Raises:
            background.Stopped: it was cancelled, and something had been sent.
        """

    def generate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue by one call.

        Args:
            messages: the dialogue; neighbouring messages of one role are merged, images become content parts.

        Returns:
            The body as sent, the body as received, and the answer's text, stripped; ``facts`` beside them.

        Raises:
            GenerationArgumentError: a generation argument cannot be sent as asked; nothing was sent.
            ContextExceededError: prompt and reply do not fit the context window.
            RemoteCallError: the service refused or failed, or its reply holds no answer.
        """
        return background.run(self._answer(self._request(messages)))

    async def agenerate_response(self, messages: Messages) -> Reply:
        """Answer a dialogue without a thread of its own; otherwise as :meth:`generate_response`."""
        return await background.run_async(self._answer(self._request(messages)))

    def _request(self, messages: Messages) -> Request:
        """Return the request of the call that runs; a subclass may have changed its messages."""
        what = running(self)
        if not isinstance(what, Request):
            return request_of(messages)
        return what if what.messages is messages else dataclasses.replace(what, messages=messages)

    def _answer_items(self, batch: Batch) -> None:
        background.run(self._answer_all(batch))

    async def _answer_all(self, batch: Batch) -> None:
        writer = _Writer(batch)
        tasks: list[asyncio.Task[None]] = []
        try:
            for number, item in enumerate(batch.pending):
                tasks.append(asyncio.create_task(self._put(item, batch, writer)))
                if number % _PREPARED_AT_ONCE == _PREPARED_AT_ONCE - 1:
                    await asyncio.sleep(0)
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        finally:
            writer.stop()
        batch.check(await recorder.flushed(batch.sinks))

    async def _put(self, item: Item, batch: Batch, writer: _Writer) -> None:
        result: Any
        try:
            result = await self._answer(item.request)
        except Exception as error:  # noqa: BLE001 - one item fails alone
            result = error
        except background.Stopped as stop:
            item.call.put_failure(stop)
            raise
        batch.put(item, result)
        writer.start(item)


class _Writer:
    """Sees to it that what a batch has brought is written while the rest is under way."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._sinks = batch.sinks
        self._items: list[Item] = []
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, item: Item) -> None:
        """Write an item soon, together with all that come until then."""
        self._items.append(item)
        if self._timer is None and self._sinks:
            self._timer = asyncio.get_running_loop().call_later(_WRITE_EVERY, self._write)

    def _write(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._written())

    async def _written(self) -> None:
        items, self._items = self._items, []
        self._batch.check(await recorder.flushed(self._sinks), items)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class ServedModel(RemoteModel):
    """A model behind an API."""

    ends_calls = True

    def __init__(self, model_spec: ModelSpec, service: Service, own: OwnClient | None = None) -> None:
        """Find address and key; open nothing yet.

        Args:
            model_spec: the entry.
            service: who runs it, and the format that it speaks.
            own: a client of the user's own that sends, or None.
        """
        super().__init__(model_spec)
        check_settings(model_spec)
        tags_of(model_spec)
        self._service = service
        self._model_id = model_id_of(model_spec)
        self._dialect = service.dialect
        self._context_size = parse_context_size(model_spec.get("context_size"), self.name)
        self._ledger: tuple[tuple[str, frozenset[str]], Ledger, bytes] | None = None
        self._known_arguments: dict[str, bool] = {}
        self._own = own
        at = functools.partial(resolve_endpoint, model_spec, service)
        addresses = addresses_of(model_spec) if own is None and service.takes_several else None
        if addresses is not None:
            endpoint = endpoints_of(addresses, at)[0]
        else:
            endpoint = resolve_endpoint(model_spec, service) if own is None else own.endpoint(model_spec)
        self._errors = ErrorBuilder(self.name, self._model_id, service.backend, endpoint, self._dialect)
        path = self._dialect.path(model_spec, self._model_id)
        self._path = beyond(endpoint.base_url, path if own is None else own.path(path, self._model_id))
        self._identity = Identity(model_spec)
        self._told: set[str] = set()
        self._costs = Costs(model_spec, self._dialect)
        headers = self._dialect.headers(model_spec)
        engine = None if own is None else own.engine(endpoint.base_url, headers)
        limits = resolve_limits(model_spec)
        self._calls: CallLayer
        if addresses is not None:
            self._calls = FleetCalls(
                self._errors, limits, headers, self._costs, spec=model_spec, addresses=addresses, endpoint_at=at
            )
        else:
            self._calls = CallLayer(self._errors, limits, headers, self._costs, spec=model_spec, engine=engine)

    def __reduce__(self) -> Any:
        """Copy and pickle the entry and the arguments; a copy finds its key and opens its connections by itself."""
        state = {"_gen_args": dict(self._gen_args), "_defaulted": self._defaulted}
        return type(self), (self.model_spec, self._service, self._own), state

    @property
    def useful_calls(self) -> int | None:
        """How many calls at once the service takes, as far as that is known."""
        return self._calls.useful_calls

    def require_prices(self) -> None:
        """Check that what calls cost is known.

        Raises:
            SpecError: the entry has no prices.
        """
        self._costs.require_prices()

    def knows_argument(self, name: str) -> bool:
        """Tell whether a whole number under this name would be sent as it is."""
        if name not in self._known_arguments:
            arguments = {**self._gen_args, name: 1}
            try:
                ledger = ledger_of(arguments, arguments.keys() - self._defaulted, self.model_spec, self._dialect)
                self._known_arguments[name] = ledger.value(name) == 1
            except GenerationArgumentError:
                self._known_arguments[name] = False
        return self._known_arguments[name]

    async def _answer(self, request: Request) -> Reply:
        ledger, known = self._ledger_of(request)
        self._check_window(ledger)
        body = written(self.model_spec, self._model_id, self._dialect, request.messages, ledger)
        path, arrival = self._path, None
        if request.listener is not None:
            path, body, arrival = self._streamed(body, request.listener)
        exchange = await self._calls.post(path, body, ledger, request.scope, arrival)
        try:
            reply = self._reply(exchange, ledger, known)
        finally:
            exchange.settle(None)  # whatever was not settled before
        # Raised where no local variable holds the body: tracebacks may show them, and it may echo a key.
        if isinstance(reply, Verdict):
            raise self._errors.failure(exchange, reply, ledger)
        if exchange.slot is not None:
            # Before the call is recorded: what is in the record is never sent again.
            keeping = exchange.slot.facts_after(exchange.status, exchange.headers, exchange.response, reply)
            reply.facts.update(await background.to_its_end(keeping))
        return reply

    def _streamed(self, body: dict[str, Any], listener: Listener) -> tuple[str, dict[str, Any], Arrival | None]:
        """Return path and body of a call whose answer comes in pieces; the call stops when nobody listens."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is not None:
            listener.on_stop(lambda: background.stop_soon(loop, task))
        joiner = self._dialect.joiner
        if joiner is None or self._own is not None or tags_of(self.model_spec) is not None:
            # One piece: a client of the user's own gives whole replies; tags split off thoughts at the end.
            return self._path, body, None
        return *self._dialect.streamed(self._path, body), Arrival(joiner, listener)

    def _ledger_of(self, request: Request) -> tuple[Ledger, bytes]:
        """Return what becomes of the generation arguments, and its facts, marshalled.

        Both are worked out once for all calls with the same arguments; the facts are copied for each reply.
        """
        gen_args, asked = {**self.gen_args, **request.gen_args}, {**self.asked_gen_args, **request.gen_args}
        # Games give each call a seed of its own, which changes nothing else.
        seed = gen_args.get("seed")
        has_seed = type(seed) is int and 0 <= seed < _LARGEST_SEED
        state = repr({**gen_args, "seed": 0} if has_seed else gen_args), frozenset(asked)
        known = self._ledger
        if known is None or known[0] != state:
            ledger = ledger_of(gen_args, asked, self.model_spec, self._dialect)
            known = self._ledger = state, ledger, ledger.marshalled()
        _, ledger, facts = known
        if has_seed and "seed" in ledger and ledger.value("seed") != seed and "seed" not in ledger.clamped:
            ledger = ledger.with_value("seed", seed)
            facts = ledger.marshalled()
        return ledger, facts

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

    def _reply(self, exchange: Exchange, ledger: Ledger, known: bytes) -> Reply | Verdict:
        """Return the reply, or why the answer must not be used."""
        if exchange.answer is None:
            raise TypeError("a call without an answer has failed before")
        body, (text, facts) = exchange.parsed, exchange.answer
        facts.setdefault("usage", {})
        is_kept = exchange.slot is not None and exchange.slot.kept is not None
        if self._costs.prices is not None:
            usd = self._costs.of(facts["usage"])
            facts.update(self._costs.facts(0.0 if is_kept else usd))
            exchange.settle(usd)
        facts.setdefault("outcome", outcome_of(text, reasoned=bool(facts.get("reasoning"))))
        if (facts.get("served_model"), facts.get("system_fingerprint")) != self._identity.last:
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
        self._warn(text, facts)
        return Reply(
            exchange.prompt,
            body,
            text,
            {
                **marshal.loads(known),  # noqa: S302 - the quickest deep copy, of our own bytes
                "dialect": self._dialect.name,
                **facts,
                "wire": exchange.facts(),
                "versions": self._calls.versions,
            },
            exchange.texts,
        )

    def _warn(self, text: str, facts: dict[str, Any]) -> None:
        outcome, finish = facts.get("outcome"), facts.get("finish_reason")
        if not text:
            why = f"{outcome}; finish_reason {finish!r:.80}"
            if facts.get("refusal"):
                why += ", a refusal"
            if facts.get("reasoning"):
                why += ", reasoning only"
            logger.warning("the answer of model '%s' is empty (%s)", self.name, why)
        elif outcome == "unknown":
            self._warn_once(
                f"finish_reason {finish!r:.80} is not known, so a reply may be incomplete; it is not cached"
            )
        if self._costs.prices is not None and "cost" not in facts:
            self._warn_once("the cost of a call is not known, because the reply does not count its tokens")

    def _warn_once(self, words: str) -> None:
        if words not in self._told:
            self._told.add(words)
            logger.warning("model '%s': %s", self.name, words)


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
