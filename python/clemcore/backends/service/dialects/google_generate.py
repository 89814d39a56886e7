"""The generateContent format of the Gemini API."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from clemcore.arguments.ledger import Ledger, make_room, value_at
from clemcore.arguments.parameter import NotExpressibleError, Parameter
from clemcore.arguments.reasoning import Reasoning, thinking_of
from clemcore.backends.service.dialects._reply import (
    answered,
    count_of,
    counts,
    ending_of,
    number_in,
    object_at,
    object_of,
    parts_of,
)
from clemcore.backends.service.dialects._turns import alone, continues, listed, split_system
from clemcore.backends.service.dialects.base import Dialect, Fault, NoAnswerError, fault_in, first_of
from clemcore.backends.service.streaming.google_generate import GoogleJoiner
from clemcore.errors import MessagesError, SpecError
from clemcore.images import Image, images_of, text_of
from clemcore.keys import Key
from clemcore.messages import Message, Messages
from clemcore.registry.spec import ModelSpec

DEFAULT_VERSION = "v1"
# The fields that the official SDK knows, under its names (a test compares): inside generationConfig, and beside.
GENERATION = (
    "audio_transcription_config",
    "candidate_count",
    "continuation_token",
    "enable_enhanced_civic_answers",
    "image_config",
    "max_output_tokens",
    "media_resolution",
    "response_json_schema",
    "response_logprobs",
    "response_mime_type",
    "response_modalities",
    "response_schema",
    "speech_config",
    "stop_sequences",
    "thinking_config",
)
BESIDE = ("cached_content", "labels", "safety_settings", "service_tier", "store", "tool_config", "tools")
# 3.7.2 sent these with every call; sent explicitly, results do not move when the service changes its defaults.
SAFETY = tuple(
    {"category": f"HARM_CATEGORY_{name}", "threshold": "BLOCK_MEDIUM_AND_ABOVE"}
    for name in ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
)
LEVELS = ("minimal", "low", "medium", "high")
# 3.7.2's budget if no budget is given.
DEFAULT_BUDGET = 4096
# What comes nearest where a model takes tokens and a word was asked for.
BUDGETS = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576}

_LIMITS = ("max_tokens", "max_output_tokens", "maxOutputTokens")
_CANDIDATES = ("candidate_count", "candidateCount")
_THINKING = ("generationConfig", "thinkingConfig")
_KIND_OF_STATUS = {
    "UNAUTHENTICATED": "authentication",
    "PERMISSION_DENIED": "permission",
    "FAILED_PRECONDITION": "permission",
    "NOT_FOUND": "not_found",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
}
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise NotExpressibleError(f"must be true or false, not {value!r}; how many alternatives is 'top_logprobs'")
    return value


def _natives() -> dict[str, Parameter]:
    """Return the parameters that have no uniform name, as the wire and as the SDK call them."""
    found = {}
    for name in GENERATION:
        found[name] = found[_camel(name)] = Parameter(("generationConfig", _camel(name)))
    for name in BESIDE:
        found[name] = found[_camel(name)] = Parameter((_camel(name),))
    return found


class GoogleGenerate(Dialect):
    """The generateContent format."""

    name = "google-generate-content"
    joiner = GoogleJoiner
    address = "without a version, which is added"
    own_fields = frozenset({"model", "contents", "messages", "systemInstruction", "system_instruction"})
    parameters: Mapping[str, Parameter] = {
        **_natives(),
        "temperature": Parameter(("generationConfig", "temperature"), 0, 2),
        **{name: Parameter(("generationConfig", "maxOutputTokens"), 1, whole=True) for name in _LIMITS},
        **{name: Parameter(("generationConfig", "candidateCount"), 1, whole=True) for name in _CANDIDATES},
        "top_p": Parameter(("generationConfig", "topP"), 0, 1),
        "top_k": Parameter(("generationConfig", "topK"), 1, whole=True),
        "stop": Parameter(("generationConfig", "stopSequences"), convert=listed),
        "seed": Parameter(("generationConfig", "seed"), whole=True),
        "presence_penalty": Parameter(("generationConfig", "presencePenalty"), -2, 2),
        "frequency_penalty": Parameter(("generationConfig", "frequencyPenalty"), -2, 2),
        "logprobs": Parameter(("generationConfig", "responseLogprobs"), convert=_flag),
        "top_logprobs": Parameter(("generationConfig", "logprobs"), 0, 20, whole=True),
    }

    def path(self, spec: ModelSpec, model_id: str) -> str:
        """Return the path of the call, which names the version and the model."""
        name = model_id if "/" in model_id else f"models/{model_id}"
        return f"/{api_version_of(spec)}/{quote(name, safe='/')}:generateContent"

    def key_headers(self, key: Key) -> Mapping[str, str]:
        """Return the key's header; the service would also take it in the address, where logs would show it."""
        return {"x-goog-api-key": (key.api_key or "").strip()}

    def body(
        self,
        spec: ModelSpec,
        model_id: str,  # noqa: ARG002 - it stands in the path
        messages: Messages,
        fields: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Write the request: all system messages as the instruction, images as parts behind the text."""
        system, turns = split_system(messages)
        if not turns:
            raise MessagesError("messages hold nothing but system messages; Google needs a user message")
        continues(*turns[-1], spec, unless_said=True)
        written: dict[str, Any] = {"contents": [_encoded(message, index, spec) for index, message in turns]}
        if system:
            written["systemInstruction"] = {"parts": [{"text": system}], "role": "user"}
        return {**written, **fields}

    def read(self, body: Any, spec: ModelSpec) -> tuple[str, dict[str, Any]]:
        """Join the text parts of the first candidate; thoughts are reasoning, never part of the answer."""
        candidates = object_of(body).get("candidates")
        blocked = object_at(body, "promptFeedback").get("blockReason")
        if not isinstance(candidates, list) or not candidates:
            if blocked is None:
                raise NoAnswerError("the reply has no candidates", may_repeat=True)
            candidates = [{}]
        candidate = candidates[0]
        if not isinstance(candidate, dict):
            raise NoAnswerError("the reply's first candidate is not an object")
        parts = _parts(candidate)
        reasoning = "".join(part["text"] for part in parts if part.get("thought")) or None
        finish = candidate.get("finishReason")
        facts: dict[str, Any] = {
            "usage": _usage(body.get("usageMetadata")),
            "served_model": body.get("modelVersion"),
            "finish_reason": finish,
        }
        if blocked is not None:
            facts["refusal"] = f"the prompt was blocked: {blocked}"
        elif ending_of(finish) == "filtered":
            facts["refusal"] = candidate.get("finishMessage") or f"the answer was blocked: {finish}"
        if reasoning is not None:
            facts["reasoning"] = reasoning
        text = "".join(part["text"] for part in parts if not part.get("thought"))
        return answered(text, facts, spec, filtered=blocked is not None)

    def fault(self, body: Any) -> Fault | None:
        """Read an error body; its status, reasons and details say what kind of error it is."""
        body = first_of(body)
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, dict):
            return None
        common, status = fault_in(body), error.get("status")
        return Fault(
            codes=common.codes,
            message=common.message,
            status=common.status,
            kind=_KIND_OF_STATUS.get(status) if isinstance(status, str) else None,
            retry_after=_retry_after(parts_of(error.get("details"))),
        )

    def reasoning(self, wish: Reasoning, spec: ModelSpec) -> Mapping[str, Any]:
        """Ask for thinking in the way that the model takes, by budget or by level, and for its thoughts."""
        thinking = thinking_of(spec)
        style = thinking.get("style") or ("level" if wish.effort is not None else "budget")
        if wish.is_off:
            if style == "level":
                raise NotExpressibleError("the model cannot be kept from thinking", Reasoning(LEVELS[0]))
            return _config(thinkingBudget=0)
        if style == "level":
            return _config(**_level(wish), includeThoughts=True)
        if wish.effort is not None:
            raise NotExpressibleError(
                "the model takes a number of tokens, no effort",
                wish.as_budget(BUDGETS),
            )
        budget = DEFAULT_BUDGET if wish.budget is None else wish.budget
        return _config(thinkingBudget=budget, includeThoughts=True)

    def reasoning_in(self, fields: Mapping[str, Any]) -> Reasoning | None:
        """Read what the service's own field asks for, in either of the spellings that it takes."""
        config = value_at(fields, _THINKING)
        if not isinstance(config, dict):
            return None
        budget = config.get("thinkingBudget", config.get("thinking_budget"))
        level = config.get("thinkingLevel", config.get("thinking_level"))
        if isinstance(budget, int) and budget >= 0:
            return Reasoning(budget=budget)
        return Reasoning(level.lower() if isinstance(level, str) else None)

    def settle(self, ledger: Ledger, spec: ModelSpec) -> None:
        """Name the safety thresholds; add to the limit on tokens what the model may think."""
        if "safetySettings" not in ledger.fields:
            ledger.fields["safetySettings"] = [dict(setting) for setting in SAFETY]
        elif not ledger.fields["safetySettings"]:
            del ledger.fields["safetySettings"]
        budget = ledger.reasoning.budget if ledger.reasoning is not None else None
        if budget is None:
            budget = value_at(ledger.fields, (*_THINKING, "thinkingBudget"))
        is_native = any(name in ledger for name in ("thinkingConfig", "thinking_config"))
        if budget and not (is_native and ledger.was_asked("max_tokens")):
            make_room(ledger, spec, budget)

    def streamed(self, path: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Ask for pieces, which is another path and the same body."""
        return path.replace(":generateContent", ":streamGenerateContent?alt=sse"), body

    def tokens_asked(self, body: Mapping[str, Any]) -> int:
        """Return the limit on the answer."""
        return count_of(object_at(body, "generationConfig").get("maxOutputTokens")) or 0

    def answers_asked(self, body: Mapping[str, Any]) -> int:
        """Return the number of candidates, in either of the spellings that the service takes."""
        config = object_at(body, "generationConfig")
        return max(number_in(config, name) for name in ("candidateCount", "candidate_count"))

    def tokens_used(self, reply: Any) -> int | None:
        """Return the total that the service counted."""
        return count_of(object_at(reply, "usageMetadata").get("totalTokenCount"))


def api_version_of(spec: ModelSpec) -> str:
    """Return the entry's ``api_version``, or the stable one.

    Raises:
        SpecError: it is not a version.
    """
    version = spec.get("api_version", DEFAULT_VERSION)
    if not isinstance(version, str) or not re.fullmatch(r"v\d+[a-z0-9]*", version):
        raise SpecError(
            f"model '{spec['model_name']}': 'api_version' must be such as 'v1' or 'v1beta', not {version!r}"
        )
    return version


def _encoded(message: Message, index: int, spec: ModelSpec) -> dict[str, Any]:
    alone(message, index)
    role = message["role"]
    if role not in ("user", "assistant", "model"):
        raise MessagesError(f"messages[{index}] has the role '{role}': Google takes system, user and assistant")
    images = images_of(message, index, spec)
    content = message["content"]
    if isinstance(content, list):
        parts = [_own_part(part, f"messages[{index}]['content'][{n}]") for n, part in enumerate(content)]
    elif images:
        parts = [{"text": text}] if (text := text_of(message)).strip() else []
    else:
        parts = [{"text": content}]
    return {
        "parts": [*parts, *(_image(image) for image in images)],
        "role": "user" if role == "user" else "model",
    }


def _own_part(part: dict[str, Any], where: str) -> dict[str, Any]:
    if "type" not in part:
        return part  # written in the format's own way
    if part["type"] == "text" and isinstance(part.get("text"), str):
        return {"text": part["text"]}
    raise MessagesError(
        f"{where}: this format has no part of type {part['type']!r}; put images into the message's 'image'"
    )


def _image(image: Image) -> dict[str, Any]:
    if image.url is None:
        return {"inlineData": {"mimeType": image.kind, "data": image.base64}}
    kind = mimetypes.guess_type(urlsplit(image.url).path)[0]
    return {"fileData": {"fileUri": image.url, **({} if kind is None else {"mimeType": kind})}}


def _parts(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if parts is not None and not isinstance(parts, list):
        raise NoAnswerError("the parts of the reply's first candidate are not a list")
    return [part for part in parts or () if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": {"thinkingConfig": fields}}


def _level(wish: Reasoning) -> dict[str, str]:
    if wish.budget is not None:
        raise NotExpressibleError("the model takes an effort, no number of tokens", wish.as_effort())
    if wish.effort is None:
        return {}
    if wish.effort not in LEVELS:
        nearest = Reasoning("high") if wish.effort in ("xhigh", "max") else None
        raise NotExpressibleError(f"must be one of {', '.join(LEVELS)}, not {wish.effort!r}", nearest)
    return {"thinkingLevel": wish.effort.upper()}


def _usage(usage: Any) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}

    def count(*names: str) -> int | None:
        found = [number for name in names if (number := count_of(usage.get(name))) is not None]
        return sum(found) if found else None

    return counts(
        {
            "input_tokens": count("promptTokenCount", "toolUsePromptTokenCount"),
            # The service counts thoughts apart from what the candidates say.
            "output_tokens": count("candidatesTokenCount", "thoughtsTokenCount"),
            "reasoning_tokens": count("thoughtsTokenCount"),
            "cached_tokens": count("cachedContentTokenCount"),
        },
        usage.get("totalTokenCount"),
    )


def _retry_after(details: list[dict[str, Any]]) -> float | None:
    for each in details:
        found = _SECONDS.fullmatch(str(each.get("retryDelay", "")))
        if found:
            return float(found[1])
    return None
