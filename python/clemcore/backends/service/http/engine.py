"""The HTTP engine: sends the bytes of an exchange once, over aiohttp, and notes what came back.

All headers are written here, the key among them, so that it is nowhere else; a fault of the network becomes text in
the exchange, never an exception that could hold headers. It repeats nothing and does not know what a body means.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import logging
import os
import socket
import ssl
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import aiohttp
import yarl
from aiohttp.abc import AbstractStreamWriter

from clemcore import secrets
from clemcore._core import __version__
from clemcore.backends.service.endpoint import Endpoint
from clemcore.backends.service.http import background
from clemcore.backends.service.http.connections import proxy_of, tls_context
from clemcore.backends.service.http.exchange import Exchange
from clemcore.backends.service.http.reading import UnreadableError, plain
from clemcore.keys import Key

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType, Connection

CONNECT_TIMEOUT = 10.0
# An answer is text; what is larger is a mistake or an attack.
LARGEST_REPLY = 64 * 1024 * 1024
# Silent connections are forgotten by routers, some after a minute.
_FIRST_PROBE = 30
# What gateways add to the head of an answer is no reason to lose it.
_LONGEST_HEADER = 64 * 1024
_MOST_HEADERS = 1000
# How many connections may be found unusable in a row: all that lie in the pool.
_MOST_STALE = 1000
_LONGEST_WORDS = 300
# A login that is wrong or missing, an address that may not be called: asking again changes nothing.
_PROXY_REFUSES = (401, 403, 407)


class ScrubbedLog(logging.Filter):
    """Takes keys out of what the network library logs: headers that a server sent may echo one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Scrub the message; let every record pass."""
        record.msg, record.args = secrets.scrub(record.getMessage()), ()
        return True


for _name in ("aiohttp.client", "aiohttp.internal", "asyncio"):
    logging.getLogger(_name).addFilter(ScrubbedLog())


class _BadReplyError(Exception):
    """The reply's bytes cannot be used."""


class _StaleConnectionError(Exception):
    """The connection cannot be used again, and nothing was sent."""


