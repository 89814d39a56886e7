"""From a call that failed to one clear error: what, where, why, what to do, without any secret.

What kind of error it is was judged before (``verdict``); here it gets words and a class.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from clemcore.arguments.ledger import Ledger
from clemcore.backends.service.dialects.base import Dialect
from clemcore.backends.service.endpoint import Endpoint
from clemcore.backends.service.http.connections import CHECK_PROXY
from clemcore.backends.service.http.exchange import Exchange
from clemcore.backends.service.http.full_windows import counts_of
from clemcore.backends.service.http.verdict import Verdict, fault_of
from clemcore.errors import REMOTE_ERRORS, ClemcoreError, ContextExceededError
from clemcore.secrets import scrub, scrub_json
from clemcore.visible import visible

_SHOWN = 600
_SHOWN_SERVERS = 5
_LONGEST_ID = 100

_HINTS = {
    "authentication": "check the key{place}",
    "permission": "the key{place} may not use this model or service",
    "not_found": "check model_id '{model_id}' and base_url ({address}){near}",
    "quota": "the account{found} has used up its credit or quota: check both with the service",
    "rate_limit": "wait, ask for a higher limit, or set requests_per_minute",
}
_TOO_LARGE = 413
_FROM_A_PROXY = 407


class ErrorBuilder:
    """Builds the errors of one model: it knows model, backend, endpoint, and the format that they speak."""

    def __init__(self, model: str, model_id: str, backend: str, endpoint: Endpoint, dialect: Dialect) -> None:
        self.model = model
        self.model_id = model_id
        self.backend = backend
        self.endpoint = endpoint
        self.dialect = dialect

    def failure(self, exchange: Exchange, verdict: Verdict, ledger: Ledger) -> ClemcoreError:
        """Build the error for an exchange that brought no answer.

        Args:
            exchange: what happened.
            verdict: what it means.
            ledger: what became of the generation arguments.
        """
        if verdict.kind == "context_window":
            return self._context_error(exchange, ledger)
        words = f"{self._what(exchange)}{self._why(exchange, verdict)}{self._trace(exchange)}"
        message = fault_of(exchange, self.dialect).message
        error = REMOTE_ERRORS[verdict.kind](
            _shown(words),
            status=exchange.status,
            provider_message=None if message is None else scrub(message),
            retry_after=verdict.retry_after,
        )
        if error.retryable != verdict.is_retryable:
            error.retryable = verdict.is_retryable
        return self._attach(error, exchange, ledger, verdict.facts)

    def _what(self, exchange: Exchange) -> str:
        way = f"through the proxy {exchange.proxy} " if exchange.proxy else ""
        return f"model '{self.model}' (backend {self.backend}): POST {exchange.url} {way}"

    def _why(self, exchange: Exchange, verdict: Verdict) -> str:
        if verdict.kind == "interrupted":
            return "was sent and then interrupted: whether it was answered, and paid for, is not known"
        if exchange.status is None or exchange.fault_kind == "timeout":
            return self._why_no_reply(exchange, verdict)
        if exchange.fault is not None:
            return f"answered {exchange.status}, but {exchange.fault}{_once(verdict)}"
        message = fault_of(exchange, self.dialect).message
        # Scrubbed before it is cut: half a key is not found.
        words = None if exchange.parsed is None else message
        shown = scrub(_excerpt(exchange.response) if words is None else words)[:_SHOWN]
        if verdict.why is not None:
            is_page = shown.startswith("an HTML page")  # no model wrote it
            return f"answered {exchange.status}, but {verdict.why}: {shown}{'' if is_page else _once(verdict)}"
        if 300 <= exchange.status < 400:  # noqa: PLR2004 - redirects
            return (
                f"answered {exchange.status}, a redirect, which is not followed because it would take messages and "
                "key elsewhere: write the final address into base_url"
            )
        hint = verdict.hint or _HINTS.get(verdict.kind, "")
        if exchange.status == _FROM_A_PROXY:
            hint = CHECK_PROXY
        if exchange.status == _TOO_LARGE and verdict.hint is None:
            hint = "the messages or images are too large for the service"
        found = f" (found in {self.endpoint.key_place})" if self.endpoint.key_place else ""
        hint = hint.format(
            place=found or ": none was sent",
            found=found,
            model_id=self.model_id,
            near=self._near(message),
            address=self.dialect.address,
        )
        return f"answered {exchange.status}: {shown}" + (f"; {hint}" if hint else "")

    def _why_no_reply(self, exchange: Exchange, verdict: Verdict) -> str:
        limits = exchange.limits
        if exchange.time_left <= 0:
            return f"had no whole reply within {limits.total_timeout:g} s (total_timeout); {self._advice(exchange)}"
        if verdict.kind == "timeout" and "idle_timeout" not in (exchange.fault or ""):
            limit = f"within {limits.attempt_timeout:g} s (attempt_timeout)"
            return f"had no whole reply {limit}; {self._advice(exchange)}{_once(verdict)}"
        if exchange.broke_off:
            return f"answered {exchange.status}, but {exchange.fault}{_once(verdict)}"
        return f"got no reply: {exchange.fault}; {self._advice(exchange)}"

    def _near(self, message: str | None) -> str:
        """Say which model may be meant: of those that the refusal lists, or else that the registry knows."""
        listed = {name for name in _listed(message) if self.model_id not in name}
        if near := _nearest(self.model_id, listed):
            return near
        known, today = _registered(self.backend), datetime.date.today().isoformat()
        if "" < known.get(self.model_id, "") <= today:
            return f"; the registry says that it was shut down on {known[self.model_id]}"
        alive = [name for name, ended in known.items() if not "" < ended <= today]
        return "" if self.model_id in known else _nearest(self.model_id, alive)

    def _advice(self, exchange: Exchange) -> str:
        if exchange.fault_kind in ("refused", "proxy"):
            return CHECK_PROXY
        if exchange.fault_kind == "certificate":
            return (
                "if the server's certificate is signed by an authority of your own, name it: model_config.ca_file"
            )
        return f"is the server at {exchange.asked or self.endpoint.base_url} up?"

    def _trace(self, exchange: Exchange) -> str:
        facts = []
        if exchange.attempts > 1:
            facts.append(f"{exchange.attempts} attempts{_at_all(exchange)}")
        if exchange.request_id is not None:
            facts.append(f"request id {exchange.request_id[:_LONGEST_ID]}")
        return f" ({', '.join(facts)})" if facts else ""

    def _context_error(self, exchange: Exchange, ledger: Ledger) -> ClemcoreError:
        fault = fault_of(exchange, self.dialect)
        message = fault.message or ""
        asked = self.dialect.tokens_asked(ledger.fields)
        counts = counts_of(message, asked, fault.window, fault.prompt_tokens)
        words = scrub(message)[:_SHOWN]
        info = _shown(f"{self._what(exchange)}answered {exchange.status}: {words}{self._trace(exchange)}")
        error = ContextExceededError(info, *counts)
        error.status = exchange.status
        error.provider_message = scrub(message)
        return self._attach(error, exchange, ledger)

    def _attach(
        self, error: Any, exchange: Exchange, ledger: Ledger, more: Mapping[str, Any] | None = None
    ) -> ClemcoreError:
        prompt = error.prompt = exchange.prompt
        error.response = _shown_response(exchange)
        error.request_id = exchange.request_id
        account = ledger.facts()
        if prompt is None:
            account["sent"] = None
        sent, received = exchange.texts
        left_out = {"left_out": ["raw_response_obj"]} if exchange.echoes_key else {}
        error.texts = sent, None if left_out else received
        wire = exchange.facts()
        error.facts = {**account, "dialect": self.dialect.name, **(more or {}), **left_out, "wire": wire}
        failure: ClemcoreError = error
        return failure


def _at_all(exchange: Exchange) -> str:
    """Name the servers that were asked, where there are several; the rest of the message is about the last one."""
    asked = [each["server"] for each in exchange.failed_attempts if "server" in each]
    servers = list(dict.fromkeys([*asked, exchange.asked])) if asked else []
    more = f" and {len(servers) - _SHOWN_SERVERS} more" if len(servers) > _SHOWN_SERVERS else ""
    return (
        f" at {len(servers)} servers: {', '.join(map(str, servers[:_SHOWN_SERVERS]))}{more}"
        if len(servers) > 1
        else ""
    )


def _once(verdict: Verdict) -> str:
    """Say why a reply that cannot be used is not asked for again."""
    if verdict.most_attempts != 1:
        return ""
    return "; it may have been paid for, so it is not asked for again: model_config.bad_reply_attempts allows that"


def _shown_response(exchange: Exchange) -> Any:
    """Return the body of a refusal for the error: as JSON where it is, without keys."""
    if exchange.parsed is None:
        return None if exchange.response is None else scrub_json(exchange.response).decode("utf-8", "replace")
    return json.loads(scrub_json(json.dumps(exchange.parsed).encode())) if exchange.echoes_key else exchange.parsed


def _shown(words: str) -> str:
    """Return words for people: without secrets, and with nothing that could fool a terminal."""
    return visible(scrub(words))


def _excerpt(data: bytes | None) -> str:
    if not data:
        return "an empty body"
    text = scrub(data[:4000].decode("utf-8", "replace"))
    if "<html" in text.lower() or text.lstrip().lower().startswith("<!doctype"):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        return f"an HTML page{f' ({title[1].strip()!r})' if title else ''}"
    return repr(text[:200])


def _nearest(model_id: str, names: Iterable[str]) -> str:
    """Return a question that names the nearest model, or nothing where none is near."""
    import difflib

    near = difflib.get_close_matches(model_id, sorted(names), n=1, cutoff=0.7)
    return f"; did you mean '{near[0]}'?" if near else ""


def _listed(message: str | None) -> set[str]:
    """Return what could be names of models in a refusal's words."""
    words = (word.rstrip(".:") for word in re.findall(r"[A-Za-z0-9][\w./:\-]{2,}", message or ""))
    return {word for word in words if re.search(r"[\d/-]", word)}


def _registered(backend: str) -> dict[str, str]:
    """Return the model ids that the registry has for a backend, each with the day on which its provider ends it."""
    from clemcore.registry.registry import ModelRegistry

    try:
        specs = ModelRegistry.from_packaged_and_cwd_files().model_specs
    except ClemcoreError:
        return {}
    return {
        spec["model_id"]: str(spec.get("deprecation_date", ""))
        for spec in specs
        if spec.get("backend") == backend and isinstance(spec.get("model_id"), str)
    }
