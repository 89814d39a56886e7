"""The HTTP transport below the SDK: keeps the bytes and adds the key.

The SDK builds requests and repeats them; this transport sends what it is given over ``httpcore2`` and notes the
bytes of both directions. Two things happen nowhere else: the key is put into the header here, so that the SDK and
its exceptions never hold it; and all headers are written here, because the SDK takes some from the environment. It
does not know what a body means.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore2
import httpx2
import openai

from clemcore import secrets
from clemcore.backends._remote.connections import CONNECT_TIMEOUT, connection_pool
from clemcore.backends._remote.endpoint import Endpoint
from clemcore.backends._remote.exchange import Exchange, current_exchange
from clemcore.backends._remote.failures import as_json
from clemcore.backends._remote.retries import LONGEST_BACKOFF, MAX_RETRIES, worth_retrying


class _ScrubbedLog(logging.Filter):
    """Takes keys out of what the network library logs: headers that a server sent may echo one."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = secrets.scrub(record.getMessage()), ()
        return True


for _name in ("httpcore2.connection", "httpcore2.http11", "httpcore2.proxy", "httpx2"):
    logging.getLogger(_name).addFilter(_ScrubbedLog())


class CallEndedError(openai.OpenAIError):
    """Ends a call at once: the SDK passes its own kind of error on and repeats nothing."""


class Transport(httpx2.BaseTransport):
    """Sends the requests of one endpoint; safe to use from several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._pool = connection_pool(endpoint)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request and read its whole reply."""
        exchange = current_exchange()
        body = request.read()
        try:
            exchange.check(body)
        except Exception as refusal:  # noqa: BLE001 - kept and raised again by the caller, outside the SDK
            exchange.refused = refusal
        if exchange.refused is not None:
            raise CallEndedError("not sent")
        exchange.begin_attempt(body)
        begin = time.perf_counter()
        try:
            with _named_faults(exchange):
                self._send(request, body, exchange, begin)
        finally:
            exchange.attempt_seconds = time.perf_counter() - begin
        return _for_sdk(exchange)

    def _send(self, request: httpx2.Request, body: bytes, exchange: Exchange, begin: float) -> None:
        url = request.url
        response = self._pool.handle_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=self._headers(url, body),
                content=body,
                extensions={"timeout": {"pool": exchange.time_left, "connect": CONNECT_TIMEOUT}},
            )
        )
        try:
            exchange.first_byte = time.perf_counter() - begin
            raw = b"".join(response.iter_stream())
        finally:
            response.close()
        exchange.status = response.status
        exchange.headers = {
            name.lower().decode("ascii"): value.decode("latin-1") for name, value in response.headers
        }
        exchange.raw = exchange.response = raw
        if "content-encoding" in exchange.headers:
            # httpx2 undoes the compression, although the request asked for none.
            exchange.response = httpx2.Response(200, headers=response.headers, content=raw).content

    def _headers(self, url: httpx2.URL, body: bytes) -> list[tuple[str, str]]:
        """Return all headers of a request; none of the SDK's, which takes some from environment variables."""
        headers = [
            ("Host", url.netloc.decode("ascii")),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("User-Agent", f"OpenAI/Python {openai.__version__} (clemcore)"),
        ]
        key = self._endpoint.key
        if key is not None:
            headers.append(("Authorization", f"Bearer {(key.api_key or '').strip()}"))
            headers += [
                (f"OpenAI-{field.title()}", str(key[field]).strip())
                for field in ("organization", "project")
                if key.get(field)
            ]
        return headers

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


def _for_sdk(exchange: Exchange) -> httpx2.Response:
    """Build what the SDK sees: enough to decide about another attempt."""
    assert exchange.status is not None  # noqa: S101 - set by the reply that has just been read
    headers = {
        name: exchange.headers[name] for name in ("retry-after", "retry-after-ms") if name in exchange.headers
    }
    body = as_json(exchange.response) if exchange.status >= 400 else None  # noqa: PLR2004 - refusals alone are read
    again = worth_retrying(exchange.status, body, exchange.headers, exchange.time_left)
    headers["x-should-retry"] = "true" if again else "false"
    return httpx2.Response(exchange.status, headers=headers, content=b"")


@contextmanager
def _named_faults(exchange: Exchange) -> Iterator[None]:
    """Turn faults of the network into those that the SDK repeats, or into one that ends the call."""
    failure: Exception | None = None
    try:
        yield
    except httpcore2.ConnectError as fault:
        exchange.fault = f"cannot connect: {fault}"
        # The next attempt would see the same certificate.
        certificate = any(isinstance(argument, ssl.SSLCertVerificationError) for argument in fault.args)
        failure = CallEndedError("certificate") if certificate else httpx2.ConnectError("cannot connect")
    except (
        httpcore2.TimeoutException,
        httpcore2.NetworkError,
        httpcore2.ProtocolError,
        httpcore2.ProxyError,
    ) as fault:
        kind = type(fault).__name__
        exchange.fault = f"{kind}: {fault}" if str(fault) else kind
        failure = getattr(httpx2, kind)(kind)
    except httpcore2.UnsupportedProtocol as fault:
        exchange.fault = str(fault)
        failure = CallEndedError("protocol")
    except httpx2.DecodingError as fault:
        exchange.fault = f"the reply's compression is broken: {fault}"
        failure = CallEndedError("decoding")
    if failure is not None:
        # Raised outside the except blocks: nothing of the request hangs on it.
        if exchange.attempts <= MAX_RETRIES and exchange.time_left <= LONGEST_BACKOFF:
            failure = CallEndedError("no time for another attempt")
        raise failure
