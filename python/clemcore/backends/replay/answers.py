"""The answer's text of a recorded call, also in records that do not say it.

It knows the replies of the providers and libraries whose records there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clemcore.calls.reader import RecordedCall
from clemcore.errors import ReplayError

# Ends of turns that local models of releases before 3.4 left in their text.
_ENDS = ("</s>", "<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "<|end_of_turn|>", "<end_of_turn>")


def text_of(call: RecordedCall) -> str:
    """Return the answer's text.

    Raises:
        ReplayError: it cannot be found in the response, or was left out.
    """
    for known in (call.facts.get("response_text"), call.player.get("response")):
        if isinstance(known, str):
            return known
    if "response_text" in call.left_out:
        raise ReplayError(
            f"the answer of {call.place} was left out of the record, because it holds a key", place=call.place
        )
    text = _from_response(call.response, call.prompt)
    if text is None:
        raise ReplayError(f"the answer's text cannot be found in the response of {call.place}", place=call.place)
    return text


def _from_response(response: Any, prompt: Any) -> str | None:
    if isinstance(response, str):
        return response.strip()
    if not isinstance(response, Mapping):
        return None
    found: Any = None
    if isinstance(response.get("choices"), list) and response["choices"]:  # OpenAI, Mistral, most gateways
        choice = response["choices"][0]
        message = choice.get("message")
        found = message.get("content", "") if isinstance(message, Mapping) else choice.get("text")
        found = "" if found is None else found
    elif isinstance(response.get("candidates"), list) and response["candidates"]:  # Google
        content = response["candidates"][0].get("content") or {}
        found = [part for part in content.get("parts") or [] if not part.get("thought")]
    elif isinstance(response.get("message"), Mapping):  # Cohere
        found = response["message"].get("content")
    elif "content" in response:  # Anthropic
        found = response["content"]
    elif "response" in response:  # local models: prompt and answer
        return _after(prompt, str(response["response"]))
    else:
        found = next((response[name] for name in ("output_text", "text", "completion") if name in response), None)
    text = _joined(found)
    return None if text is None else text.strip()


def _joined(content: Any) -> str | None:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [
        part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") in (None, "text")
    ]
    return "".join(text for text in texts if isinstance(text, str))


def _after(prompt: Any, whole: str) -> str:
    inputs = prompt.get("inputs") if isinstance(prompt, Mapping) else None
    text = whole[len(inputs) :] if isinstance(inputs, str) and whole.startswith(inputs) else whole
    text = text.strip()
    for end in _ENDS:
        text = text.removesuffix(end)
    return text.strip()
