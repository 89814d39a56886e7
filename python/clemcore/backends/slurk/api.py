"""Calls the HTTP API of a slurk server (rooms, tokens, users, logs) and raises typed errors that hold no key.

It knows the paths and forms of slurk's API. It does not know what is said in a room. Until it is sent, a token is
wrapped in a ``Key``, so that no traceback shows it, not even one with local variables.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from clemcore.backends.service.endpoint import Endpoint
from clemcore.backends.service.http.connections import CHECK_PROXY, proxy_of, tls_context
from clemcore.backends.service.http.engine import CONNECT_TIMEOUT, Connector, described
from clemcore.backends.service.http.exchange import as_json
from clemcore.backends.service.http.verdict import BY_FAULT, kind_of_status
from clemcore.errors import REMOTE_ERRORS, RemoteCallError, SpecError
from clemcore.keys import Key
from clemcore.secrets import mask_fields, scrub

# Each request reads or writes a few rows of a database. If that takes longer, the server is broken.
REQUEST_TIMEOUT = 30.0
# How often a change is tried: another program may change the row after we have read its version.
_CHANGES = 3
_PRECONDITION_FAILED = 412
_SHOWN = 600

# The parts of a path, such as ("tokens", token).
Path = tuple[str | int | Key, ...]

_HINTS = {
    "authentication": "check the key{place}: it must be an API token, such as the admin token that slurk prints",
    "permission": "the key{place} may not use the API; use the admin token that slurk prints",
    "connection": "is the slurk server at {base_url} up?",
    "timeout": "is the slurk server at {base_url} up?",
    "certificate": "if your own authority has signed the server's certificate, set ca_file to its PEM file",
    "not_found": "is there a slurk server at {base_url}?",
}


@dataclass(frozen=True, repr=False)
class _Reply:
    """The server's reply, or the reason why there is none; it has no repr, because a server may repeat a token."""

    status: int = 0
    tag: str | None = None
    body: bytes = b""
    fault: tuple[str, str] | None = None


