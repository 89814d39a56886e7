"""The bot's connection to one room: it enters, comes back after a break, and knows who is there.

Everything here runs on the background loop. The connection tells a :class:`Listener` what happens in the room. It
does not know whether an event has arrived (``delivery.py``), or which one is a question and which one an answer
(``conversation.py``), and it does not know the model.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import socketio

from clemcore.backends.service.http.engine import ScrubbedLog
from clemcore.backends.slurk.api import Api
from clemcore.backends.slurk.content import Event
from clemcore.backends.slurk.premises import Premises
from clemcore.errors import (
    ClemcoreError,
    NotServedError,
    RemoteCallError,
    RemoteConnectionError,
    RemoteTimeoutError,
)
from clemcore.secrets import scrub

logger = logging.getLogger(__name__)
# Without a logger of ours, the Socket.IO library writes to standard error by itself.
_wire_logger = logging.getLogger("clemcore.backends.slurk.socketio")
_wire_logger.setLevel(logging.ERROR)  # it logs a warning at every normal disconnect
_wire_logger.addFilter(ScrubbedLog())

# How long the server may take to let the bot in.
CONNECT_TIMEOUT = 15.0
# How long slurk may take to put the bot into the room of its token before we ask for it.
_SELF_JOIN_TIMEOUT = 1.0
# The first and the longest wait before the bot connects again.
FIRST_WAIT = 0.5
RECONNECT_WAIT = 5.0
# How long the bot waits for the server when it leaves.
LEAVE_TIMEOUT = 1.0

# The events of other users that the bot listens to.
_HEARD = ("text_message", "image_message", "command", "status")


class Link(enum.Enum):
    """Where the bot is."""

    NEW = "not in the room yet"
    IN = "in the room"
    AWAY = "out of the room, because the connection broke; it connects again"
    GONE = "nowhere, because the room is no longer on the server"
    CLOSED = "out of the room for good"


@dataclass(frozen=True)
class Deadline:
    """The end of a wait, and the words that an error has for it.

    Attributes:
        end: the moment, on the clock of ``time.monotonic()``.
        words: such as ``within 300 s (response_timeout)``.
    """

    end: float
    words: str

    @classmethod
    def after(cls, seconds: float, key: str | None = None) -> Deadline:
        """Return the deadline that is some seconds from now.

        Args:
            seconds: the length of the wait.
            key: the key of the entry that sets this length, for errors.
        """
        return cls(time.monotonic() + seconds, f"within {seconds:g} s{f' ({key})' if key else ''}")

    @property
    def left(self) -> float:
        """The seconds that are left; negative when time is up."""
        return self.end - time.monotonic()


class Listener(Protocol):
    """Hears what happens in the room, in the server's order."""

    def heard(self, event: Event) -> None:
        """Take an event of another user."""

    def echoed(self) -> None:
        """Note that a message of the bot now stands in the room."""

    def note(self, incident: str, **details: Any) -> None:
        """Note something beside the dialogue: a broken connection, a person who comes or goes."""


