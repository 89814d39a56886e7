"""How services say that prompt and reply do not fit the context window: one row per wording, kept as data.

A row finds its wording and the numbers in it. The first row that matches counts, so rows with more numbers come
first. Rows of no particular server stand at the end. It knows no statuses and no formats of bodies.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Numbers of a message, by what they count: `total` is prompt and reply together, `over` is how many are too many.
_NUMBERS = ("total", "prompt", "reply", "window", "over")
# Nothing that a service says about itself is longer; more could be part of the question.
_READ = 20_000


class Row(NamedTuple):
    """One wording.

    Attributes:
        server: who says it so.
        pattern: finds it; its groups are the numbers.
    """

    server: str
    pattern: re.Pattern[str]


class Counts(NamedTuple):
    """What a message says of a full window; None where it does not say.

    Attributes:
        used: tokens of the prompt and of the room for the reply.
        left: tokens left, negative by as many as are too many.
        size: size of the window.
    """

    used: int | None
    left: int | None
    size: int | None


def _row(server: str, words: str) -> Row:
    for name in _NUMBERS:
        words = words.replace(f"{{{name}}}", rf"(?P<{name}>\d[\d,]{{0,14}})(?!\d)")
    return Row(server, re.compile(words, re.IGNORECASE))


ROWS: tuple[Row, ...] = (
    _row(
        "OpenAI, DeepSeek, OpenRouter",
        r"context length is {window} tokens\W{1,3}however,? you "
        r"requested (?:about )?{total} tokens",
    ),
    _row(
        "vLLM",
        r"is too large: {reply}\. this model's maximum context length is {window} tokens and your "
        r"request has {prompt} input tokens",
    ),
    _row(
        "vLLM",
        r"context length is {window} tokens\W{1,3}however,? your request has {prompt} input "
        r"tokens(?: plus {reply} 'max_tokens')?",
    ),
    _row(
        "vLLM",
        r"context length is {window} tokens\W{1,3}however,? you requested {reply} output tokens and "
        r"your prompt contains (?:at least )?{prompt} input tokens"
        r"(?:, for a total of (?:at least )?{total} tokens)?",
    ),
    _row(
        "vLLM",
        r"you passed {prompt} input tokens and requested {reply} output tokens\. however, the "
        r"model's context length is only {window} tokens",
    ),
    _row(
        "vLLM",
        r"input characters and requested {reply} output tokens\. however, the model's context length "
        r"is only {window} tokens",
    ),
    _row("vLLM", r"prompt \((?:total )?length {prompt}\) is (?:too long|longer)\D{1,80}{window}"),
    _row(
        "OpenAI",
        r"context length is {window} tokens\W{1,3}however,? your messages resulted in {prompt} "
        r"tokens",
    ),
    _row(
        "OpenAI",
        r"input tokens exceed the configured limit of {window} tokens\. your messages resulted "
        r"in {prompt} tokens",
    ),
    _row("OpenAI", r"exceeds the context window of this model"),
    _row("OpenAI", r"invalid '?(?:messages|input)\b[^:]{0,60}: string too long"),
    _row("SGLang", r"context length of {window} tokens\. you requested a total of {total} tokens"),
    _row("SGLang", r"input \({prompt} tokens\) is longer than the model's context length \({window} tokens\)"),
    _row("SGLang", r"input length \({prompt}(?: tokens)?\) exceeds [^\d(]{1,60}\({window}"),
    _row("llama.cpp", r"request \({prompt} tokens\) exceeds the available context size \({window} tokens\)"),
    _row("llama.cpp", r"exceeds the available context size(?: \({window} tokens\))?"),
    _row(
        "llama.cpp",
        r"input (?:\({prompt} tokens\) )?is larger than the max context size(?: \({window} "
        r"tokens\))?",
    ),
    _row("llama-cpp-python", r"requested tokens \({total}\) exceed context window of {window}"),
    _row("LM Studio", r"n_keep: {prompt} ?>= ?n_ctx: {window}"),
    _row("LM Studio", r"keep the first {prompt} tokens when \D{1,120}{window} tokens"),
    _row("LM Studio", r"reached context length of {window} tokens"),
    _row("Ollama", r"exceeded max context length by {over} tokens"),
    _row("Ollama", r"input length exceeds (?:the )?(?:maximum )?context length(?: of {window})?"),
    _row(
        "TGI, Together",
        r"`max_new_tokens` must be <= {window}\. given: {prompt} `inputs` tokens and {reply} "
        r"`max_new_tokens`",
    ),
    _row("TGI", r"`inputs` must have less than {window} tokens\. given: {prompt}"),
    _row(
        "TensorRT-LLM, NVIDIA",
        r"(?:prompt|input) length \(?{prompt}\)? exceeds maximum input length \(?{window}\)?",
    ),
    _row("xAI", r"maximum prompt length is {window} but the request contains {prompt} tokens"),
    _row("GitHub Models, Azure", r"request body too large for \S{1,100} model\. max size: {window} tokens"),
    _row("GitHub Copilot", r"prompt token count of {prompt} exceeds the limit of {window}"),
    _row(
        "Cerebras",
        r"length of the messages or completion\. current length is {total} while limit "
        r"is {window}",
    ),
    _row("Groq", r"please reduce the length of the messages or completion"),
    _row(
        "SambaNova",
        r"context length of \S{1,100} is {window}\. however, answering your request will "
        r"take {total} tokens",
    ),
    _row("Fireworks", r"prompt is too long: {prompt}, model maximum context length: {window}"),
    _row("Anthropic", r"prompt is too long: {prompt} tokens > {window} maximum"),
    _row("Anthropic", r"exceed context limit: {prompt} \+ \d+ > {window}"),
    _row("Amazon Bedrock", r"input is too long for (?:the )?requested model"),
    _row("Amazon Bedrock", r"number of input tokens exceeds maximum length"),
    _row("Amazon Bedrock", r"max input tokens: {window}, request input token count: {prompt}"),
    _row("Google", r"input token count \({prompt}\) exceeds the maximum number of tokens allowed \(?{window}"),
    _row("Google", r"input token count exceeds the maximum number of tokens allowed \(?{window}"),
    _row("Google", r"input token count exceeds the maximum number of (?:input )?tokens(?: allowed)?"),
    _row("Google", r"input token count is {prompt} but (?:the )?model only supports up to {window}"),
    _row(
        "Mistral",
        r"prompt contains {prompt} tokens(?: and \d+ draft tokens)?, too large for model "
        r"with {window} maximum context length",
    ),
    _row("Cohere", r"tokens in the prompt cannot exceed {window}(?: - received {prompt})?"),
    _row("Cohere", r"tokens in the prompt exceeds the limit of {window}"),
    _row("Cohere", r"tokens \(prompt and prediction\) cannot exceed {window} - received {total}"),
    _row("Cohere", r"too many tokens: size limit exceeded by {over} tokens"),
    _row("Moonshot", r"exceeded model token limit: ?{window}(?: \(requested: {total}\))?"),
    _row("MiniMax", r"context window exceeds limit"),
    _row("Z.ai", r"prompt exceeds max(?:imum)? length"),
    _row("Alibaba", r"range of input length should be \[\d+, ?{window}\]"),
    _row("ByteDance", r"total tokens of image and text exceed max message tokens"),
    _row(
        "Cloudflare",
        r"input and maximum output tokens \({total}\) exceeded this model context window limit "
        r"\({window}\)",
    ),
    _row("iFlytek", r"message tokens length too long"),
    _row("LiteLLM", r"ContextWindowExceededError"),
    _row(
        "several",
        r"(?:context (?:window|length|size|limit)|(?:prompt|input) tokens|prompt is too long)"
        r"[^.:\n]{0,40}: {prompt}(?: tokens)? > {window}",
    ),
    _row("any", r"too many input tokens"),
    _row("any", r"total length of (?:all )?(?:the )?messages is too long"),
    _row("any", r"(?:maximum|max|model'?s?|available) (?:allowed )?context (?:length|window|size|limit)"),
    _row("any", r"exceed(?:s|ed)? [^.]{0,60}context (?:length|window|size|limit)"),
    _row("any", r"context[ _](?:length|window|size|limit)[ _](?:is |was |has been )?(?:exceeded|full)"),
    _row("any", r"(?:longer|larger|greater) than [^.]{0,60}context (?:length|window|size|limit)"),
    _row("any", r"\b(?:prompt|input|conversation) (?:is|was) too long"),
)

# Where only a row of no particular server matches, the numbers are looked for one by one.
_LOOSE = {
    "window": r"context (?:length|window|size|limit)(?: is| of|:)?(?: only)?\s*\(?{window}",
    "total": r"(?:requested(?: a total of| about)?|for a total of(?: at least)?)\s*\(?{total}\)?(?! output)",
    "prompt": r"(?:resulted in|passed|has(?: at least)?|contains(?: at least)?|request \(|input \(|prompt \("
    r"|given:)\s*{prompt}(?: (?:input )?tokens|\))",
    "reply": r"{reply} (?:output tokens|'max_tokens'|(?:tokens )?(?:in|for) the (?:completion|output))",
}
_LOOSE_ROWS = {name: _row("any", words).pattern for name, words in _LOOSE.items()}


def row_of(message: str) -> Row | None:
    """Return the wording in which a message says that a window is full; None where it does not say so.

    Examples:
        >>> row_of("Input is too long for requested model.").server, row_of("The weather is fine.")
        ('Amazon Bedrock', None)
    """
    words = message[:_READ]
    return next((row for row in ROWS if row.pattern.search(words)), None)


def counts_of(message: str, asked: int, window: int | None = None, prompt: int | None = None) -> Counts:
    """Return the numbers of a full window.

    Args:
        message: the service's words.
        asked: the most tokens that the reply was to have.
        window: the size where the body tells it apart from the words.
        prompt: the tokens of the prompt, likewise.
    """
    found = _numbers(message[:_READ])
    size = found.get("window") if window is None else window
    total = None if prompt is not None else found.get("total")
    prompt = found.get("prompt") if prompt is None else prompt
    room = found.get("reply", asked)
    used = prompt + room if total is None and prompt is not None else total
    if used is not None and size is not None:
        return Counts(used, size - used, size)
    left = None if "over" not in found else -(found["over"] + room)
    return Counts(used, left, size)


def _numbers(words: str) -> dict[str, int]:
    row = row_of(words)
    if row is None:
        return {}
    patterns = _LOOSE_ROWS.values() if row.server == "any" else (row.pattern,)
    matches = [match for pattern in patterns if (match := pattern.search(words))]
    found = {name: number for match in matches for name, number in match.groupdict().items() if number is not None}
    return {name: int(number.replace(",", "")) for name, number in found.items()}