class _Request(aiohttp.ClientRequest):
    """A request that is not sent where something waits to be read already: it would be taken for the reply."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if conn.protocol is None or conn.protocol.should_close:
            raise _StaleConnectionError
        return await super().send(conn)


class Connector(aiohttp.TCPConnector):
    """A pool of connections that closes them in its own process alone.

    A forked child shares them with its parent, and so it does the poll of the parent's loop: to close a connection
    there would take it out of that poll, and end its TLS.
    """

    def __init__(self, tls: ssl.SSLContext | None, limit: int = 0) -> None:
        """Make an empty pool.

        Args:
            tls: what verifies certificates, or None for the system's authorities.
            limit: how many connections there may be at once; 0: any number.
        """
        super().__init__(
            ssl=True if tls is None else tls, limit=limit, keepalive_timeout=15.0, socket_factory=_socket_kept_alive
        )
        self._pid = os.getpid()

    def __del__(self, *arguments: Any) -> None:
        """Close what is open, in the process that has opened it."""
        if self._pid == os.getpid():
            super().__del__(*arguments)


def _socket_kept_alive(address: AddrInfoType) -> socket.socket:
    """Make a socket that says now and then that it is still there: a model may think in silence for minutes."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Names and presence differ between systems; where one is missing, the system's own value counts.
    for name, seconds in (("TCP_KEEPIDLE", _FIRST_PROBE), ("TCP_KEEPALIVE", _FIRST_PROBE), ("TCP_KEEPINTVL", 15)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return made


class Engine:
    """Sends requests to one endpoint; its coroutines run on the background loop.

    Attributes:
        versions: what sends, for the record.
    """

    versions: ClassVar[Mapping[str, str]] = {"aiohttp": aiohttp.__version__}

    def __init__(
        self, endpoint: Endpoint, headers: Mapping[str, str], key_headers: Callable[[Key], Mapping[str, str]]
    ) -> None:
        """Open nothing yet.

        Args:
            endpoint: where requests go.
            headers: headers of the format, the same in all requests.
            key_headers: writes the headers that carry the key.
        """
        self._endpoint = endpoint
        self._key_headers = key_headers
        self._own_headers = dict(headers)
        self._proxy, self._proxy_headers = proxy_of(endpoint.base_url)
        self._tls = (
            tls_context(endpoint.ca_file, verify=endpoint.verify_tls)
            if endpoint.base_url.startswith("https:")
            else None
        )
        self._session: aiohttp.ClientSession | None = None
        background.close_at_exit(self)
        weakref.finalize(self, _close_later, holder := _Holder())
        self._holder = holder

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._holder.session = aiohttp.ClientSession(
                connector=Connector(self._tls),
                request_class=_Request,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                max_line_size=_LONGEST_HEADER,
                max_field_size=_LONGEST_HEADER,
                max_headers=_MOST_HEADERS,
            )
        return self._session

    async def send(self, exchange: Exchange, seconds: float) -> None:
        """Send the bytes of an exchange and read the whole reply, within so many seconds."""
        begin, exchange.proxy = time.monotonic(), self._proxy
        try:
            await self._post_fresh(exchange, seconds, begin)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, _BadReplyError) as fault:
            exchange.fault_kind, exchange.fault = described(fault, self._proxy)
            exchange.keep_what_arrived()
        finally:
            exchange.attempt_seconds = time.monotonic() - begin

    async def _post_fresh(self, exchange: Exchange, seconds: float, begin: float) -> None:
        for _ in range(_MOST_STALE):
            with contextlib.suppress(_StaleConnectionError):
                return await self._post(exchange, seconds, begin)
        raise _BadReplyError("the server sends an answer without a request")

    async def _post(self, exchange: Exchange, seconds: float, begin: float) -> None:
        async with self._open_session().post(
            yarl.URL(exchange.url, encoded=True),
            data=_Body(exchange),
            headers=self._headers(),
            allow_redirects=False,
            proxy=self._proxy,
            proxy_headers=self._proxy_headers,
            timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_TIMEOUT),
        ) as response:
            exchange.first_byte = time.monotonic() - begin
            # Found by any case; of a header that came twice, the first counts.
            headers: Mapping[str, str] = response.headers
            exchange.status, exchange.headers = response.status, headers
            arrival, idle = exchange.arrival, exchange.limits.idle_timeout
            if arrival is not None:
                arrival.begin(response.status, response.headers)
            raw = await _read(response, idle, None if arrival is None else arrival.feed, exchange.begun)
            exchange.raw = exchange.response = raw
            if "content-encoding" in headers:
                exchange.response = plain(raw, headers["content-encoding"], LARGEST_REPLY)

    async def fetch(self, method: str, url: str, body: bytes | None, seconds: float) -> tuple[int | None, bytes]:
        """Ask a server about itself, once; return the status and the body.

        Where no whole reply came, the status is None and the body says why.
        """
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_TIMEOUT)
        ways = {"headers": self._headers(), "proxy": self._proxy, "proxy_headers": self._proxy_headers}
        try:
            where = yarl.URL(url, encoded=True)
            async with self._open_session().request(
                method, where, data=body, allow_redirects=False, timeout=limit, **ways
            ) as response:
                return response.status, await _read(response, seconds)
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, _BadReplyError) as fault:
            return None, described(fault, self._proxy)[1].encode()

    def _headers(self) -> dict[str, str]:
        """Return all headers of a request beside its length."""
        return {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": f"clemcore/{__version__}",
            **self._own_headers,
            **({} if self._endpoint.key is None else self._key_headers(self._endpoint.key)),
            # With TLS the proxy sees a request of its own, and these headers are part of that.
            **(self._proxy_headers if self._tls is None else {}),
        }

    async def close(self) -> None:
        """Close all connections."""
        await self._holder.close()
        self._session = None

    def leave_to_parent(self) -> None:
        """Forget the connections without a byte to them."""
        session, self._session, self._holder.session = self._session, None, None
        if session is not None:
            _inherited.append(session.connector)
            session.detach()


_engines: weakref.WeakValueDictionary[bytes, Engine] = weakref.WeakValueDictionary()


def engine_for(
    endpoint: Endpoint, headers: Mapping[str, str], key_headers: Callable[[Key], Mapping[str, str]]
) -> Engine:
    """Return the engine for an endpoint; models that are loaded twice share it, and so its connections.

    Args:
        endpoint: where requests go.
        headers: headers of the format.
        key_headers: writes the headers that carry the key.
    """
    carried = {} if endpoint.key is None else dict(key_headers(endpoint.key))
    changed = None if endpoint.ca_file is None else os.stat(endpoint.ca_file).st_mtime_ns  # noqa: PTH116
    parts = (
        (endpoint.base_url, endpoint.account, endpoint.ca_file, changed, endpoint.verify_tls),
        sorted(headers.items()),
        sorted(carried.items()),
        proxy_of(endpoint.base_url),
    )
    key = hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()  # the digest holds no secret
    engine = _engines.get(key)
    if engine is None:
        engine = _engines[key] = Engine(endpoint, headers, key_headers)
    return engine


# Connectors of a forked child's ancestors.
_inherited: list[aiohttp.BaseConnector | None] = []


