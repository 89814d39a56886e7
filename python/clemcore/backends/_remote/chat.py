"""The model behind ``openai`` and ``openai_compatible``: one Chat Completions call, exactly as asked.

What is sent is decided in ``arguments`` and ``images``, where it goes in ``endpoint``; this module puts them
together and reads the answer. It does not know HTTP.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Mapping
from typing import Any

from clemcore.backends._context import parse_context_size
from clemcore.backends._remote.answer import NoAnswerError, read_answer
from clemcore.backends._remote.arguments import CHAT_FIELDS, Ledger, ledger_of
from clemcore.backends._remote.endpoint import Service, check_settings, resolve_endpoint
from clemcore.backends._remote.exchange import Exchange
from clemcore.backends._remote.failures import Caller
from clemcore.backends._remote.images import encode_messages
from clemcore.backends._remote.limits import resolve_limits
from clemcore.backends._remote.model import RemoteModel
from clemcore.backends._remote.verdict import Verdict
from clemcore.backends.base import require
from clemcore.errors import ContextExceededError, SpecError
from clemcore.messages import Messages, ensure_alternating_roles
from clemcore.model import DEFAULT_GEN_ARGS, Reply
from clemcore.spec import ModelSpec

logger = logging.getLogger(__name__)

_PATH = "/chat/completions"


def make_chat_model(model_spec: ModelSpec, service: Service, *, checks_names: bool) -> ChatModel:
    """Make the model of an entry.

    Args:
        model_spec: the entry.
        service: what the backend presupposes about its service.
        checks_names: refuse generation arguments that the official service does not know.

    Raises:
        MissingExtraError: the HTTP engine is not installed.
        SpecError: the entry lacks something or contradicts itself.
        MissingKeyError: a key is required and there is none.
    """
    require("aiohttp", backend=service.backend, extra="openai")
    require("tenacity", backend=service.backend, extra="openai")
    return ChatModel(model_spec, service, known=CHAT_FIELDS if checks_names else None)


def render_chat(
    model_spec: ModelSpec,
    messages: Messages,
    gen_args: Mapping[str, Any],
    *,
    checks_names: bool,
) -> dict[str, Any]:
    """Return the body that a call would send; a generation argument with its default's value counts as not asked.

    Args:
        model_spec: the entry.
        messages: the dialogue.
        gen_args: the generation arguments, defaults included.
        checks_names: as for :func:`make_chat_model`.
    """
    known = CHAT_FIELDS if checks_names else None
    check_settings(model_spec)
    asked = [name for name, value in gen_args.items() if DEFAULT_GEN_ARGS.get(name) != value]
    return _body(model_spec, messages, ledger_of(gen_args, asked, model_spec, known=known))


def _body(spec: ModelSpec, messages: Messages, ledger: Ledger) -> dict[str, Any]:
    encoded = encode_messages(ensure_alternating_roles(messages), spec)
    return {"model": _model_id(spec), "messages": encoded, **ledger.fields}


class ChatModel(RemoteModel):
    """A model behind a Chat Completions service."""

    def __init__(self, model_spec: ModelSpec, service: Service, *, known: Collection[str] | None) -> None:
        super().__init__(model_spec)
        from clemcore.backends._remote.call import CallLayer

        check_settings(model_spec)
        model_id = _model_id(model_spec)
        self._context_size = parse_context_size(model_spec.get("context_size"), self.name)
        self._known = known
        self._ledger: tuple[str, Ledger] | None = None
        self._caller = Caller(self.name, model_id, service.backend, resolve_endpoint(model_spec, service))
        self._calls = CallLayer(self._caller, resolve_limits(model_spec))

    async def _answer(self, messages: Messages) -> Reply:
        ledger = self._current_ledger()
        self._check_window(ledger)
        exchange = await self._calls.post(_PATH, _body(self.model_spec, messages, ledger))
        reply = self._read(exchange, ledger)
        # Raised where no local variable holds the body: tracebacks may show them, and it may echo a key.
        if isinstance(reply, str):
            raise self._caller.failure(exchange, Verdict("bad_reply", reply))
        return reply

    def _current_ledger(self) -> Ledger:
        """Return what becomes of the generation arguments, worked out once for all calls with the same ones."""
        state = repr((self.gen_args, sorted(self.asked_gen_args)))
        if self._ledger is None or self._ledger[0] != state:
            ledger = ledger_of(self.gen_args, self.asked_gen_args, self.model_spec, known=self._known)
            self._ledger = state, ledger
        return self._ledger[1]

    def _check_window(self, ledger: Ledger) -> None:
        limit = ledger.fields.get("max_completion_tokens", ledger.fields.get("max_tokens"))
        size = self._context_size
        if size is None or not isinstance(limit, int) or limit <= size:
            return
        raise ContextExceededError(
            f"max_tokens alone exceeds the context_size of model '{self.name}'; nothing was sent:",
            tokens_used=limit,
            tokens_left=size - limit,
            context_size=size,
        )

    def _read(self, exchange: Exchange, ledger: Ledger) -> Reply | str:
        """Return the reply, or what is wrong with it."""
        body = exchange.parsed
        try:
            text, facts = read_answer(body)
        except NoAnswerError as fault:
            return str(fault)
        self._warn_if_empty(text, facts)
        return Reply(
            exchange.prompt,
            body,
            text,
            {
                "sent": copy.deepcopy(ledger.fields),
                "parameters": ledger.parameters,
                **facts,
                "wire": exchange.facts(),
                "versions": {"aiohttp": self._calls.version},
            },
        )

    def _warn_if_empty(self, text: str, facts: dict[str, Any]) -> None:
        if text:
            return
        why = f"finish_reason {facts.get('finish_reason')!r}"
        if facts.get("refusal"):
            why += ", a refusal"
        if facts.get("reasoning"):
            why += ", reasoning only"
        logger.warning("the answer of model '%s' is empty (%s)", self.name, why)


def _model_id(spec: ModelSpec) -> str:
    value = spec.get("model_id")
    if not isinstance(value, str) or not value.strip():
        found = "is missing" if value is None else f"must be a non-empty string, not {value!r}"
        raise SpecError(
            f"the entry of model '{spec['model_name']}': 'model_id' {found}; it is the model's name at the service"
        )
    return value
