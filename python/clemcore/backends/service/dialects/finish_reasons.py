"""How services say that a reply has ended: every finish reason that their documentation lists, and what it means.

The words of all formats stand in one table, because they never contradict each other: gateways pass on those of the
provider behind them. A reason that is not here is reported as unknown. `_reply.ending_of` looks reasons up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

# complete: the model ended its reply, perhaps by calling a tool. cut: a limit on tokens ended it. filtered: a
# filter did. refused: the model refuses. The others are not answers: the service failed, had no resources, took too
# long, was stopped, or wants to go on in another request.
Ending = Literal["complete", "cut", "filtered", "refused", "failed", "overloaded", "timeout", "stopped", "paused"]

# In lower case, words joined by "_".
FINISH_REASONS: Mapping[str, Ending] = {
    # OpenAI and all that speak its protocol
    "stop": "complete",
    "length": "cut",
    "content_filter": "filtered",
    "tool_calls": "complete",
    "function_call": "complete",
    # vLLM, SGLang, NVIDIA, Nebius
    "abort": "failed",
    "error": "failed",
    "repetition": "cut",
    "matched_eos": "complete",
    # Text Generation Inference, also behind Hugging Face; Together
    "eos_token": "complete",
    "stop_sequence": "complete",
    "eos": "complete",
    # Ollama: a model that was loaded or unloaded has said nothing
    "load": "failed",
    "unload": "failed",
    # LM Studio, in its own words
    "eosfound": "complete",
    "stopstringfound": "complete",
    "toolcalls": "complete",
    "maxpredictedtokensreached": "cut",
    "contextlengthreached": "cut",
    "userstopped": "stopped",
    "modelunloaded": "failed",
    # DeepSeek, xAI, Z.ai, Moonshot, Cerebras, MiniMax
    "insufficient_system_resource": "overloaded",
    "end_turn": "complete",
    "sensitive": "filtered",
    "network_error": "failed",
    "done": "complete",
    "max_output": "cut",
    # Mistral
    "model_length": "cut",
    # Anthropic
    "max_tokens": "cut",
    "model_context_window_exceeded": "cut",
    "tool_use": "complete",
    "refusal": "refused",
    "pause_turn": "paused",
    # Bedrock, by way of gateways
    "guardrail_intervened": "filtered",
    "content_filtered": "filtered",
    "malformed_model_output": "failed",
    "malformed_tool_use": "failed",
    # Cohere, both versions of its protocol
    "complete": "complete",
    "tool_call": "complete",
    "timeout": "timeout",
    "error_toxic": "filtered",
    "error_limit": "cut",
    "user_cancel": "stopped",
    # Google; its OpenAI protocol puts a word in front, as in "content_filter: RECITATION"
    "safety": "filtered",
    "recitation": "filtered",
    "language": "filtered",
    "blocklist": "filtered",
    "prohibited_content": "filtered",
    "spii": "filtered",
    "escalation": "filtered",
    "model_armor": "filtered",
    "image_safety": "filtered",
    "image_prohibited_content": "filtered",
    "image_recitation": "filtered",
    "continuation": "cut",
    "malformed_function_call": "failed",
    "malformed_response": "failed",
    "unexpected_tool_call": "failed",
    "too_many_tool_calls": "failed",
    "missing_thought_signature": "failed",
    "function_call_filter": "failed",
    # The Responses format: the status, or the reason why it is incomplete
    "completed": "complete",
    "max_output_tokens": "cut",
    "max_messages": "cut",
    "steered": "stopped",
    "failed": "failed",
    "cancelled": "stopped",
}
