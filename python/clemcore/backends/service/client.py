"""Calls through a client of the user's own, made with the official ``openai`` SDK.

The bytes of a request are those that clemcore has written. The client sends them with its own address, key, proxy
and hooks. What left and what came back is noted as for every other call. Only clemcore retries.
It does not know what a body means.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from clemcore.backends.base import require
from clemcore.backends.service.dialects.base import Dialect
from clemcore.backends.service.dialects.chat_completions import ChatCompletions
from clemcore.backends.service.dialects.responses import Responses
from clemcore.backends.service.endpoint import Endpoint
from clemcore.backends.service.http.exchange import Exchange
from clemcore.errors import BackendLoadError, SpecError
from clemcore.registry.settings import setting
from clemcore.registry.spec import ModelSpec
from clemcore.secrets import scrub

EXTRA = "openai-sdk"
# Calls of one client that may wait for their reply at once, where the client is not asynchronous.
_MOST_THREADS = 256
# What an entry says about a connection that is the client's business here.
_OF_THE_CLIENT = ("key_name", "ca_file", "verify_tls")


class OwnClient:
    """A client of the user's own. Copies of a model share it; it cannot be pickled.

    Attributes:
        client: the client.
    """

    def __init__(self, client: Any, backend: str, make: Callable[[], Any] | None = None) -> None:
        """Take a client.

        Args:
            client: an ``OpenAI``, ``AsyncOpenAI``, ``AzureOpenAI`` or ``AsyncAzureOpenAI`` of the openai package.
            backend: name of the backend, for messages.
            make: makes such a client anew, for forked child processes; None if that is unknown.

        Raises:
            MissingExtraError: the SDK is not installed.
            BackendLoadError: it is another kind of client.
        """
        self._sdk = require("openai", backend=backend, extra=EXTRA)
        if not isinstance(client, (self._sdk.OpenAI, self._sdk.AsyncOpenAI)):
            raise BackendLoadError(
                f"the client for backend '{backend}' must be made with the openai package (OpenAI, AsyncOpenAI, "
                f"AzureOpenAI or AsyncAzureOpenAI), but is a {type(client).__name__}"
            )
        self.client = client
        self._make = make
        self._pid = os.getpid()
        self._threads: ThreadPoolExecutor | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> OwnClient:
        """Return the client itself: it holds connections and locks, which have no copies."""
        return self

    def __reduce__(self) -> Any:
        """Refuse to be pickled."""
        raise TypeError("a model with a client of your own cannot be pickled: load it in the other process")

    def renew_after_fork(self) -> None:
        """Make the client anew in a forked child, which must not use its parent's connections.

        Raises:
            BackendLoadError: no way to make it is known.
        """
        if self._pid == os.getpid():
            return
        if self._make is None:
            raise BackendLoadError(
                "this process was forked after the model had got its client, whose connections belong to the "
                "parent: load the model in the child process, or define _make_api_client in the backend"
            )
        # The parent's threads do not run in the child.
        self.client, self._pid, self._threads = self._make(), os.getpid(), None

    @property
    def threads(self) -> ThreadPoolExecutor:
        """The threads in which a client that is not asynchronous waits for replies."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="clemcore-client")
        return self._threads

    def endpoint(self, spec: ModelSpec) -> Endpoint:
        """Return where the client sends its requests.

        Raises:
            SpecError: the entry says something about the connection that the client decides otherwise.
        """
        base_url = str(self.client.base_url).rstrip("/")
        written = setting(spec, "base_url")
        if written is not None and written.rstrip("/") != base_url:
            raise SpecError(
                f"model '{spec['model_name']}': the entry has base_url {scrub(written)}, but the client calls "
                f"{scrub(base_url)}; remove base_url from the entry, or make the client with the same address"
            )
        named = [name for name in _OF_THE_CLIENT if setting(spec, name) is not None]
        if named:
            raise SpecError(
                f"model '{spec['model_name']}': {', '.join(named)} of the entry would have no effect, because a "
                "client of your own makes the connections; remove it from the entry"
            )
        who = ("client", str(self.client.organization or ""), str(self.client.project or ""))
        return Endpoint(base_url, None, "the client", "/".join(who), None)

    def engine(self, base_url: str, headers: Mapping[str, str]) -> ClientEngine:
        """Return what sends through the client."""
        return ClientEngine(self, base_url, headers)

    def path(self, path: str, model_id: str) -> str:
        """Return the path of a call; Azure has the name of the deployment in it."""
        is_azure = isinstance(self.client, (self._sdk.AzureOpenAI, self._sdk.AsyncAzureOpenAI))
        if is_azure and path == "/chat/completions" and "/deployments" not in str(self.client.base_url.path):
            return f"/deployments/{quote(model_id, safe='')}{path}"
        return path


