"""The Responses format: OpenAI's second protocol, which some servers and Azure speak too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import Parameter
from clemcore.arguments.reasoning import Reasoning
from clemcore.backends.service.dialects._parameters import EXTENSIONS, RANGES
from clemcore.backends.service.dialects._reply import (
    answered,
    count_of,
    counts,
    known,
    object_at,
    object_of,
    parts_of,
    texts_of,
)
from clemcore.backends.service.dialects.base import Dialect, Fault, NoAnswerError
from clemcore.backends.service.dialects.chat_completions import effort_of, openai_key_headers
from clemcore.backends.service.streaming.responses import ResponsesJoiner
from clemcore.images import Image, images_of, text_of
from clemcore.keys import Key
from clemcore.messages import Message, Messages
from clemcore.registry.spec import ModelSpec

# The fields of a body as OpenAI's SDK lists them (a test compares).
FIELDS = frozenset(
    {
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
_OWN = frozenset({"model", "input"})
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_LOGPROBS = "message.output_text.logprobs"
# Codes of a failed response whose status would have said more; the others are failures of the server.
_KINDS = {
    "rate_limit_exceeded": "rate_limit",
    "bio_policy": "content_filter",
    "misalignment_policy_violation": "content_filter",
    "image_content_policy_violation": "content_filter",
}
_BAD_REQUESTS = ("invalid_", "image_", "unsupported_", "empty_image", "failed_to_download", "data_residency")


def _text_format(value: Any) -> Any:
    """Return a ``response_format`` of Chat Completions in the form that this format has."""
    if isinstance(value, dict) and isinstance(value.get("json_schema"), dict):
        rest = {name: field for name, field in value.items() if name != "json_schema"}
        return {**rest, **value["json_schema"]}
    return value


class Responses(Dialect):
    """The Responses format.

    Args:
        takes_any: send arguments that OpenAI does not know under their own name, as compatible servers have them.
    """

    name = "responses"
    joiner = ResponsesJoiner
    own_fields = _OWN
    parameters: Mapping[str, Parameter] = {
        **{name: Parameter((name,)) for name in sorted(FIELDS - _OWN)},
        **{name: RANGES[name] for name in ("temperature", "top_p", "top_logprobs")},
        **{name: Parameter(("max_output_tokens",), 1, whole=True) for name in _LIMITS},
        "reasoning_effort": Parameter(("reasoning", "effort")),
        "response_format": Parameter(("text", "format"), convert=_text_format),
        "verbosity": Parameter(("text", "verbosity")),
        "logprobs": Parameter(("logprobs",)),
    }

    def __init__(self, *, takes_any: bool = False) -> None:
        self.takes_any = takes_any
        if takes_any:
            self.parameters = {**EXTENSIONS, **self.parameters}

    def path(self, spec: ModelSpec, model_id: str) -> str:  # noqa: ARG002 - the same for all
        """Return the path of the one call."""
        return "/responses"

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's header, and those of its organisation and project."""
        return openai_key_headers(key)

    def body(self, spec: ModelSpec, model_id: str, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Write the request; each message is an item of the input, its system text included."""
        items = [_item(message, images_of(message, index, spec)) for index, message in enumerate(messages)]
        return {"model": model_id, "input": items, **fields}

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:  # noqa: ARG002 - the same for all
        """Ask by effort; the format knows no budget."""
        return {"reasoning": {"effort": effort_of(wish)}}

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:
        """Return the effort of ``reasoning``."""
        effort = object_at(fields, "reasoning").get("effort")
        return Reasoning(effort) if isinstance(effort, str) else None

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:  # noqa: ARG002 - the same for all
        """Ask for the probabilities of tokens where this format does: among what is to be included."""
        if "logprobs" not in ledger:
            return
        wanted = ledger.value("logprobs")
        if wanted is None or wanted is False:
            ledger.drop("logprobs", "nothing has to be said for a reply without them")
            return
        if wanted is not True:
            ledger.unsupported("logprobs", f"must be true or false, not {wanted!r}; how many is 'top_logprobs'")
            return
        included = ledger.fields.get("include")
        included = included if isinstance(included, list) else []
        ledger.drop("logprobs", "")
        del ledger.dropped["logprobs"]
        ledger.put("logprobs", ("include",), [*(name for name in included if name != _LOGPROBS), _LOGPROBS])

    def read(self, body: Any, spec: ModelSpec) -> tuple[str, dict[str, Any]]:
        """Read the messages among the items of the output, and the reasoning beside them."""
        output, status = object_of(body).get("output"), body.get("status")
        if not isinstance(output, list):
            raise NoAnswerError("the reply has no output")
        if status not in (None, "completed", "incomplete"):
            raise NoAnswerError(f"the response is not complete: its status is {status!r:.80}")
        items = parts_of(output)
        parts = [part for item in items if item.get("type") == "message" for part in parts_of(item.get("content"))]
        refusal = "\n".join(texts_of(parts, "refusal", "refusal")) or None
        facts: dict[str, Any] = {
            "usage": _usage(body.get("usage")),
            "served_model": body.get("model"),
            "finish_reason": object_at(body, "incomplete_details").get("reason") or status,
            **known([("refusal", refusal), ("reasoning", _reasoning(items))]),
        }
        reasoned = any(item.get("type") == "reasoning" for item in items)
        text = "".join(texts_of(parts, "output_text", "text"))
        return answered(text, facts, spec, refused=refusal is not None, reasoned=reasoned)

    def fault(self, body: Any) -> Fault | None:
        """Read an error body, or the error of a response that failed with a good status."""
        fault = super().fault(body)
        if fault is None or not isinstance(body, dict) or body.get("object") != "response":
            return fault
        code = next(iter(fault.codes), "")
        kind = _KINDS.get(code) or ("bad_request" if code.startswith(_BAD_REQUESTS) else None)
        return Fault(fault.codes, fault.message, fault.status, kind)

    def tokens_asked(self, body: Mapping[str, Any]) -> int:
        """Return the limit on the output."""
        return count_of(body.get("max_output_tokens")) or 0

    def tokens_used(self, reply: Any) -> int | None:
        """Return the total that the service counted."""
        return count_of(object_at(reply, "usage").get("total_tokens"))


def _item(message: Message, images: list[Image]) -> Message:
    """Return a message as an item of the input; plain text is passed on as it is."""
    content = message["content"]
    if not images and "image" not in message and not isinstance(content, list):
        return message
    rest = {name: value for name, value in message.items() if name != "image"}
    if not images and not isinstance(content, list):
        return rest
    kind = "output_text" if message["role"] == "assistant" else "input_text"
    texts = [_part(part, kind) for part in content] if isinstance(content, list) else []
    if not isinstance(content, list):
        texts = [{"type": kind, "text": text_of(message)}]
    rest["content"] = [*texts, *({"type": "input_image", "image_url": image.address} for image in images)]
    return rest


def _part(part: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a part in the words of this format where it is written in those of Chat Completions."""
    if part.get("type") == "text":
        return {**part, "type": kind}
    image = part.get("image_url")
    if part.get("type") == "image_url" and isinstance(image, dict):
        rest = {name: value for name, value in image.items() if name != "url"}
        return {"type": "input_image", "image_url": image.get("url"), **rest}
    return part


def _reasoning(items: list[dict[str, Any]]) -> str | None:
    """Return the reasoning itself where the service shows it, else its summary."""
    thoughts = [item for item in items if item.get("type") == "reasoning"]
    for field, kind in (("content", "reasoning_text"), ("summary", "summary_text")):
        texts = [text for item in thoughts for text in texts_of(item.get(field), kind, "text")]
        if texts:
            return "\n\n".join(texts)
    return None


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    given = object_at(usage, "input_tokens_details")
    return counts(
        {
            "input_tokens": usage.get("input_tokens"),
            "output_tokens": usage.get("output_tokens"),
            "reasoning_tokens": object_at(usage, "output_tokens_details").get("reasoning_tokens"),
            "cached_tokens": given.get("cached_tokens"),
            "cache_write_tokens": given.get("cache_write_tokens"),
        },
        usage.get("total_tokens"),
    )
