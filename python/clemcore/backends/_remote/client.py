"""The SDK's client for one endpoint: one method that posts a body and returns the exchange, or raises our errors.

The body is given to the SDK as it is to be sent, through its generic ``post``: ``chat.completions.create`` reorders
the fields and, for a dialogue of 200 messages, costs seventeen times the CPU time (``docs/backends/openai.md``).
It does not know what the body means.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx2
import openai

from clemcore.backends._remote.exchange import Exchange
from clemcore.backends._remote.failures import Caller
from clemcore.backends._remote.retries import MAX_RETRIES
from clemcore.backends._remote.wire import Transport
from clemcore.errors import GenerationArgumentError, MessagesError

logger = logging.getLogger(__name__)


class Client:
    """Posts bodies to one endpoint; safe to use from several threads."""

    def __init__(self, caller: Caller) -> None:
        endpoint = caller.endpoint
        self._caller = caller
        self._endpoint = endpoint
        # Everything that the SDK would otherwise read from environment variables is given here. The key is not:
        # the transport adds it below the SDK.
        self._sdk = openai.OpenAI(
            api_key="added by the transport",
            admin_api_key="",
            organization="",
            project="",
            webhook_secret="",
            base_url=endpoint.base_url,
            timeout=endpoint.timeout,
            max_retries=MAX_RETRIES,
            http_client=httpx2.Client(transport=Transport(endpoint), trust_env=False, follow_redirects=False),
        )

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the libraries that make the call."""
        return {"openai": openai.__version__, "httpx2": httpx2.__version__}

    def post(self, path: str, body: dict[str, Any]) -> Exchange:
        """Send a body and return what happened, once a reply with a good status came.

        Raises:
            RemoteCallError: the service refused or failed.
            ContextExceededError: the service says that prompt and reply do not fit the context window.
            GenerationArgumentError: the body about to leave was not what was asked; nothing was sent.
            MessagesError: the messages cannot be written as UTF-8 JSON; nothing was sent.
        """
        expected = _encoded(body)
        exchange = Exchange(
            url=self._endpoint.base_url + path,
            timeout=self._endpoint.timeout,
            check=lambda sent: _check_equal(sent, expected),
        )
        ended = ""
        with exchange.running():
            try:
                self._sdk.post(path, cast_to=httpx2.Response, body=body)
            except openai.OpenAIError as fault:
                ended = type(fault).__name__
        # Raised here, outside the except block: the SDK's error and what hangs on it stay behind.
        if exchange.refused is not None:
            raise exchange.refused.with_traceback(None)
        logger.debug(
            "POST %s: status %s, %d attempt(s)%s",
            exchange.url,
            exchange.status,
            exchange.attempts,
            ended and f", {ended}",
        )
        if ended or exchange.status is None:
            raise self._caller.failure(exchange)
        return exchange

    def close(self) -> None:
        """Close all connections."""
        self._sdk.close()


def _encoded(body: dict[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    except UnicodeEncodeError as fault:
        reason = f"character {fault.object[fault.start]!r} is no Unicode text"
    except (TypeError, ValueError, RecursionError) as fault:
        reason = str(fault)
    raise MessagesError(f"the messages cannot be written as JSON in UTF-8: {reason}")


def _check_equal(sent: bytes, expected: bytes) -> None:
    """Refuse a body that is not the one asked for, compared by value and type where the bytes differ."""
    if sent == expected:
        return
    got, asked = json.loads(sent), json.loads(expected)
    names = [name for name in {**asked, **got} if _canonical(got, name) != _canonical(asked, name)]
    if names:
        raise GenerationArgumentError(
            f"the SDK was about to send other values than asked for {', '.join(sorted(names))}; nothing was sent"
        )


def _canonical(body: dict[str, Any], name: str) -> str | None:
    return json.dumps(body[name], sort_keys=True) if name in body else None