class ClientEngine:
    """Sends requests through a client of the user's own; its coroutines run on the background loop.

    Attributes:
        versions: what sends.
    """

    def __init__(self, own: OwnClient, base_url: str, headers: Mapping[str, str]) -> None:
        """Open nothing yet.

        Args:
            own: the client.
            base_url: where it sends its requests.
            headers: headers of the format, the same in all requests.
        """
        self._own = own
        self._base_url = base_url
        self._sdk = importlib.import_module("openai")
        self.versions = {"openai": self._sdk.__version__}
        # The SDK gives the whole reply to those who ask for the type of its HTTP library, which has changed.
        library = next(base.__module__.partition(".")[0] for base in self._sdk.DefaultHttpxClient.__mro__[1:])
        self._whole = importlib.import_module(library).Response
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            **headers,
        }

    async def send(self, exchange: Exchange, seconds: float) -> None:
        """Send the bytes of an exchange and read the whole reply, within so many seconds."""
        self._own.renew_after_fork()
        begin = time.monotonic()
        try:
            response = await asyncio.wait_for(self._post(exchange, seconds), seconds)
        except self._sdk.APIStatusError as refused:
            self._take(exchange, refused.response)
        except (self._sdk.APITimeoutError, asyncio.TimeoutError):
            exchange.fault_kind, exchange.fault = "timeout", "no whole reply in time"
        except self._sdk.APIConnectionError as fault:
            cause = fault.__cause__ or fault
            words = f"{type(cause).__name__}: {cause}".partition("\n")[0]
            exchange.fault_kind, exchange.fault = "connection", f"the client could not connect: {scrub(words)}"
        else:
            self._take(exchange, response)
        finally:
            exchange.attempt_seconds = time.monotonic() - begin

    async def _post(self, exchange: Exchange, seconds: float) -> Any:
        options = {"headers": self._headers, "timeout": seconds, "max_retries": 0}
        path = exchange.url.removeprefix(self._base_url)
        exchange.was_sent = True
        client = self._own.client
        if isinstance(client, self._sdk.AsyncOpenAI):
            return await client.post(path, cast_to=self._whole, content=exchange.body, options=options)
        return await asyncio.get_running_loop().run_in_executor(
            self._own.threads,
            lambda: client.post(path, cast_to=self._whole, content=exchange.body, options=options),
        )

    @staticmethod
    def _take(exchange: Exchange, response: Any) -> None:
        """Note what left and what came back; a hook of the client may have changed either."""
        with contextlib.suppress(Exception):  # a body that the client has streamed: the bytes are ours then
            exchange.body = response.request.content
        exchange.status, exchange.headers = response.status_code, response.headers
        exchange.raw = exchange.response = response.content


def check_dialect(dialect: Dialect, backend: str) -> None:
    """Refuse a client where the service does not speak the protocols of the SDK.

    Raises:
        BackendLoadError: the format is another one.
    """
    if not isinstance(dialect, (ChatCompletions, Responses)):
        raise BackendLoadError(
            f"backend '{backend}' speaks {dialect.name}, which a client of the openai package does not: leave the "
            "client out"
        )
