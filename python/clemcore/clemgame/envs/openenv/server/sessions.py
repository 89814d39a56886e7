"""Clients: each connection gets a stream of episodes of its own, until it leaves or is silent for too long.

It does not know who may connect, nor how episodes are played.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from clemcore.clemgame.envs.openenv.models import ClemGameAction, ClemGameState
from clemcore.clemgame.envs.streams.stream import EpisodeStream
from clemcore.clemgame.envs.streams.turns import Turn
from clemcore.clemgame.plain import plain
from clemcore.secrets import scrub
from clemcore.spelling import misspelling_of

_logger = logging.getLogger(__name__)

# Messages that a client may send before it has read the answers, and messages in a row that make no sense.
_AHEAD = 16
_FAULTS = 10
_LARGEST = 1024 * 1024
_OPTIONS = ("seed", "game_id", "experiment", "episode_id", "time_limit")


@dataclass(frozen=True)
class Limits:
    """What clients may use.

    Attributes:
        max_clients: most clients at once.
        idle_timeout: seconds without a message after which a client is let go.
        time_limit: most seconds of an episode; None: any number.
    """

    max_clients: int = 256
    idle_timeout: float = 600.0
    time_limit: float | None = None


class FloodError(Exception):
    """A client sends more than it waits for."""


class RefusedError(Exception):
    """A message that cannot be followed."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.more = more


