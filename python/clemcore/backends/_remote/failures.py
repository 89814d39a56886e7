"""From a call that failed to one clear error: what, where, why, what to do, without any secret.

It knows the error bodies of OpenAI and of the servers that speak its protocol (vLLM, llama.cpp, SGLang, TGI,
transformers serve, gateways). It classifies by status and code first, by the message's words last.
"""

from __future__ import annotations

import json
import re
from typing import Any

from clemcore.backends._remote.endpoint import Endpoint
from clemcore.backends._remote.exchange import Exchange
from clemcore.errors import ClemcoreError, ContextExceededError, RemoteCallError
from clemcore.secrets import mask_fields, scrub

_SHOWN = 600

_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"})
_CONTEXT_WORDS = re.compile(
    r"(maximum|model'?s) context (length|window)"
    r"|exceeds? (the |this |your )?(available |model'?s |maximum )*context (size|length|window)"
    r"|exceed context window"
    r"|`?inputs`? tokens \+ `?max_new_tokens`? must be"
    r"|too large for model with \d+ maximum context"
    r"|longer than the (model'?s |maximum )*context length",
    re.IGNORECASE,
)
# The window's size, and what was used of it, in the words of the servers above.
_WINDOW = re.compile(
    r"(?:context (?:length|window|size)(?: is| of)?(?: only)?|maximum context length of|must be <=)\s*\(?(\d+)"
    r"|(\d+) maximum context length",
    re.IGNORECASE,
)
_TOTAL = re.compile(r"(?:requested(?: a total of)?|requested tokens)\s*\(?(\d+)\)?(?! output)", re.IGNORECASE)
_PROMPT = re.compile(
    r"(?:resulted in|passed|has(?: at least)?|contains|request \(|input \(|given:)\s*(\d+)"
    r"|(\d+) (?:in the messages|(?:tokens )?from the input|(?:in the )?input tokens|prompt tokens)",
    re.IGNORECASE,
)
_REPLY = re.compile(
    r"(\d+) (?:in the completion|(?:tokens )?for the completion|output tokens|'max_tokens'|`max_new_tokens`)"
    r"|is too large: (\d+)",
    re.IGNORECASE,
)

_HINTS = {
    401: "check the key{place}",
    403: "the key{place} may not use this model or service",
    404: "check model_id '{model_id}' and base_url (it usually ends in /v1)",
    413: "the messages or images are too large for the service",
    429: "wait, or ask for a higher limit",
}


def as_json(data: bytes | None) -> Any:
    """Return a body read as JSON, or None where it is none."""
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def error_codes(body: Any) -> frozenset[str]:
    """Return the codes and types that an error body carries."""
    fault = _fault_of(body)
    return frozenset(str(fault[name]) for name in ("code", "type") if fault.get(name) is not None)


def provider_message(body: Any) -> str | None:
    """Return the message that an error body carries, or None."""
    fault = _fault_of(body)
    for name in ("message", "detail", "error", "msg"):
        value = fault.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value:
            return json.dumps(value, ensure_ascii=False)
    return None


def exceeds_context(status: int, body: Any) -> bool:
    """Tell whether an error says that prompt and reply do not fit the context window."""
    if status == 429:  # noqa: PLR2004 - a limit on tokens per minute, in similar words
        return False
    return bool(_CONTEXT_CODES & error_codes(body)) or bool(_CONTEXT_WORDS.search(provider_message(body) or ""))


