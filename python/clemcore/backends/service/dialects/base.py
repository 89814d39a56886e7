"""What a wire format is: how a call is written, and how its answer, its errors and its counts are read.

Every provider speaks one of these over the one call layer (``docs/decisions/0006-dialects.md``). It knows no
provider, no address and no HTTP.
"""

from __future__ import annotations

import abc
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning
from clemcore.backends.service.streaming.joiner import Joiner
from clemcore.keys import Key
from clemcore.messages import Messages
from clemcore.registry.spec import ModelSpec

# What looks like a status in a code that is text; other codes are numbers too.
_STATUS = re.compile("[45][0-9]{2}")


class NoAnswerError(ValueError):
    """A reply that holds no answer; the message says what is wrong with it.

    Attributes:
        kind: the kind of error that follows, a key of ``errors.REMOTE_ERRORS``.
        may_repeat: whether the service failed in a way that may pass, so that the request is sent again. A reply
            in another form than expected would come again, and would be paid for again.
        facts: what was read all the same, such as ``usage``.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str = "bad_reply",
        may_repeat: bool = False,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the message and what is known of the failure."""
        super().__init__(message)
        self.kind = kind
        self.may_repeat = may_repeat
        self.facts = dict(facts or {})


@dataclass(frozen=True)
class Fault:
    """What an error body says.

    Attributes:
        codes: the codes and types that it carries.
        message: the service's own words, or None.
        status: the status of an error whose reply had a good one, or None.
        kind: the kind of error (a key of ``errors.REMOTE_ERRORS``, or ``context_window``) where the format says it
            by itself, or None: then the status decides. Codes and words that are known count before it.
        window: the size of the context window in tokens, where the body tells it apart from the words, or None.
        prompt_tokens: the tokens of the prompt, likewise.
        retry_after: seconds that the body asks to wait, or None; a header's count first.
    """

    codes: frozenset[str] = frozenset()
    message: str | None = None
    status: int | None = None
    kind: str | None = None
    window: int | None = None
    prompt_tokens: int | None = None
    retry_after: float | None = None


