"""The body of a request, written from an entry, messages and generation arguments. It sends nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from clemcore.arguments.account import ledger_of
from clemcore.arguments.ledger import Ledger
from clemcore.backends.service.dialects.base import Dialect
from clemcore.errors import SpecError
from clemcore.images import check_number, part_as_sent
from clemcore.messages import Message, Messages, check_something_is_left, check_texts, ensure_alternating_roles
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec


def request_body(
    spec: ModelSpec,
    dialect: Dialect,
    messages: Messages,
    gen_args: Mapping[str, Any],
    asked: Collection[str],
) -> dict[str, Any]:
    """Return the body that a call would send."""
    ledger = ledger_of(gen_args, asked, spec, dialect)
    return written(spec, model_id_of(spec), dialect, messages, ledger)


def written(spec: ModelSpec, model_id: str, dialect: Dialect, messages: Messages, ledger: Ledger) -> dict[str, Any]:
    """Write a body.

    Raises:
        MessagesError: the format has no place for something in the messages, or the model does not take it.
    """
    if any(message.get("image") is not None for message in messages):
        check_number(messages, spec)
    check_texts(messages)
    merged = ensure_alternating_roles(messages)
    check_something_is_left(messages, merged)
    sent = [_with_whole_data(message, index) for index, message in enumerate(merged)]
    return dialect.body(spec, model_id, sent, ledger.fields)


def _with_whole_data(message: Message, index: int) -> Message:
    content = message["content"]
    if not isinstance(content, list):
        return message
    parts = [part_as_sent(part, f"messages[{index}]['content'][{n}]") for n, part in enumerate(content)]
    return {**message, "content": parts}


def model_id_of(spec: ModelSpec) -> str:
    """Return the model's name at the service.

    Raises:
        SpecError: the entry has none.
    """
    value = spec.get("model_id")
    if not isinstance(value, str) or not value.strip():
        found = "is missing" if value is None else f"must be a non-empty string, not {value!r}"
        raise SpecError(
            f"the entry of model '{spec['model_name']}': 'model_id' {found}; it is the model's name at the service"
        )
    return value


OPENAI_APIS = ("chat_completions", "responses")


def api_of(spec: ModelSpec, apis: Sequence[str] = OPENAI_APIS, default: str = OPENAI_APIS[0]) -> str:
    """Return which protocol an entry names (``api``).

    Args:
        spec: the entry.
        apis: the protocols that its service speaks.
        default: the one where the entry names none.

    Raises:
        SpecError: it names another one.
    """
    api: str = setting(spec, "api", default)
    if api not in apis:
        raise SpecError(f"model '{spec['model_name']}': api must be {' or '.join(map(repr, apis))}, not {api!r}")
    return api
