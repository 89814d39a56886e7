"""Connections of one endpoint: TLS always verified, the environment's proxy, and every wait limited.

Every wait for the network ends when the time of the call that waits is up, also while a server sends byte by byte.
Name resolution cannot be timed. It does not know requests.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore2
import httpx2

from clemcore import secrets
from clemcore.backends._remote.endpoint import LOOPBACK, Endpoint
from clemcore.backends._remote.exchange import current_exchange
from clemcore.errors import SpecError

CONNECT_TIMEOUT = 10.0
_PIECE = 64 * 1024


def connection_pool(endpoint: Endpoint) -> httpcore2.ConnectionPool:
    options: dict[str, Any] = {
        "ssl_context": _tls(endpoint.ca_file),
        "max_connections": 1000,
        "max_keepalive_connections": 100,
        "keepalive_expiry": 5.0,
        "network_backend": _TimedNetwork(),
    }
    proxy = _proxy(endpoint.base_url)
    if proxy is None:
        return httpcore2.ConnectionPool(**options)
    parts = urlsplit(proxy)
    secrets.remember(parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError(
            f"the environment sends calls of {endpoint.base_url} through a proxy of the kind "
            f"'{parts.scheme or 'unknown'}': use an http:// proxy, or put the host into NO_PROXY"
        )
    address = httpcore2.URL(
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port or {"http": 80, "https": 443}[parts.scheme],
        target="/",
    )
    login = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return httpcore2.HTTPProxy(proxy_url=address, proxy_auth=login, **options)


def _proxy(base_url: str) -> str | None:
    """Return the proxy that the environment names for this address; never one for this machine itself."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host in LOOPBACK or proxy_bypass(host if parts.port is None else f"{host}:{parts.port}"):
        return None
    proxies = getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _tls(ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
    raise SpecError(f"the ca_file {ca_file} holds no certificate in PEM form: {reason}")


def _time_left(stage: type[Exception], most: float | None = None) -> float:
    left = current_exchange().time_left
    if left <= 0:
        raise stage("the time of the call is up")
    return left if most is None else min(left, most)


class _TimedNetwork(httpcore2.NetworkBackend):
    """Opens connections whose every wait ends when the time of the call that uses them is up."""

    def __init__(self) -> None:
        self._network = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        left = _time_left(httpcore2.ConnectTimeout, timeout)
        return _TimedStream(self._network.connect_tcp(host, port, left, local_address, socket_options or ()))


class _TimedStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _time_left(httpcore2.ReadTimeout, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        current_exchange().note_written(buffer)
        # In pieces: the network library limits the wait of each send, not of the whole.
        for start in range(0, len(buffer), _PIECE):
            self._stream.write(buffer[start : start + _PIECE], _time_left(httpcore2.WriteTimeout, timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = _time_left(httpcore2.ConnectTimeout, timeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
