"""Prompts that do not fit the context window, in the words of each server: one example per row of the table."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from clemcore.backends.service.http import full_windows
from clemcore.backends.service.http.full_windows import counts_of, row_of
from clemcore.errors import BadRequestError, ContextExceededError
from support.formats import FORMATS
from support.remote import HELLO, open_model
from support.wire_server import Answer, WireServer, refusal, reply

Numbers = tuple[int | None, int | None, int | None]
# Server, words, and what they say of used, left and size, where room for 300 tokens was asked for.
EXAMPLES: list[tuple[str, str, Numbers]] = [
    (
        "OpenAI, DeepSeek, OpenRouter",
        "This endpoint's maximum context length is 16000 tokens. However, you requested about 21000 tokens "
        "(20700 of text input, 300 in the output).",
        (21000, -5000, 16000),
    ),
    (
        "OpenAI, DeepSeek, OpenRouter",
        "This model's maximum context length is 4,097 tokens, however you requested 5,360 tokens (5060 in your "
        "prompt; 300 for the completion).",
        (5360, -1263, 4097),
    ),
    (
        "vLLM",
        "'max_tokens' or 'max_completion_tokens' is too large: 300. This model's maximum context length is 512 "
        "tokens and your request has 250 input tokens (300 > 512 - 250).",
        (550, -38, 512),
    ),
    (
        "vLLM",
        "This model's maximum context length is 2048 tokens. However, your request has 1900 input tokens plus 300 "
        "'max_tokens'.",
        (2200, -152, 2048),
    ),
    (
        "vLLM",
        "This model's maximum context length is 2048 tokens. However, your request has 2500 input tokens.",
        (2800, -752, 2048),
    ),
    (
        "vLLM",
        "This model's maximum context length is 4096 tokens. However, you requested 0 output tokens and your "
        "prompt contains at least 4097 input tokens, for a total of at least 4097 tokens.",
        (4097, -1, 4096),
    ),
    (
        "vLLM",
        "You passed 32769 input tokens and requested 1 output tokens. However, the model's context length is only "
        "32768 tokens, resulting in a maximum input length of 32767 tokens.",
        (32770, -2, 32768),
    ),
    (
        "vLLM",
        "You passed 90001 input characters and requested 300 output tokens. However, the model's context length is "
        "only 2048 tokens.",
        (None, None, 2048),
    ),
    (
        "vLLM",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
        (5300, -1204, 4096),
    ),
    (
        "vLLM",
        "The prompt (total length 40960) is too long to fit into the model (context length 32768).",
        (41260, -8492, 32768),
    ),
    (
        "OpenAI",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        (9300, -1108, 8192),
    ),
    (
        "OpenAI",
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
        (300300, -28300, 272000),
    ),
    ("OpenAI", "Your input exceeds the context window of this model. Please adjust it.", (None, None, None)),
    (
        "OpenAI",
        "Invalid 'messages[1].content': string too long. Expected a string with maximum length 10485760, but got "
        "a string with length 20000000 instead.",
        (None, None, None),
    ),
    (
        "SGLang",
        "Requested token count exceeds the model's maximum context length of 512 tokens. You requested a total of "
        "1020 tokens: 720 tokens from the input messages and 300 tokens for the completion.",
        (1020, -508, 512),
    ),
    (
        "SGLang",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        (5300, -1204, 4096),
    ),
    (
        "SGLang",
        "Input length (5000 tokens) exceeds the maximum allowed length (4090 tokens). Use a shorter input.",
        (5300, -1210, 4090),
    ),
    ("SGLang", "Input length (5000) exceeds model's maximum context length (4096).", (5300, -1204, 4096)),
    (
        "llama.cpp",
        "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
        (5300, -1204, 4096),
    ),
    ("llama.cpp", "the request exceeds the available context size", (None, None, None)),
    (
        "llama.cpp",
        "input (5000 tokens) is larger than the max context size (4096 tokens). skipped",
        (5300, -1204, 4096),
    ),
    ("llama.cpp", "input is larger than the max context size. skipped", (None, None, None)),
    ("llama-cpp-python", "Requested tokens (2285) exceed context window of 2048", (2285, -237, 2048)),
    (
        "LM Studio",
        "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 6000>= "
        "n_ctx: 4096). Try to load the model with a larger context length.",
        (6300, -2204, 4096),
    ),
    (
        "LM Studio",
        "Trying to keep the first 6275 tokens when context the overflows. However, the model is loaded with "
        "context length of only 4096 tokens, which is not enough.",
        (6575, -2479, 4096),
    ),
    (
        "LM Studio",
        "Reached context length of 4096 tokens with model (arch: qwen3) that does not currently support overflow.",
        (None, None, 4096),
    ),
    ("Ollama", "prompt too long; exceeded max context length by 12 tokens", (None, -312, None)),
    ("Ollama", "the input length exceeds the context length", (None, None, None)),
    (
        "TGI, Together",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens "
        "and 300 `max_new_tokens`",
        (4300, -204, 4096),
    ),
    (
        "TGI",
        "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
        (5300, -1205, 4095),
    ),
    (
        "TensorRT-LLM, NVIDIA",
        "Prompt length (5000) exceeds maximum input length (4096). Set log level to info.",
        (5300, -1204, 4096),
    ),
    (
        "xAI",
        "This model's maximum prompt length is 256000 but the request contains 300000 tokens.",
        (300300, -44300, 256000),
    ),
    (
        "GitHub Models, Azure",
        "Request body too large for gpt-4o-mini model. Max size: 8000 tokens.",
        (None, None, 8000),
    ),
    ("GitHub Copilot", "prompt token count of 70000 exceeds the limit of 64000", (70300, -6300, 64000)),
    (
        "Cerebras",
        "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
        (9000, -808, 8192),
    ),
    ("Groq", "Please reduce the length of the messages or completion.", (None, None, None)),
    (
        "SambaNova",
        "The maximum context length of Meta-Llama-3.1-8B-Instruct is 16384. However, answering your request will "
        "take 20000 tokens.",
        (20000, -3616, 16384),
    ),
    (
        "Fireworks",
        "The prompt is too long: 150000, model maximum context length: 131071",
        (150300, -19229, 131071),
    ),
    ("Anthropic", "prompt is too long: 210000 tokens > 200000 maximum", (210300, -10300, 200000)),
    (
        "Anthropic",
        "input length and `max_tokens` exceed context limit: 199900 + 300 > 200000, decrease input length",
        (200200, -200, 200000),
    ),
    ("Amazon Bedrock", "Input is too long for requested model.", (None, None, None)),
    (
        "Amazon Bedrock",
        "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
        (None, None, None),
    ),
    (
        "Google",
        "The input token count (1091639) exceeds the maximum number of tokens allowed (1048576).",
        (1091939, -43363, 1048576),
    ),
    (
        "Google",
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
        (None, None, 1048576),
    ),
    (
        "Google",
        "Unable to submit request because the input token count is 37158 but model only supports up to 32768.",
        (37458, -4690, 32768),
    ),
    (
        "Mistral",
        "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        (40300, -7532, 32768),
    ),
    (
        "Cohere",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4352.",
        (4652, -571, 4081),
    ),
    ("Cohere", "too many tokens: size limit exceeded by 1234 tokens.", (None, -1534, None)),
    (
        "Moonshot",
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)",
        (291351, -29207, 262144),
    ),
    ("MiniMax", "invalid params, context window exceeds limit (2013)", (None, None, None)),
    ("Z.ai", "Prompt exceeds max length", (None, None, None)),
    (
        "Alibaba",
        "InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]",
        (None, None, 129024),
    ),
    ("ByteDance", "Total tokens of image and text exceed max message tokens.", (None, None, None)),
    (
        "Cloudflare",
        "AiError: The estimated number of input and maximum output tokens (30000) exceeded this model context "
        "window limit (24000).",
        (30000, -6000, 24000),
    ),
    ("LiteLLM", "litellm.ContextWindowExceededError: the prompt was refused", (None, None, None)),
    ("any", "The total length of all messages is too long.", (None, None, None)),
    ("any", "maximum context length is 4000 tokens, got 5000", (None, None, 4000)),
    ("any", "The maximum context length is 4000; the request contains 5000 tokens", (5300, -1300, 4000)),
    ("any", "The prompt exceeds the context length of 4000 tokens", (None, None, 4000)),
    ("any", "Context length exceeded", (None, None, None)),
    ("any", "context_length_exceeded", (None, None, None)),
    ("any", "upstream said context_window_exceeded", (None, None, None)),
    ("any", "The messages are longer than the context window", (None, None, None)),
    ("any", "prompt is too long", (None, None, None)),
    (
        "llama.cpp",
        "the request exceeds the available context size (4096 tokens), try increasing it",
        (None, None, 4096),
    ),
    ("Ollama", "the input length exceeds the context length of 4096", (None, None, 4096)),
    (
        "TensorRT-LLM, NVIDIA",
        "Requested input length 7210 exceeds maximum input length 4096",
        (7510, -3414, 4096),
    ),
    (
        "Amazon Bedrock",
        "400 Bad Request: Too many input tokens. Max input tokens: 8192, request input token count: 9279",
        (9579, -1387, 8192),
    ),
    ("Google", "input token count exceeds the maximum number of input tokens 1048576", (None, None, None)),
    (
        "Cohere",
        "too many tokens: total number of tokens in the prompt exceeds the limit of 4081",
        (None, None, 4081),
    ),
    (
        "Cohere",
        "too many tokens: total number of tokens (prompt and prediction) cannot exceed 2048 - received 2400.",
        (2400, -352, 2048),
    ),
    ("iFlytek", "message tokens length too long", (None, None, None)),
    ("several", "prompt tokens exceed context window: 5000 > 4096", (5300, -1204, 4096)),
    ("any", "Too many input tokens", (None, None, None)),
]


@pytest.mark.parametrize(("server", "words", "numbers"), EXAMPLES)
def test_each_wording_is_read_with_its_numbers(server: str, words: str, numbers: Numbers) -> None:
    row = row_of(f"Error code 400: {words} (request 17)")
    assert row is not None
    assert row.server == server
    assert counts_of(words, 300) == numbers


def test_every_row_of_the_table_has_its_example() -> None:
    shown = {id(row_of(words)) for _, words, _ in EXAMPLES}
    assert [row for row in full_windows.ROWS if id(row) not in shown] == []


@pytest.mark.parametrize(
    "words",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens for this model",
        "too many tokens: max tokens must be less than or equal to 4096, the maximum output length for this model",
        "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64.",
        "Too many tokens, please wait before trying again.",
        "The model `context` does not exist.",
        "Rate limit reached on tokens per min (TPM): Limit 6000, Requested 9000.",
    ],
)
def test_other_limits_are_not_the_window(wire_server: WireServer, words: str) -> None:
    assert row_of(words) is None
    wire_server.script = [refusal(400, words)]
    with pytest.raises(BadRequestError):
        open_model(wire_server.url).generate_response(HELLO)


def test_long_messages_and_long_numbers_are_read_quickly() -> None:
    begin = time.process_time()
    nines = "9" * 5000
    assert (
        counts_of(f"maximum context length is {nines} tokens. However, you requested {nines} tokens", 1).size
        is None
    )
    for filling in ("context length ", "input (", "exceed ", "keep the first 1 tokens when ", "1,", "requested "):
        assert counts_of(filling * 20_000, 300).used in (None, 301)
    assert time.process_time() - begin < 30  # it hangs, or it takes well under a second


def words_of(server: str, place: int = 0) -> str:
    return [words for each, words, _ in EXAMPLES if each == server][place]


RAW = {"provider_name": "xAI", "raw": json.dumps({"error": words_of("xAI")})}
REQUEST = words_of("llama.cpp")


@pytest.mark.parametrize(
    ("name", "answer", "numbers"),
    [
        ("openrouter", refusal(400, "Provider returned error", code=400, metadata=RAW), (300300, -44300, 256000)),
        (
            "openai_compatible",
            reply(413, {"error": {"code": "tokens_limit_reached", "message": "Max size: 8000 tokens."}}),
            (None, None, None),
        ),
        ("openai_compatible", reply(400, [{"error": {"message": words_of("Google")}}]), (1091939, -43363, 1048576)),
        ("openai_compatible", reply(400, {"error": words_of("vLLM", 5)}), (None, None, 2048)),
        ("openai_compatible", reply(422, {"detail": REQUEST}), (5300, -1204, 4096)),
        ("openai_compatible", Answer(400, REQUEST.encode()), (5300, -1204, 4096)),
        ("openai_compatible", reply(200, {"error": {"message": REQUEST}}), (5300, -1204, 4096)),
        (
            "openai_compatible",
            reply(200, {"choices": None, "base_resp": {"status_code": 2013, "status_msg": words_of("MiniMax")}}),
            (None, None, None),
        ),
        (
            "anthropic",
            reply(400, {"type": "error", "error": {"message": "prompt is too long"}}),
            (None, None, None),
        ),
        ("google", reply(400, {"error": {"code": 400, "message": words_of("Google", 2)}}), (37458, -4690, 32768)),
        ("cohere", reply(400, {"id": "1", "message": words_of("Cohere")}), (4652, -571, 4081)),
        ("mistral", reply(400, {"object": "error", "message": words_of("Mistral")}), (40300, -7532, 32768)),
        (
            "openai_compatible-responses",
            reply(400, {"error": {"code": "context_length_exceeded", "message": "Too much."}}),
            (None, None, None),
        ),
    ],
)
def test_every_format_carries_them(wire_server: WireServer, name: str, answer: Answer, numbers: Numbers) -> None:
    wire_server.script = [answer]
    with pytest.raises(ContextExceededError) as caught:
        FORMATS[name].model(wire_server.url, {"max_tokens": 300}).generate_response(HELLO)
    error: Any = caught.value
    assert (error.tokens_used, error.tokens_left, error.context_size) == numbers
    assert "0/0" not in str(error)
    assert "None" not in str(error)
    assert len(wire_server.requests) == 1