class Connection:
    """The connection of the bot to one room.

    Attributes:
        link: where the bot is.
        losses: how often the bot has been thrown out of the room. A larger number than before means that something
            in the room may have been missed.
        there: the ids of the users who are in the room, without the bot.
        visitors: the ids of all users who have ever been in the room, without the bot.
    """

    _listener: Listener

    def __init__(self, api: Api, premises: Premises, model: str) -> None:
        """Connect to nothing yet.

        Args:
            api: the HTTP API of the server.
            premises: the room, the bot's user, and their tokens.
            model: the model's name, for messages.
        """
        self.link = Link.NEW
        self.losses = 0
        self.there: set[int] = set()
        self.visitors: set[int] = set()
        self._api = api
        self._premises = premises
        self._model = model
        self._has_joined = False  # the server says so; it may say this before it has accepted the connection
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sio: Any = None

    @property
    def prefix(self) -> str:
        """The beginning of every error: which model, and which backend."""
        return f"model '{self._model}' (backend slurk)"

    @property
    def room(self) -> int:
        """The room's id on the server."""
        return self._premises.room

    @property
    def bot(self) -> int:
        """The id of the bot's user."""
        return self._premises.bot

    @property
    def place(self) -> str:
        """The beginning of an error about the room."""
        return f"{self.prefix}: room {self.room}"

    @property
    def is_in(self) -> bool:
        """Whether the bot is in the room and connected."""
        return self.link is Link.IN

    # -- entering and leaving -----------------------------------------------------------------------------------
    async def open(self, listener: Listener) -> None:
        """Put the bot into the room.

        Args:
            listener: hears what happens in the room from now on.

        Raises:
            RemoteConnectionError: the bot could not connect.
            RemoteTimeoutError: the server did not let the bot in.
        """
        self._listener = listener
        sio = self._sio = socketio.AsyncClient(
            logger=_wire_logger,
            engineio_logger=_wire_logger,
            handle_sigint=False,
            http_session=self._api.session,
            # The library does not connect again after the server has ended the connection, as in a restart.
            reconnection=False,
            request_timeout=CONNECT_TIMEOUT,
        )
        sio.on("connect", self._on_connect)
        sio.on("disconnect", self._on_disconnect)
        sio.on("joined_room", self._on_joined)
        for name in _HEARD:
            sio.on(name, self._handler(name))
        fault = await self._dial()
        if fault is not None:
            where = self._api.endpoint.base_url
            raise RemoteConnectionError(f"{self.prefix}: the bot could not connect to {where}: {fault}")
        if not await self.until(lambda: self.is_in, Deadline.after(_SELF_JOIN_TIMEOUT)):
            # Most servers put a user into the room of its token by themselves.
            await self._api.join(self.bot, self.room)
        deadline = Deadline.after(CONNECT_TIMEOUT)
        if not await self.until(lambda: self.is_in, deadline):
            raise RemoteTimeoutError(f"{self.place}: the server did not let the bot in {deadline.words}")

    async def close(self) -> None:
        """Leave the room for good; the link is CLOSED at once."""
        self.link = Link.CLOSED
        self._news.set()
        for task in list(self._tasks):
            task.cancel()
        if self._sio is not None:
            # In a task of its own, because the end of the program cancels the tasks that this would wait for.
            await asyncio.wait({asyncio.ensure_future(self._sio.shutdown())}, timeout=LEAVE_TIMEOUT)

    async def _dial(self) -> str | None:
        """Connect; return the reason where that failed."""
        base_url = self._api.endpoint.base_url
        self._has_joined = False
        try:
            await self._sio.connect(
                base_url,
                headers=self._bot_headers,
                namespaces=["/"],
                socketio_path=f"{urlsplit(base_url).path}/socket.io".lstrip("/"),
                wait_timeout=CONNECT_TIMEOUT,
            )
        except (socketio.exceptions.ConnectionError, asyncio.TimeoutError, OSError, ValueError) as fault:
            return scrub(str(fault))
        return None

    def _bot_headers(self) -> dict[str, str]:
        """Return the headers of a connection; the library asks for them each time, and stores them nowhere."""
        return {"Authorization": f"Bearer {self._premises.bot_token.api_key}", "user": str(self.bot)}

    async def _dial_again(self) -> None:
        """Connect until it works or the room is gone."""
        wait = FIRST_WAIT
        while self.link is Link.AWAY:
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the load, keeps no secret
            if self._sio.connected:
                return
            fault = await self._dial()
            await self._look_around()
            if fault is None:
                return
            wait = min(2 * wait, RECONNECT_WAIT)

    async def _look_around(self) -> None:
        """Find out who came and went during the break, and whether the room still exists.

        A server that was restarted may have lost the room.
        """
        try:
            there = {user for user in await self._api.there(self.room) if user != self.bot}
        except NotServedError:
            if self.link is not Link.CLOSED:
                self.link = Link.GONE
        except RemoteCallError as fault:
            logger.info("%s", fault)
        else:
            for user in there - self.there:
                self._move(user, "join")
            for user in self.there - there:
                self._move(user, "leave")
        self._news.set()

    async def emit(self, event: Event) -> asyncio.Future[tuple[Any, ...]] | None:
        """Send an event once; the future gets the server's receipt. None says that the connection is broken."""
        receipt: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

        def acknowledged(*arguments: Any) -> None:
            if not receipt.done():
                receipt.set_result(arguments)
            self._news.set()

        try:
            await self._sio.emit(event["event"], event["data"], callback=acknowledged)
        except socketio.exceptions.SocketIOError:
            self._lose()
            return None
        return receipt

    # -- what the server reports --------------------------------------------------------------------------------
    async def _on_connect(self) -> None:
        self._enter()

    async def _on_joined(self, data: Any) -> None:
        if isinstance(data, dict) and data.get("room") == self.room:
            self._has_joined = True
            self._enter()

    def _enter(self) -> None:
        """Note that the bot is in: both connected and in the room. The server reports these two in any order."""
        if self._has_joined and self._sio.namespaces and self.link in (Link.NEW, Link.AWAY):
            was_away = self.link is Link.AWAY
            self.link = Link.IN
            if was_away:
                self._listener.note("connected")
        self._news.set()

    async def _on_disconnect(self, reason: object = None) -> None:
        self._lose()
        if self.link not in (Link.NEW, Link.CLOSED):
            self._listener.note("disconnected", reason=str(reason))
            logger.warning("model '%s': the connection to the slurk server is broken (%s)", self._model, reason)
            self._beside(self._dial_again())
        self._news.set()

    def _lose(self) -> None:
        """Note that the bot is out of the room."""
        self._has_joined = False
        self.losses += 1
        if self.link is Link.IN:
            self.link = Link.AWAY

    def _handler(self, name: str) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def handle(data: Any) -> None:
            user = data.get("user") if isinstance(data, dict) else None
            if not isinstance(user, dict) or data.get("room") != self.room:
                return
            if user.get("id") != self.bot:
                self._listener.heard({"event": name, "data": data})
                if name == "status":
                    self._move(user["id"], data.get("type"))
            elif name in ("text_message", "image_message"):
                self._listener.echoed()
            self._news.set()

        return handle

    def _move(self, user: int, kind: object) -> None:
        """Note that a person came or went. after a person has left, the same link lets one person in again."""
        if kind == "join":
            self.there.add(user)
            if self.visitors:  # the first one has used up the only login
                self._beside(self._premises.mind_door(self.there))
            self.visitors.add(user)
        elif kind == "leave":
            self.there.discard(user)
            if not self.there and self.link is not Link.CLOSED:
                logger.warning("model '%s': the person has left room %s", self._model, self.room)
                self._beside(self._premises.mind_door(self.there))
        self._listener.note(str(kind), user=user)

    # -- waiting ------------------------------------------------------------------------------------------------
    async def until(self, holds: Callable[[], bool], deadline: Deadline) -> bool:
        """Wait until a condition holds; return whether it does."""
        while not holds():
            if not await self.next_news(deadline):
                return holds()
        return True

    async def next_news(self, deadline: Deadline) -> bool:
        """Wait for the next thing that happens; false when nothing more can happen or time is up."""
        self._news.clear()
        left = deadline.left
        if left <= 0 or self.link in (Link.GONE, Link.CLOSED):
            return False
        try:
            await asyncio.wait_for(self._news.wait(), left)
        except asyncio.TimeoutError:
            return False
        return True

    def failure(self, what: str, deadline: Deadline) -> RemoteCallError:
        """Return the error for something that has not happened in time.

        Args:
            what: such as ``no answer came``.
            deadline: the deadline that it has missed.
        """
        if self.link is Link.CLOSED:
            return RemoteConnectionError(f"{self.place} was closed")
        if self.link is Link.GONE:
            return NotServedError(f"{self.place}: {what}, because the room is no longer on the server")
        late = f"{self.place}: {what} {deadline.words}"
        if self.link is not Link.IN:
            return RemoteConnectionError(f"{late}: the connection is broken")
        return RemoteTimeoutError(f"{late}; the person {'is there' if self.there else 'has left'}")

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background; if it fails, the room goes on."""

        async def guarded() -> None:
            try:
                await work
            except ClemcoreError as fault:
                logger.warning("model '%s': %s", self._model, fault)

        task = asyncio.ensure_future(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
