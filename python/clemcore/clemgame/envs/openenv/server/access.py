"""Who may talk to the server: requests with the token, which name the server by one of its names.

A page of another site names its own host, and has no token. It does not know what requests ask for.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, TypeAlias

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from clemcore.clemgame.envs.openenv.hosts import LOOPBACK
from clemcore.errors import EnvError

Scope: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Scope, Any, Any], Awaitable[None]]

_SHORTEST = 16
# Whoever watches the server asks for it, without a token.
_OPEN = "/health"


def checked_token(token: str) -> str:
    """Return a token that is hard to guess.

    Raises:
        EnvError: it is too short, or has characters that no header can hold (a ValueError).
    """
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise EnvError(
            f"the token must have at least {_SHORTEST} printable ASCII characters without spaces; "
            "leave CLEMV_TOKEN empty to get a random one"
        )
    return token


def names_of(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """Return the names by which requests may name a server.

    Args:
        host: the address that it listens at. One that stands for all addresses is not a name.
        more: further names.
    """
    names = {*LOOPBACK, *(name.lower() for name in more)}
    try:
        if not ipaddress.ip_address(host).is_unspecified:
            names.add(host)
    except ValueError:
        names.add(host.lower())
    return frozenset(names)


def shown_name(host: str, more: Sequence[str] = ()) -> str:
    """Return a name by which clients can reach a server.

    Args:
        host: the address that it listens at. One that stands for all addresses is refused in requests.
        more: further names, of which the first one is for clients on other machines.

    Examples:
        >>> shown_name("0.0.0.0", ["trainer.example"]), shown_name("::"), shown_name("10.0.0.5")
        ('trainer.example', '::1', '10.0.0.5')
    """
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            return next(iter(more), "::1" if ":" in host else "127.0.0.1")
    return host


def name_in(host: str) -> str:
    """Return the name in a ``Host`` header, without its port.

    Examples:
        >>> name_in("LOCALHOST:8000"), name_in("[::1]:8000"), name_in("a.b")
        ('localhost', '::1', 'a.b')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


class Access:
    """Refuses requests before anything else sees them.

    Args:
        app: gets the requests that may pass.
        token: the token; None lets everybody pass who knows the name of the server.
        names: the names of the server.
    """

    def __init__(self, app: App, *, token: str | None, names: frozenset[str]) -> None:
        self._app = app
        self._token = token
        self._names = names

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(Headers(scope=scope), str(scope.get("path", "")))
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await WebSocket(scope, receive, send).send_denial_response(refusal)

    def _refusal(self, headers: Headers, path: str) -> PlainTextResponse | None:
        if name_in(headers.get("host", "")) not in self._names:
            told = "This server has another name than the Host header; 'clem serve --allow-host NAME' adds one.\n"
            return PlainTextResponse(told, 421)
        origin = headers.get("origin")
        if origin is not None and name_in(origin.partition("://")[2]) not in self._names:
            return PlainTextResponse("Pages of other sites may not use this server.\n", 403)
        if self._token is None or path == _OPEN or self._has_token(headers.get("authorization", "")):
            return None
        told = "The token is missing or wrong: use the address that 'clem serve' printed, with its token.\n"
        return PlainTextResponse(told, 401, {"WWW-Authenticate": 'Bearer, Basic realm="clem"'})

    def _has_token(self, authorization: str) -> bool:
        """Look for the token: alone, or as the password of an address (``http://clem:TOKEN@…``)."""
        scheme, _, value = authorization.partition(" ")
        value = value.strip()
        if scheme.lower() == "basic":
            try:
                value = base64.b64decode(value, validate=True).decode("utf-8", "replace").partition(":")[2]
            except (binascii.Error, ValueError):
                return False
        elif scheme.lower() != "bearer":
            return False
        return hmac.compare_digest(value.encode("utf-8", "replace"), (self._token or "").encode())
