"""The Chat Completions format: that of OpenAI and of the servers and gateways that speak its protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning
from clemcore.backends.service.dialects._parameters import EXTENSIONS, RANGES
from clemcore.backends.service.dialects._reply import (
    answered,
    check_role,
    count_of,
    counts,
    known,
    number_in,
    object_at,
    object_of,
)
from clemcore.backends.service.dialects.base import Dialect, Fault, NoAnswerError, fault_in
from clemcore.backends.service.streaming.chat_completions import ChatCompletionsJoiner
from clemcore.images import Image, images_of, text_of
from clemcore.keys import Key
from clemcore.messages import Message, Messages
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec

# The fields of a body as OpenAI's SDK lists them (a test compares).
FIELDS = frozenset(
    {
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    }
)
_OWN = frozenset({"model", "messages"})
_LIMIT = "max_tokens"


def openai_key_headers(key: Key) -> dict[str, str]:
    """Return the headers of a key, its organisation and its project, as OpenAI wants them."""
    fields = {
        f"OpenAI-{field.title()}": str(key[field]).strip()
        for field in ("organization", "project")
        if key.get(field)
    }
    return {"Authorization": f"Bearer {(key.api_key or '').strip()}", **fields}


def effort_of(wish: Reasoning) -> str:
    """Return the effort, for formats that know nothing else.

    Raises:
        NotExpressibleError: the wish is a number of tokens, or leaves it to the model.
    """
    if wish.effort is not None:
        return wish.effort
    why = "the service takes an effort (low, medium, high)"
    if wish.budget is None:
        raise NotExpressibleError(f"{why}: say which, as reasoning_effort")
    raise NotExpressibleError(f"{why}, no number of tokens", wish.as_effort())


class ChatCompletions(Dialect):
    """The Chat Completions format.

    Args:
        takes_any: send arguments that OpenAI does not know under their own name, as compatible servers have them.
        token_limit: the name under which the limit on the reply is sent, where the entry names none.
    """

    name = "chat-completions"
    joiner = ChatCompletionsJoiner
    own_fields = _OWN
    parameters: Mapping[str, Parameter] = {
        **{name: Parameter((name,)) for name in sorted(FIELDS - _OWN)},
        **RANGES,
    }

    def __init__(self, *, takes_any: bool = False, token_limit: str = _LIMIT) -> None:
        self.takes_any = takes_any
        if takes_any:
            self.parameters = {**EXTENSIONS, **self.parameters}
        self._token_limit = token_limit

    def path(self, spec: ModelSpec, model_id: str) -> str:  # noqa: ARG002 - the same for all
        """Return the path of the one call."""
        return "/chat/completions"

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's header, and those of its organisation and project."""
        return openai_key_headers(key)

    def body(self, spec: ModelSpec, model_id: str, messages: Messages, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Write the request; images become content parts behind the text."""
        encoded = [
            _encoded(message, [] if message.get("image") is None else images_of(message, index, spec))
            for index, message in enumerate(messages)
        ]
        return {"model": model_id, "messages": encoded, **fields}

    def read(self, body: Any, spec: ModelSpec) -> tuple[str, dict[str, Any]]:
        """Read the first choice."""
        choices = object_of(body).get("choices")
        if not isinstance(choices, list) or not choices:
            # An empty list is what gateways send where the provider behind them has failed.
            raise NoAnswerError("the reply has no choices", may_repeat=choices == [])
        choice = choices[0]
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            raise NoAnswerError("the reply's first choice has no message")
        check_role(message)
        refusal = message.get("refusal")
        facts: dict[str, Any] = {
            "usage": _usage(body.get("usage")),
            "served_model": body.get("model"),
            "finish_reason": choice.get("finish_reason"),
        }
        more = (
            ("system_fingerprint", body.get("system_fingerprint")),
            ("refusal", refusal),
            ("reasoning", _reasoning(message)),
        )
        facts.update(known(more))
        reasoned = bool(message.get("reasoning_details"))
        return answered(_text(message.get("content")), facts, spec, refused=bool(refusal), reasoned=reasoned)

    def fault(self, body: Any) -> Fault | None:
        """Read an error body, or the error of its first choice; any other body with choices is an answer."""
        if not isinstance(body, dict) or not body.get("choices"):
            return super().fault(body)
        error = error_of_choice(body)
        return None if error is None else fault_in({"error": error})

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:  # noqa: ARG002 - the same for all
        """Ask by effort; the format knows no budget."""
        return {"reasoning_effort": effort_of(wish)}

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:
        """Send one token limit under the name that the service takes; fit the temperature of reasoning models."""
        is_reasoning = bool(setting(spec, "reasoning_model", False))
        name = spec.get("token_limit_parameter") or ("max_completion_tokens" if is_reasoning else self._token_limit)
        if "max_tokens" in ledger and "max_completion_tokens" in ledger:
            if not ledger.was_asked("max_tokens"):
                ledger.drop("max_tokens", "default; max_completion_tokens was given")
            elif name != "max_tokens":
                ledger.refuse("'max_tokens' and 'max_completion_tokens' both limit the reply: ask for one of them")
                return
        # Reasoning models count hidden reasoning and visible answer together, under another name.
        ledger.move("max_tokens", (name,))
        listed = "sampling_parameters" in spec or "sampling_parameters_without_thinking" in spec
        if (
            is_reasoning
            and not listed
            and "temperature" in ledger
            and not _is_positive(ledger.value("temperature"))
        ):
            value = ledger.value("temperature")
            if ledger.was_asked("temperature"):
                ledger.unsupported(
                    "temperature",
                    f"must be greater than 0, not {value!r}, because the model is a reasoning model "
                    "(model_config.reasoning_model); leave it out or set it, for instance to 1",
                )
            else:
                ledger.drop("temperature", f"default {value!r}; reasoning models refuse it")

    def streamed(self, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Ask for pieces, and for the counts of tokens, which streams leave out by default."""
        options = body.get("stream_options")
        options = {"include_usage": True, **(options if isinstance(options, dict) else {})}
        return path, {**body, "stream": True, "stream_options": options}

    def tokens_asked(self, body: Mapping[str, Any]) -> int:
        """Return the limit, under whichever name it stands."""
        return max(count_of(body.get(name)) or 0 for name in ("max_completion_tokens", "max_tokens"))

    def answers_asked(self, body: Mapping[str, Any]) -> int:
        """Return the number of choices, or of those among which the service takes the best."""
        return max(number_in(body, "n"), number_in(body, "best_of"))

    def tokens_used(self, reply: Any) -> int | None:
        """Return the total that the service counted."""
        return count_of(object_at(reply, "usage").get("total_tokens"))


def _encoded(message: Message, images: list[Image]) -> Message:
    """Return a message with its images as content parts; one without images is passed on as it is."""
    if not images and "image" not in message:
        return message
    rest = {name: value for name, value in message.items() if name != "image"}
    if images:
        content = message["content"]
        texts = list(content) if isinstance(content, list) else [{"type": "text", "text": text_of(message)}]
        parts = [{"type": "image_url", "image_url": {"url": image.address}} for image in images]
        rest["content"] = [*texts, *parts]
    return rest


def error_of_choice(body: dict[str, Any]) -> dict[str, Any] | None:
    """Return the error that stands inside the first choice of a reply: gateways report it so, with status 200."""
    choices = body["choices"]
    first = choices[0] if isinstance(choices, list) else None
    error = first.get("error") if isinstance(first, dict) else None
    return error if isinstance(error, dict) and error else None


_TEXTS = ("text", "output_text", None)


def _text(content: Any) -> str:
    """Return the content's text; some servers send a list of parts, reasoning among them."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(text for part in content if isinstance(text := _text_of_part(part), str))


def _text_of_part(part: Any) -> Any:
    if isinstance(part, dict):
        return part.get("text") if part.get("type") in _TEXTS else None
    return part


# Where services put the words of reasoning: fields of a message, and within these.
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
_REASONING_PARTS = ("text", "thinking", "reasoning", "reasoning_content", "summary", "content")


def _reasoning(message: dict[str, Any]) -> str | None:
    """Return what the model has thought: parts of the content, or else the first field that has words."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and _is_thought(part.get("type"))]
        if words := _words(parts):
            return words
    for name in _REASONING_FIELDS:
        thought = message.get(name)
        if thought and (words := _words(thought)):
            return words
    return None


def _is_thought(kind: object) -> bool:
    """Tell whether a part of this type holds reasoning; an image or an unknown part does not."""
    return isinstance(kind, str) and any(word in kind.lower() for word in ("think", "thought", "reason", "summary"))


def _words(thought: Any, joint: str = "\n\n", depth: int = 4) -> str:
    """Return the words of a thought: a text, a part with one of several fields, or a list of these."""
    if isinstance(thought, str):
        return thought
    if isinstance(thought, list) and depth:
        return joint.join(words for part in thought if (words := _words(part, joint, depth - 1)))
    if isinstance(thought, dict) and depth:
        for name in _REASONING_PARTS:
            # A summary has paragraphs; other lists hold one text in pieces.
            if words := _words(thought.get(name), "\n\n" if name == "summary" else "", depth - 1):
                return words
    return ""


# Where the counts stand, in the order in which they are looked for: OpenAI's places, then those of others.
_PROMPT, _COMPLETION = "prompt_tokens_details", "completion_tokens_details"
_COUNTS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "input_tokens": (("prompt_tokens",), ("input_tokens",)),
    "output_tokens": (("completion_tokens",), ("output_tokens",)),
    "reasoning_tokens": ((_COMPLETION, "reasoning_tokens"), ("reasoning_tokens",)),
    "cached_tokens": (
        (_PROMPT, "cached_tokens"),
        ("prompt_cache_hit_tokens",),
        ("cached_tokens",),
        ("num_cached_tokens",),
        ("cache_read_input_tokens",),
    ),
    "cache_write_tokens": ((_PROMPT, "cache_write_tokens"), ("cache_creation_input_tokens",)),
}


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    found = {name: _first_count(usage, places) for name, places in _COUNTS.items()}
    if found["input_tokens"] is None:  # DeepSeek counts both parts of the prompt
        parts = [count_of(usage.get(f"prompt_cache_{part}_tokens")) for part in ("hit", "miss")]
        if None not in parts:
            found["input_tokens"] = sum(part or 0 for part in parts)
    return counts(found, usage.get("total_tokens"))


def _first_count(usage: dict[str, Any], places: tuple[tuple[str, ...], ...]) -> int | None:
    """Return the first count that is not 0, or 0 where one of them is."""
    found = None
    for place in places:
        value = (object_at(usage, place[0]) if len(place) > 1 else usage).get(place[-1])
        if value is None:  # most services give two counts of ten
            continue
        count = count_of(value)
        if count:
            return count
        found = count if found is None else found
    return found


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