def _fault_of(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        return {"message": body} if isinstance(body, str) else {}
    fault = body.get("error")
    return fault if isinstance(fault, dict) else body


def is_error_body(body: Any) -> bool:
    """Tell whether a body is an error, whatever its status was: some gateways send errors with status 200."""
    return (
        isinstance(body, dict)
        and not body.get("choices")
        and (bool(body.get("error")) or body.get("object") == "error")
    )


class Caller:
    """Who made a call, for messages: model, backend, endpoint."""

    def __init__(self, model: str, model_id: str, backend: str, endpoint: Endpoint) -> None:
        self.model = model
        self.model_id = model_id
        self.backend = backend
        self.endpoint = endpoint

    def failure(self, exchange: Exchange, why: str | None = None) -> ClemcoreError:
        """Build the error for an exchange that brought no answer.

        Args:
            exchange: the call.
            why: what is wrong with a reply that came with a good status.
        """
        body = as_json(exchange.response)
        if exceeds_context(exchange.status or 0, body):
            return self._context_error(exchange, body)
        return self._attach(
            RemoteCallError(
                scrub(f"{self._what(exchange)}{self._why(exchange, body, why)}{self._trace(exchange)}"),
                status=exchange.status,
            ),
            exchange,
        )

    def _what(self, exchange: Exchange) -> str:
        return f"model '{self.model}' (backend {self.backend}): POST {exchange.url} "

    def _why(self, exchange: Exchange, body: Any, why: str | None) -> str:
        if exchange.status is None:
            if exchange.time_left <= 0:
                limit = f"within {exchange.timeout:g} s (model_config.timeout)"
                return f"had no whole reply {limit}; {self._advice(exchange)}"
            return f"got no reply: {exchange.fault}; {self._advice(exchange)}"
        if exchange.fault is not None:
            return f"answered {exchange.status}, but {exchange.fault}"
        message = provider_message(body)
        shown = message if message is not None else _excerpt(exchange.response)
        if why is not None:
            return f"answered {exchange.status}, but {why}: {shown[:_SHOWN]}"
        if 300 <= exchange.status < 400:  # noqa: PLR2004 - redirects
            return (
                f"answered {exchange.status}, a redirect, which is not followed because it would take messages and "
                "key elsewhere: write the final address into base_url"
            )
        hint = _HINTS.get(exchange.status, "")
        place = f" (found in {self.endpoint.key_place})" if self.endpoint.key_place else ": none was sent"
        hint = hint.format(place=place, model_id=self.model_id)
        return f"answered {exchange.status}: {shown[:_SHOWN]}" + (f"; {hint}" if hint else "")

    def _advice(self, exchange: Exchange) -> str:
        if "CERTIFICATE" in (exchange.fault or "").upper():
            return (
                "if the server's certificate is signed by an authority of your own, name it: model_config.ca_file"
            )
        return f"is the server at {self.endpoint.base_url} up?"

    def _trace(self, exchange: Exchange) -> str:
        facts = []
        if exchange.attempts > 1:
            facts.append(f"{exchange.attempts} attempts")
        if exchange.request_id is not None:
            facts.append(f"request id {exchange.request_id}")
        return f" ({', '.join(facts)})" if facts else ""

    def _context_error(self, exchange: Exchange, body: Any) -> ClemcoreError:
        message = provider_message(body) or ""
        used, window = _numbers(message, _fault_of(body), exchange.prompt)
        info = scrub(f"{self._what(exchange)}answered {exchange.status}: {message[:_SHOWN]}{self._trace(exchange)}")
        return self._attach(
            ContextExceededError(info, tokens_used=used, tokens_left=window - used, context_size=window), exchange
        )

    @staticmethod
    def _attach(error: Any, exchange: Exchange) -> ClemcoreError:
        prompt = error.prompt = exchange.prompt
        error.response = _shown_response(exchange)
        error.request_id = exchange.request_id
        sent = {name: value for name, value in (prompt or {}).items() if name not in ("model", "messages")}
        error.facts = {"sent": None if prompt is None else sent, "wire": exchange.facts()}
        failure: ClemcoreError = error
        return failure


def _shown_response(exchange: Exchange) -> Any:
    """Return the body of a refusal for the error and the record: as JSON where it is, without secrets."""
    body = as_json(exchange.response)
    if body is not None:
        return mask_fields(body)
    return None if exchange.response is None else scrub(exchange.response.decode("utf-8", "replace"))


def _excerpt(data: bytes | None) -> str:
    if not data:
        return "an empty body"
    text = data[:4000].decode("utf-8", "replace")
    if "<html" in text.lower() or text.lstrip().lower().startswith("<!doctype"):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        return f"an HTML page{f' ({title[1].strip()!r})' if title else ''}"
    return repr(text[:200])


def _numbers(message: str, fault: dict[str, Any], prompt: Any) -> tuple[int, int]:
    """Return tokens used and the window's size as far as the service says them; 0 where it does not."""
    window = _first(_WINDOW, message) or _integer(fault.get("n_ctx"))
    total = _first(_TOTAL, message)
    if not total:
        given = _first(_PROMPT, message) or _integer(fault.get("n_prompt_tokens"))
        limit = prompt.get("max_completion_tokens", prompt.get("max_tokens")) if isinstance(prompt, dict) else None
        total = given + (_first(_REPLY, message) or _integer(limit)) if given else 0
    return total, window


def _first(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return next((int(group) for group in found.groups() if group), 0) if found else 0


def _integer(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
