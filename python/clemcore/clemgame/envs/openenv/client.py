"""A client of a server of games: one WebSocket, one stream of episodes. It does not know the rules of games."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from clemcore.clemgame.envs.openenv.hosts import is_loopback
from clemcore.clemgame.envs.openenv.models import ClemGameAction, ClemGameObservation, ClemGameState
from clemcore.clemgame.envs.requirements import require
from clemcore.errors import EnvError

__all__ = ["ClemGameEnv", "StepResult", "SyncClemGameEnv"]

_T = TypeVar("_T")
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass
class StepResult:
    """What an action has led to.

    Attributes:
        observation: what the learner is to answer next.
        reward: the reward; None after a reset.
        done: whether the episode is over.
    """

    observation: ClemGameObservation
    reward: float | None = None
    done: bool = False


class ClemGameEnv:
    """A stream of episodes on a server. Use it with ``async with``, or :meth:`sync` in programs without asyncio.

    Args:
        base_url: the address that ``clem serve`` prints, with its token.
        connect_timeout_s: most seconds until the connection is there.
        message_timeout_s: most seconds until an answer.
        max_message_size_mb: the largest answer in megabytes.
        provider: must be None: a server is not started from here.
        mode: must be None or "simulation".
        token: the token, if it is not in the address; by default that of ``$CLEMV_TOKEN``.
    """

    def __init__(  # noqa: PLR0917 - as in 3.7.2
        self,
        base_url: str,
        connect_timeout_s: float = 10.0,
        message_timeout_s: float = 60.0,
        max_message_size_mb: float = 100.0,
        provider: Any = None,
        mode: str | None = None,
        *,
        token: str | None = None,
    ) -> None:
        require("websockets", "serve")
        if provider is not None:
            raise EnvError("ClemGameEnv starts no server: start 'clem serve', and give its address")
        if mode is not None and mode.lower() != "simulation":
            raise EnvError(f"mode must be 'simulation', not {mode!r}")
        parts = urlsplit(base_url if "//" in base_url else f"//{base_url}")
        scheme = _SCHEMES.get(parts.scheme or "http")
        if scheme is None or not parts.hostname:
            raise EnvError(f"base_url must be an address such as http://127.0.0.1:8000, not {parts.scheme}://…")
        self._token = token or parts.password or os.environ.get("CLEMV_TOKEN")
        self._url = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/ws"
        self._is_near = is_loopback(parts.hostname)
        self._connect_timeout, self._message_timeout = connect_timeout_s, message_timeout_s
        self._largest = int(max_message_size_mb * 1024 * 1024)
        self._socket: Any = None

    async def connect(self) -> ClemGameEnv:
        """Connect to the server.

        Raises:
            ConnectionError: there is no server, or it refuses the client; the message says why.
        """
        if self._socket is not None:
            return self
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus

        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        try:
            self._socket = await connect(
                self._url,
                additional_headers=headers,
                open_timeout=self._connect_timeout,
                max_size=self._largest,
                proxy=None if self._is_near else True,
            )
        except InvalidStatus as fault:
            said = bytes(fault.response.body or b"").decode("utf-8", "replace").strip()
            status = fault.response.status_code
            raise ConnectionError(f"{self._url} refuses the connection: {status} {said}".rstrip()) from None
        except (OSError, TimeoutError) as fault:
            raise ConnectionError(f"{self._url} cannot be reached: {fault or type(fault).__name__}") from fault
        return self

    async def disconnect(self) -> None:
        """Close the connection; the server ends the episode."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def close(self) -> None:
        """Close the connection; the server ends the episode."""
        await self.disconnect()

    async def reset(self, **options: Any) -> StepResult:
        """Begin the next episode.

        Args:
            options: "seed", "game_id", "experiment", "episode_id" and "time_limit" (seconds).

        Raises:
            RuntimeError: the server refuses it, or the game has failed.
        """
        return self._parse_result(await self._asked({"type": "reset", "data": options}))

    async def step(self, action: ClemGameAction, **options: Any) -> StepResult:  # noqa: ARG002 - as in OpenEnv
        """Act.

        Args:
            action: the action.
            options: not used.

        Raises:
            RuntimeError: the server refuses it, or the game has failed.
        """
        return self._parse_result(await self._asked({"type": "step", "data": self._step_payload(action)}))

    async def state(self) -> ClemGameState:
        """Return how far this client is."""
        return self._parse_state(await self._asked({"type": "state"}))

    async def _asked(self, message: dict[str, Any]) -> dict[str, Any]:
        from websockets.exceptions import ConnectionClosed

        text = json.dumps(message)
        await self.connect()
        socket = self._socket
        try:
            with contextlib.suppress(ConnectionClosed):  # the server may have said why, which is read next
                await socket.send(text)
            received = await asyncio.wait_for(socket.recv(), self._message_timeout)
        except ConnectionClosed as fault:
            self._socket = None
            raise ConnectionError(
                f"{self._url} has ended the connection, and the episode with it ({fault}): reset() connects again"
            ) from fault
        except (TimeoutError, asyncio.TimeoutError):
            self._drop()
            raise TimeoutError(
                f"{self._url} has not answered for {self._message_timeout:g} s, so the episode is given up: "
                "reset() connects again, and message_timeout_s waits longer"
            ) from None
        except BaseException:
            self._drop()
            raise
        answer = json.loads(received)
        data: dict[str, Any] = answer.get("data", {})
        if answer.get("type") == "error":
            raise RuntimeError(f"the server says: {data.get('message')} ({data.get('code')})")
        return data

    def _drop(self) -> None:
        """Let the connection go: an answer that comes late would be taken for that to the next message."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.transport.abort()

    def _step_payload(self, action: ClemGameAction) -> dict[str, Any]:
        if not isinstance(getattr(action, "response", None), str):
            raise EnvError(f"the action must be a ClemGameAction(response=…), not {action!r:.80}")
        return {"response": action.response}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult:
        observation = ClemGameObservation(**payload["observation"])
        return StepResult(observation, payload["reward"], payload["done"])

    def _parse_state(self, payload: dict[str, Any]) -> ClemGameState:
        return ClemGameState(**payload)

    async def __aenter__(self) -> ClemGameEnv:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __enter__(self) -> ClemGameEnv:
        raise TypeError("ClemGameEnv is for asyncio: write 'async with env', or 'with env.sync() as env'")

    def __exit__(self, *_: object) -> None:
        """Do nothing; it is never entered."""

    def sync(self) -> SyncClemGameEnv:
        """Return the same client for programs without asyncio."""
        return SyncClemGameEnv(self)


class SyncClemGameEnv:
    """A client whose methods wait for the server. Make it with ``ClemGameEnv(…).sync()``."""

    def __init__(self, client: ClemGameEnv) -> None:
        self._client = client
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="clemcore-client", daemon=True)

    def _wait(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._loop.is_closed():
            work.close()
            raise EnvError("the client is closed: make another one")
        if not self._thread.is_alive():
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def connect(self) -> SyncClemGameEnv:
        """Connect to the server; see :meth:`ClemGameEnv.connect`."""
        self._wait(self._client.connect())
        return self

    def reset(self, **options: Any) -> StepResult:
        """Begin the next episode; see :meth:`ClemGameEnv.reset`."""
        return self._wait(self._client.reset(**options))

    def step(self, action: ClemGameAction, **options: Any) -> StepResult:
        """Act; see :meth:`ClemGameEnv.step`."""
        return self._wait(self._client.step(action, **options))

    def state(self) -> ClemGameState:
        """Return how far this client is."""
        return self._wait(self._client.state())

    def close(self) -> None:
        """Close the connection; the server ends the episode. It can be called twice."""
        if self._loop.is_closed():
            return
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> SyncClemGameEnv:
        try:
            return self.connect()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()