class Api:
    """The HTTP API of one slurk server."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        """Connect to nothing yet.

        Args:
            endpoint: the server's address and key.
            model: the model's name, for messages.

        Raises:
            SpecError: the environment names a proxy that wants a login.
        """
        self.endpoint = endpoint
        self._model = model
        proxy, login = proxy_of(endpoint.base_url)
        if login:
            raise SpecError(
                f"the environment names a proxy that wants a login for {endpoint.base_url}; the backend slurk "
                "cannot use such a proxy, so add the server's host to NO_PROXY"
            )
        self._proxy = proxy
        self._tls: ssl.SSLContext | None = None
        if endpoint.base_url.startswith("https:"):
            self._tls = tls_context(endpoint.ca_file, verify=endpoint.verify_tls)
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The open connections to the server."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=Connector(self._tls, limit=100), trust_env=False, proxy=self._proxy
            )
        return self._session

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def create(self, what: str, body: Mapping[str, Any]) -> Any:
        """Create a row and return its id.

        Args:
            what: the table, as slurk's API names it, such as ``rooms``.
            body: the fields of the row.

        Raises:
            RemoteCallError: the server refused or failed.
        """
        _, made = await self._request("POST", (what,), body)
        if not isinstance(made, dict) or not isinstance(made.get("id"), (int, str)):
            raise self._error("bad_reply", f"POST {what} answered without an id", None, made)
        return made["id"]

    async def join(self, user: int, room: int) -> None:
        """Put a user into a room."""
        await self._request("POST", ("users", user, "rooms", room))

    async def there(self, room: int) -> list[int]:
        """Return the ids of the connected users in a room."""
        _, users = await self._request("GET", ("rooms", room, "users"))
        return [user["id"] for user in users] if isinstance(users, list) else []

    async def log(self, room: int, user: int) -> list[dict[str, Any]]:
        """Return the server's log of a room, as far as a user may see it, in the server's order."""
        _, entries = await self._request("GET", ("rooms", room, "users", user, "logs"))
        return sorted(entries, key=lambda entry: entry["id"]) if isinstance(entries, list) else []

    async def set_logins(self, token: Key, number: int) -> None:
        """Set how many more logins a token allows."""
        await self._change("PATCH", ("tokens", token), {"registrations_left": number})

    async def make_read_only(self, room: int) -> None:
        """Stop everybody from writing in a room."""
        await self._change("PATCH", ("rooms", room), {"read_only": True})

    async def users_of(self, token: Key) -> list[int]:
        """Return the ids of all users who have logged in with a token."""
        _, users = await self._request("GET", ("users",), token=token)
        return [user["id"] for user in users] if isinstance(users, list) else []

    async def delete(self, what: str, number: int | Key) -> None:
        """Delete a row; if it is not there any more, do nothing."""
        try:
            await self._change("DELETE", (what, number))
        except RemoteCallError as fault:
            if fault.kind != "not_found":
                raise

    async def _change(self, method: str, path: Path, body: Mapping[str, Any] | None = None) -> None:
        """Change a row; slurk demands that the request names the row's current version."""
        for attempt in range(_CHANGES):
            version, _ = await self._request("GET", path)
            try:
                await self._request(method, path, body, version)
            except RemoteCallError as fault:
                if fault.status != _PRECONDITION_FAILED or attempt == _CHANGES - 1:
                    raise
            else:
                return

    async def _request(
        self,
        method: str,
        path: Path,
        body: Mapping[str, Any] | None = None,
        version: str | None = None,
        token: Key | None = None,
    ) -> tuple[str | None, Any]:
        """Make one request, and return the version (``ETag``) and the body of the reply.

        Args:
            method: the HTTP method.
            path: the path after the address of the API.
            body: the fields to send.
            version: the version of the row that is to be changed.
            token: return only the rows of this token.

        Raises:
            RemoteCallError: the server refused or failed.
        """
        reply = await self._send(method, path, body, version, token)
        error = self._failure(f"{method} {path[0]}", reply)
        if error is not None:
            raise error
        return reply.tag, as_json(reply.body)

    async def _send(
        self, method: str, path: Path, body: Mapping[str, Any] | None, version: str | None, token: Key | None
    ) -> _Reply:
        """Make one request; the reply holds its fault, because an exception could show the key in the headers."""
        try:
            async with self.session.request(
                method,
                f"{self.endpoint.base_url}/slurk/api{_written(path)}",
                params=None if token is None else {"token_id": _secret_of(token)},
                data=None if body is None else json.dumps(body, default=_secret_of).encode(),
                headers=self._headers(version, has_body=body is not None),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            ) as response:
                return _Reply(response.status, response.headers.get("ETag"), await response.read())
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
            return _Reply(fault=described(error, self._proxy))

    def _failure(self, what: str, reply: _Reply) -> RemoteCallError | None:
        """Return the error for a reply, or None if the reply is good."""
        if reply.fault is not None:
            kind, words = reply.fault
            way = "" if self._proxy is None else f"through the proxy {self._proxy} "
            is_of_proxy = kind in ("proxy", "refused")
            what = f"{what} {way}got no reply: {words}"
            return self._error(BY_FAULT[kind], what, None, None, CHECK_PROXY if is_of_proxy else None)
        if 200 <= reply.status < 300:  # noqa: PLR2004 - good statuses
            return None
        parsed = as_json(reply.body)
        said = _words(parsed) or repr(reply.body[:_SHOWN].decode("utf-8", "replace"))
        return self._error(
            kind_of_status(reply.status), f"{what} answered {reply.status}: {said}", reply.status, parsed
        )

    def _headers(self, version: str | None, *, has_body: bool) -> dict[str, str]:
        key = self.endpoint.key
        return {
            "Accept": "application/json",
            **({} if key is None else {"Authorization": f"Bearer {str(key.api_key).strip()}"}),
            **({"Content-Type": "application/json"} if has_body else {}),
            **({} if version is None else {"If-Match": version}),
        }

    def _error(
        self, kind: str, what: str, status: int | None, response: Any, hint: str | None = None
    ) -> RemoteCallError:
        place = f" (found in {self.endpoint.key_place})" if self.endpoint.key_place else ""
        hint = hint or _HINTS.get(kind, "").format(place=place, base_url=self.endpoint.base_url)
        message = f"model '{self._model}' (backend slurk): {what}{f'; {hint}' if hint else ''}"
        words = _words(response)
        return REMOTE_ERRORS[kind](
            scrub(message),
            status=status,
            response=mask_fields(response),
            provider_message=None if words is None else scrub(words),
        )


def _written(path: Path) -> str:
    parts = (part.api_key if isinstance(part, Key) else part for part in path)
    return "".join(f"/{part}" for part in parts)


def _secret_of(value: object) -> str:
    """Return the token in a key, for JSON."""
    if not isinstance(value, Key):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return str(value.api_key)


def _words(reply: Any) -> str | None:
    """Return slurk's own words for an error: its message, and the faults of single fields."""
    if not isinstance(reply, dict):
        return None
    said = [str(reply[name]) for name in ("message", "status") if reply.get(name)][:1]
    said += [json.dumps(reply["errors"], ensure_ascii=False)] if reply.get("errors") else []
    return ": ".join(said)[:_SHOWN] or None