class Dialect(abc.ABC):
    """A wire format: it writes requests and reads replies. Derive from it for a service with its own format.

    Attributes:
        name: its name in the record, such as ``chat-completions``.
        parameters: the known generation arguments, by their uniform or native name.
        takes_any: whether an unknown argument is sent under its own name, at the top level of the body.
        own_fields: fields of the body that clemcore writes; they are not generation arguments.
        address: how a base URL usually ends, as shown in error messages.
        joiner: joins the events of a streamed answer; None if the format has no streams.
    """

    name: str
    parameters: Mapping[str, Parameter]
    takes_any: bool = False
    own_fields: frozenset[str] = frozenset({"model", "messages"})
    address: str = "it usually ends in /v1"
    joiner: type[Joiner] | None = None

    @abc.abstractmethod
    def path(self, spec: ModelSpec, model_id: str) -> str:
        """Return the path that is appended to the base URL, such as ``/chat/completions``."""

    @abc.abstractmethod
    def body(self, spec: ModelSpec, model_id: str, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of the request.

        Args:
            spec: the entry.
            model_id: the model's name at the service.
            messages: the dialogue, already checked, with alternating roles; images are still in ``image``.
            fields: the generation arguments in their final form: merge them into the body unchanged.

        Raises:
            MessagesError: the format cannot express something in the messages.
        """

    @abc.abstractmethod
    def read(self, body: Any, spec: ModelSpec) -> tuple[str, dict[str, Any]]:
        """Return the text of the answer, stripped, and the facts that the reply states.

        The facts: ``usage`` (``input_tokens``, the whole prompt, cached tokens included; ``output_tokens``,
        everything generated, reasoning included; and, if the service reports them, ``reasoning_tokens``,
        ``cached_tokens``, ``cache_write_tokens``, ``billed_input_tokens``, ``billed_output_tokens``),
        ``served_model``, ``finish_reason``, ``reasoning``, ``refusal``, and ``outcome`` (see
        :func:`outcome_of`).

        Raises:
            NoAnswerError: the reply does not have the form of an answer.
        """

    def headers(self, spec: ModelSpec) -> Mapping[str, str]:  # noqa: ARG002 - an override needs what this does not
        """Return the format's own headers, such as an API version; never a key."""
        return {}

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the headers that carry a key."""
        return {"Authorization": f"Bearer {(key.api_key or '').strip()}"}

    def fault(self, body: Any) -> Fault | None:
        """Read an error body, or return None if it is not one. Ignore the status: gateways send errors with 200."""
        body = first_of(body)
        if not isinstance(body, dict):
            return None
        is_one = body.get("error") or body.get("object") == "error" or _code_beside(body)
        return fault_in(body) if is_one else None

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:  # noqa: ARG002 - as above
        """Return the fields of the body that ask for reasoning.

        Raises:
            NotExpressibleError: the service cannot express this; ``nearest`` is the nearest setting that it can.
        """
        raise NotExpressibleError("the service has no such setting")

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:
        """Return the reasoning that fields ask for in the service's own words, or None."""
        effort = fields.get("reasoning_effort")
        return Reasoning(effort) if isinstance(effort, str) else None

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:  # noqa: B027 - a hook: most have nothing to do
        """Settle arguments that depend on each other; called once every argument has its place in the body."""

    def streamed(self, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return path and body of the same call with a streamed answer."""
        return path, {**body, "stream": True}

    def tokens_asked(self, body: Mapping[str, Any]) -> int:
        """Return how many tokens the reply may have, or 0 if the body does not limit it."""
        limit = body.get("max_tokens")
        return limit if isinstance(limit, int) else 0

    def answers_asked(self, body: Mapping[str, Any]) -> int:  # noqa: ARG002 - as above
        """Return how many answers are generated, each as long as the limit on tokens allows."""
        return 1

    def tokens_used(self, reply: Any) -> int | None:  # noqa: ARG002 - as above
        """Return the number of tokens of prompt and reply together, or None if the reply does not state it."""
        return None


def fault_in(body: Any) -> Fault:
    """Read an error body of whatever form: what most services have in common.

    Examples:
        >>> fault_in({"error": {"message": "no", "code": 400}}).message, fault_in("no").message
        ('no', 'no')
    """
    part = _faulty_part(first_of(body))
    if beside := _code_beside(part):
        return Fault(frozenset({f"MiniMax {beside}"}), _message({"message": part["base_resp"].get("status_msg")}))
    code = part.get("code")
    if isinstance(code, str) and _STATUS.fullmatch(code):
        code = int(code)
    return Fault(
        codes=_codes_of(part),
        message=_message(part),
        status=code if isinstance(code, int) and 400 <= code < 600 else None,  # noqa: PLR2004 - statuses of errors
        window=_count(part.get("n_ctx")),
        prompt_tokens=_count(part.get("n_prompt_tokens")),
    )


def first_of(body: Any) -> Any:
    """Return an error that comes in an array, as Google's services send it, without the array."""
    return body[0] if isinstance(body, list) and body and isinstance(body[0], dict) else body


def _faulty_part(body: Any) -> dict[str, Any]:
    """Return the part of an error body that says what is wrong."""
    if not isinstance(body, dict):
        return {"message": body} if isinstance(body, str) else {}
    fault = body.get("error")
    if isinstance(fault, dict):
        return fault
    several = first_of(body.get("errors"))
    return several if isinstance(several, dict) and not fault and "message" not in body else body


def _codes_of(part: dict[str, Any]) -> frozenset[str]:
    """Return the codes of an error, those inside its details included."""
    inner, details = part.get("innererror"), dicts_in(part.get("details"))
    found = [part.get(name) for name in ("code", "type", "status")]
    found += [inner.get("code")] if isinstance(inner, dict) else []
    for each in details:
        metadata = each.get("metadata")
        found += [each.get("reason"), metadata.get("quota_limit") if isinstance(metadata, dict) else None]
        found += [quota.get("quotaId") for quota in dicts_in(each.get("violations"))]
    return frozenset(str(code) for code in found if isinstance(code, (str, int)) and not isinstance(code, bool))


def _code_beside(body: dict[str, Any]) -> int:
    """Return the code that MiniMax puts beside what is not an answer, under a good status; 0 where all is well."""
    beside = body.get("base_resp")
    return (_count(beside.get("status_code")) or 0) if isinstance(beside, dict) else 0


def dicts_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects of an array; none where there is no array."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _message(part: dict[str, Any]) -> str | None:
    for name in ("message", "detail", "error", "msg"):
        value = part.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value:
            return json.dumps(value, ensure_ascii=False)
    return None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