class Sessions:
    """The clients that are there.

    Args:
        make: makes the stream of a client by its number, from 1, and returns it with the seed of its first episode.
        game: the name of the game.
        limits: what clients may use.
    """

    def __init__(self, make: Callable[[int], tuple[EpisodeStream, int | None]], game: str, limits: Limits) -> None:
        self._make = make
        self._game = game
        self._limits = limits
        self._count = 0
        self._live: set[EpisodeStream] = set()
        # Streams of clients that have left, which may still write what they have played.
        self._ending: set[EpisodeStream] = set()

    def __len__(self) -> int:
        return len(self._live)

    def close(self, seconds: float) -> None:
        """End all streams.

        Args:
            seconds: how long all of them have to end.
        """
        streams = [*self._live, *self._ending]
        for stream in streams:
            stream.close()
        end = time.monotonic() + seconds
        for stream in streams:
            stream.join(max(0.0, end - time.monotonic()))

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it leaves."""
        await socket.accept()
        if len(self._live) >= self._limits.max_clients:
            most = self._limits.max_clients
            await _send_error(
                socket, RefusedError("CAPACITY_REACHED", f"the server has {most} clients, and takes no more")
            )
            await _close(socket, 1013)
            return
        self._count += 1
        stream, seed = self._make(self._count)
        self._live.add(stream)
        session = _Session(stream, seed, ClemGameState(game_name=self._game, episode_id="episode_0"), self._limits)
        try:
            await _run(session, socket)
        finally:
            self._live.discard(stream)
            stream.close()
            self._ending = {each for each in {*self._ending, stream} if not each.join(0.0)}


async def _run(session: _Session, socket: WebSocket) -> None:
    """Read and answer messages; a client that leaves ends both."""
    inbox: asyncio.Queue[str | bytes] = asyncio.Queue()
    tasks = {asyncio.create_task(_read(socket, inbox)), asyncio.create_task(session.answer_all(socket, inbox))}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.exception()
            if isinstance(error, FloodError):
                await _send_error(socket, RefusedError("SESSION_ERROR", str(error)))
                await _close(socket, 1008)
            elif error is not None and not isinstance(error, WebSocketDisconnect):
                _logger.error("a client's session has failed", exc_info=error)
        await _close(socket, 1000)
    finally:
        for task in tasks:
            task.cancel()
        # Not gather(): if it is cancelled meanwhile, it raises what cancelled the tasks, in the words of that.
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # seen above, or of no interest any more


async def _read(socket: WebSocket, inbox: asyncio.Queue[str | bytes]) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        inbox.put_nowait(message.get("bytes") or b"" if text is None else text)
        if inbox.qsize() > _AHEAD:
            raise FloodError(
                f"more than {_AHEAD} messages were sent before their answers were read: wait for each answer"
            )


class _Session:
    """One client: what it asks for, and what it gets."""

    def __init__(self, stream: EpisodeStream, seed: int | None, state: ClemGameState, limits: Limits) -> None:
        self._stream = stream
        self._seed = seed
        self._state = state
        self._limits = limits

    async def answer_all(self, socket: WebSocket, inbox: asyncio.Queue[str | bytes]) -> None:
        """Answer messages, one after the other."""
        faults = 0
        while True:
            idle = self._limits.idle_timeout
            try:
                message = await asyncio.wait_for(inbox.get(), idle)
            except asyncio.TimeoutError:
                await _send_error(socket, RefusedError("SESSION_ERROR", f"there was no message for {idle:g} s"))
                return
            try:
                answer = await self._answer(message)
                if answer is None:
                    return
                faults = 0
                await socket.send_text(json.dumps(answer, ensure_ascii=False, allow_nan=False))
            except RefusedError as fault:
                faults += fault.code in ("INVALID_JSON", "UNKNOWN_TYPE", "VALIDATION_ERROR")
                await _send_error(socket, fault)
                if faults >= _FAULTS:
                    raise FloodError(f"{faults} messages in a row could not be read") from None
            await asyncio.sleep(0)  # a client that never waits must not keep others from their turn

    async def _answer(self, text: str | bytes) -> dict[str, Any] | None:
        message = _parsed(text)
        kind = message.get("type")
        if kind == "reset":
            return _said(await self._reset(_data(message)), is_first=True)
        if kind == "step":
            return _said(await self._step(_data(message)), is_first=False)
        if kind == "state":
            return {"type": "state", "data": self._state.model_dump()}
        if kind == "close":
            return None
        raise RefusedError(
            "UNKNOWN_TYPE", f"there is no message of type {kind!r:.80}: use reset, step, state or close"
        )

    async def _reset(self, options: dict[str, Any]) -> Turn:
        _check_options(options)
        seed = options.get("seed", self._seed)
        self._seed = None
        limits = [limit for limit in (self._limits.time_limit, options.get("time_limit")) if limit is not None]
        self._stream.time_limit = min(limits, default=None)
        turn = await _played(lambda: self._stream.reset(seed, options.get("game_id"), options.get("experiment")))
        state = self._state
        state.step_count, state.episode_count = 0, state.episode_count + 1
        state.episode_id = options.get("episode_id") or f"episode_{state.episode_count}"
        return turn

    async def _step(self, data: dict[str, Any]) -> Turn:
        try:
            action = ClemGameAction.model_validate(data)
        except ValidationError as fault:
            faults = [{"loc": each["loc"], "msg": each["msg"]} for each in fault.errors()]
            told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults)
            raise RefusedError(
                "VALIDATION_ERROR", f"an action must be {{'response': text}}: {told}", errors=faults
            ) from None
        turn = await _played(lambda: self._stream.step(action.response))
        self._state.step_count += 1
        return turn


async def _played(ask: Callable[[], Any]) -> Turn:
    try:
        turn: Turn = await asyncio.wrap_future(ask())
    except Exception as fault:
        raise RefusedError("EXECUTION_ERROR", scrub(str(fault))) from fault
    return turn


def _said(turn: Turn, *, is_first: bool) -> dict[str, Any]:
    """Return the message about a turn."""
    facts = {**turn.info, "truncated": turn.truncated}
    observation = {"context": plain(turn.observation), "metadata": plain(facts)}
    reward = None if is_first else turn.reward
    return {"type": "observation", "data": {"observation": observation, "reward": reward, "done": turn.is_last}}


def _parsed(text: str | bytes) -> dict[str, Any]:
    if len(text) > _LARGEST:
        raise RefusedError("VALIDATION_ERROR", f"a message has at most {_LARGEST:,} characters, not {len(text):,}")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise RefusedError("INVALID_JSON", f"a message must be JSON: {str(fault)[:200]}") from None
    if not isinstance(message, dict):
        raise RefusedError("INVALID_JSON", "a message must be a JSON object with the key 'type'")
    return message


def _data(message: dict[str, Any]) -> dict[str, Any]:
    data = message.get("data", {})
    if not isinstance(data, dict):
        raise RefusedError("VALIDATION_ERROR", f"'data' must be an object, not {data!r:.80}")
    return data


def _check_options(options: dict[str, Any]) -> None:
    for name, value in options.items():
        if name not in _OPTIONS:
            near = misspelling_of(name, _OPTIONS)
            hint = "." if near is None else f"; did you mean '{near}'?"
            known = ", ".join(_OPTIONS)
            raise RefusedError(
                "VALIDATION_ERROR", f"reset has no option {name!r:.80}{hint} Its options are {known}"
            )
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        fits = {
            "seed": is_whole and value >= 0,
            "game_id": is_whole,
            "experiment": isinstance(value, (str, dict)),
            "episode_id": isinstance(value, str) and len(value) <= 255,  # noqa: PLR2004 - as in OpenEnv
            "time_limit": (is_whole or isinstance(value, float)) and value > 0,
        }
        if value is not None and not fits[name]:
            raise RefusedError("VALIDATION_ERROR", f"the option '{name}' of reset cannot be {value!r:.80}")


async def _send_error(socket: WebSocket, fault: RefusedError) -> None:
    data = {"message": str(fault), "code": fault.code, **fault.more}
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(json.dumps({"type": "error", "data": data}, ensure_ascii=False))


async def _close(socket: WebSocket, code: int) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.close(code)