class _Holder:
    """The session of an engine, for when the engine itself is gone."""

    session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        session, self.session = self.session, None
        if session is not None:
            await session.close()


def _close_later(holder: _Holder) -> None:
    if holder.session is not None:
        background.post(holder.close())


class _Body(aiohttp.Payload):
    """The request's bytes; notes that they are on their way."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange.body, content_type="application/json")
        self._size = len(exchange.body)
        self._exchange = exchange

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._exchange.body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        self._exchange.was_sent = self._exchange.is_on_wire = True
        await writer.write(self._exchange.body)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:  # noqa: ARG002
        await self.write(writer)


async def _read(
    response: aiohttp.ClientResponse,
    idle: float,
    feed: Callable[[bytes], None] | None = None,
    begun: list[bytes] | None = None,
) -> bytes:
    """Read a reply's body and hand over what arrives; give up when nothing comes for so long."""
    content = response.content
    if content.is_eof() and content.exception() is None:  # it came with its headers: nothing to wait for
        raw = content.read_nowait(LARGEST_REPLY + 1)
        if len(raw) > LARGEST_REPLY:
            raise _BadReplyError(f"the reply is larger than {LARGEST_REPLY} bytes")
        if feed is not None:
            feed(raw)
        return raw
    loop = asyncio.get_running_loop()
    last = loop.time()

    def watch() -> None:
        left = last + idle - loop.time()
        if left > 0:
            timers.append(loop.call_later(left, watch))
            del timers[0]
        else:
            content.set_exception(_BadReplyError(f"the reply stopped: nothing came for {idle:g} s (idle_timeout)"))

    timers = [loop.call_later(idle, watch)]
    pieces: list[bytes] = [] if begun is None else begun
    size = 0
    try:
        async for piece in content.iter_any():
            last = loop.time()
            size += len(piece)
            if size > LARGEST_REPLY:
                raise _BadReplyError(f"the reply is larger than {LARGEST_REPLY} bytes")
            pieces.append(piece)
            if feed is not None:
                feed(piece)
    finally:
        timers[0].cancel()
    return b"".join(pieces)


def described(fault: BaseException, proxy: str | None = None) -> tuple[str, str]:
    """Return kind and words, in one line and without secrets, of what went wrong in the network.

    Args:
        fault: what the library has raised.
        proxy: the proxy that the request went through, or None: connections are made to it alone.
    """
    kind, words = "connection", f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__
    if isinstance(fault, (_BadReplyError, UnreadableError)):
        kind, words = ("timeout" if "idle_timeout" in str(fault) else "reply"), str(fault)
    elif isinstance(fault, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        cause: Any = getattr(fault, "certificate_error", None) or getattr(fault, "os_error", None) or fault
        kind = "certificate" if isinstance(cause, ssl.SSLCertVerificationError) else "connection"
        words = f"cannot connect: {cause}"
    elif isinstance(fault, aiohttp.ServerFingerprintMismatch):
        kind = "certificate"
    elif isinstance(fault, aiohttp.ConnectionTimeoutError):
        kind = "connection" if proxy is None else "proxy"
        words = f"cannot connect{'' if proxy is None else ' to the proxy'} within {CONNECT_TIMEOUT:g} s"
    elif isinstance(fault, asyncio.TimeoutError):
        kind, words = "timeout", "no whole reply in time"
    elif isinstance(fault, aiohttp.ClientHttpProxyError):
        kind = "refused" if fault.status in _PROXY_REFUSES else kind
        words = f"the proxy refused: status {fault.status} {fault.message}"
    elif isinstance(fault, aiohttp.ClientResponseError):
        kind, words = "reply", f"the reply is not HTTP that can be read: {fault.message.rstrip(' :')}"
    elif isinstance(fault, aiohttp.ClientConnectorError):
        kind = "connection" if proxy is None else "proxy"
        words = f"cannot connect{'' if proxy is None else ' to the proxy'}: {_words_of(fault.os_error)}"
    elif isinstance(fault, aiohttp.ServerDisconnectedError):
        words = "the server closed the connection without a reply"
    elif isinstance(fault, aiohttp.ClientPayloadError):
        words = "the reply ended too early: the connection was closed"
    elif isinstance(fault, OSError) and fault.errno in (errno.ECONNRESET, errno.EPIPE):
        words = "the connection was reset"
    # They may quote what the server has sent.
    return kind, secrets.scrub(words).partition("\n")[0][:_LONGEST_WORDS]


def _words_of(fault: OSError) -> str:
    """Return the system's words for a fault; asyncio puts its own in front, with the address."""
    number = fault.errno
    return os.strerror(number) if number is not None and number > 0 else str(fault)
